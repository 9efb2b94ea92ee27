"""The report as text: Markdown to read, CSV to compute with."""

import csv
import io
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tabulate import tabulate

from xllm.artifacts.scores import LOWER_IS_BETTER
from xllm.evaluation.flaws import KINDS
from xllm.evaluation.reporting import settings, vote_counts
from xllm.evaluation.reporting.table import Average, Line, Table, best, number
from xllm.evaluation.reporting.vote_counts import Pair

Row = dict[str, Any]
MISSING = "—"
FIELDS = [
    "model",
    "dataset",
    "language",
    "task",
    "metric",
    "value",
    "low",
    "high",
    "interval",
    "rows",
    "signature",
    "command",
]
FIELDS += ["status"]  # score, missing, share, average, missing average
# what pandas takes for nothing, whether in quotes or not; the empty cell is meant so
NOTHING = ("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA")
NOTHING += ("NULL", "NaN", "None", "n/a", "nan", "null")


def markdown(table: Table, counted: list[Pair], plots: Iterable[str]) -> str:
    """All of the report; `plots` are the names of the pictures beside it."""
    parts = [f"# {table.heading}", scores(table), "\n".join(f"![{name}]({name})" for name in plots)]
    header, flawed = flaws(table)
    parts += ["## Flawed answers", _pipes(map(_coded, flawed), header)]
    parts += [_footnotes(table, (share.signature for share in table.shares))]
    if counted:
        parts.append(voted(counted))
    training = [[name, *map(code, values)] for name, *values in settings.training(table)]
    parts += ["## Settings of training"]
    parts += [_pipes(training, ["setting", *map(code, table.labels)]) if training else settings.UNTUNED]
    answers = [list(map(code, row)) for row in settings.answers(table)]
    parts += ["## Settings of the answers", _pipes(answers, settings.ANSWERS)]
    return "\n\n".join(parts) + "\n"


def voted(counted: list[Pair]) -> str:
    """The votes in Markdown."""
    table = _pipes((_coded(vote_counts.cells(pair)) for pair in counted), vote_counts.HEADER)
    return "\n\n".join(["## Votes", vote_counts.EXPLAINED, table])


def _coded(row: list[str]) -> list[str]:
    """A row that begins with two names."""
    return [code(row[0]), code(row[1]), *row[2:]]


def scores(table: Table) -> str:
    """The table of scores in Markdown, and below it what the names and the footnotes of its signatures stand for."""
    header = ["dataset", "language", "metric", "rows", *map(code, table.labels), "signature"]
    lines = [[code(line.dataset), line.language, line.metric, table.rows(line)] for line in table.lines]
    lines += [[own.name, own.language, own.metric, ""] for own in table.averages]
    both = zip(lines, table.all_lines, strict=True)
    rows = [[*line, *numbers(own, "**{}**".format, MISSING), table.footnotes(own.signatures)] for line, own in both]
    aligned = ["left", "left", "left", "right", *["right"] * len(table.models), "left"]
    parts = [_pipes(rows, header, aligned), _explained(table)]
    if table.numbered:
        models = zip(table.labels, table.models, strict=True)
        parts.append("\n".join(f"- {label}: {code(model.name)}" for label, model in models))
    parts.append(_footnotes(table, (line.signature for line in table.lines)))
    return "\n\n".join(parts)


def _footnotes(table: Table, signatures: Iterable[str]) -> str:
    marks = sorted({(table.marks[signature], signature) for signature in signatures})
    return "\n".join(f"{mark}. {code(signature)}" for mark, signature in marks)


def _explained(table: Table) -> str:
    lower = ", ".join(metric for metric in table.metrics if metric in LOWER_IS_BETTER)
    told = [f"The best of each line is bold{f' (the lowest {lower})' if lower else ''};"]
    told += [f"whether it is better by more than chance, `compare` says. {MISSING}: there is no score."]
    told += ["An average counts the datasets alone that all models have a score of. Signatures by their numbers:"]
    return " ".join(told)


def numbers(own: Line | Average, bold: Callable[[str], str], missing: str) -> list[str]:
    """The numbers of a line, one a model, the best of them bold."""
    highlight = best(own.metric, own.values)
    told = [missing if value is None else number(value) for value in own.values]
    return [bold(text) if text == highlight else text for text in told]


