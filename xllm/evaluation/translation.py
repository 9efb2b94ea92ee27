"""BLEU, chrF++ and TER by sacrebleu, with the tokenizer that the target language needs."""

from dataclasses import replace

import numpy as np

from xllm.errors import XllmError, unknown
from xllm.evaluation.significance import Measured
from xllm.languages import base, bleu_tokenizer

AUTO = "auto"  # by the target language
FLORES = ("flores101", "flores200")  # the sentencepiece models of spBLEU
TOKENIZERS = ("13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", *FLORES)  # sacrebleu's
CHARACTERS = ("zh", "ja")  # whose characters TER takes for words


def bleu(rows: list[dict], language: str, tokenize: str | None) -> Measured:
    """Corpus BLEU (Papineni et al. 2002; Post 2018). `tokenize` is a tokenizer of sacrebleu's, "auto" if None."""
    from sacrebleu.metrics import BLEU

    if tokenize in (None, AUTO):
        tokenize = bleu_tokenizer(language)
    try:
        metric = BLEU(tokenize=tokenize)
    except (ImportError, RuntimeError) as error:  # Japanese and Korean need extras
        raise XllmError(f"BLEU for {language}: {error}; try: pip install 'sacrebleu[ja,ko]'") from error
    return _measure(metric, rows)


def chrf(rows: list[dict], language: str, _: str | None) -> Measured:
    """chrF++ (Popović 2017): character n-grams to 6, word n-grams to 2."""
    from sacrebleu.metrics import CHRF

    return _measure(CHRF(word_order=2), rows)


def ter(rows: list[dict], language: str, _: str | None) -> Measured:
    """TER (Snover et al. 2006): edits for each word of the reference, so that less is better; not cut off at 100."""
    from sacrebleu.metrics import TER

    metric = TER(normalized=True, asian_support=True) if base(language) in CHARACTERS else TER()
    return replace(_measure(metric, rows), lower_is_better=True)


def check_tokenizer(name: str) -> None:
    """Raise XllmError where BLEU has no such tokenizer."""
    if name not in (AUTO, *TOKENIZERS):
        raise unknown("tokenizer", name, [AUTO, *TOKENIZERS])


def references(rows: list[dict]) -> list[list[str | None]]:
    """The references as sacrebleu takes them, a list for each first, second … one of all rows; None where one has
    fewer."""
    golds = [row.get("answers") or [row["output"]] for row in rows]
    most = max(map(len, golds))
    return [[own[i] if i < len(own) else None for own in golds] for i in range(most)]


def _measure(metric, rows: list[dict]) -> Measured:
    statistics = metric._extract_corpus_statistics([row["prediction"] for row in rows], references(rows))

    def score_of(sums: np.ndarray) -> np.ndarray:
        # as numbers of Python, with which sacrebleu reckons several times as fast
        return np.array([metric._compute_score_from_stats(own).score for own in sums.tolist()])

    signature = str(metric.get_signature())
    return Measured(np.array(statistics, float), score_of, signature, by_sacrebleu=True)
