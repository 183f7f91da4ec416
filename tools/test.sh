#!/usr/bin/env bash
# Lint, format check and tests in the project's own environment. Arguments go to
# pytest: bash tools/test.sh tests/test_models -k fold. With --torch 2.1
# before them it is the environment of requirements/torch2.1.txt.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
if [ "${1:-}" = --torch ]; then
    export MIPNET_TORCH=${2:?--torch needs a version, such as 2.1}
    shift 2
fi
source tools/setup_env.sh

python -m ruff check .
python -m ruff format --check .
# Two workers with one thread each: more threads than cores slow torch down.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec python -m pytest -n 2 "$@"
