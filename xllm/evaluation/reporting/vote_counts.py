"""Votes of the chat page, counted: which of two models people prefer, and how sure that is."""

import itertools
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from xllm.artifacts.votes import BOTH_BAD, TIE, _checked
from xllm.evaluation.proportions import wilson
from xllm.files import read_jsonl


@dataclass(frozen=True)
class Pair:
    """How often people preferred either of two models; a pair has one line, its models in the report's order."""

    first: str
    second: str
    counts: Counter  # of "first", "second", TIE and BOTH_BAD

    @property
    def total(self) -> int:
        return self.counts.total()


def count(files: list[Path], names: list[str]) -> list[Pair]:
    """The votes in files between the models of these names. A vote among several models is one of the winner against
    each other. Raises XllmError for a line that is no vote."""
    pairs: dict[tuple[str, str], Counter] = {}
    given = [(vote, f"{path}, row {number}") for path in files for number, vote in enumerate(read_jsonl(path), 1)]
    for vote, where in given:
        shown, winner = _checked(vote, where)
        if winner not in (TIE, BOTH_BAD):
            winner = _folder(winner, names)
        there = [name for name in names if name in {_folder(own, names) for own in shown}]
        for first, second in itertools.combinations(there, 2):
            if winner in (TIE, BOTH_BAD):
                outcome = winner
            elif winner in (first, second):
                outcome = "first" if winner == first else "second"
            else:  # a third model won, which says nothing of these two
                continue
            pairs.setdefault((first, second), Counter())[outcome] += 1
    return [Pair(*pair, pairs[pair]) for pair in itertools.combinations(names, 2) if pair in pairs]


def _folder(model: str, names: list[str]) -> str:
    """The name of a model's folder: that of a hub id, if there is one, else the last part of a path."""
    of_hub = model.replace("/", "--")
    return of_hub if of_hub in names else model.rstrip("/").split("/")[-1]


EXPLAINED = "Counts, their shares of all votes of the pair, and the shares' 95 % intervals (Wilson)."
HEADER = ["A", "B", "votes", "A is better", "tie", "both bad", "B is better"]


def cells(pair: Pair) -> list[str]:
    """A pair as cells of text: each count with its share and the share's 95 % interval."""
    told = []
    for outcome in ("first", TIE, BOTH_BAD, "second"):
        own = pair.counts[outcome]
        low, high = wilson(own, pair.total)
        told.append(f"{own:,} ({100 * own / pair.total:.1f} %, {low:.1f} to {high:.1f})")
    return [pair.first, pair.second, f"{pair.total:,}", *told]
