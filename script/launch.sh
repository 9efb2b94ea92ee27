# Sourced by train.sh and inference.sh: `launch RESTARTS COMMAND [ARGUMENT…]` runs `xllm COMMAND …`.
# One process for each GPU of the machine (NPROC=n for fewer). Before several start, one checks the command and prepares
# the data, so that a mistake is told once. Processes that die are started again RESTARTS times.
# On several machines, which share the folder of the output: the same on each, with NNODES (how many), NODE_RANK (0 on
# the first), MASTER_ADDR and MASTER_PORT (where the first listens).
launch() {
    local restarts=$1 gpus nodes=${NNODES:-1} processes where=(--standalone)
    shift
    gpus=$(python3 -c 'import torch; print(torch.cuda.device_count())')
    processes=${NPROC:-$((gpus > 0 ? gpus : 1))}
    if [ $((processes * nodes)) -gt 1 ] || [ "$restarts" -gt 0 ]; then
        NPROC=$((processes * nodes)) python3 -m xllm "$@" --prepare_only || exit
        if [ "$nodes" -gt 1 ]; then
            where=(--nnodes "$nodes" --node_rank "${NODE_RANK:?}" --rdzv_id "${MASTER_PORT:?}" --rdzv_backend c10d
                --rdzv_endpoint "${MASTER_ADDR:?}:$MASTER_PORT")
        fi
        # a restart would find the addresses of the processes before it (pytorch/pytorch#135712)
        export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
        exec python3 -m torch.distributed.run "${where[@]}" --nproc_per_node "$processes" --max_restarts "$restarts" \
            -m xllm "$@"
    fi
    if [ "$gpus" -gt 1 ] && [ "$1" = train ]; then # a process that saw several would take them all
        local visible=${CUDA_VISIBLE_DEVICES:-0}
        export CUDA_VISIBLE_DEVICES=${visible%%,*}
    fi
    exec python3 -m xllm "$@"
}
