"""`xllm evaluate`: score answers."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from xllm import languages
from xllm.artifacts import answers, file_names, model_card, scores
from xllm.artifacts.answers import Answers
from xllm.artifacts.scores import Score, Scored
from xllm.cli import done
from xllm.errors import XllmError
from xllm.evaluation import elsewhere, kinds
from xllm.evaluation.flags import EvaluateFlags
from xllm.evaluation.flaws import KINDS, shares
from xllm.evaluation.metrics import classification, registry
from xllm.evaluation.metrics.registry import Wanted
from xllm.files import read_json, sha256

TEST = "test"  # the split that is scored, unless told otherwise
MOST_LABELS = 10  # of a confusion matrix that is shown
DECIDING = ("metrics", "tokenize", "lang", "task", "dataset", "split")  # flags that a score depends on


@dataclass(frozen=True)
class Sheet:
    """Answers to score together, and where their scores go."""

    name: str
    answers: list[Answers]
    file: Path
    output: Path | None
    model: str | None = None


def evaluate(flags: EvaluateFlags) -> None:
    """Score answers. A table goes to stdout, and <dataset>.metrics.json beside the answers; the model card of a tuned
    model is written again."""
    wanted = registry.parse(flags.metrics, flags.tokenize)
    if flags.lang is not None:
        languages.check(flags.lang)
    sheets = _sheets(flags)
    lacking = _check_kinds(sheets, named=len(flags.what) != 1 or bool(elsewhere.files(flags.what)))
    registry.check([own for sheet in sheets for own in sheet.answers if not kinds.lacks(own)], wanted)
    for line in (line for sheet in sheets for own in sheet.answers for line in own.told):
        print(line, file=sys.stderr)
    found = [_score(sheet, wanted) for sheet in sheets]
    written = [_write(sheet, scored, flags) for sheet, scored in zip(sheets, found, strict=True) if sheet.output]
    for folder in {sheet.file.parent.parent: None for sheet in sheets if sheet.model}:
        facts = folder / "run.json"
        if facts.is_file() and "encoding" in read_json(facts):  # it was tuned here, not just fetched
            model_card.write(folder)
    print(table([(_title(sheet, own), own) for sheet, scored in zip(sheets, found, strict=True) for own in scored]))
    model = sheets[0].model
    if lacking is not None:
        raise lacking
    done(*written, then=f"xllm compare BASELINE {model}, or: xllm report BASELINE {model}" if model else "")


def _check_kinds(sheets: list[Sheet], named: bool) -> XllmError | None:
    """Tell which datasets have no score, and return the error with which to end where none has one, or one that was
    `named` hasn't. Raises it before anything is written where a flag would mend it."""
    why = [[kinds.unscored(own, _command(sheet)) for own in sheet.answers] for sheet in sheets]
    without = [sheet for sheet, reasons in zip(sheets, why, strict=True) if all(reasons)]
    told = [reason for reasons in why for reason in reasons if reason]
    ends = bool(without) and (named or len(without) == len(sheets))
    if ends and any(kinds.lacks(own) and kinds.has_references(own) for sheet in without for own in sheet.answers):
        raise XllmError("; ".join(told))
    for reason in told[:-1] if ends else told:
        print(reason, file=sys.stderr)
    return XllmError(told[-1]) if ends else None


def _command(sheet: Sheet) -> str:
    """The command that scores a sheet alone."""
    return shlex.join(["xllm", "evaluate", *([sheet.model, sheet.name] if sheet.model else [str(sheet.file)])])


def _sheets(flags: EvaluateFlags) -> list[Sheet]:
    """The answers that a command line names. Raises XllmError for flags that have no effect on them."""
    texts = {"hypotheses": flags.hypotheses, "references": flags.references, "sources": flags.sources}
    if any(texts.values()):
        return [_texts(flags.what, texts, flags.lang, flags.task or "translation", flags.dataset)]
    if not flags.what:
        raise XllmError("evaluate needs a MODEL, a FILE.jsonl, or --hypotheses and --references; see: --help")
    if files := elsewhere.files(flags.what):
        return [_file(path, flags.task, flags.lang, flags.dataset, flags.split or TEST) for path in files]
    if flags.dataset is not None:
        raise XllmError("--dataset has no effect on a model's answers, which say what they answer")
    return _model(flags.task, flags.lang, *flags.what)


def _title(sheet: Sheet, own: Scored) -> str:
    """What a dataset is called in the table: with its slice, if it was answered alone."""
    return sheet.name if len(sheet.answers) == 1 else own.name


def _model(task: str | None, language: str | None, model: str, *datasets: str) -> list[Sheet]:
    folder = answers.folder_of(model)
    there = answers.answered(folder)
    if not there:
        raise XllmError(f"{model} has no answers in {folder}; first: xllm infer {model} DATASET")
    names = answers.named(datasets, there, model) if datasets else list(there)
    return [_answered(there[name], model, task, language) for name in names]


