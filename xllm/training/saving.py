"""What a finished run leaves in its folder: all of it but the weights is written once for trial before the first step.

The base's own settings are kept as they are, whether or not transformers would write them itself: it refuses sampling
settings that it reads without a word.
"""

import json
import shutil
import sys
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.core_model_loading import revert_weight_conversion

from xllm import places
from xllm.artifacts import model_card
from xllm.artifacts.run_info import RunInfo
from xllm.errors import XllmError
from xllm.files import read_json, write_json
from xllm.mixture.aliases import load_aliases, used
from xllm.models.load import check_generation, load_config, load_tokenizer, skeleton
from xllm.templates import chat_template
from xllm.training import checkpoint
from xllm.training.monitor import LOG
from xllm.training.plot import plot
from xllm.training.prepared import Prepared
from xllm.training.request import Request
from xllm.training.sharding import untied_state, whole_weights
from xllm.training.trainer import StepTrainer

GIB = 2**30
GENERATION = "generation_config.json"


def rehearse(request: Request, prepared: Prepared, run: RunInfo) -> None:
    """Write all that the end of a run writes, its weights apart, and throw it away. Raises XllmError, before any weight
    is read, where a part of it can't be written, or where the disk has no room for the run."""
    check_generation(prepared.source)
    model = skeleton(load_config(prepared.source))
    home = next(path for path in (request.output, *request.output.parents) if path.exists())
    check_room(request, model, shutil.disk_usage(home).free)
    what = "the folder"
    try:
        with TemporaryDirectory(dir=home, prefix=".", suffix=".partial") as place:
            folder = Path(place) / request.output.name
            folder.mkdir()
            (folder / LOG).write_text(json.dumps({"step": 1, "loss": 1.0}) + "\n")
            what = "configuration and weights"
            write_model(model, prepared, folder, {}, torch.float32)
            revert_weight_conversion(model, untied_state(model))
            load_config(str(folder))
            what = "tokenizer and log"
            write_rest(request, prepared, run, folder, {})
            if load_tokenizer(str(folder)).chat_template is None:
                print(f"no chat template: none gives the token ids of the template {request.template}", file=sys.stderr)
    except XllmError:
        raise
    except Exception as error:  # whatever libraries raise for what they can't write
        reason = " ".join(str(error).split())[:300]
        raise XllmError(f"{request.output} could not be written at the end of the run: {what}: {reason}") from error


def check_room(request: Request, model: PreTrainedModel, free: int) -> None:
    """Raise XllmError where `free` bytes are less than what a run writes at least: weights, and, with --save_steps, two
    checkpoints for the moment in which one takes the place of the other."""
    args, count = request.training, model.num_parameters()
    need = weights = (2 if args.bf16 else 4) * count
    if args.save_strategy != "no":
        each = (12 if args.optim.startswith("adamw_torch") else 4) * count  # in float32, with Adam's two moments
        there = checkpoint.last(request.output) is not None
        need = max(2 * each, each + weights) - there * each
    if free < need:
        raise XllmError(
            f"{request.output}: the run writes {need / GIB:,.1f} GiB, and the disk has {free / GIB:,.1f} GiB left; "
            "make room, or choose another disk with --output_dir"
        )


def save(trainer: StepTrainer, request: Request, prepared: Prepared, run: RunInfo, summary: dict[str, Any]) -> None:
    """Write the folder of a model that has been tuned. Every process calls it, the first one writes."""
    first, folder = trainer.is_world_process_zero(), request.output
    # bf16 is what the model computed in, and what inference reads it in
    dtype = torch.bfloat16 if trainer.args.bf16 else torch.float32
    state = whole_weights(trainer.model, dtype, keep=first)
    if first:
        write_model(trainer.model, prepared, folder, state, dtype)
        trainer.state.save_to_json(str(folder / "trainer_state.json"))
        write_rest(request, prepared, run, folder, summary, tokens_per_micro_batch=trainer.steps.budget)


