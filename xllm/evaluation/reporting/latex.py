"""The report in LaTeX, to be printed."""

import re

from xllm.artifacts.scores import LOWER_IS_BETTER
from xllm.evaluation.reporting.table import Average, Line, Table
from xllm.evaluation.reporting.text import numbers

MISSING = "---"
# characters that mean something to LaTeX, each as one that is only printed
SPECIAL = {character: f"\\{character}" for character in "&%#_"}
SPECIAL |= {character: f"\\symbol{{{ord(character)}}}" for character in '$\\{}~^`"'}
# the same where the font is no typewriter's, which lacks some
ROMAN = {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "\\": r"\textbackslash{}", '"': "''"}
ROMAN |= {"{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
BREAKS = "|_.+-/:"  # after which a long name may go on in the next line


def latex(table: Table) -> str:
    """A table for each metric, to be \\input; it gets narrower where it wouldn't fit the page."""
    head = "% \\usepackage{booktabs,graphicx} in the preamble; \\usepackage[T1]{fontenc}, too, for letters beyond ASCII"
    return "\n\n".join([head, *(_of_metric(table, metric) for metric in table.metrics)]) + "\n"


def _of_metric(table: Table, metric: str) -> str:
    lines = [line for line in table.lines if line.metric == metric]
    averages = [own for own in table.averages if own.metric == metric]
    rows = [
        [_name(line.dataset) + _raised(table, line), escaped(line.language or ""), escaped(table.rows(line))]
        for line in lines
    ]
    bold = "\\textbf{{{}}}".format
    rows = [[*row, *numbers(line, bold, MISSING)] for row, line in zip(rows, lines, strict=True)]
    below = [
        [escaped(own.name) + _raised(table, own), escaped(own.language or ""), "", *numbers(own, bold, MISSING)]
        for own in averages
    ]
    header = ["dataset", "language", "rows", *map(_name, table.labels)]
    lower = " (the lower, the better)" if metric in LOWER_IS_BETTER else ""
    body = ["\\toprule", _row(header), "\\midrule", *map(_row, rows)]
    body += ["\\midrule", *map(_row, below), "\\bottomrule"] if below else ["\\bottomrule"]
    used = sorted({table.marks[signature] for own in lines for signature in own.signatures})
    notes = [f"\\textsuperscript{{{mark}}}~{_name(text)}" for text, mark in table.marks.items() if mark in used]
    if table.numbered:
        models = zip(table.labels, table.models, strict=True)
        notes = [f"{_name(label)}: {_name(model.name)}" for label, model in models] + notes
    return "\n".join(
        [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{escaped(metric)}{lower}. The best of each line is bold; {MISSING}: there is no score.}}",
            "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
            f"\\begin{{tabular}}{{llr{'r' * len(table.models)}}}",
            *body,
            "\\end{tabular}}",
            "\\par\\smallskip",
            "{\\footnotesize\\raggedright",
            *(f"{note}\\par" for note in notes),
            "}",
            "\\end{table}",
        ]
    )


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _raised(table: Table, own: Line | Average) -> str:
    return f"\\textsuperscript{{{table.footnotes(own.signatures)}}}" if own.signatures else ""


def escaped(text: str) -> str:
    """Text as LaTeX sets it, character by character."""
    return _single("".join((SPECIAL | ROMAN).get(character, character) for character in " ".join(text.split())))


def _name(text: str) -> str:
    """A name or a signature in a typewriter font."""
    parts = (SPECIAL.get(one, one) + ("\\allowbreak{}" if one in BREAKS else "") for one in " ".join(text.split()))
    return f"\\texttt{{{_single(''.join(parts))}}}"


def _single(text: str) -> str:
    """Hyphens that LaTeX doesn't join to a dash."""
    return re.sub("-(?=-)", "-{}", text)
