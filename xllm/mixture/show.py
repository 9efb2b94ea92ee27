"""`python -m xllm mixture`: what a mixture comes to, before anything is trained on it."""

import sys
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from xllm.artifacts import model_folder
from xllm.files import write_json
from xllm.mixture import overlap, quality
from xllm.mixture.encoding import encode
from xllm.mixture.filters import kept
from xllm.mixture.load import load_mixture, load_tests
from xllm.mixture.lock import write_lock
from xllm.mixture.mixture import Mixture, Selection
from xllm.models.load import load_tokenizer
from xllm.templates import check_template
from xllm.values import above_zero, whole_number

WORST = 10  # overlapping rows shown


def mixture(
    text,
    *,
    model=None,
    model_max_length="512",
    template="alpaca",
    split="train",
    duplicates=False,
    parallel=False,
    against=None,
    lock=None,
    json=None,
    data_dir=None,
    seed="42",
    mix_rows=None,
    mix_temperature="1.0",
    filter_parallel=False,
    drop_contaminated=None,
    num_proc="1",
):
    """Show the datasets of the mixture TEXT: rows and share of each.

    With --model also its target tokens, and what of them --model_max_length takes away; with --duplicates the rows that
    a dataset has more than once, and that several have; with --parallel the flaws of parallel text. --against SETS
    (test sets, separated by commas) lists the rows that overlap with them, worst first. --lock FILE writes down the
    resolution, with the sha256 of each script and raw file, for `train --lock FILE`; --json FILE writes the table.
    --mix_rows N sets the number of rows in all, --mix_temperature T gives each dataset a share of n^(1/T); --seed is
    what a draw depends on. --filter_parallel and --drop_contaminated SETS leave rows out, as they do in training; the
    other reports are of what remains. With --num_proc N that many processes tokenize. No weights are loaded.
    """
    selection = Selection(
        whole_number("seed", seed, least=0),
        None if mix_rows is None else whole_number("mix_rows", mix_rows),
        above_zero("mix_temperature", mix_temperature),
        filter_parallel,
        drop_contaminated,
    )
    check_template(template)
    max_length = whole_number("model_max_length", model_max_length)
    loaded = load_mixture(text, split, data_dir, selection)
    tests = load_tests(against, data_dir)
    left = kept(loaded)
    if model is None:
        terms = [term.counts() for term in left.terms]
    else:
        tokenizer = load_tokenizer(model_folder.find(model))
        encoded = encode(loaded, tokenizer, template, max_length, whole_number("num_proc", num_proc))
        terms = [term.facts() for term in encoded.terms]
    if duplicates:
        terms = [term | more for term, more in zip(terms, overlap.duplicates(left), strict=True)]
    if parallel:
        counts = quality.count(left, quality.flaws(left))
        terms = [term | more for term, more in zip(terms, counts, strict=True)]
    report = {"mixture": text, "model": model, "model_max_length": max_length, "terms": terms}
    if tests:
        held_out = overlap.HeldOut(tests)
        found = overlap.contamination(left, held_out)
        hits = Counter(hit["from"] for hit in found)
        report["terms"] = terms = [term | {"contaminated": hits[term["from"]]} for term in terms]
        report |= {"against": against, "contaminated": found, "tests_too_short": held_out.short}
    report["languages"] = by_language(terms)
    print(table(terms))
    if tests:
        print(worst(found, left, against, held_out.short))
    if lock is not None:
        write_lock(loaded, lock)
        print(f"wrote {lock}", file=sys.stderr)
    if json is not None:
        write_json(Path(json), report)
        print(f"wrote {json}", file=sys.stderr)


def worst(found: list[overlap.Hit], mixture: Mixture, against: str, short: int) -> str:
    """The rows that overlap most with the test sets, with the beginning of what they say."""
    lines = [
        f"\n{len(found)} rows overlap with {against}" + (f" ({short} test rows are too short to tell)" if short else "")
    ]
    for hit in found[:WORST]:
        row = mixture[hit["row"]]
        start = " ".join((row["input"] or row["instruction"]).split())[:80]
        lines.append(f"  {hit['share']:6.1%}  {hit['from']}/{hit['id']} ~ {hit['test']}: {start}")
    return "\n".join(lines)


def table(terms: list[dict]) -> str:
    """The terms as a table, then what those of each language, where that says more, and all of them add up to; shares
    beside the columns that make up the mixture."""
    columns = [column for column in terms[0] if column not in ("from", "language")]
    languages = by_language(terms)
    languages = languages if 1 < len(languages) < len(terms) else []
    everything = {"from": "all"} | {column: sum(_number_of(term[column]) for term in terms) for column in columns}
    lines = []
    for term in [*terms, *({"from": "all", **sums} for sums in languages), everything]:
        line = [term["from"], term.get("language") or ""]
        for column in columns:
            line.append(f"{_number_of(term[column]):,}")
            if column in ("rows", "target_tokens"):
                line.append(f"{100 * term[column] / max(1, everything[column]):.1f} %")
            if column == "lost_target_tokens":
                line.append(f"{100 * term[column] / max(1, term['target_tokens']):.2f} %")
        lines.append(line)
    header = ["term", "language"]
    for column in columns:
        header += [column.replace("_", " ")]
        header += ["share"] if column in ("rows", "target_tokens", "lost_target_tokens") else []
    aligned = ["left", "left", *["right"] * (len(header) - 2)]
    return tabulate(lines, header, disable_numparse=True, colalign=aligned)


def by_language(terms: list[dict]) -> list[dict]:
    """What the terms of each language add up to."""
    sums: dict[str | None, Counter] = {}
    for term in terms:
        counts = {column: _number_of(value) for column, value in term.items() if column not in ("from", "language")}
        sums.setdefault(term["language"], Counter()).update(counts)
    return [{"language": language, **counts} for language, counts in sums.items()]


def _number_of(value: int | dict[str, int]) -> int:
    return sum(value.values()) if isinstance(value, dict) else value  # left_out, by reason
