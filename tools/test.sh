#!/usr/bin/env bash
# Lint, format check and tests in the project's own environment. Arguments go to
# pytest: bash tools/test.sh tests/test_models -k fold
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source tools/setup_env.sh

python -m ruff check .
python -m ruff format --check .
# Two workers with one thread each: more threads than cores slow torch down.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec python -m pytest -n 2 "$@"
