#!/usr/bin/env bash
# bash script/train.sh BASE MIXTURE [METHOD] [any flag of `python -m xllm train`…]
# One process for each GPU of the machine (NPROC=n for fewer), sharded with FSDP; one process where there is none.
# Before several start, one checks the command and prepares the data, so that a mistake is told once.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

gpus=$(python3 -c 'import torch; print(torch.cuda.device_count())')
export NPROC=${NPROC:-$gpus}
if [ "$NPROC" -gt 1 ]; then
    python3 -m xllm train "$@" --prepare_only
    exec python3 -m torch.distributed.run --standalone --nproc_per_node "$NPROC" -m xllm train "$@"
fi
if [ "$gpus" -gt 1 ]; then # a process that saw several would take them all
    visible=${CUDA_VISIBLE_DEVICES:-0}
    export CUDA_VISIBLE_DEVICES=${visible%%,*}
fi
exec python3 -m xllm train "$@"
