"""Which rows are answered by labels, how, and which labels a command line gives them."""

from dataclasses import dataclass, replace

import datasets
from transformers import PreTrainedTokenizerFast

from xllm import languages
from xllm.errors import XllmError
from xllm.inference import constrained
from xllm.inference.flags import CONSTRAIN, FREE, SCORE, InferFlags
from xllm.mixture.mixture import Mixture
from xllm.templates import word

COLUMN = "labels"


@dataclass(frozen=True)
class Mode:
    """How rows are answered: those that have labels by `labels`, or freely where that is None; others always freely."""

    labels: str | None
    given: tuple[str, ...]  # labels of rows that had none
    told: str | None  # where the command line didn't choose
    writes: bool  # whether any answer is written freely


def chosen(args: InferFlags, mixture: Mixture) -> tuple[Mode, Mixture]:
    """The mode that a command line comes to with a mixture, which has its labels then. Raises XllmError for labels that
    can't be, and flags that have no effect."""
    given = args.labels if isinstance(args.labels, tuple) else ()
    if given:
        mixture = _labelled(mixture, given)
    having = {name: COLUMN in rows.column_names for name, rows in mixture.parts}
    labels, told = SCORE if given else args.labels, None
    if labels is None:
        labels, told = _usual(args, [name for name, there in having.items() if there])
    mode = Mode(None if labels == FREE else str(labels), given, told, labels == FREE or not all(having.values()))
    if mode.writes and args.labels in (CONSTRAIN, SCORE):
        name = next(name for name, there in having.items() if not there)
        why = f"{name} has none; its loading script gives no column 'labels'"
        raise XllmError(f"--labels {labels}: {why}; give them: --labels yes no")
    _check_flags(args, mode)
    return mode, mixture


def _usual(args: InferFlags, names: list[str]) -> tuple[str, str | None]:
    """How rows are answered if nothing is said, and what is told about it."""
    if not names:
        return FREE, None
    sets = ", ".join(names)
    if args.engine == "vllm":
        return FREE, f"{sets}: answered freely, since --engine vllm scores no labels; --engine hf does"
    return SCORE, f"{sets}: answered by the likeliest label (--labels score); --labels free writes answers instead"


def _check_flags(args: InferFlags, mode: Mode) -> None:
    """Raise XllmError for flags about what is written, where nothing is."""
    if mode.writes or mode.labels is None:
        return
    free = "" if args.labels else "; --labels free writes answers"
    if not args.transcot and "max_new_tokens" in args.settings:
        raise XllmError(f"--max_new_tokens has no effect with --labels {mode.labels}: no label is cut{free}")
    if mode.labels == SCORE and (args.do_sample or args.num_beams > 1):
        raise XllmError(f"--labels score writes nothing: --do_sample and --num_beams have no effect{free}")


def _labelled(mixture: Mixture, labels: tuple[str, ...]) -> Mixture:
    """The mixture with labels for the rows that have none. A dataset of no other TASK asks for one of them."""
    if len({label.strip() for label in labels}) < len(labels) or any(map(languages.blank, labels)):
        raise XllmError(f"--labels {' '.join(map(repr, labels))}: they must be texts that differ, none empty")
    lacking = {name for name, rows in mixture.parts if COLUMN not in rows.column_names}
    if not lacking:
        raise XllmError(f"--labels {' '.join(labels)}: the rows of {mixture.text} have labels of their own")
    parts = [(name, _with(rows, labels, name) if name in lacking else rows) for name, rows in mixture.parts]
    terms = [replace(term, task=term.task or "label") if term.name in lacking else term for term in mixture.terms]
    return replace(mixture, parts=parts, terms=terms)


def _with(rows: datasets.Dataset, labels: tuple[str, ...], name: str) -> datasets.Dataset:
    known = {label.strip() for label in labels}
    for number, output in enumerate(rows["output"]):
        if not languages.blank(output) and output.strip() not in known:
            raise XllmError(
                f"--labels {' '.join(labels)}: row {number} of {name} has the output {output[:40]!r}, none of them"
            )
    feature = datasets.List(datasets.Value("string"))
    return rows.add_column(COLUMN, [list(labels)] * len(rows), feature=feature)


def check(mixture: Mixture, template: str, tokenizer: PreTrainedTokenizerFast, hint: str) -> None:
    """Raise XllmError, naming the row, with a hint, where one has labels that the model can't tell apart."""
    asked: dict[tuple[str, ...], tuple[str, tuple[str, str]]] = {}  # by labels, the first row that has them
    for number, row in enumerate(mixture):
        if COLUMN in row:
            name = f"row {number} of {mixture.text} (id {row['id']})"
            asked.setdefault(tuple(row["labels"]), (name, (row["instruction"], row["input"])))
    prompts = word([pair for _, pair in asked.values()], template, tokenizer)
    named = {name: list(own) for own, (name, _) in asked.items()}
    try:
        constrained.after_prompts(prompts, named, template, tokenizer)
    except XllmError as error:
        raise XllmError(f"{error}{hint}") from error
