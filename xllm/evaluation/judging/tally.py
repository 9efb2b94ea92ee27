"""What a judge's verdicts come to: scores, and the table that shows them."""

import math
from collections import Counter
from dataclasses import dataclass

from tabulate import tabulate

from xllm import __version__
from xllm.artifacts.answers import Answers
from xllm.artifacts.scores import Score, Scored
from xllm.errors import XllmError
from xllm.evaluation.intervals import share
from xllm.evaluation.judging import verdicts
from xllm.evaluation.judging.replies import NOTHING
from xllm.evaluation.judging.verdicts import Protocol

MILLION = 1_000_000
MOST_UNREAD = 0.05  # of replies, or rows, before a score isn't to be trusted
TOKENS = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class Tally:
    """The judged rows of a dataset, and what follows from them."""

    rows: list[dict]
    scored: Scored
    protocol: Protocol

    @property
    def replies(self) -> list[dict]:
        return [reply for row in self.rows for reply in row["replies"]]

    @property
    def failed(self) -> list[str]:
        """Why calls failed, of every row that has no verdict for it."""
        return [row["failed"] for row in self.rows if "failed" in row]

    @property
    def unread(self) -> Counter[str]:
        """Why replies say nothing, and how many."""
        return Counter(reply.get("unread", NOTHING) for reply in self.replies if not self.protocol.legible(reply))

    @property
    def undecided(self) -> int:
        """How many rows have no verdict since replies can't be read."""
        return sum(row["verdict"] is None and "failed" not in row for row in self.rows)

    @property
    def too_many_unread(self) -> bool:
        """Whether scores leave out more than they may."""
        asked = sum(bool(row["replies"]) for row in self.rows)
        return self.unread.total() > MOST_UNREAD * len(self.replies) or self.undecided > MOST_UNREAD * asked

    def tokens(self, kind: str) -> int:
        """Those that the API has counted."""
        return sum(reply[kind] or 0 for reply in self.replies)

    def verdicts(self, verdict: str) -> int:
        """How many rows have a verdict."""
        return sum(row["verdict"] == verdict for row in self.rows)


def prices(price_in: float | None, price_out: float | None) -> tuple[float, float] | None:
    """What a million tokens cost, read and written. Raises XllmError where one of the two is missing."""
    if price_in is None and price_out is None:
        return None
    if price_in is None or price_out is None:
        raise XllmError(f"--price_{'out' if price_out is None else 'in'} is missing; a call has both to pay")
    return price_in, price_out


def count(protocol: Protocol, answers: Answers, rows: list[dict], signature: str) -> Tally:
    """The scores that follow from judged rows, in percent, and the shares of what couldn't be judged."""
    signature = f"{signature}|gate:{verdicts.gate(answers)}|xllm:{__version__}"
    kinds = {
        "parse_failures": [not protocol.legible(reply) for row in rows for reply in row["replies"]],
        "gated": [bool(row["gated"]) for row in rows],
        "failed": ["failed" in row for row in rows],
    }
    shares = [share(name, flags, signature) for name, flags in kinds.items()]
    found = [_score(name, [holds(row) for row in rows], signature) for name, holds in protocol.metrics.items()]
    scores = [score for score in found if score is not None]
    return Tally(rows, Scored(answers.name, answers.task, answers.language, scores, shares), protocol)


def _score(name: str, holds: list[bool | None], signature: str) -> Score | None:
    """The share of rows that something holds for, with its 95 % interval; None where no row counts."""
    flags = [own for own in holds if own is not None]
    return share(name, flags, signature) if flags else None


def sign_test(wins: int, losses: int) -> float:
    """How likely chance alone makes wins and losses differ as much, two-sided; ties say nothing."""
    fewer, total = min(wins, losses), wins + losses
    return min(1.0, 2 * sum(math.comb(total, few) for few in range(fewer + 1)) / 2**total)


def warning(tallies: list[Tally]) -> str | None:
    """What is said where scores leave out too much for replies that can't be read."""
    told = []
    for own in tallies:
        if own.too_many_unread:
            reasons = ", ".join(f"{reason}: {number}" for reason, number in own.unread.most_common())
            told.append(
                f"{own.scored.name}: {own.unread.total()} of {len(own.replies)} replies are no verdict ({reasons}), "
                f"{own.undecided} of {len(own.rows)} rows are left out of the scores"
            )
    if not told:
        return None
    cut = any(reply.get("cut") for own in tallies for reply in own.replies)
    then = "--overwrite with a larger --max_tokens judges again" if cut else "replies are in the .judge.jsonl"
    return f"{'; '.join(told)}; more than {MOST_UNREAD:.0%} are too many to trust the scores ({then})"


def table(names: list[str], tallies: list[Tally], prices: tuple[float, float] | None) -> str:
    """A column a dataset, as text; then what made its scores."""
    columns = [(_compared(names, own) if len(names) > 1 else _right(own)) | _calls(own, prices) for own in tallies]
    lines = [[key, *(column[key] for column in columns)] for key in columns[0]]
    shown = tabulate(lines, ["", *(own.scored.name for own in tallies)], disable_numparse=True)
    return "\n".join([shown, "", *(f"{own.scored.name}: {own.scored.shares[0].signature}" for own in tallies)])


def _compared(names: list[str], own: Tally) -> dict[str, str]:
    wins, losses = own.verdicts("A"), own.verdicts("B")
    return {
        f"wins of A ({names[0]})": _with_share(wins, own, "win_rate"),
        "ties": _with_share(own.verdicts("tie"), own, "tie_rate"),
        f"wins of B ({names[1]})": _with_share(losses, own, "loss_rate"),
        "wins against losses, p": f"{sign_test(wins, losses):.4f}",
        "orders agree": _share(own, "order_agreement"),
    }


def _right(own: Tally) -> dict[str, str]:
    return {
        "right": _with_share(own.verdicts("YES"), own, "judge_yes"),
        "wrong": str(own.verdicts("NO")),
    }


def _calls(own: Tally, prices: tuple[float, float] | None) -> dict[str, str]:
    """What was lost on the way, and what it took."""
    gated = {model: sum(model in row["gated"] for row in own.rows) for model in "AB"}
    unread = [f"{own.unread.total()} of {len(own.replies)}"]
    unread += [f"{number}: {reason}" for reason, number in own.unread.most_common()]
    uncounted = sum(None in (reply[kind] for kind in TOKENS) for reply in own.replies)
    read, written = map(own.tokens, TOKENS)
    lines = {
        "rows": str(len(own.rows)),
        "lost without a call": ", ".join(f"{model} {number}" for model, number in gated.items() if number) or "0",
        "no verdict: calls failed": str(len(own.failed)),
        "no verdict: replies not understood": str(own.undecided),
        "replies not understood": "; ".join(unread),
        "tokens read, written": f"{read:,}, {written:,}" + (f" ({uncounted} replies uncounted)" if uncounted else ""),
    }
    if prices is not None:
        lines["cost"] = f"{(read * prices[0] + written * prices[1]) / MILLION:.4f}"
    return lines


def _with_share(number: int, own: Tally, metric: str) -> str:
    return f"{number}: {_share(own, metric)}" if any(score.metric == metric for score in own.scored.scores) else "0"


def _share(own: Tally, metric: str) -> str:
    score = next((score for score in own.scored.scores if score.metric == metric), None)
    if score is None:
        return ""
    ends = "" if score.low is None else f" ({score.low:.1f} to {score.high:.1f})"
    left = f", {own.undecided} unread" if own.undecided else ""
    return f"{score.value:.1f} %{ends} of {score.count}{left}"
