"""`python -m xllm infer`: answer a dataset, one JSON object a row, in the dataset's order."""

import glob
import sys
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

from xllm import cache
from xllm.artifacts import journal, model_folder
from xllm.artifacts.run_info import RunInfo
from xllm.errors import RowsFailed, XllmError
from xllm.files import check_name, remove, write_jsonl
from xllm.flags import FlagParser
from xllm.inference import constrained, transcot
from xllm.inference.answering import Answering, Task, load
from xllm.inference.engine import Decoding, device_and_dtype
from xllm.inference.ranks import Ranks
from xllm.mixture.load import load_mixture
from xllm.mixture.mixture import Mixture
from xllm.models.load import check_bits, check_weights, load_config, load_tokenizer, window
from xllm.records import ids_sha256
from xllm.templates import check_wording

ENGINES = ("hf", "vllm")
LABELS = ("constrain", "score")


@dataclass
class InferenceArguments:
    batch_size: int | None = field(
        default=None, metadata={"help": "Prompts answered at a time, at most; else as many as memory takes."}
    )
    max_new_tokens: int = field(default=512, metadata={"help": "The longest answer, in tokens."})
    num_beams: int = field(default=1, metadata={"help": "Beams; 1 is greedy."})
    do_sample: bool = field(default=False, metadata={"help": "Draw each token rather than take the likeliest."})
    temperature: float | None = field(default=None, metadata={"help": "With --do_sample: 1.0 when not given."})
    top_p: float | None = field(default=None, metadata={"help": "With --do_sample: draw from this share."})
    top_k: int | None = field(default=None, metadata={"help": "With --do_sample: draw from this many tokens."})
    seed: int = field(default=42, metadata={"help": "For --do_sample."})
    template: str | None = field(
        default=None,
        metadata={"help": "The prompt (chat: the model's own); else the one the model was tuned with, else alpaca."},
    )
    labels: str | None = field(
        default=None,
        metadata={"help": "constrain: write nothing but a label of the row; score: take its likeliest label."}
        | {"choices": LABELS},
    )
    transcot: bool = field(
        default=False, metadata={"help": "Let the model translate the input to English first, line by line."}
    )
    engine: str = field(default="hf", metadata={"help": "What computes the answers.", "choices": ENGINES})
    load_in_8bit: bool = field(default=False, metadata={"help": "Weights of 8 bits (bitsandbytes, on a GPU)."})
    load_in_4bit: bool = field(default=False, metadata={"help": "Weights of 4 bits (bitsandbytes, on a GPU)."})
    split: str = field(default="test", metadata={"help": "The split of the dataset to answer."})
    limit: int | None = field(default=None, metadata={"help": "The first rows alone: --limit 100 is DATASET[:100]."})
    data_dir: str | None = field(default=None, metadata={"help": "The data root; else $XLLM_DATA_DIR, else data/."})
    evaluate: bool = field(default=False, metadata={"help": "Score the answers at the end."})
    overwrite: bool = field(default=False, metadata={"help": "Answer anew where there are answers already."})
    prepare_only: bool = field(default=False, metadata={"help": "Check everything, then stop."})


@dataclass(frozen=True)
class Request:
    """What to answer, how, and where the answers go."""

    model: str
    source: str
    mixture: Mixture
    task: Task
    output: Path  # <dataset>.inference.jsonl
    args: InferenceArguments

    def beside(self, ending: str) -> Path:
        """Another file of the same dataset."""
        return self.output.with_name(self.output.name.removesuffix("inference.jsonl") + ending)

    def settings(self) -> dict:
        """All that decides what the answers are."""
        task = self.task
        return {
            "model": cache.model_files(self.source) or [self.source, load_config(self.source)._commit_hash],
            "precision": str(device_and_dtype()[1]),
            "mixture": self.mixture.facts(),
            "template": task.template,
            "decoding": vars(task.decoding),
            "seed": task.seed,
            "labels": task.labels,
            "transcot": self.args.transcot,
            "engine": self.args.engine,
            "bits": task.bits,
        }


def main(argv: list[str]) -> None:
    """Answer the dataset as the command line says, and print the file of the answers.

    Raises RowsFailed where all but some rows were answered."""
    run, ranks = RunInfo("infer", argv), Ranks()
    request = read(argv)
    folder = request.beside("journal")
    if request.args.prepare_only:
        if not request.args.overwrite:
            journal.check(folder, request.settings())
        return
    ranks.join()
    if ranks.first:
        print(request.mixture, file=sys.stderr)
        lock = journal.begin(folder, request.settings(), request.args.overwrite)
    ranks.wait()
    try:
        rows, answers = answer(request, folder, ranks)
    except XllmError:
        if ranks.first:
            journal.abandon(folder)
        raise
    if not ranks.first:
        return
    failed = write(request, rows, answers, run)
    lock.release()
    remove(folder)
    print(request.output)
    if request.args.evaluate:
        from xllm.evaluation.evaluate import evaluate

        evaluate(request.model, request.output.name.removesuffix(".inference.jsonl"))
    if failed:
        reasons = request.beside("failed.jsonl")
        told = RowsFailed(f"{failed} of {len(rows)} rows failed, each with its reason in {reasons}")
        if ranks.count == 1:
            raise told
        # torchrun would add a traceback; script/inference.sh exits with 3
        print(f"xllm: {told}", file=sys.stderr)