def flaws(table: Table) -> tuple[list[str], list[list[str]]]:
    """The shares of flawed answers: names of columns, and a line for each model and dataset."""
    kinds = list(dict.fromkeys([*KINDS, *(share.metric for share in table.shares)]))
    header = ["model", "dataset", "language", *(f"{kind.replace('_', ' ')} %" for kind in kinds), "rows", "signature"]
    lines = []
    for label, model in zip(table.labels, table.models, strict=True):
        for own in model.answered:
            told = {share.metric: share for share in own.scored.shares}
            cells = [f"{told[kind].value:.1f}" if kind in told and told[kind].count else MISSING for kind in kinds]
            rows = f"{own.scored.shares[-1].count:,}" if told else MISSING  # others may count what they can tell alone
            marks = table.footnotes(share.signature for share in told.values())
            lines.append([label, own.dataset, own.scored.language or "", *cells, rows, marks])
    return header, lines


def code(text: str) -> str:
    """A name in Markdown, in which nothing of it is taken for Markdown or HTML."""
    text = " ".join(text.split())
    if not text:
        return ""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"


def _pipes(rows: Iterable[list], header: list[str], align: list[str] | None = None) -> str:
    return tabulate(
        [["" if cell is None else cell.replace("|", "\\|") for cell in row] for row in rows],
        [name.replace("|", "\\|") for name in header],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=align,
    )


def comma_separated(table: Table) -> str:
    """One line for each score, missing score, share of flawed answers and average, told apart by `status`; numbers in
    full. An average names its datasets, joined by +. Names that pandas would read as numbers or as nothing are written
    otherwise, see `_told`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_told(row) for row in (*_scores(table), *_shares(table), *_averages(table)))
    return text.getvalue()


def _scores(table: Table) -> Iterator[Row]:
    for line in table.lines:
        same: Row = {"dataset": line.dataset, "language": line.language, "task": line.task, "metric": line.metric}
        same |= {"rows": line.count, "signature": line.signature}
        for model, cell in zip(table.models, line.cells, strict=True):
            found: Row = {"status": "missing"}
            if cell:
                command = shlex.join(cell.answered.facts["command"])
                found = {name: getattr(cell.score, name) for name in ("value", "low", "high", "interval")}
                found |= {"command": command, "status": "score"}
            yield {"model": model.name, **same, **found}


def _shares(table: Table) -> Iterator[Row]:
    for model in table.models:
        for own in model.answered:
            for share in own.scored.shares:
                yield {
                    "model": model.name,
                    "dataset": own.dataset,
                    "language": own.scored.language,
                    "task": own.scored.task,
                    "metric": share.metric,
                    "value": share.value if share.count else "",
                    "low": share.low,
                    "high": share.high,
                    "interval": share.interval,
                    "rows": share.count,
                    "status": "share",
                    "signature": share.signature,
                    "command": shlex.join(own.facts["command"]),
                }


def _averages(table: Table) -> Iterator[Row]:
    for own in table.averages:
        same = {"dataset": "+".join(line.dataset for line in own.over), "language": own.language, "task": own.task}
        same |= {"metric": own.metric, "signature": " ; ".join(own.signatures)}
        for model, value in zip(table.models, own.values, strict=True):
            status = "average" if value is not None else "missing average"
            yield {"model": model.name, **same, "value": value, "status": status}


def _told(row: Row) -> Row:
    """A row whose names stay text in pandas: the model NA is model/NA, the alias nan is alias_nan, and the language nan
    (Min Nan) is zh-nan, as it may be written, too."""
    before = {"model": "model/", "dataset": "alias_", "language": "zh-"}
    return row | {name: f"{sign}{row[name]}" for name, sign in before.items() if row[name] and _misread(row[name])}


def _misread(name: str) -> bool:
    """Whether pandas takes a name for a number, a truth value, or nothing."""
    if name in NOTHING or name.lower() in ("true", "false"):
        return True
    try:
        float(name)
    except ValueError:
        return False
    return True
