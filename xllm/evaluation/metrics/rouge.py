"""ROUGE of summaries, by rouge-score, whose own tokenizer would drop every letter that isn't Latin."""

from functools import cache
from importlib.metadata import version
from typing import Any

from xllm import __version__
from xllm.languages import cut
from xllm.records import AnsweredRow


class Words:
    """A tokenizer as rouge-score takes one."""

    def tokenize(self, text: str) -> list[str]:
        return cut(text.lower())


def rouge_1(rows: list[AnsweredRow], language: str) -> tuple[list[float], str]:
    """F1 (0 to 100) of the words that summary and reference share (Lin 2004), for the reference where it is best."""
    return _rouge("rouge1", rows)


def rouge_2(rows: list[AnsweredRow], language: str) -> tuple[list[float], str]:
    """The same for pairs of words."""
    return _rouge("rouge2", rows)


def rouge_l(rows: list[AnsweredRow], language: str) -> tuple[list[float], str]:
    """The same for the longest common subsequence of words, the whole summary taken as one sentence."""
    return _rouge("rougeL", rows)


def _rouge(kind: str, rows: list[AnsweredRow]) -> tuple[list[float], str]:
    scorer = _scorer(kind)
    values = [
        100 * scorer.score_multi(row.get("answers") or [row["output"]], row["prediction"])[kind].fmeasure
        for row in rows
    ]
    signature = (
        f"F1|case:lc|tok:words+characters|stem:no|golds:all|rouge-score:{version('rouge-score')}|xllm:{__version__}"
    )
    return values, signature


@cache
def _scorer(kind: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], tokenizer=Words())
