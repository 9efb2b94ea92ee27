"""BLEU, chrF++ and TER by sacrebleu, with the tokenizer that the target language needs."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xllm.errors import XllmError, unknown
from xllm.evaluation.measured import Measured
from xllm.files import sha256
from xllm.languages import bleu_tokenizer
from xllm.models import spbleu
from xllm.records import AnsweredRow

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU

AUTO = "auto"  # by the target language
FLORES = ("flores101", "flores200")  # the sentencepiece models of spBLEU
TOKENIZERS = ("13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", *FLORES)  # sacrebleu's
CHARACTERS = ("zh", "ja-mecab")  # BLEU's tokenizers of the scripts whose characters TER takes for words


def bleu(rows: list[AnsweredRow], language: str, tokenize: str | None) -> Measured:
    """Corpus BLEU (Papineni et al. 2002; Post 2018). `tokenize` is a tokenizer of sacrebleu's, "auto" if None."""
    found = bleu_tokenizer(language) if tokenize in (None, AUTO) else tokenize
    measured = _measure(bleu_metric(found), rows)
    if found not in FLORES:
        return measured
    digest = sha256(spbleu.flores_model(found))  # the name alone doesn't tell which model it was
    return replace(measured, signature=f"{measured.signature}|spm:{digest[:12]}")


def spbleu_by(name: str, rows: list[AnsweredRow], language: str, _: str | None) -> Measured:
    """spBLEU (Goyal et al. 2022): BLEU of the pieces of a sentencepiece model, "flores101" or "flores200"."""
    return bleu(rows, language, name)


def bleu_metric(tokenize: str) -> "BLEU":
    """sacrebleu's BLEU with one of its tokenizers. Raises XllmError where what the tokenizer needs isn't there."""
    from sacrebleu.metrics import BLEU

    if tokenize in FLORES:
        spbleu.flores_model(tokenize)  # or sacrebleu would download it
    try:
        return BLEU(tokenize=tokenize)
    except (ImportError, RuntimeError) as error:  # Japanese and Korean need extras
        raise XllmError(f"BLEU by {tokenize}: {error}; try: pip install 'sacrebleu[ja,ko]'") from error


def chrf(rows: list[AnsweredRow], language: str, _: str | None) -> Measured:
    """chrF++ (Popović 2017): character n-grams to 6, word n-grams to 2."""
    from sacrebleu.metrics import CHRF

    return _measure(CHRF(word_order=2), rows)


def ter(rows: list[AnsweredRow], language: str, _: str | None) -> Measured:
    """TER (Snover et al. 2006): edits for each word of the reference, so that less is better; not cut off at 100."""
    from sacrebleu.metrics import TER

    metric = TER(normalized=True, asian_support=True) if bleu_tokenizer(language) in CHARACTERS else TER()
    return _measure(metric, rows)


def check_tokenizer(name: str) -> None:
    """Raise XllmError where BLEU has no such tokenizer, or what it needs isn't there."""
    if name not in (AUTO, *TOKENIZERS):
        raise unknown("tokenizer", name, [AUTO, *TOKENIZERS])
    if name != AUTO:
        bleu_metric(name)


def references(rows: list[AnsweredRow]) -> list[list[str | None]]:
    """The references as sacrebleu takes them, a list for each first, second … one of all rows; None where one has
    fewer."""
    golds = [row.get("answers") or [row["output"]] for row in rows]
    most = max(map(len, golds))
    return [[own[i] if i < len(own) else None for own in golds] for i in range(most)]


def _measure(metric: Any, rows: list[AnsweredRow]) -> Measured:
    # sacrebleu gives no score of a resampled corpus but by its own test of significance, so its two halves are called
    # by name: the statistics of each row, and the score of their sums
    statistics = metric._extract_corpus_statistics([row["prediction"] for row in rows], references(rows))  # noqa: SLF001

    def score_of(sums: np.ndarray) -> np.ndarray:
        # as numbers of Python, with which sacrebleu reckons several times as fast
        return np.array([metric._compute_score_from_stats(own).score for own in sums.tolist()])  # noqa: SLF001

    signature = str(metric.get_signature())
    return Measured(np.array(statistics, float), score_of, signature, by_sacrebleu=True)
