"""The plots of a report: bars with 95 % intervals for each metric, and a radar where there are enough spokes."""

import io
import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from xllm.artifacts.scores import LOWER_IS_BETTER
from xllm.evaluation.reporting.table import Line, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST_SPOKES = 3
WIDTH = 10.0  # inches, at most, of a plot
BAR, GAP = 0.17, 0.3  # inches of a bar, and between two datasets
LETTER = 0.078  # inches of a letter, about
LONGEST = 28  # letters of a dataset's name in one line
DOTS = 150  # an inch
COLOURS = 10
HATCHES = ("", "//", "..", "xx", "oo")  # one for each ten models
DASHES = ("-", "--", ":", "-.")  # the same for lines
STYLE = {
    "svg.hashsalt": "xllm",  # else the ids in an SVG are drawn anew each time
    "svg.fonttype": "none",  # text stays text, that can be searched and read aloud
    "text.parse_math": False,  # $ is a character
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}


def draw(table: Table) -> Iterator[tuple[str, bytes]]:
    """The plots' file names, each with its content, which is the same whenever the table is."""
    from matplotlib import style  # slow to import

    for metric in table.metrics:
        lines = [line for line in table.lines if line.metric == metric]
        kinds: list[tuple[str, Callable]] = [("bars", _bars)]
        if len(lines) >= FEWEST_SPOKES:
            kinds.append(("radar", _radar))
        for kind, make in kinds:
            with style.context(["default", STYLE]):
                yield from _saved(name(kind, metric), make(table, lines), lines)


def name(kind: str, metric: str) -> str:
    """A plot's file name, without its ending."""
    return f"{kind}-{re.sub(r'[^A-Za-z0-9+._-]', '_', metric)}"


def _saved(stem: str, figure: "Figure", lines: list[Line]) -> Iterator[tuple[str, bytes]]:
    signatures = "; ".join(dict.fromkeys(line.signature for line in lines))
    for ending, own in (("svg", {"Date": None}), ("png", {"Software": None})):
        file = io.BytesIO()
        figure.savefig(file, format=ending, dpi=DOTS, metadata={"Title": stem, "Description": signatures, **own})
        yield f"{stem}.{ending}", file.getvalue()