def _answered(file: Path, model: str, task: str | None, language: str | None) -> Sheet:
    stem = file.name.removesuffix(answers.ENDING)
    found = kinds.read(file, task, language)
    return Sheet(file_names.clean(stem), found, file, file.with_name(f"{stem}{scores.ENDING}"), model)


def _file(path: Path, task: str | None, language: str | None, dataset: str | None, split: str) -> Sheet:
    name = elsewhere.name_of(path)
    if answers.facts_of(path):
        if dataset is not None:
            raise XllmError(f"--dataset has no effect on {path}, whose run.json says what it holds")
        return _answered(path, str(path.parent.parent), task, language)
    if dataset is None and (task is None or language is None) and path.is_file():
        raise XllmError(f"{path} has no run.json beside it, which says what it holds; give --task TASK --lang LANGUAGE")
    if dataset is not None and (task or language):
        raise XllmError(f"--{'task' if task else 'lang'} has no effect with --dataset, which says what it is")
    output = path.with_name(f"{name}{scores.ENDING}")
    own = elsewhere.of_dataset(path, dataset, split) if dataset else kinds.read(path, task, language)
    if path.with_name(f"{name}{answers.ENDING}").exists() and not path.name.endswith(answers.ENDING):
        raise XllmError(f"{output} is for the scores of {name}{answers.ENDING}; give {path.name} another name")
    return Sheet(name, own, path, output)


def _texts(what: tuple, texts: dict[str, str | None], language: str | None, task: str, dataset: str | None) -> Sheet:
    if what or dataset:
        raise XllmError(f"--hypotheses goes without {what[0] if what else '--dataset'}")
    for flag, value in (("hypotheses", texts["hypotheses"]), ("references", texts["references"]), ("lang", language)):
        if value is None:
            raise XllmError(f"--{flag} is missing; as: --hypotheses FILE --references FILE --lang zh")
    files = {flag: Path(value) for flag, value in texts.items() if value is not None}
    for flag, path in files.items():
        if not path.is_file():
            raise XllmError(f"--{flag}: there is no file {path}")
    file = files["hypotheses"]
    own = answers.of_texts(file, files["references"], files.get("sources"), language, task)
    return Sheet(file.name, own, file, None)


def _score(sheet: Sheet, wanted: Wanted) -> list[Scored]:
    return [
        Scored(
            own.name,
            own.task,
            own.language,
            registry.score(own, wanted),
            shares(own),
            classification.confusion(registry.scorable(own).rows) if own.task == "label" else None,
        )
        for own in sheet.answers
    ]


def _write(sheet: Sheet, scored: list[Scored], flags: EvaluateFlags) -> Path:
    """Write the scores of answers, with the command that gives them again, and return the file."""
    words = [sheet.model, sheet.name] if sheet.model else [str(sheet.file)]
    given = {name: getattr(flags, name) for name in DECIDING}
    words += [f"--{name}={value}" for name, value in given.items() if value is not None]
    command = ["python", "-m", "xllm", "evaluate", *words]
    scores.write(sheet.output, sheet.model, sheet.name, command, sha256(sheet.file), scored)
    return sheet.output


def table(found: list[tuple[str, Scored]]) -> str:
    """The scores of datasets, what is wrong with the answers, and small confusion matrices, as text."""
    lines = [
        [name, score.metric, f"{score.value:.2f}", *_interval(score), score.count, score.signature]
        for name, own in found
        for score in own.scores
    ]
    parts = [_table(lines, ["dataset", "metric", "score", "95 %", "interval", "rows", "signature"])] if lines else []
    flaws = []
    for name, own in found:
        told = {share.metric: share for share in own.shares}
        cells = [f"{told[kind].value:.1f}" if kind in told and told[kind].count else "" for kind in KINDS]
        flaws.append([name, own.language or "", *cells, own.shares[-1].count, own.shares[0].signature])
    header = ["dataset", "language", *(f"{kind.replace('_', ' ')} %" for kind in KINDS), "rows", "signature"]
    parts.append(_table(flaws, header))
    for name, own in found:
        if own.confusion and len(own.confusion["labels"]) <= MOST_LABELS:
            names, counts = own.confusion["labels"], own.confusion["counts"]
            rows = [[right, *map(str, row)] for right, row in zip(names, counts, strict=True)]
            parts.append(_table(rows, [f"{name}: right, answered", *names, classification.NONE]))
    return "\n\n".join(parts)


def _interval(score: Score) -> tuple[str, str]:
    return ("", "") if score.low is None else (f"{score.low:.2f} to {score.high:.2f}", score.interval or "")


def _table(lines: list[list], header: list[str]) -> str:
    return tabulate(lines, header, disable_numparse=True)
