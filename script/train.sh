#!/usr/bin/env bash
# bash script/train.sh BASE MIXTURE [METHOD] [any flag of `python -m xllm train`…]
# One process for each GPU of the machine (NPROC=n for fewer), sharded with FSDP; one process where there is none.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

gpus=$(python3 -c 'import torch; print(torch.cuda.device_count())')
NPROC=${NPROC:-$gpus}
if [ "$NPROC" -gt 1 ]; then
    exec python3 -m torch.distributed.run --standalone --nproc_per_node "$NPROC" -m xllm train "$@"
fi
exec python3 -m xllm train "$@"