def answer(request: Request, folder: Path, ranks: Ranks) -> tuple[list[dict], dict[int, dict]]:
    """The rows as they were asked, and what is known of each in the end."""
    engine, notes = load(request.source, request.task, request.args.engine), journal.Journal(folder, ranks.rank)
    answering, rows = Answering(engine, request.task, notes, ranks), list(request.mixture)
    if request.args.transcot:
        asked = transcot.questions(rows, request.mixture)
        found = answering.translate(asked)
        rows = [transcot.translated(row, request.mixture, found) for row in rows]
        if ranks.first and (lacking := len(asked) - len(found)):
            print(f"{lacking} of {len(asked)} lines could not be translated and stay as they are", file=sys.stderr)
    answers = answering.answer(rows)
    notes.close()
    ranks.wait()
    return rows, answers


def read(argv: list[str]) -> Request:
    """Read the command line and the data. Everything that can be checked without weights is checked here."""
    words = {"model": "a folder under model/, a path, or a hub id", "dataset": "what to answer, as xquad_zh[:100]"}
    args, given = FlagParser("infer", words, [InferenceArguments]).read(argv)
    source = model_folder.find(given.model)
    config, tokenizer = load_config(source), load_tokenizer(source)
    check_weights(source)
    template = check_wording(args.template or model_folder.template_of(given.model), tokenizer, given.model)
    sampling = (args.do_sample, args.temperature, args.top_p, args.top_k)
    decoding = Decoding(args.max_new_tokens, args.num_beams, *sampling)
    bits = _check(args, given, window(config))
    dataset = given.dataset if args.limit is None else f"{given.dataset}[:{args.limit}]"
    output = check_name(model_folder.folder_of(given.model) / "test" / f"{dataset}.inference.jsonl")
    if output.exists() and not args.overwrite:
        raise XllmError(f"{output} is there already; --overwrite answers anew")
    mixture = load_mixture(dataset, args.split, args.data_dir)
    if args.labels is not None:
        _check_labels(mixture, args.labels)
    if args.transcot:
        transcot.check(mixture)
    if args.evaluate and not any(term.task for term in mixture.terms):
        raise XllmError(f"--evaluate: the loading script of {dataset} names no TASK, so that there is nothing to score")
    task = Task(template, decoding, args.seed, args.labels, args.batch_size, bits)
    return Request(given.model, source, mixture, task, output, args)


def _check(args: InferenceArguments, given: Namespace, window: int | None) -> int | None:
    """Raise XllmError for flags that can't be or would have no effect. Returns the bits of the weights, if few."""
    for flag in ("batch_size", "limit"):
        if getattr(args, flag) is not None and getattr(args, flag) < 1:
            raise XllmError(f"--{flag} {getattr(args, flag)}: it must be 1 or more")
    if not 0 <= args.seed < 2**32:
        raise XllmError(f"--seed {args.seed}: it must be 0 or more, and below 2**32")
    written = args.labels is None or args.transcot
    if written and window is not None and args.max_new_tokens >= window:
        raise XllmError(f"--max_new_tokens {args.max_new_tokens}: the model's window has {window} tokens in all")
    if args.limit is not None and any(sign in given.dataset for sign in "+[*"):
        raise XllmError(f"--limit {args.limit} goes with one dataset; write slices, as xquad_zh[:100]+xquad_en[:100]")
    if args.labels == "score" and (args.do_sample or args.num_beams > 1):
        raise XllmError("--labels score writes nothing: --do_sample and --num_beams have no effect")
    if args.engine == "vllm":
        from xllm.inference import vllm

        vllm.check(args)
    bits = [bits for bits in (8, 4) if getattr(args, f"load_in_{bits}bit")]
    if len(bits) == 2:
        raise XllmError("--load_in_8bit and --load_in_4bit: it must be one of them")
    if bits:
        check_bits(bits[0])
    return bits[0] if bits else None


def _check_labels(mixture: Mixture, mode: str) -> None:
    for number, row in enumerate(mixture):
        name = f"row {number} of {mixture.text} (id {row['id']})"
        if "labels" not in row:
            raise XllmError(f"--labels {mode}: {name} has none; its loading script gives no column 'labels'")
        if mode == "constrain":
            constrained.check(row["labels"], name)


def write(request: Request, rows: list[dict], answers: dict[int, dict], run: RunInfo) -> int:
    """Write the answers, and what goes with them. Returns how many rows failed."""
    failed = [(number, answers[number]["failed"]) for number in range(len(rows)) if "failed" in answers[number]]
    for scores in ("metrics.json", "judge.metrics.json", "judge.*.metrics.json"):  # of other answers
        for path in request.output.parent.glob(glob.escape(request.beside("").name) + scores):
            remove(path)
    remove(request.beside("failed.jsonl"))
    if failed:
        lines = [{"row": number, "id": rows[number]["id"], "failed": reason} for number, reason in failed]
        write_jsonl(request.beside("failed.jsonl"), lines)
    run.write(
        request.beside("run.json"),
        **request.settings() | {"model": request.model, "sha256": cache.model_files(request.source)},
        failed=len(failed),
        ids_sha256=ids_sha256(rows),
    )
    write_jsonl(request.output, ({**row, "prediction": "", **answers[number]} for number, row in enumerate(rows)))
    return len(failed)
