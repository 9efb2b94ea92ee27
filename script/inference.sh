#!/usr/bin/env bash
# bash script/inference.sh MODEL DATASET [BATCH] [any flag of `xllm infer`…]
# On all GPUs of the machine, each with a copy of the model and a part of the rows, or on several machines: see
# launch.sh. Rows with labels are answered by the likeliest one, others freely (--labels). vLLM takes all GPUs by
# itself, in one process. Exits with 3 where rows have failed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$home/script/launch.sh"

if [[ ${3:-} =~ ^[0-9]+$ ]]; then set -- "$1" "$2" --batch_size "$3" "${@:4}"; fi
if [[ " $* " =~ \ --engine[\ =]vllm\  ]]; then NPROC=1; fi
code=0
said=$(launch 0 infer "$@") || code=$?
if [ -n "$said" ]; then printf '%s\n' "$said"; fi
answers=${said%%$'\n'*}
if [ "$code" = 0 ] && [ -n "$answers" ] && [ -e "${answers%.inference.jsonl}.failed.jsonl" ]; then code=3; fi
exit "$code"