def _bars(table: Table, lines: list[Line]) -> "Figure":
    """Groups of bars, a group a dataset, a bar a model, in several rows of axes where there are many."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    group, names = GAP + BAR * len(table.models), _names(table)
    a_row = math.ceil(len(lines) / math.ceil(len(lines) * group / (WIDTH - 1)))
    rows = math.ceil(len(lines) / a_row)
    width = max(3.6, 1 + a_row * group, 0.8 + LETTER * max(map(len, names)))
    titles = [_wrapped(table.dataset(line)) for line in lines]
    turned, below = _turned(titles, (width - 1) / a_row)
    height = (2.2 + below) * rows + 0.4 + _height(names, width)
    figure = Figure(figsize=(width, height), layout="constrained")
    for row, axes in enumerate(figure.subplots(rows, 1, sharey=True, squeeze=False)[:, 0]):
        shown = slice(row * a_row, (row + 1) * a_row)
        _groups(axes, lines[shown])
        axes.set_xticks(range(len(lines[shown])), titles[shown], **turned)
        axes.set_xlim(-0.6, a_row - 0.4)
        axes.set_ylabel(_metric(lines))
    handles = [Patch(facecolor=colour(place), hatch=hatch(place), edgecolor="white") for place in range(len(names))]
    _legend(figure, handles, names)
    return figure


def _turned(titles: list[str], room: float) -> tuple[dict, float]:
    """How datasets' names stand below bars with so many inches for each: upright, slanted, or, in several lines,
    vertical; and how many inches high."""
    longest = LETTER * max(len(part) for title in titles for part in title.split("\n"))
    if longest < room:
        return {}, 0.2 * max(title.count("\n") + 1 for title in titles)
    if any("\n" in title for title in titles):
        return {"rotation": 90}, longest
    return {"rotation": 25, "ha": "right", "rotation_mode": "anchor"}, 0.2 + 0.4 * longest


def _groups(axes: "Axes", lines: list[Line]) -> None:
    count = len(lines[0].cells)
    share = BAR / (GAP + BAR * count)  # of a group's width
    for at, line in enumerate(lines):
        for place, cell in enumerate(line.cells):
            middle = at + (place - (count - 1) / 2) * share
            if cell is None:
                axes.annotate("missing", (middle, 0), ha="center", va="bottom", rotation=90, size=7, color="#a33")
                continue
            value, low, high = cell.score.value, cell.score.low, cell.score.high
            axes.bar(middle, value, share * 0.92, color=colour(place), hatch=hatch(place), edgecolor="white")
            if low is not None and high is not None:
                ends = [[max(0.0, value - low)], [max(0.0, high - value)]]
                axes.errorbar(middle, value, ends, color="#222", elinewidth=0.8, capsize=1.8)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", alpha=0.3)


def _radar(table: Table, lines: list[Line]) -> "Figure":
    """A spoke a dataset, a closed line a model, which has a gap where a score is missing."""
    from matplotlib.figure import Figure

    names, titles = _names(table), [_wrapped(table.dataset(line)) for line in lines]
    beside = LETTER * max(len(part) for title in titles for part in title.split("\n"))
    width = max(4.6 + 2 * beside, 0.8 + LETTER * max(map(len, names)))
    figure = Figure(figsize=(width, 5.4 + _height(names, width)), layout="constrained")
    axes = figure.add_subplot(projection="polar")
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    angles = [2 * math.pi * spoke / len(lines) for spoke in range(len(lines))]
    handles = []
    for place in range(len(names)):
        values = [math.nan if (value := line.values[place]) is None else value for line in lines]
        dashes = DASHES[place // COLOURS % len(DASHES)]
        closed = [*angles, angles[0]], [*values, values[0]]
        handles += axes.plot(*closed, dashes, color=colour(place), marker="o", markersize=3)
    axes.set_xticks(angles, titles)
    for angle, label in zip(angles, axes.get_xticklabels(), strict=True):
        side, up = math.sin(angle), math.cos(angle)  # names grow away from the circle
        label.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
        label.set_verticalalignment("center" if abs(side) > 0.1 else "bottom" if up > 0 else "top")
    axes.set_title(_metric(lines))
    axes.set_rlabel_position(180 / len(lines))
    axes.tick_params(axis="y", labelsize=7, labelcolor="#666")
    axes.grid(alpha=0.4)
    _legend(figure, handles, names)
    return figure


def _metric(lines: list[Line]) -> str:
    metric = lines[0].metric
    return f"{metric} (lower is better)" if metric in LOWER_IS_BETTER else metric


def colour(place: int) -> tuple:
    import matplotlib

    return matplotlib.colormaps["tab10"](place % COLOURS)


def hatch(place: int) -> str:
    """What tells models of the same colour apart."""
    return HATCHES[place // COLOURS % len(HATCHES)]


def _names(table: Table) -> list[str]:
    return [_shown(model.name) for model in table.models]


def _columns(names: list[str], width: float) -> int:
    """How many names fit side by side below a plot."""
    return max(1, min(len(names), int(width / (0.7 + LETTER * max(map(len, names))))))


def _height(names: list[str], width: float) -> float:
    """Inches of the legend."""
    return 0.2 * math.ceil(len(names) / _columns(names, width))


def _legend(figure: "Figure", handles: list, names: list[str]) -> None:
    """The models' whole names, below the plot."""
    columns = _columns(names, figure.get_figwidth())
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)


def _wrapped(text: str) -> str:
    """A dataset's name in several lines where it is long, broken behind what joins its parts."""
    lines = [""]
    for part in re.findall(r"[^._+, -]*[._+, -]|[^._+, -]+$", _shown(text)):
        if len(lines[-1]) + len(part) > LONGEST and lines[-1]:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _shown(text: str) -> str:
    """A name in letters that the font of the plots has; any other is told by its number, not by an empty box."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))  # which matplotlib brings along
    return "".join(one if font.get_char_index(ord(one)) else f"U+{ord(one):04X} " for one in text).strip()
