"""`python -m xllm train`: tune every weight of a base model on a mixture."""

import contextlib
import json
import shutil
import sys
from pathlib import Path

import datasets
import torch
from transformers import Trainer

from xllm import models, records
from xllm.errors import XllmError
from xllm.mixture import load_mixture
from xllm.runinfo import RunInfo
from xllm.training.arguments import Request, read
from xllm.training.collator import Collator
from xllm.training.encoding import encode


def main(argv: list[str]) -> None:
    """Train as the command line says, and print the folder of the new model."""
    request = read(argv)
    run = RunInfo("train", argv)
    with contextlib.redirect_stdout(sys.stderr):  # the Trainer prints its log
        train(request, run)
    if request.training.process_index == 0:
        print(request.output)


def train(request: Request, run: RunInfo) -> None:
    """Tune the model and save it, whole or not at all."""
    args, data = request.training, request.data
    source = models.find(request.base)
    tokenizer = models.load_tokenizer(source)
    with args.main_process_first(desc="preparing the data"):
        mixture = load_mixture(request.mixture, "train", data.data_dir)
        rows, counts = encode(mixture.rows, tokenizer, data.template, data.model_max_length)
    check(rows, counts, data.model_max_length)
    model = models.load_model(source, torch.float32)  # the master weights; bf16 is for the computation
    pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    first = args.process_index == 0
    with records.whole(request.output) if first else contextlib.nullcontext(records.partial(request.output)) as place:
        trainer = Trainer(model=model, args=args, train_dataset=rows, data_collator=Collator(pad_id))
        trainer.train()
        save(trainer, place)
        if first:
            tokenizer.save_pretrained(place)
            for original in Path(source).glob("*.model"):  # sentencepiece's own file, which other tools ask for
                shutil.copy(original, place)
            run.write(
                place / "run.json",
                base=request.base,
                mixture={"text": mixture.text, "rows": len(mixture.rows), "terms": mixture.terms},
                encoding={"template": data.template, "model_max_length": data.model_max_length, **counts},
                training=json.loads(args.to_json_string()),
            )


def check(rows: datasets.Dataset, counts: dict[str, int], max_length: int) -> None:
    """Tell what the length limit took away. Raises XllmError where it took everything."""
    if not len(rows):
        raise XllmError(f"no row has any response left within --model_max_length {max_length} tokens")
    if counts["cut"] or counts["dropped"]:
        print(
            f"longer than {max_length} tokens: {counts['cut']} rows lose their end, "
            f"{counts['dropped']} rows have no response left and are dropped",
            file=sys.stderr,
        )


def save(trainer: Trainer, folder: Path) -> None:
    """Write weights, configuration and the log. Every process calls it, the first one writes."""
    state = trainer.accelerator.get_state_dict(trainer.model)
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    # after bf16 training the rounded weights are those that the forward pass has used
    model.config.dtype = torch.bfloat16 if trainer.args.bf16 else torch.float32
    cast = {name: tensor.to(model.config.dtype) for name, tensor in state.items()}
    for name, tensor in state.items():  # keep tied weights one tensor, so that they are saved once
        twin = next(other for other, shared in state.items() if shared.data_ptr() == tensor.data_ptr())
        cast[name] = cast[twin]
    model.config.use_cache = True  # the Trainer turns it off for itself
    model.save_pretrained(folder, state_dict=cast)
    trainer.state.save_to_json(str(folder / "trainer_state.json"))
