#!/usr/bin/env bash
# Sets the environment up and runs tools/quickstart.py. Arguments go to it.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source tools/setup_env.sh
exec python tools/quickstart.py "$@"
