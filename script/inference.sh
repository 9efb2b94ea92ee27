#!/usr/bin/env bash
# bash script/inference.sh MODEL DATASET [BATCH] [any flag of `python -m xllm infer`…]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

if [[ ${3:-} =~ ^[0-9]+$ ]]; then set -- "$1" "$2" --batch_size "$3" "${@:4}"; fi
exec python3 -m xllm infer "$@"
