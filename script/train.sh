#!/usr/bin/env bash
# bash script/train.sh BASE MIXTURE [METHOD] [--max_restarts N] [any flag of `python -m xllm train`…]
# One process for each GPU of the machine (NPROC=n for fewer); several shard the model. Before several start, one checks
# the command and prepares the data, so that a mistake is told once. With --max_restarts, processes that die are started
# again, so many times, from the last checkpoint (--save_steps).
# On several machines, which share the folder of the output: the same command on each, with NNODES (how many), NODE_RANK
# (0 on the first), MASTER_ADDR and MASTER_PORT (where the first listens).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

restarts=0 words=()
while [ $# -gt 0 ]; do
    case $1 in
    --max_restarts) restarts=${2:?--max_restarts needs a number} && shift ;;
    --max_restarts=*) restarts=${1#*=} ;;
    *) words+=("$1") ;;
    esac
    shift
done

gpus=$(python3 -c 'import torch; print(torch.cuda.device_count())')
nodes=${NNODES:-1}
processes=${NPROC:-$((gpus > 0 ? gpus : 1))}
if [ $((processes * nodes)) -gt 1 ] || [ "$restarts" -gt 0 ]; then
    NPROC=$((processes * nodes)) python3 -m xllm train "${words[@]}" --prepare_only
    where=(--standalone)
    if [ "$nodes" -gt 1 ]; then
        where=(--nnodes "$nodes" --node_rank "${NODE_RANK:?}" --rdzv_id "${MASTER_PORT:?}" --rdzv_backend c10d
            --rdzv_endpoint "${MASTER_ADDR:?}:$MASTER_PORT")
    fi
    # a restart would find the addresses of the processes before it (pytorch/pytorch#135712)
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    exec python3 -m torch.distributed.run "${where[@]}" --nproc_per_node "$processes" --max_restarts "$restarts" \
        -m xllm train "${words[@]}"
fi
if [ "$gpus" -gt 1 ]; then # a process that saw several would take them all
    visible=${CUDA_VISIBLE_DEVICES:-0}
    export CUDA_VISIBLE_DEVICES=${visible%%,*}
fi
exec python3 -m xllm train "${words[@]}"
