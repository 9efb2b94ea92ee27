"""`xllm report`: the scores of several models in one table, with plots, to read, to print and to pass on."""

import sys
from pathlib import Path

from xllm.artifacts import model_folder, scores, votes
from xllm.cli import done
from xllm.errors import XllmError
from xllm.evaluation.flags import ReportFlags
from xllm.evaluation.reporting import html, latex, plots, text, vote_counts
from xllm.evaluation.reporting.table import Table, make, read
from xllm.evaluation.reporting.vote_counts import Pair
from xllm.files import whole

PLOTS = ("bars-*", "radar-*")  # file names


def report(flags: ReportFlags) -> None:
    """Collect the scores of several models into one table by dataset and language, with averages, as report.md,
    report.csv, report.tex and report.html, with plots as PNG and SVG.

    Scores are those that `evaluate` has written. Averages count the datasets alone that all models have a score of.
    Votes of the chat page (votes.jsonl beside the models) are counted, too; where there are no scores, they are all.
    """
    folder = Path(flags.output)
    if not flags.output:
        raise XllmError("--output is empty; it must be the name of a folder")
    if folder.exists() and not folder.is_dir():
        raise XllmError(f"--output {flags.output}: there is a file of this name")
    folders = _folders(flags.models)
    names = model_folder.names_apart(list(map(str, folders)))
    table = make([read(name, own) for name, own in zip(names, folders, strict=True) if _has_scores(own)])
    counted = _votes(folders, names)
    if not table.lines and not counted:
        raise XllmError(f"there are no scores of {', '.join(flags.models)}; first: xllm evaluate MODEL")
    files = _files(table, counted) if table.lines else {"report.md": f"{text.voted(counted)}\n".encode()}
    write(folder, files)
    for stale in sorted({path.name for kind in PLOTS for path in folder.glob(kind)} - set(files)):
        print(f"of an earlier report: {folder / stale}", file=sys.stderr)
    print(text.scores(table) if table.lines else text.voted(counted))
    done(*(folder / name for name in files if not name.endswith((".png", ".svg"))))  # plots stand in the report


def _folders(names: tuple[str, ...]) -> list[Path]:
    """The models' folders, each once; those without scores are told. Raises XllmError for a name that there isn't."""
    found = {folder.resolve(): folder for folder in map(_folder, names) if folder.is_dir()}  # not model/README.md
    for folder in found.values():
        if not model_folder.is_finished(folder):
            print(f"left out: {folder} is an unfinished training run", file=sys.stderr)
        elif not _has_scores(folder):
            print(f"left out: {folder} has no scores in {folder / 'test'}", file=sys.stderr)
    return [folder for folder in found.values() if model_folder.is_finished(folder)]


def _has_scores(folder: Path) -> bool:
    return any((folder / "test").glob(f"*{scores.ENDING}"))


def _folder(name: str) -> Path:
    """A model's folder by its name or path. It needs no weights: answers from elsewhere can lie in it, too."""
    for path in model_folder.candidates(name):
        if path.exists():
            return path
    folder = model_folder.folder_of(name)  # of a hub id, or unknown
    if not folder.is_dir():
        raise XllmError(f"{name} has no scores; first: xllm infer {name} DATASET --evaluate")
    return folder


def _votes(folders: list[Path], names: list[str]) -> list[Pair]:
    files = {folder.resolve().parent / votes.FILE for folder in folders}
    return vote_counts.count([path for path in sorted(files) if path.is_file()], names)


def _files(table: Table, counted: list[Pair]) -> dict[str, bytes]:
    """All files of the report by name."""
    drawn = dict(plots.draw(table))
    texts = {
        "report.md": text.markdown(table, counted, [name for name in drawn if name.endswith(".png")]),
        "report.csv": text.comma_separated(table),
        "report.tex": latex.latex(table),
        "report.html": html.page(table, counted, drawn),
    }
    # Excel reads UTF-8 by its mark alone
    coded = {name: text.encode("utf-8-sig" if name.endswith(".csv") else "utf-8") for name, text in texts.items()}
    return coded | drawn


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write a folder of files, whole or not at all; where there is one already, each of its files."""
    if folder.is_dir():
        for name, content in files.items():
            with whole(folder / name) as place:
                place.write_bytes(content)
        return
    with whole(folder) as place:
        place.mkdir()
        for name, content in files.items():
            (place / name).write_bytes(content)
