#!/usr/bin/env bash
# bash script/train.sh BASE MIXTURE [METHOD] [--max_restarts N] [any flag of `xllm train`…]
# On all GPUs of the machine, which shard the model, or on several machines: see launch.sh. With --max_restarts, processes
# that die are started again, so many times, from the last checkpoint (--save_steps).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$home/script/launch.sh"

restarts=0 words=()
while [ $# -gt 0 ]; do
    case $1 in
    --max_restarts) restarts=${2:?--max_restarts needs a number} && shift ;;
    --max_restarts=*) restarts=${1#*=} ;;
    *) words+=("$1") ;;
    esac
    shift
done
launch "$restarts" train "${words[@]}"
