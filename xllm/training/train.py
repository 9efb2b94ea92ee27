"""`python -m xllm train`: tune every weight of a base model on a mixture."""

import contextlib
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast, Trainer, TrainingArguments

from xllm import models, records
from xllm.errors import XllmError
from xllm.mixture import Mixture, Selection, check_lock, load_mixture
from xllm.mixture.encoding import Encoded, check_lost, encode
from xllm.runinfo import RunInfo
from xllm.training.arguments import Request, read
from xllm.training.collator import Collator


@dataclass(frozen=True)
class Prepared:
    """What training reads: a base model's place and tokenizer, and a mixture as token ids."""

    source: str
    tokenizer: PreTrainedTokenizerFast
    mixture: Mixture
    encoded: Encoded


def main(argv: list[str]) -> None:
    """Train as the command line says, and print the folder of the new model."""
    request = read(argv)
    run = RunInfo("train", argv)
    with contextlib.redirect_stdout(sys.stderr):  # the Trainer prints its log
        prepared = prepare(request)
        if request.data.prepare_only:
            return
        train(request, prepared, run)
    if request.training.process_index == 0:
        print(request.output)


def prepare(request: Request) -> Prepared:
    """Load and encode the mixture. Raises XllmError where nothing is left to train on."""
    data, source = request.data, models.find(request.base)
    tokenizer = models.load_tokenizer(source)
    selection = Selection(
        request.training.seed, data.mix_rows, data.mix_temperature, data.filter_parallel, data.drop_contaminated
    )
    mixture = load_mixture(request.mixture, "train", data.data_dir, selection)
    if data.lock is not None:
        check_lock(mixture, data.lock)
    encoded = encode(mixture, tokenizer, data.template, data.model_max_length, data.num_proc)
    if not len(encoded.rows):
        raise XllmError(f"no row has any response left within --model_max_length {data.model_max_length} tokens")
    if data.max_lost is not None:
        check_lost(encoded, data.max_lost)
    if request.training.process_index == 0:
        print(encoded)
    return Prepared(source, tokenizer, mixture, encoded)


def train(request: Request, prepared: Prepared, run: RunInfo) -> None:
    """Tune the model and save it, whole or not at all."""
    args, data, mixture = request.training, request.data, prepared.mixture
    first = args.process_index == 0
    with records.whole(request.output) if first else contextlib.nullcontext(records.partial(request.output)) as place:
        trainer = make_trainer(prepared, args)
        trainer.train()
        save(trainer, place)
        if first:
            prepared.tokenizer.save_pretrained(place)
            for original in Path(prepared.source).glob("*.model"):  # sentencepiece's own file, which other tools want
                shutil.copy(original, place)
            run.write(
                place / "run.json",
                base={"name": request.base, "sha256": hashes(Path(prepared.source))},
                mixture=mixture.facts(),
                encoding={
                    "template": data.template,
                    "model_max_length": data.model_max_length,
                    "terms": prepared.encoded.terms,
                },
                training=json.loads(args.to_json_string()) | {"output_dir": str(request.output)},
            )


def make_trainer(prepared: Prepared, args: TrainingArguments) -> Trainer:
    """A Trainer on float32 master weights; bf16 is for the computation."""
    model, tokenizer = models.load_model(prepared.source, torch.float32), prepared.tokenizer
    # some bases carry sampling settings that don't go together, which `save_pretrained` would refuse in the end
    model.generation_config.do_sample = model.generation_config.do_sample or bool(
        model.generation_config.temperature or model.generation_config.top_p
    )
    pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    try:
        return Trainer(model=model, args=args, train_dataset=prepared.encoded.rows, data_collator=Collator(pad_id))
    except (ValueError, RuntimeError, ImportError) as error:  # flags that don't go together
        raise XllmError(f"the Trainer refuses these flags: {error}") from error


def save(trainer: Trainer, folder: Path) -> None:
    """Write weights, configuration and the log. Every process calls it, the first one writes."""
    state = trainer.accelerator.get_state_dict(trainer.model)
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    # bf16 is what the model computed in, and what inference reads it in
    model.config.dtype = torch.bfloat16 if trainer.args.bf16 else torch.float32
    model.config.use_cache = True  # the Trainer turns it off for itself
    tied = model.all_tied_weights_keys  # they are saved once
    state = {name: tensor.to("cpu", model.config.dtype) for name, tensor in state.items() if name not in tied}
    model.save_pretrained(folder, state_dict=state)
    trainer.state.save_to_json(str(folder / "trainer_state.json"))


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of a local model's weights and configuration; empty for a hub id."""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")])
    return {path.name: records.sha256(path) for path in files}