def write_model(
    model: PreTrainedModel, prepared: Prepared, folder: Path, state: dict[str, torch.Tensor], dtype: torch.dtype
) -> None:
    """Write weights, which are in `dtype`, and configuration."""
    settings = generation_settings(model, prepared.source, prepared.tokenizer)
    for config in _configs(model):
        config.use_cache = True  # the Trainer turns it off for itself
        speak_as(config, prepared.tokenizer)
    model.generation_config = GenerationConfig()  # what is written of it comes below
    model.save_pretrained(folder, state_dict=state)
    for config in _configs(model):
        config.dtype = dtype
    model.config.save_pretrained(folder)  # anew: `model.save_pretrained` writes the dtype of the master weights
    if model.can_generate():
        write_json(folder / GENERATION, settings)


def write_rest(
    request: Request, prepared: Prepared, run: RunInfo, folder: Path, summary: dict[str, Any], **facts: Any
) -> None:
    """Write all that says what the model is: the tokenizer, run.json, what came of the run, its curve and its card."""
    save_tokenizer(prepared.tokenizer, request.template, folder)
    for original in Path(prepared.source).glob("*.model"):  # sentencepiece's own file, which other tools want
        if original.is_file():
            shutil.copy(original, folder)
    aliases = used(prepared.mixture.text, load_aliases(places.data_root(request.data.data_dir)))
    known = {"origin": model_card.origin(prepared.source), "aliases": aliases}
    run.write(folder / "run.json", **prepared.settings, **known, **facts)
    write_json(folder / "train_results.json", {k: v for k, v in summary.items() if k != "train_loss"})
    plot(folder)
    model_card.write(folder)


def generation_settings(model: PreTrainedModel, source: str, tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """What generation_config.json is to say: what the base's own says, whatever it is, or what its configuration comes
    to; and that an answer ends where training ended it, as well as where the base ended it."""
    path = Path(source) / GENERATION
    cached = None if Path(source).is_dir() else try_to_load_from_cache(source, GENERATION)
    path = Path(cached) if isinstance(cached, str) else path
    found = read_json(path) if path.is_file() else model.generation_config.to_diff_dict()
    if not isinstance(found, dict):
        raise XllmError(f"{path} must hold settings by their names")
    own = {"bos_token_id": tokenizer.bos_token_id, "pad_token_id": tokenizer.pad_token_id}
    own = {name: token for name, token in own.items() if token is not None}
    return found | own | {"eos_token_id": ends(found.get("eos_token_id"), tokenizer.eos_token_id, merge=True)}


def ends(before: int | list[int] | None, eos: int, *, merge: bool) -> int | list[int]:
    """The tokens that end an answer: that with which training ended it, and those of a list `before` it; with `merge`,
    a single one, too."""
    others = before if isinstance(before, list) else [before] if merge and before is not None else []
    others = [other for other in others if other != eos]
    return [eos, *others] if others else eos


def speak_as(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let a configuration name the special tokens that training had. A list of ends keeps its others."""
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    config.eos_token_id = ends(config.eos_token_id, eos, merge=False)
    if tokenizer.bos_token_id is not None:
        config.bos_token_id = tokenizer.bos_token_id
    # what pads gets no gradient as an input, so that a token of texts would go untrained if the model is tuned further
    if pad is not None and pad not in (eos, tokenizer.bos_token_id, tokenizer.unk_token_id):
        config.pad_token_id = pad


def _configs(model: PreTrainedModel) -> list[PreTrainedConfig]:
    """A model's configuration, and that of its text part where it has several."""
    return list({id(config): config for config in (model.config, model.config.get_text_config())}.values())


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, template: str, folder: Path) -> None:
    """Write the tokenizer with a chat template that asks as training did, not as the base was asked."""
    own = copy(tokenizer)
    own.chat_template = chat_template(template, tokenizer)
    own.save_pretrained(folder)
