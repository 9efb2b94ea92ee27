"""`xllm compare`: the scores of several models side by side, and whether they differ by more than chance."""

import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from markupsafe import Markup
from tabulate import tabulate

from xllm.artifacts import answers, model_folder
from xllm.artifacts.answers import Answers
from xllm.artifacts.scores import LOWER_IS_BETTER
from xllm.cli import done
from xllm.errors import XllmError
from xllm.evaluation import kinds
from xllm.evaluation.comparing import examples as differing
from xllm.evaluation.comparing.examples import LETTERS, Example
from xllm.evaluation.flags import CompareFlags
from xllm.evaluation.html_page import render
from xllm.evaluation.intervals import Interval, of_score
from xllm.evaluation.measured import Measured
from xllm.evaluation.metrics import registry
from xllm.evaluation.significance import SAME, Difference, difference, holm, resampled
from xllm.files import whole

ON_A_PAGE = 10  # rows of each kind in an HTML file, if not told otherwise


@dataclass(frozen=True)
class Cut:
    """Some rows of a dataset, or all, and what a metric found of every model's answers to them."""

    group: str  # what the rows are called in the table
    metric: str
    measured: list[Measured]  # one for each model, the baseline first


@dataclass(frozen=True)
class Line:
    """One metric of one group: each model's score with its interval, and the differences to the baseline."""

    group: str
    metric: str
    signature: str
    count: int
    values: list[float]
    intervals: list[Interval | None]
    differences: list[Difference]  # of every model but the baseline
    best: float
    corrected: list[float] = field(default_factory=list)  # the differences' p-values of randomisation by Holm


def compare(flags: CompareFlags) -> None:
    """Score the answers of several models, the first being the baseline, to the same rows.

    Each difference to the baseline comes with its 95 % interval (by paired bootstrap; Bonett and Price's where each row
    is right or wrong) and with p-values, two-sided: by paired bootstrap (1,000 draws), by approximate randomisation
    (10,000 trials), and by Holm's correction of the latter for all lines with the same metric (and model); for
    sacrebleu's metrics also as `sacrebleu --paired-bs` prints it, which counts one side alone.
    """
    wanted = registry.parse(flags.metrics, flags.tokenize)
    if flags.html is not None and (not Path(flags.html).name or Path(flags.html).is_dir()):
        raise XllmError(f"--html {flags.html!r}: it must be the name of a file")
    names = _names(flags.models)
    sheets = _check_kinds(_sheets(flags, _datasets(flags.models, flags.dataset)), flags)
    if flags.by == "language":
        _check_once(sheets)
    registry.check([own[0] for own in sheets], wanted)
    lines = compared([cut for own in sheets for cut in _cuts(own, wanted, flags.by)])
    if not lines:
        raise XllmError("there is nothing to score in these answers")
    shown = [example for own in sheets for example in differing.examples(own, flags.examples)]
    if flags.html is not None:
        most = shown if flags.examples else [row for own in sheets for row in differing.examples(own, ON_A_PAGE)]
        with whole(Path(flags.html)) as place:
            place.write_text(page(names, lines, most), encoding="utf-8")
    parts = [legend(names), table(lines), "\n".join(f"{metric}  {made}" for metric, made in signatures(lines))]
    print("\n\n".join([*parts, *map(differing.text, shown)]))
    done(*filter(None, [flags.html]), then=f"xllm report {' '.join(flags.models)}")


def _names(models_: tuple[str, ...]) -> list[str]:
    if len(models_) < 2:
        raise XllmError("compare needs two models or more, the first being the baseline")
    if len(models_) > len(LETTERS):
        raise XllmError(f"compare takes {len(LETTERS)} models at most, not {len(models_)}")
    folders = [answers.folder_of(model).resolve() for model in models_]
    for model, folder in zip(models_, folders, strict=True):
        if folders.count(folder) > 1:
            raise XllmError(f"{model} is there twice; compare needs different models")
    return model_folder.names_apart(models_)


def _datasets(models_: tuple[str, ...], dataset: str | None) -> list[str]:
    """The datasets to compare, once it is known that each model has answered them."""
    there = [answers.answered(answers.folder_of(model)) for model in models_]
    shared = [name for name in there[0] if all(name in own for own in there)]
    if dataset:
        [wanted, *_] = [
            answers.named(dataset.split(","), own, model) for model, own in zip(models_, there, strict=True)
        ]
    else:
        wanted = shared
    if not wanted:
        raise XllmError(f"there is no dataset that all of {', '.join(models_)} have answered")
    return wanted


