"""The report as a page, on which every number tells what made it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from xllm.evaluation.html_page import render
from xllm.evaluation.reporting import plots, settings, text, vote_counts
from xllm.evaluation.reporting.table import Average, Cell, Line, Table, best, number
from xllm.evaluation.reporting.vote_counts import Pair


@dataclass(frozen=True)
class Told:
    """A number of the table, and what made it."""

    text: str
    best: bool
    anchor: str
    heading: str
    made: list[tuple[str, str]]

    @property
    def title(self) -> str:
        return "\n".join([self.heading, *(f"{what}: {value}" for what, value in self.made)])


PAGE = """
{% macro rows(header, lines) %}
<div class="wide"><table>
<tr>{% for name in header %}<th>{{ name }}</th>{% endfor %}</tr>
{% for line in lines %}
<tr>{% for cell in line %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% endmacro %}
{% if table.numbered %}
<ul class="plain">
{% for model in table.models %}<li><b>{{ table.labels[loop.index0] }}</b> {{ model.name }}</li>
{% endfor %}</ul>
{% endif %}
<p>Point at a number, or press it, to see what made it. The best of each line is bold; whether it is better by more
than chance, <code>xllm compare</code> says. An average counts the datasets alone that all models have a
score of.</p>
<div class="wide"><table>
<tr><th>dataset</th><th>language</th><th>metric</th><th>rows</th>
{% for model in table.models %}
<th class="number" title="{{ model.name }}">{{ table.labels[loop.index0] }}</th>
{% endfor %}
<th>signature</th></tr>
{% for line in lines %}
<tr{% if line.average %} class="average"{% endif %}>
<td>{{ line.name }}</td><td>{{ line.language }}</td><td>{{ line.metric }}</td><td class="number">{{ line.rows }}</td>
{% for cell in line.cells %}
{% if cell.made is defined %}
<td class="number"><a href="#{{ cell.anchor }}" title="{{ cell.title }}">
{%- if cell.best %}<b>{{ cell.text }}</b>{% else %}{{ cell.text }}{% endif %}</a></td>
{% else %}
<td class="number missing" title="{{ cell }}">—</td>
{% endif %}
{% endfor %}
<td>{% for mark in line.marks %}<a href="#signature-{{ mark }}" title="{{ signatures[mark] }}">{{ mark }}</a>
{%- if not loop.last %}, {% endif %}{% endfor %}</td></tr>
{% endfor %}
</table></div>
<p>Signatures:</p>
<ol>
{% for mark, signature in signatures.items() %}
<li id="signature-{{ mark }}"><code>{{ signature }}</code></li>
{% endfor %}
</ol>
{% for plot in drawn %}
<figure>{{ plot.svg }}<figcaption>{{ plot.caption }}</figcaption></figure>
{% endfor %}
<h2>Flawed answers</h2>
{{ rows(*flawed) }}
{% if counted %}
<h2>Votes</h2>
<p>{{ votes_explained }}</p>
{{ rows(votes_header, counted) }}
{% endif %}
<h2>Settings of training</h2>
{% if training %}{{ rows(training_header, training) }}{% else %}<p>{{ untuned }}</p>{% endif %}
<h2>Settings of the answers</h2>
{{ rows(answers_header, answered) }}
<h2>What made each number</h2>
{% for line in lines %}
{% for cell in line.cells if cell.made is defined %}
<section class="made" id="{{ cell.anchor }}" tabindex="-1"><h3>{{ cell.heading }}</h3>
<dl>{% for what, value in cell.made %}<dt>{{ what }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
<a class="close" href="#_">close</a></section>
{% endfor %}
{% endfor %}
"""


def page(table: Table, counted: list[Pair], drawn: dict[str, bytes]) -> str:
    """All of the report, the plots among it, as HTML; `drawn` are the plots' files."""
    return render(
        table.heading,
        PAGE,
        table=table,
        lines=list(_lines(table)),
        signatures={mark: signature for signature, mark in table.marks.items()},
        drawn=[_plot(table, name, content) for name, content in drawn.items() if name.endswith(".svg")],
        flawed=text.flaws(table),
        votes_explained=vote_counts.EXPLAINED,
        votes_header=vote_counts.HEADER,
        counted=list(map(vote_counts.cells, counted)),
        training_header=["setting", *table.labels],
        untuned=settings.UNTUNED,
        training=settings.training(table),
        answers_header=settings.ANSWERS,
        answered=settings.answers(table),
    )


def _lines(table: Table) -> Iterator[dict]:
    for place, own in enumerate(table.all_lines):
        highlight = best(own.metric, own.values)
        yield {
            "average": isinstance(own, Average),
            "name": own.name if isinstance(own, Average) else own.dataset,
            "language": own.language or "",
            "metric": own.metric,
            "rows": "" if isinstance(own, Average) else table.rows(own),
            "cells": [
                _lacking(own)
                if value is None
                else _told(table, own, column, value, f"made-{place}-{column}", number(value) == highlight)
                for column, value in enumerate(own.values)
            ],
            "marks": [table.marks[signature] for signature in own.signatures],
        }


def _told(table: Table, own: Line | Average, column: int, value: float, anchor: str, is_best: bool) -> Told:
    text = number(value)
    if isinstance(own, Average):
        made = [("mean of", ", ".join(line.dataset for line in own.over)), ("signatures", "\n".join(own.signatures))]
    else:
        made = list(_made(own.cells[column]))
    name = own.name if isinstance(own, Average) else own.dataset
    return Told(text, is_best, anchor, f"{table.models[column].name}: {own.metric} of {name}: {text}", made)


def _made(cell: Cell | None) -> Iterator[tuple[str, str]]:
    assert cell is not None  # where there is a value
    score, own = cell.score, cell.answered
    yield "signature", score.signature
    yield "rows", f"{score.count:,}"
    if score.low is not None:
        yield "95 % interval", f"{number(score.low)} to {number(score.high)}"
    if score.interval is not None:
        yield "interval by", score.interval
    yield "scored by", shlex.join(own.facts["command"])
    yield "answered by", shlex.join(own.run["command"]) if "command" in own.run else "not known: there is no run.json"
    yield "sha256 of the answers", own.facts["answers_sha256"]


def _lacking(own: Line | Average) -> str:
    if isinstance(own, Average):
        return "there is no dataset that all models have a score of"
    return f"missing: there is no {own.metric} of {own.dataset} with this signature over these rows"


def _plot(table: Table, name: str, content: bytes) -> dict:
    """An SVG to stand in a page beside others: without the head of a file, and with ids of its own."""
    stem, svg = name.removesuffix(".svg"), content.decode()
    kind = stem.partition("-")[0]
    lines = [line for line in table.lines if plots.name(kind, line.metric) == stem]
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{stem}-", svg[svg.index("<svg") :])
    marks = table.footnotes(line.signature for line in lines)
    intervals = ", with 95 % intervals" if kind == "bars" else ""
    caption = f"{lines[0].metric}{intervals}; signatures {marks}"
    label = f'<svg role="img" aria-label="{stem}"'
    return {"svg": Markup(svg.replace("<svg", label, 1)), "caption": caption}
