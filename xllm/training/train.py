"""`xllm train`: tune every weight of a base model on a mixture."""

import contextlib
import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from xllm import cache, places
from xllm.artifacts import model_card, model_folder
from xllm.artifacts.run_info import RunInfo
from xllm.cli import done
from xllm.errors import XllmError
from xllm.files import write_json
from xllm.mixture.aliases import load_aliases, used
from xllm.mixture.encoding import Encoded, check_lost, encode
from xllm.mixture.load import load_mixture
from xllm.mixture.lock import check_lock
from xllm.mixture.mixture import Mixture, Selection
from xllm.models.load import load_model, load_tokenizer
from xllm.packing.packed import make_losses
from xllm.templates import chat_template
from xllm.training import checkpoint, memory, monitor, resume
from xllm.training.flags import TrainFlags
from xllm.training.flops import matrix_rate
from xllm.training.held_out import Develop, Held
from xllm.training.layout import Steps
from xllm.training.plot import plot
from xllm.training.request import Request, read
from xllm.training.sharding import shard, whole_weights
from xllm.training.step_lines import show_steps
from xllm.training.trainer import StepTrainer


@dataclass(frozen=True)
class Prepared:
    """What training reads: a base model's place and tokenizer, a mixture as token ids, and what the model is held to
    meanwhile."""

    source: str
    tokenizer: PreTrainedTokenizerFast
    mixture: Mixture
    encoded: Encoded
    held_out: Encoded | None
    questions: Mixture | None
    settings: dict[str, Any]  # all that decides what comes out of the run


def train(flags: TrainFlags) -> None:
    """Train as the command line says, and print the folder of the new model."""
    request = read(flags)
    run = RunInfo("train", flags)
    with contextlib.redirect_stdout(sys.stderr):  # the Trainer prints its log
        prepared = prepare(request)
        if request.training.process_index == 0:
            resume.check(request.output, prepared.settings, keeps(request))
        if request.data.prepare_only:
            return
        tune(request, prepared, run)
    if request.training.process_index == 0:
        print(request.output)
        named = request.output.parent == places.models()
        model = request.output.name if named else str(request.output)
        done(then=f"xllm infer {shlex.quote(model)} DATASET")


def prepare(request: Request) -> Prepared:
    """Load and encode the mixture. Raises XllmError where nothing is left to train on."""
    data = request.data
    source = model_folder.find(data.base)
    tokenizer = load_tokenizer(source)
    selection = Selection(
        request.training.seed, data.mix_rows, data.mix_temperature, data.filter_parallel, data.drop_contaminated
    )
    mixture = load_mixture(data.mixture, "train", data.data_dir, selection)
    if data.lock is not None:
        check_lock(mixture, data.lock)
    encoded = encode(mixture, tokenizer, request.template, data.model_max_length, data.num_proc)
    if not len(encoded.kept):
        raise XllmError(f"no row has any response left within --model_max_length {data.model_max_length} tokens")
    if data.max_lost is not None:
        check_lost(encoded, data.max_lost)
    if request.training.process_index == 0:
        print(encoded)
    held_out = None
    if data.eval_mixture:
        unseen = load_mixture(data.eval_mixture, data.eval_split, data.data_dir)
        held_out = encode(unseen, tokenizer, request.template, data.model_max_length, data.num_proc)
        if not len(held_out.kept):
            raise XllmError(f"no row of {data.eval_mixture} has any response left")
    questions = load_mixture(data.dev, data.eval_split, data.data_dir) if data.dev else None
    facts = settings(request, source, mixture, encoded)
    return Prepared(source, tokenizer, mixture, encoded, held_out, questions, facts)


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
        save(trainer, place, prepared.tokenizer.eos_token_id)
        if first:
            save_tokenizer(prepared.tokenizer, request.template, place)
            for original in Path(prepared.source).glob("*.model"):  # sentencepiece's own file, which other tools want
                shutil.copy(original, place)
            aliases = used(prepared.mixture.text, load_aliases(places.data_root(request.data.data_dir)))
            facts = prepared.settings | {"origin": model_card.origin(prepared.source), "aliases": aliases}
            run.write(place / "run.json", **facts, tokens_per_micro_batch=trainer.steps.budget)
            write_json(place / "train_results.json", {k: v for k, v in summary.items() if k != "train_loss"})
            plot(place)
            model_card.write(place)