def _check_kinds(sheets: list[list[Answers]], flags: CompareFlags) -> list[list[Answers]]:
    """The sheets that have scores; it is told why others have none. Raises XllmError where none has one, or one that
    was named hasn't."""
    command = shlex.join(["xllm", "compare", *flags.models, "--dataset"])
    why = [kinds.unscored(own[0], f"{command} {shlex.quote(own[0].name)}") for own in sheets]
    told = [reason for reason in why if reason]
    if told and len(told) == len(sheets):
        raise XllmError(f"there is nothing to score in these answers: {'; '.join(told)}")
    if told and flags.dataset is not None:
        raise XllmError("; ".join(told))
    for reason in told:
        print(reason, file=sys.stderr)
    return [own for own, reason in zip(sheets, why, strict=True) if reason is None]


def _sheets(flags: CompareFlags, files: list[str]) -> list[list[Answers]]:
    """All models' answers to each dataset. One that is in several files has several names, so that no row counts twice
    in a line."""
    taken, found = set(files), []
    for file in files:
        for own in _answers(flags, file):
            name = own[0].name
            if name != file:  # one of several that were answered as one mixture
                name = f"{name} ({file})" if name in taken else name
                taken.add(name)
            found.append([replace(part, name=name) for part in own])
    return found


def _answers(flags: CompareFlags, dataset: str) -> list[list[Answers]]:
    """The models' answers to each dataset in a file. Raises XllmError where they have answered other rows than the
    baseline, under the same dataset's name."""
    files = [answers.file_of(answers.folder_of(model), dataset) for model in flags.models]
    found = [[registry.scorable(own) for own in kinds.read(file, flags.task, flags.lang)] for file in files]
    if len(found[0]) == 1:  # under its name with the slice that was answered
        found = [[replace(own, name=dataset) for own in parts] for parts in found]
    for model, own in zip(flags.models, found, strict=True):
        if not answers.asked_alike(own, found[0]):
            raise XllmError(
                f"{model} and {flags.models[0]} have answered different rows of {dataset}; answer them again"
            )
    return [list(parts) for parts in zip(*found, strict=True) if parts[0].rows]


def _check_once(sheets: list[list[Answers]]) -> None:
    """Raise XllmError where a row would count twice when datasets are put together."""
    known: dict[tuple[str, str | None], str] = {}
    for baseline, *_ in sheets:
        for row in baseline.rows:
            other = known.setdefault((row["from"], row.get("id")), baseline.name)
            if other != baseline.name:
                raise XllmError(f"{other} and {baseline.name} share rows; name one of them: --dataset")


def _cuts(own: list[Answers], wanted: registry.Wanted, by: str) -> Iterator[Cut]:
    """What every metric that all models have finds of one dataset, whole or in parts."""
    found, baseline = [registry.measure(part, wanted) for part in own], own[0]
    parts = _quarters(baseline) if by == "length" else []
    for metric in found[0]:
        measured = [part[metric] for part in found if metric in part]
        if len(measured) < len(own):  # of labels that not all have scored
            continue
        for name, rows in parts:
            yield Cut(name, metric, [one.part(rows) for one in measured])
        if not parts:
            yield Cut(f"{baseline.language}, {baseline.task}" if by == "language" else baseline.name, metric, measured)


def _quarters(own: Answers) -> list[tuple[str, list[int]]]:
    """The rows in four parts of like size by the length of what was asked, in characters; equal lengths stay
    together."""
    lengths = np.array([len(row.get("input") or row.get("instruction", "")) for row in own.rows])
    found, start = [], 0
    for end in np.unique(np.quantile(lengths, [0.25, 0.5, 0.75, 1], method="higher")).astype(int):
        rows = np.flatnonzero((lengths >= start) & (lengths <= end)).tolist()
        found.append((f"{own.name}, {start} to {end} characters", rows))
        start = end + 1
    return found


def compared(cuts: list[Cut]) -> list[Line]:
    """The lines of the table: cuts of the same name put together where they are measured alike."""
    together: dict[tuple[str, str, str], Cut] = {}
    for cut in cuts:
        key = (cut.group, cut.metric, cut.measured[0].signature)
        together[key] = _joined(together[key], cut) if key in together else cut
    lines = [_line(cut) for cut in together.values()]
    return [replace(line, corrected=_corrected(line, lines)) for line in lines]


def _joined(one: Cut, other: Cut) -> Cut:
    pairs = zip(one.measured, other.measured, strict=True)
    return replace(
        one, measured=[replace(a, statistics=np.concatenate([a.statistics, b.statistics])) for a, b in pairs]
    )


