"""`xllm mixture`: what a mixture comes to, before anything is trained on it."""

import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from tabulate import tabulate

from xllm import places
from xllm.artifacts import model_folder
from xllm.cli import done
from xllm.errors import XllmError
from xllm.files import write_json
from xllm.loading.scripts import scripts
from xllm.mixture import blanks, overlap, quality
from xllm.mixture.aliases import load_aliases
from xllm.mixture.encoding import encode
from xllm.mixture.filters import kept
from xllm.mixture.flags import MixtureFlags
from xllm.mixture.load import load_mixture, load_tests
from xllm.mixture.lock import write_lock
from xllm.mixture.mixture import Mixture, Selection
from xllm.models.load import load_tokenizer
from xllm.templates import check_text_field

WORST = 10  # overlapping rows shown
RARE = (*blanks.KINDS, "control_tokens")  # columns of the table that are shown where there is something


def mixture(flags: MixtureFlags) -> None:
    """Show the datasets of a mixture and what they add up to; write its lockfile and the table as JSON if asked.

    No weights are loaded. Without a mixture, list what one can be made of.
    """
    if flags.mixture is None:
        if useless := [name for name in flags.settings if name not in ("data_dir", "quiet", "config")]:
            raise XllmError(f"--{useless[0]} has no effect without a MIXTURE; see: xllm mixture --help")
        print(names(places.data_root(flags.data_dir)))
        return
    selection = Selection(
        flags.seed, flags.mix_rows, flags.mix_temperature, flags.filter_parallel, flags.drop_contaminated
    )
    check_text_field(flags.text_field, flags.template)
    tokenizer = None
    if flags.model is not None:
        tokenizer = load_tokenizer(model_folder.find(flags.model), flags.special_tokens_in_data)
    loaded = load_mixture(flags.mixture, flags.split, flags.data_dir, selection)
    tests = load_tests(flags.against, flags.data_dir)
    left = kept(loaded)
    report: dict[str, Any] = {
        "mixture": flags.mixture,
        "model": flags.model,
        "model_max_length": flags.model_max_length,
    }
    terms = counted(flags, loaded, left, tokenizer)
    found, held_out = [], overlap.HeldOut(tests)
    if tests:
        found = overlap.contamination(left, held_out)
        hits = Counter(hit["from"] for hit in found)
        terms = [term | {"contaminated": hits[term["from"]]} for term in terms]
    report["terms"] = terms
    if tests:
        report |= {"against": flags.against, "contaminated": found, "tests_too_short": held_out.short}
    report["languages"] = by_language(terms)
    print(table(terms))
    if tests:
        print(worst(found, left, flags.against or "", held_out.short))
    if flags.lock is not None:
        write_lock(loaded, flags.lock)
    if flags.json is not None:
        write_json(Path(flags.json), report)
    done(*filter(None, (flags.lock, flags.json)), then=f"xllm train BASE {shlex.quote(flags.mixture)}")


def names(root: Path) -> str:
    """The datasets that have loading scripts, and the aliases with what they stand for, as text."""
    datasets = "\n".join(sorted(scripts(root)))
    return f"{datasets}\n\n{tabulate(sorted(load_aliases(root).items()), ['alias', 'stands for'])}"


def counted(flags: MixtureFlags, loaded: Mixture, left: Mixture, tokenizer: Any) -> list[dict[str, Any]]:
    """What is counted of each dataset: rows or tokens, and the reports that were asked for."""
    if tokenizer is None:
        terms = [term.counts() for term in left.terms]
        found = blanks.count(left)
        if any(any(more.values()) for more in found):
            terms = [term | more for term, more in zip(terms, found, strict=True)]
    else:
        encoded = encode(loaded, tokenizer, flags.template, flags.model_max_length, flags.num_proc, flags.text_field)
        terms = [term.facts() for term in encoded.terms]
    if flags.duplicates:
        terms = [term | more for term, more in zip(terms, overlap.duplicates(left), strict=True)]
    if flags.parallel:
        counts = quality.count(left, quality.flaws(left))
        terms = [term | more for term, more in zip(terms, counts, strict=True)]
    return terms


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


def table(terms: list[dict[str, Any]]) -> str:
    """The terms as a table, then what those of each language, where that says more, and all of them add up to; shares
    beside the columns that make up the mixture."""
    columns = [column for column in terms[0] if column not in ("from", "language")]
    columns = [column for column in columns if column not in RARE or any(term[column] for term in terms)]
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


def by_language(terms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the terms of each language add up to."""
    sums: dict[str | None, Counter[str]] = {}
    for term in terms:
        counts = {column: _number_of(value) for column, value in term.items() if column not in ("from", "language")}
        sums.setdefault(term["language"], Counter()).update(counts)
    return [{"language": language, **counts} for language, counts in sums.items()]


def _number_of(value: int | dict[str, int]) -> int:
    return sum(value.values()) if isinstance(value, dict) else value  # left_out, by reason
