"""`xllm infer`: answer a dataset, one JSON object a row, in the dataset's order."""

import glob
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xllm import cache, control_tokens
from xllm.artifacts import journal, model_folder
from xllm.artifacts.answers import ENDING, Answers, file_of, folder_of
from xllm.artifacts.run_info import RunInfo
from xllm.cli import done
from xllm.errors import RowsFailed, XllmError
from xllm.evaluation import kinds
from xllm.evaluation.flags import EvaluateFlags
from xllm.files import check_name, remove, write_jsonl
from xllm.inference import labels, transcot
from xllm.inference.answering import Answering, Task, load
from xllm.inference.engine import Decoding, device_and_dtype
from xllm.inference.flags import InferFlags
from xllm.inference.labels import Mode
from xllm.inference.ranks import Ranks
from xllm.mixture.load import load_mixture
from xllm.mixture.mixture import Mixture
from xllm.models.load import check_bits, check_weights, load_causal_config, load_tokenizer, revision, window
from xllm.records import Answer, Row, ids_sha256
from xllm.templates import check_wording


@dataclass(frozen=True)
class Request:
    """What to answer, how, and where the answers go."""

    model: str
    source: str
    mixture: Mixture
    task: Task
    mode: Mode
    output: Path  # <dataset>.inference.jsonl
    args: InferFlags

    def beside(self, ending: str) -> Path:
        """Another file of the same dataset."""
        return self.output.with_name(self.output.name.removesuffix("inference.jsonl") + ending)

    def settings(self) -> dict:
        """All that decides what the answers are."""
        task = self.task
        return {
            "model": self._model(),
            "precision": str(device_and_dtype()[1]),
            "mixture": self.mixture.facts(),
            "template": task.template,
            "decoding": vars(task.decoding),
            "seed": task.seed,
            "labels": task.labels,
            "transcot": self.args.transcot,
            "special_tokens_in_data": self.task.special_tokens_in_data,
            "engine": self.args.engine,
            "bits": task.bits,
        } | ({"labels_given": list(self.mode.given)} if self.mode.given else {})

    def _model(self) -> object:
        """Which model it is: its hub id and commit, typed as such or as the folder of the cache, else its files."""
        if cached := model_folder.snapshot(self.source):
            return list(cached)
        return cache.model_files(self.source) or [self.source, revision(self.source)]


def infer(flags: InferFlags) -> None:
    """Answer the dataset as the command line says, and print the file of the answers.

    Raises RowsFailed where all but some rows were answered."""
    run, ranks = RunInfo("infer", flags), Ranks()
    request = read(flags)
    folder = request.beside("journal")
    if request.args.prepare_only:
        if not request.args.overwrite:
            journal.check(folder, request.settings())
        return
    ranks.join()
    if ranks.first:
        print(request.mixture, *filter(None, [request.mode.told]), sep="\n", file=sys.stderr)
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

        evaluate(EvaluateFlags(what=(request.model, request.output.name.removesuffix(ENDING))))
    else:
        done(then=f"xllm evaluate {request.model} {shlex.quote(request.output.name.removesuffix(ENDING))}")
    if failed:
        reasons = request.beside("failed.jsonl")
        told = RowsFailed(f"{failed} of {len(rows)} rows failed, each with its reason in {reasons}")
        if ranks.count == 1:
            raise told
        # torchrun would add a traceback; script/inference.sh exits with 3
        print(f"xllm: {told}", file=sys.stderr)


def answer(request: Request, folder: Path, ranks: Ranks) -> tuple[Sequence[Row], dict[int, Answer]]:
    """The rows as they were asked, and what is known of each in the end."""
    engine, notes = load(request.source, request.task, request.args.engine), journal.Journal(folder, ranks.rank)
    if request.task.special_tokens_in_data:
        control_tokens.allow(engine.tokenizer)
    answering = Answering(engine, request.task, notes, ranks)
    rows: Sequence[Row] = list(request.mixture)
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


def read(args: InferFlags) -> Request:
    """Read the data that a command line names. Everything that can be checked without weights is checked here."""
    source = model_folder.find(args.model)
    config, tokenizer = load_causal_config(source), load_tokenizer(source, args.special_tokens_in_data or None)
    check_weights(source)
    template = check_wording(args.template or model_folder.template_of(args.model), tokenizer, args.model)
    sampling = (args.do_sample, args.temperature, args.top_p, args.top_k)
    decoding = Decoding(args.max_new_tokens, args.num_beams, *sampling)
    bits = _check(args)
    dataset = args.dataset if args.limit is None else f"{args.dataset}[:{args.limit}]"
    output = check_name(file_of(folder_of(args.model), dataset))
    if output.exists() and not args.overwrite:
        raise XllmError(f"{output} already exists; --overwrite answers again")
    mixture = _told(load_mixture(dataset, args.split, args.data_dir), args)
    mode, mixture = labels.chosen(args, mixture)
    if (mode.writes or args.transcot) and (most := window(config)) is not None and args.max_new_tokens >= most:
        raise XllmError(f"--max_new_tokens {args.max_new_tokens}: the model's window has {most} tokens in all")
    if mode.labels is not None:
        labels.check(mixture, template, tokenizer, "; --labels free answers freely" if mode.told else "")
    if args.transcot:
        transcot.check(mixture)
    if args.evaluate and not any(term.task for term in mixture.terms):
        why = f"--evaluate: the loading script of {dataset} names no TASK, so that there is nothing to score"
        raise XllmError(f"{why}; give --task TASK --lang LANGUAGE")
    allowed = control_tokens.allowed(tokenizer)
    task = Task(template, decoding, args.seed, mode.labels, args.batch_size, bits, allowed)
    return Request(args.model, source, mixture, task, mode, output, args)


def _told(mixture: Mixture, args: InferFlags) -> Mixture:
    """The mixture with --task and --lang for datasets whose scripts don't name theirs."""
    parts = [Answers(term.name, term.task, term.language, []) for term in mixture.terms]
    found = kinds.told(parts, args.task, args.lang, "the loading script")
    terms = [replace(term, task=o.task, language=o.language) for term, o in zip(mixture.terms, found, strict=True)]
    return replace(mixture, terms=terms)


def _check(args: InferFlags) -> int | None:
    """Raise XllmError for flags that can't be or would have no effect. Returns the bits of the weights, if few."""
    if args.limit is not None and any(sign in args.dataset for sign in "+[*"):
        raise XllmError(f"--limit {args.limit} goes with one dataset; write slices, as xquad_zh[:100]+xquad_en[:100]")
    if args.engine == "vllm":
        from xllm.inference import vllm

        vllm.check(args)
    bits = [bits for bits in (8, 4) if getattr(args, f"load_in_{bits}bit")]
    if len(bits) == 2:
        raise XllmError("--load_in_8bit and --load_in_4bit: it must be one of them")
    if bits:
        check_bits(bits[0])
    return bits[0] if bits else None


def write(request: Request, rows: Sequence[Row], answers: dict[int, Answer], run: RunInfo) -> int:
    """Write the answers, and what goes with them. Returns how many rows failed."""
    failed = [(number, answers[number]["failed"]) for number in range(len(rows)) if "failed" in answers[number]]
    # of other answers
    for scores in ("metrics.json", "confusion.json", "judge.metrics.json", "judge.*.metrics.json"):
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
