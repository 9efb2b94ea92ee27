"""`python -m xllm infer`: answer a dataset, one JSON object a row, in the dataset's order."""

import sys
from dataclasses import dataclass, field

from tqdm import tqdm
from transformers import set_seed

from xllm import models
from xllm.errors import XllmError
from xllm.flags import FlagParser
from xllm.inference.generate import Decoding, Engine, budget, encode_prompts
from xllm.mixture import Mixture, load_mixture
from xllm.prompts import check_template
from xllm.records import check_name, remove, write_jsonl
from xllm.runinfo import RunInfo


@dataclass
class InferenceArguments:
    batch_size: int = field(default=8, metadata={"help": "Prompts decoded at a time."})
    max_new_tokens: int = field(default=512, metadata={"help": "The longest answer, in tokens."})
    num_beams: int = field(default=1, metadata={"help": "Beams; 1 is greedy."})
    do_sample: bool = field(default=False, metadata={"help": "Draw each token rather than take the likeliest."})
    temperature: float | None = field(default=None, metadata={"help": "With --do_sample: 1.0 when not given."})
    top_p: float | None = field(default=None, metadata={"help": "With --do_sample: draw from this share."})
    top_k: int | None = field(default=None, metadata={"help": "With --do_sample: draw from this many tokens."})
    seed: int = field(default=42, metadata={"help": "For --do_sample."})
    template: str | None = field(
        default=None, metadata={"help": "The prompt; else the one the model was tuned with, else alpaca."}
    )
    split: str = field(default="test", metadata={"help": "The split of the dataset to answer."})
    data_dir: str | None = field(default=None, metadata={"help": "The data root; else $XLLM_DATA_DIR, else data/."})
    overwrite: bool = field(default=False, metadata={"help": "Answer anew where there are answers already."})


def main(argv: list[str]) -> None:
    """Answer the dataset as the command line says, and print the file of the answers."""
    words = {"model": "a folder under model/, a path, or a hub id", "dataset": "what to answer, as xquad_zh[:100]"}
    args, given = FlagParser("infer", words, [InferenceArguments]).read(argv)
    run = RunInfo("infer", argv)
    decoding = Decoding(args.max_new_tokens, args.num_beams, args.do_sample, args.temperature, args.top_p, args.top_k)
    source = models.find(given.model)
    template = check_template(args.template or models.template_of(given.model))
    if args.batch_size < 1:
        raise XllmError(f"--batch_size {args.batch_size}: it must be 1 or more")
    if not 0 <= args.seed < 2**32:
        raise XllmError(f"--seed {args.seed}: it must be 0 or more, and below 2**32")
    output = check_name(models.folder_of(given.model) / "test" / f"{given.dataset}.inference.jsonl")
    if output.exists() and not args.overwrite:
        raise XllmError(f"{output} is there already; --overwrite answers anew")
    mixture = load_mixture(given.dataset, args.split, args.data_dir)
    print(mixture, file=sys.stderr)
    prompts = prepare(mixture, template, source)
    set_seed(args.seed)
    predictions = predict(Engine.load(source), prompts, decoding, args.batch_size)
    remove(output.with_name(f"{given.dataset}.metrics.json"))  # the scores of other answers
    run.write(
        output.with_name(f"{given.dataset}.run.json"),
        model=given.model,
        mixture=mixture.facts(),
        template=template,
        decoding=vars(decoding),
        seed=args.seed,
    )
    write_jsonl(output, ({**row, "prediction": text} for row, text in zip(mixture, predictions, strict=True)))
    print(output)


def prepare(mixture: Mixture, template: str, source: str) -> list[list[int]]:
    """Prompts as token ids. Raises XllmError, before any weights are loaded, where one is longer than the window."""
    tokenizer, window = models.load_tokenizer(source), models.window(models.load_config(source))
    pairs = [(row["instruction"], row["input"]) for row in mixture]
    prompts = encode_prompts(pairs, template, tokenizer)
    for row, prompt in enumerate(prompts):
        try:
            budget(len(prompt), 1, window)
        except XllmError as error:
            raise XllmError(f"row {row} of {mixture.text} (id {mixture[row]['id']}): {error}") from None
    return prompts


def predict(engine: Engine, prompts: list[list[int]], decoding: Decoding, batch_size: int) -> list[str]:
    """Answers in the order of the prompts. Prompts of like length go together, so that little is padded."""
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]), reverse=True)
    answers: dict[int, str] = {}
    with tqdm(total=len(prompts), unit="row", file=sys.stderr) as progress:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            answers |= zip(rows, engine.answer([prompts[row] for row in rows], decoding), strict=True)
            progress.update(len(rows))
    return [answers[row] for row in range(len(prompts))]