def keeps(request: Request) -> bool:
    """Whether a run saves checkpoints."""
    return request.training.save_strategy != "no"


def settings(request: Request, source: str, mixture: Mixture, encoded: Encoded) -> dict[str, Any]:
    """All that decides what comes out of a run."""
    args, data = request.training, request.data
    return {
        "base": {"name": data.base, "sha256": cache.model_files(source)},
        "mixture": mixture.facts(),
        "encoding": {
            "template": request.template,
            "model_max_length": data.model_max_length,
            "terms": [term.facts() for term in encoded.terms],
        },
        "rows_a_step": request.rows_a_step,
        "processes": request.processes,
        "training": json.loads(args.to_json_string()),
    }


def make_trainer(request: Request, prepared: Prepared) -> StepTrainer:
    """A Trainer on float32 master weights, sharded where there are several processes; bf16 is for the computation."""
    args, data = request.training, request.data
    model = load_model(prepared.source, torch.float32)
    # some bases carry sampling settings that don't go together, which `save_pretrained` would refuse in the end
    model.generation_config.do_sample = model.generation_config.do_sample or bool(
        model.generation_config.temperature or model.generation_config.top_p
    )
    longest = max(encoded.longest for encoded in (prepared.encoded, prepared.held_out) if encoded)
    packed = make_losses(model, longest)
    budget = micro_batch_tokens(request, model.config, longest)
    peak = matrix_rate(model, budget, torch.bfloat16 if args.bf16 else torch.float32, args.device)
    watcher = monitor.Watch(Path(args.output_dir), model, peak, args.world_size)
    steps = steps_of(prepared.encoded, request, budget, packed)
    if args.world_size > 1:
        shard(model, bf16=args.bf16, group=data.hsdp_group, cpu_offload=data.cpu_offload)
    try:
        trainer = StepTrainer(model=model, args=args, steps=steps, watch=watcher)
    except (ValueError, RuntimeError, ImportError) as error:  # flags that don't go together
        raise XllmError(f"the Trainer refuses these flags: {error}") from error
    show_steps(trainer)
    if prepared.held_out or prepared.questions:
        held_out = steps_of(prepared.held_out, request, budget, packed) if prepared.held_out else None
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


def steps_of(encoded: Encoded, request: Request, budget: int, packed: bool) -> Steps:
    """This rank's part of the optimizer steps on an encoded mixture."""
    args = request.training
    seed = args.seed if args.data_seed is None else args.data_seed
    ranks = {"rank": args.process_index, "ranks": args.world_size}
    return Steps(encoded.rows, request.rows_a_step, seed, budget, packed=packed, **ranks)


def save(trainer: StepTrainer, folder: Path, eos: int) -> None:
    """Write weights, configuration and the log. Every process calls it, the first one writes."""
    first = trainer.is_world_process_zero()
    # bf16 is what the model computed in, and what inference reads it in
    dtype = torch.bfloat16 if trainer.args.bf16 else torch.float32
    state = whole_weights(trainer.model, dtype, keep=first)
    if first:
        model = trainer.model
        model.config.use_cache = True  # the Trainer turns it off for itself
        _end_at(model, eos)
        model.save_pretrained(folder, state_dict=state)
        for config in _configs(model):
            config.dtype = dtype
        model.config.save_pretrained(folder)  # anew: `model.save_pretrained` writes the dtype of the master weights
        trainer.state.save_to_json(str(folder / "trainer_state.json"))


def _end_at(model: PreTrainedModel, eos: int) -> None:
    """Let a model stop where training ended its responses, and where the base stopped besides."""
    ending = model.generation_config.eos_token_id
    others = [other for other in (ending if isinstance(ending, list) else [ending]) if other not in (None, eos)]
    model.generation_config.eos_token_id = [eos, *others] if others else eos
    for config in _configs(model):
        config.eos_token_id = eos


def _configs(model: PreTrainedModel) -> list[PreTrainedConfig]:
    """A model's configuration, and that of its text part where it has several."""
    return list({id(config): config for config in (model.config, model.config.get_text_config())}.values())


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, template: str, folder: Path) -> None:
    """Write the tokenizer with a chat template that asks as training did, not as the base was asked."""
    tokenizer.chat_template = chat_template(template, tokenizer)
    if tokenizer.chat_template is None:
        print(f"no chat template: none gives the token ids of the template {template}", file=sys.stderr)
    tokenizer.save_pretrained(folder)