def _line(cut: Cut) -> Line:
    baseline, *others = cut.measured
    values = [measured.value for measured in cut.measured]
    first, *drawn = resampled(cut.measured)
    return Line(
        cut.group,
        cut.metric,
        baseline.signature,
        baseline.count,
        values,
        [of_score(measured, own) for measured, own in zip(cut.measured, (first, *drawn), strict=True)],
        [difference(baseline, other, (first, own)) for other, own in zip(others, drawn, strict=True)],
        (min if cut.metric in LOWER_IS_BETTER else max)(values),
    )


def _corrected(line: Line, lines: list[Line]) -> list[float]:
    """A line's p-values of randomisation by Holm, over all lines with its metric; a model's apart from another's."""
    family = [other for other in lines if other.metric == line.metric]
    return [
        holm([other.differences[number].p_randomised for other in family])[family.index(line)]
        for number in range(len(line.differences))
    ]


HEADER = ["dataset", "metric", "rows", "model", "score", "95 %", "Δ to A", "95 % of Δ"]
HEADER += ["p bootstrap", "p randomised", "p Holm", "p sacrebleu"]


def cells(line: Line, mark: str) -> Iterator[list[str]]:
    """A line as cells of text, a row for each model; `mark` is a format for the best score."""
    for number, (value, ends) in enumerate(zip(line.values, line.intervals, strict=True)):
        first = [line.group, line.metric, f"{line.count:,}"] if number == 0 else ["", "", ""]
        score = mark.format(f"{value:.2f}") if value == line.best else f"{value:.2f}"
        found = [*first, LETTERS[number], score, f"{ends.low:.2f} to {ends.high:.2f}" if ends else ""]
        if number:
            own = line.differences[number - 1]
            p_values = (own.p_bootstrap, own.p_randomised, line.corrected[number - 1], own.p_sacrebleu)
            found += [f"{own.delta:+.2f}", f"{own.low:+.2f} to {own.high:+.2f}" if own.high - own.low > SAME else ""]
            found += [f"{p:.4f}" if p is not None else "" for p in p_values]
        yield found + [""] * (len(HEADER) - len(found))


def legend(names: list[str]) -> str:
    return "\n".join(f"{letter}  {name}" for letter, name in zip(LETTERS, names, strict=False))


def signatures(lines: list[Line]) -> list[tuple[str, str]]:
    """How each metric was taken, with the datasets where that isn't the same for all."""
    ways: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        ways.setdefault((line.metric, line.signature), []).append(line.group)
    several = Counter(metric for metric, _ in ways)
    return [
        (f"{metric} ({'; '.join(groups)})" if several[metric] > 1 else metric, made)
        for (metric, made), groups in ways.items()
    ]


def table(lines: list[Line]) -> str:
    """The lines as text, the best score of each in bold: a terminal's, or between ** where it goes elsewhere."""
    mark = "\033[1m{}\033[0m" if sys.stdout.isatty() else "**{}**"
    return tabulate([row for line in lines for row in cells(line, mark)], HEADER, disable_numparse=True)


PAGE = """
<ul>{% for name in names %}<li><b>{{ letters[loop.index0] }}</b> {{ name }}</li>{% endfor %}</ul>
<table>
<tr>{% for name in header %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr>{% for cell in row %}<td{% if loop.index0 > 1 %} class="number"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table>
<p>Intervals by paired bootstrap (1,000 draws); where each row is right or wrong, Wilson's, and Bonett and Price's of
differences. p-values, two-sided, by paired bootstrap and by approximate randomisation (10,000 trials), the latter
corrected by Holm over all lines with the same metric; sacrebleu's own counts one side alone.</p>
<ul>{% for metric, signature in signatures %}<li>{{ metric }} <code>{{ signature }}</code></li>{% endfor %}</ul>
{% for example in examples %}
<h3>{{ example.title }}</h3>
<table>
<tr><th>asked</th><th>right</th><th>A</th><th>{{ example.letter }}</th></tr>
<tr>{% for text in example.texts %}<td class="text">{{ text }}</td>{% endfor %}</tr>
</table>
{% endfor %}
"""


def page(names: list[str], lines: list[Line], examples: list[Example]) -> str:
    """All of it as HTML."""
    rows = [row for line in lines for row in cells(line, Markup("<b>{}</b>"))]
    title = f"{names[0]} compared with {', '.join(names[1:])}"
    values = {"names": names, "letters": LETTERS, "header": HEADER, "rows": rows, "examples": examples}
    return render(title, PAGE, signatures=signatures(lines), **values)
