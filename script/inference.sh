#!/usr/bin/env bash
# bash script/inference.sh MODEL DATASET [BATCH] [any flag of `python -m xllm infer`…]
# On all GPUs of the machine, each with a copy of the model and a part of the rows, or on several machines: see
# launch.sh. vLLM takes all GPUs by itself, in one process.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$home/script/launch.sh"

if [[ ${3:-} =~ ^[0-9]+$ ]]; then set -- "$1" "$2" --batch_size "$3" "${@:4}"; fi
if [[ " $* " =~ \ --engine[\ =]vllm\  ]]; then NPROC=1; fi
launch 0 infer "$@"
