#!/usr/bin/env bash
# bash script/evaluate.sh MODEL [DATASET…]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

exec python3 -m xllm evaluate "$@"
