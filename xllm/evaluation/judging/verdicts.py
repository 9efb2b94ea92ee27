"""What a judge is asked about answers, and what follows from its replies.

Two models' answers are judged as in FairEval (Wang et al. 2023, "Large Language Models are not Fair Evaluators",
arXiv 2305.17926): the judge writes its evidence, then scores both answers from 1 to 10, k times (multiple evidence
calibration) and with the answers in both orders (balanced position calibration); the mean decides. The wordings are
our own (`prompts.JUDGE_PAIR`). One model's answers to reading questions are judged right or wrong.

An answer in another language than it should be loses without a call, unless it's one of the right answers; so does an
empty one.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from xllm import languages, prompts
from xllm.artifacts.answers import Answers
from xllm.evaluation.flaws import language_asked, told_language
from xllm.evaluation.judging.replies import Unread, said
from xllm.evaluation.judging.reply_answers import yes_or_no
from xllm.evaluation.judging.reply_scores import scores
from xllm.identification import SIGNATURE
from xllm.templates import plain

ORDERS = ("AB", "BA")
EPSILON = 1e-9  # between means that are equal but for their rounding


@dataclass(frozen=True)
class Protocol:
    """A way to judge: how a reply is read, what a row's replies make of it, and which scores follow."""

    name: str
    prompt: str
    said: str  # what is read in a reply, by this name, None where it can't be
    read: Callable[[str | None, str], Any]  # the order of the answers, the text → what the judge said; raises Unread
    verdict: Callable[[list[dict]], str | None]  # replies as read → the verdict; None where they don't suffice
    metrics: dict[str, Callable[[dict], bool | None]]  # metric → whether it holds for a row; None: it doesn't count

    def legible(self, reply: dict) -> bool:
        """Whether a reply says what it should."""
        return reply[self.said] is not None

    @property
    def prompt_sha256(self) -> str:
        """A short digest of the wording."""
        return hashlib.sha256(self.prompt.encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Question:
    """A row of one model, or of two, and what is asked about it."""

    name: str  # what the row comes `from`
    id: str
    gated: dict[str, str]  # model, A or B → why its answer loses without a call
    verdict: str | None = None  # where no call is needed
    asked: dict[str | None, str] = field(default_factory=dict)  # the order of the answers, if there are two → prompt


def pairs(own: Answers, other: Answers) -> list[Question]:
    """The questions about two models' answers to the same rows."""
    return [_pair(own, ours, theirs) for ours, theirs in zip(own.rows, other.rows, strict=True)]


def _pair(answers: Answers, ours: dict, theirs: dict) -> Question:
    first, second = ours["prediction"].strip(), theirs["prediction"].strip()
    why = {"A": _fault(ours, answers), "B": _fault(theirs, answers)}
    gated, row = {model: fault for model, fault in why.items() if fault}, (answers.name, ours.get("id"))
    if gated:
        return Question(*row, gated, "tie" if len(gated) == 2 else "B" if "A" in gated else "A")
    if first == second:
        return Question(*row, gated, "tie")
    question = plain(ours.get("instruction", ""), ours.get("input", ""), "")
    wording = {
        order: prompts.JUDGE_PAIR.format(question=question, first=one, second=two)
        for order, one, two in zip(ORDERS, (first, second), (second, first), strict=True)
    }
    return Question(*row, gated, asked=wording)


def readings(own: Answers) -> list[Question]:
    """The questions about one model's answers to reading questions."""
    return [_reading(own, row) for row in own.rows]


def _reading(answers: Answers, row: dict) -> Question:
    answer, name = row["prediction"].strip(), (answers.name, row.get("id"))
    if fault := _fault(row, answers):
        return Question(*name, {"A": fault}, "NO")
    golds = "\n".join(f"- {gold}" for gold in dict.fromkeys(row.get("answers") or [row["output"]]))
    language = languages.name(languages.base(answers.language))
    task = plain(row.get("instruction", ""), row.get("input", ""), "")
    wording = prompts.JUDGE_ANSWER.format(question=task, golds=golds, answer=answer, language=language)
    return Question(*name, {}, asked={None: wording})


def _fault(row: dict, answers: Answers) -> str | None:
    """Why an answer loses without being judged."""
    if languages.blank(row["prediction"]):
        return "empty"
    told = told_language(row, answers)
    return f"language: {told}" if told and told != language_asked(answers) else None


def calls(questions: Sequence[Question], samples: int) -> dict[str, str]:
    """Every call that the questions take, by the key of its journal entry; its prompt."""
    return {
        key: question.asked[order]
        for number, question in enumerate(questions)
        for order in question.asked
        for key in keys(number, order, samples)
    }


def keys(number: int, order: str | None, samples: int) -> list[str]:
    """The keys of a question's calls."""
    return [f"{number}.{order}.{sample}" if order else f"{number}.{sample}" for sample in range(samples)]


def judged(
    protocol: Protocol, questions: Sequence[Question], samples: int, made: dict[str, dict], failed: dict[str, str]
) -> list[dict]:
    """What is known of each row in the end: its verdict, None where calls `failed`, or those `made` can't be read."""
    rows = []
    for number, question in enumerate(questions):
        found, reasons = [], []
        for order in question.asked:
            for key in keys(number, order, samples):
                if key in failed:
                    reasons.append(failed[key])
                    continue
                found.append(_heard(protocol, order, made[key]))
        verdict = question.verdict
        if verdict is None and not reasons:
            verdict = protocol.verdict(found)
        row = {"id": question.id, "from": question.name, "verdict": verdict, "gated": question.gated, "replies": found}
        rows.append(row | ({"failed": reasons[0]} if reasons else {}))
    return rows


def _heard(protocol: Protocol, order: str | None, reply: dict) -> dict:
    """A reply with what it says, and where it says nothing, why."""
    heard, unread = None, {}
    try:
        heard = protocol.read(order, said(reply))
    except Unread as reason:
        unread = {"unread": str(reason)}
    return {**({"order": order} if order else {}), protocol.said: heard, **unread, **reply}


def read_scores(order: str | None, text: str) -> list[float]:
    """The scores of A and B in a reply, whichever came first. Raises Unread."""
    found = scores(text)
    return found if order == ORDERS[0] else found[::-1]


def read_answer(order: str | None, text: str) -> str:
    """YES or NO. Raises Unread."""
    return yes_or_no(text)


def better(heard: list[dict]) -> str | None:
    """A, B or tie, by the mean of all samples and orders; None where an order has no scores, and can't balance."""
    gaps = [_gap(heard, order) for order in ORDERS]
    return None if None in gaps else _sign(fmean(gaps))


def _gap(heard: list[dict], order: str) -> float | None:
    """By how much A is better on the mean, in one order."""
    gaps = [reply["scores"][0] - reply["scores"][1] for reply in heard if reply["order"] == order and reply["scores"]]
    return fmean(gaps) if gaps else None


def _sign(gap: float) -> str:
    return "tie" if abs(gap) < EPSILON else "A" if gap > 0 else "B"


def agree(row: dict) -> bool | None:
    """Whether the two orders, each alone, come to the same verdict; None for a row that wasn't judged in both."""
    if "failed" in row:
        return None
    gaps = [_gap(row["replies"], order) for order in ORDERS]
    return None if None in gaps else _sign(gaps[0]) == _sign(gaps[1])


def mostly_yes(heard: list[dict]) -> str | None:
    """YES where more than half of the samples say so; None where none says anything."""
    said = [reply["answer"] == "YES" for reply in heard if reply["answer"]]
    return ("YES" if fmean(said) > 0.5 else "NO") if said else None


def _verdict(verdict: str) -> Callable[[dict], bool | None]:
    return lambda row: None if row["verdict"] is None else row["verdict"] == verdict


PAIRWISE = Protocol(
    "FairEval",
    prompts.JUDGE_PAIR,
    "scores",
    read_scores,
    better,
    {"win_rate": _verdict("A"), "tie_rate": _verdict("tie"), "loss_rate": _verdict("B"), "order_agreement": agree},
)
YES_NO = Protocol("yes-no", prompts.JUDGE_ANSWER, "answer", read_answer, mostly_yes, {"judge_yes": _verdict("YES")})


def gate(answers: Answers) -> str:
    """What decides without a call, for a signature."""
    asked = language_asked(answers)
    return SIGNATURE.replace("|", ",").replace("lid.176.ftz", f"lid.176.ftz:{asked}") if asked else "empty"
