"""SARI of simplifications (Xu et al. 2016): what was rightly added, kept and deleted, as told by references.

No library on the package index computes it. The definitions are those of Hugging Face's `evaluate` (metrics "sari" and
"wiki_split"), with which the reference scores, and of tensor2tensor. They differ from the first script (and from EASSE)
in two ways: nothing out of nothing counts as 1, not 0, and the recall of what is kept weighs n-grams by their counts. A
text without words is one empty word, as `evaluate` cuts it, so that an empty answer adds something, which is wrong.
"""

from collections import Counter

from xllm import __version__
from xllm.evaluation.metrics.translation import bleu_metric
from xllm.languages import bleu_tokenizer
from xllm.records import AnsweredRow

LONGEST = 4  # n-grams
Grams = Counter[tuple[str, ...]]


def sari(rows: list[AnsweredRow], language: str) -> tuple[list[float], str]:
    """SARI (0 to 100) of each row, whose `input` is the source; texts are cut by sacrebleu's tokenizer for the
    language, in lower case. Raises XllmError where that tokenizer isn't installed."""
    from sacrebleu import __version__ as sacrebleu_version

    name = bleu_tokenizer(language)
    cut = bleu_metric(name).tokenizer

    def words(text: str) -> list[str]:
        return cut(text.lower()).split() or [""]

    values = [
        100
        * _sari(
            words(row.get("input", "")),
            words(row["prediction"]),
            list(map(words, row.get("answers") or [row["output"]])),
        )
        for row in rows
    ]
    return values, f"case:lc|tok:{name}|golds:all|sacrebleu:{sacrebleu_version}|xllm:{__version__}"


def _sari(source: list[str], prediction: list[str], references: list[list[str]]) -> float:
    sums = [0.0, 0.0, 0.0]
    for n in range(1, LONGEST + 1):
        parts = _parts(_grams(source, n), _grams(prediction, n), [_grams(own, n) for own in references])
        sums = [old + new for old, new in zip(sums, parts, strict=True)]
    return sum(sums) / len(sums) / LONGEST


def _parts(source: Grams, prediction: Grams, references: list[Grams]) -> tuple[float, float, float]:
    """F1 of what was added, F1 of what was kept, precision of what was deleted. Counts of source and prediction are
    taken as many times as there are references, whose counts are added up."""
    golds = sum(references, Counter())
    before, after = (
        Counter({gram: count * len(references) for gram, count in own.items()}) for own in (source, prediction)
    )

    kept, to_keep = before & after, before & golds
    right = kept & golds
    keep = _f1(_mean_share(right, kept), _ratio(right.total(), to_keep.total()))

    deleted = before - after
    delete = _mean_share(deleted - golds, deleted)

    added, to_add = set(after) - set(before), set(golds) - set(before)
    add = _f1(_ratio(len(added & to_add), len(added)), _ratio(len(added & to_add), len(to_add)))
    return add, keep, delete


def _grams(words: list[str], n: int) -> Grams:
    return Counter(tuple(words[start : start + n]) for start in range(len(words) - n + 1))


def _mean_share(right: Grams, those: Grams) -> float:
    """The mean, over distinct n-grams, of how much of each is right."""
    return _ratio(sum(right[gram] / count for gram, count in those.items()), len(those))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
