"""The tab Browse: what models answered in test sets, row by row, beside what is right."""

import html
from pathlib import Path
from typing import Any

import gradio as gr

from xllm import languages
from xllm.chat.service import Service
from xllm.chat.tabs import browse_rows, status_line
from xllm.chat.tabs.controls import PRIVATE
from xllm.errors import XllmError, unknown

SHOWN = 3  # models, unless others are chosen
LISTED = 200  # rows of the table
BEGINNING = 60  # characters of a text in the table
ANY = "any"


def build(service: Service, opened: gr.Tab, boxes: tuple[gr.Textbox, gr.Textbox], tabs: gr.Tabs, instruct: str) -> None:
    """Lay the tab out, within the page's tab of that name; a prompt that is tried goes into the `boxes` of the tab
    whose id is `instruct`."""
    with gr.Row():
        dataset = gr.Dropdown([], label="Dataset", elem_id="dataset")
        models = gr.Dropdown([], multiselect=True, label="Models", elem_id="models")
    with gr.Row():
        text = gr.Textbox(label="Text in question or answer", elem_id="search")
        language = gr.Dropdown([ANY], value=ANY, label="Language of an answer")
        least = gr.Slider(0, 100, value=0, step=1, min_width=200, label="Score, at least")
        most = gr.Slider(0, 100, value=100, step=1, min_width=200, label="Score, at most")
    count = gr.HTML(elem_id="count")
    table = gr.Dataframe([], interactive=False, max_height=260, elem_id="rows", buttons=[], label="Rows")
    with gr.Row():
        number = gr.Number(1, label="Row", precision=0, minimum=1, min_width=90, elem_id="row")
        back, on = gr.Button("Previous", min_width=90), gr.Button("Next", min_width=90)
        attempt = gr.Button("Try this prompt", variant="primary", min_width=140)
    one = gr.HTML(elem_id="one")

    tab = _Browsing(service)
    now: dict[str, Any] = {"show_progress": "minimal", **PRIVATE}
    chosen = [dataset, models, text, language, least, most]
    listed = [count, table, language, number, one]
    # files of answers may be large, and not everyone who opens the page looks at them
    opened.select(tab.open, dataset, [dataset, models, *listed], **now)
    dataset.input(tab.answered, dataset, models, **now).success(tab.list, chosen, listed, **now)
    models.input(tab.list, chosen, listed, **now)
    narrowed = [text.submit, text.blur, language.input, least.release, most.release]
    gr.on(narrowed, tab.narrow, chosen, [count, table, number, one], **now)
    table.select(_picked, None, number, **now).then(tab.show, [*chosen, number], one, **now)
    number.submit(tab.show, [*chosen, number], one, **now)
    for button, step in ((back, -1), (on, 1)):
        moved = button.click(lambda at, step=step: max(1, int(at or 1) + step), number, number, **now)
        moved.then(tab.show, [*chosen, number], one, **now)
    attempt.click(tab.attempt, [*chosen, number], [*boxes], **now).success(
        lambda: gr.Tabs(selected=instruct), None, tabs, **PRIVATE
    )


def _picked(data: gr.SelectData) -> int:
    return data.index[0] + 1


