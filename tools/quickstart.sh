#!/usr/bin/env bash
# Sets the environment up and runs tools/quickstart.py: people on a photograph within a
# minute, then a training. Arguments go to it; with --demo-only it stops before training.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source tools/setup_env.sh
exec python tools/quickstart.py "$@"
