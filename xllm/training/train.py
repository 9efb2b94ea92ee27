"""`xllm train`: tune every weight of a base model on a mixture."""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig

from xllm import places
from xllm.artifacts.run_info import RunInfo
from xllm.cli import done
from xllm.errors import XllmError
from xllm.mixture.encoding import Encoded
from xllm.models.load import load_model
from xllm.packing.lengths import edge
from xllm.packing.packed import make_losses
from xllm.training import checkpoint, memory, monitor, resume, saving
from xllm.training.flags import TrainFlags
from xllm.training.flops import matrix_rate
from xllm.training.held_out import Develop, Held
from xllm.training.layout import Steps
from xllm.training.prepared import Prepared, prepare
from xllm.training.request import Request, read
from xllm.training.sharding import shard
from xllm.training.step_lines import show_steps
from xllm.training.trainer import StepTrainer


def train(flags: TrainFlags) -> None:
    """Train as the command line says, and print the folder of the new model."""
    request = read(flags)
    run = RunInfo("train", flags)
    with contextlib.redirect_stdout(sys.stderr):  # the Trainer prints its log
        prepared = prepare(request)
        if request.training.process_index == 0:
            resume.check(request.output, prepared.settings, keeps(request))
            saving.rehearse(request, prepared, run)
        if request.data.prepare_only:
            return
        tune(request, prepared, run)
    if request.training.process_index == 0:
        print(request.output)
        named = request.output.parent == places.models()
        model = request.output.name if named else str(request.output)
        done(then=f"xllm infer {shlex.quote(model)} DATASET")


def tune(request: Request, prepared: Prepared, run: RunInfo) -> None:
    """Tune the model and save it. The work goes on in the model's own folder, which is no model's until it is finished;
    with --save_steps, the next run goes on from what an interrupted one has saved."""
    first, place = request.training.process_index == 0, request.output
    run_of = resume.run(place, prepared.settings, keeps(request)) if first else contextlib.nullcontext()
    with run_of:
        trainer = make_trainer(request, prepared)
        checkpoint.wait()
        start = checkpoint.last(place)
        if start is not None:
            print(f"resuming from {start.name} of {place}", file=sys.stderr)
        if first:
            trainer.watch.resume(checkpoint.step_of(start))
        if start is not None and checkpoint.restore_end(trainer, start):
            summary = {"epoch": trainer.state.epoch, "total_flos": trainer.state.total_flos}
        else:
            summary = trainer.train(resume_from_checkpoint=str(start) if start else None).metrics
        saving.save(trainer, request, prepared, run, summary)


def keeps(request: Request) -> bool:
    """Whether a run saves checkpoints."""
    return request.training.save_strategy != "no"


def make_trainer(request: Request, prepared: Prepared) -> StepTrainer:
    """A Trainer on float32 master weights, sharded where there are several processes; bf16 is for the computation."""
    args, data = request.training, request.data
    model = load_model(prepared.source, torch.float32)
    longest = max(encoded.longest for encoded in (prepared.encoded, prepared.held_out) if encoded)
    packed = make_losses(model, longest)
    budget = micro_batch_tokens(request, model.config, longest)
    peak = matrix_rate(model, budget, torch.bfloat16 if args.bf16 else torch.float32, args.device)
    watcher = monitor.Watch(Path(args.output_dir), model, peak, args.world_size)
    ways = {"packed": packed, "edge": edge(model.config)}
    steps = steps_of(prepared.encoded, request, budget, averaged_rows=request.averaged_rows, **ways)
    if args.world_size > 1:
        shard(model, bf16=args.bf16, group=data.hsdp_group, cpu_offload=data.cpu_offload)
    try:
        trainer = StepTrainer(model=model, args=args, steps=steps, watch=watcher)
    except (ValueError, RuntimeError, ImportError) as error:  # flags that don't go together
        raise XllmError(f"the Trainer refuses these flags: {error}") from error
    show_steps(trainer)
    if prepared.held_out or prepared.questions:
        held_out = steps_of(prepared.held_out, request, budget, **ways) if prepared.held_out else None
        held = Held(held_out, prepared.questions, request.template, prepared.tokenizer)
        trainer.add_callback(Develop(trainer, held, args.eval_steps))
    return trainer


def micro_batch_tokens(request: Request, config: PreTrainedConfig, longest: int) -> int:
    """The tokens of a micro-batch: as the command line says, else what memory allows. Raises XllmError where the
    longest row has more."""
    args, data = request.training, request.data
    budget = data.tokens_per_micro_batch or memory.budget(
        config,
        longest,
        data.hsdp_group or args.world_size,
        bf16=args.bf16,
        checkpointing=getattr(args, "activation_checkpointing", None) or args.gradient_checkpointing or False,
        offload=data.cpu_offload,
    )
    if budget < longest:
        raise XllmError(f"--tokens_per_micro_batch {budget} is less than the {longest} tokens of the longest row")
    return budget


def steps_of(encoded: Encoded, request: Request, budget: int, **ways: Any) -> Steps:
    """This rank's part of the optimizer steps on an encoded mixture, `ways` being those of `Steps`."""
    args = request.training
    seed = args.seed if args.data_seed is None else args.data_seed
    ranks = {"rank": args.process_index, "ranks": args.world_size}
    return Steps(encoded.rows, request.rows_a_step, seed, budget, **ranks, **ways)