class _Browsing:
    def __init__(self, service: Service) -> None:
        self.service = service

    def _files(self) -> dict[str, dict[str, Path]]:
        return browse_rows.files(self.service.pool.given)

    def open(self, dataset: str | None) -> tuple:
        """The datasets, and the first of them as a list, unless one is open already."""
        files = self._files()
        if dataset in files:
            return gr.Dropdown(list(files)), *[gr.skip()] * 6
        first = next(iter(files), None)
        found = self.list(first, list(files.get(first, {}))[:SHOWN], "", ANY, 0, 100)
        return gr.Dropdown(list(files), value=first), self.answered(first), *found

    def answered(self, dataset: str | None) -> gr.Dropdown:
        if dataset is None:  # its box was left before the datasets were there
            return gr.skip()
        names = list(self._files().get(dataset, {}))
        return gr.Dropdown(names, value=names[:SHOWN])

    def _rows(self, dataset: str | None, models: list[str]) -> tuple[list[browse_rows.Row], int]:
        """The rows of files that are there, and how many are left out: names are looked up, never put together to a
        path."""
        files = self._files()
        if not files:
            raise XllmError("no model under model/ has answered a dataset yet: xllm infer MODEL DATASET")
        if dataset not in files:
            raise unknown("dataset", str(dataset), files)
        for model in models:
            if model not in files[dataset]:
                raise unknown(f"model with answers to {dataset}", model, files[dataset])
        return browse_rows.read({model: files[dataset][model] for model in models}) if models else ([], 0)

    def _matching(self, dataset, models, text, language, least, most) -> list[browse_rows.Row]:
        narrow = browse_rows.Filter((text or "").strip(), None if language in (ANY, None) else language, least, most)
        return [row for row in self._rows(dataset, models)[0] if narrow(row)]

    def list(self, dataset, models, text, language, least, most) -> tuple:
        """What matches, as a table; the languages there are; and the first row in full."""
        if dataset is None and self._files():  # none is chosen yet
            return (gr.skip(),) * 5
        try:
            every, left_out = self._rows(dataset, models)
            codes = sorted({code for row in every for code in row.languages.values() if code})
            language = language if language in codes else ANY  # another dataset had others
            found = self._matching(dataset, models, text, language, least, most)
        except XllmError as error:
            return status_line.problem(str(error)), gr.Dataframe([]), gr.Dropdown([ANY], value=ANY), 1, ""
        names = [(f"{_named(code)} ({code})", code) for code in codes]
        cells = [
            [number, _begin(row.input or row.instruction), *map(_points, row.scores.values())]
            for number, row in enumerate(found[:LISTED], start=1)
        ]
        more = f"; the first {LISTED} are listed" if len(found) > LISTED else ""
        if left_out:
            more += f"; {left_out} left out, which not all of these models were asked alike"
        return (
            status_line.words(f"{len(found)} of {len(every)} rows{more}"),
            gr.Dataframe(cells, headers=["row", "input", *models], column_widths=_widths(len(models))),
            gr.Dropdown([(ANY, ANY), *names], value=language),
            1,
            _in_full(found[0]) if found else "",
        )

    def narrow(self, *chosen) -> tuple:
        """The same without the languages, which only other files change: the page can't draw a box anew in which its
        user has begun to choose."""
        count, table, _, number, one = self.list(*chosen)
        return count, table, number, one

    def show(self, *chosen) -> str:
        try:
            row = self._row(*chosen)
        except XllmError as error:
            return status_line.problem(str(error))
        return _in_full(row)

    def attempt(self, *chosen) -> tuple:
        try:
            row = self._row(*chosen)
        except XllmError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return row.instruction, row.input

    def _row(self, *chosen) -> browse_rows.Row:
        *chosen, number = chosen
        found = self._matching(*chosen)
        if not 1 <= (number or 0) <= len(found):
            raise XllmError(f"there is no row {number}; {len(found)} rows match")
        return found[int(number) - 1]


def _widths(models: int) -> list[str]:
    """Of the table's columns: the scores of up to three models have half of it."""
    return ["8%", "42%", *[f"{50 / min(models, 3):.0f}%"] * models] if models else ["8%", "92%"]


def _named(code: str) -> str:
    try:
        return languages.name(code)
    except XllmError:
        return code


def _begin(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= BEGINNING else f"{text[:BEGINNING]}…"


def _points(score: float | None) -> str:
    return "" if score is None else f"{score:.1f}"


def _in_full(row: browse_rows.Row) -> str:
    """A row as HTML: every text in it escaped, the answers with their differences to the first right one."""
    gold = row.golds[0] if row.golds else None
    parts = [_part("Instruction", html.escape(row.instruction))] if row.instruction else []
    parts += [_part("Input", html.escape(row.input))] if row.input else []
    parts += [_part("Right answer", html.escape(" | ".join(dict.fromkeys(row.golds))))] if row.golds else []
    answers = []
    for model, text in row.predictions.items():
        marked = html.escape(text) if gold is None else browse_rows.differences(text, gold)
        facts = [_points(row.scores[model]), _named(row.languages[model]) if row.languages[model] else "empty"]
        answers.append(_part(f"{model} · {' · '.join(filter(None, facts))}", marked))
    legend = "<p><small>beside the right answer: <ins>added</ins> <del>missing</del></small></p>" if row.golds else ""
    return f"{''.join(parts)}<div class='side-by-side'>{''.join(answers)}</div>{legend}"


def _part(title: str, inner: str) -> str:
    return f"<section><h4>{html.escape(title)}</h4><div class='bidi' dir='auto'>{inner}</div></section>"
