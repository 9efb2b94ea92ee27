"""From the answers to one dataset to its scores: which metrics a task takes, and each score with its signature."""

from dataclasses import dataclass

from xllm import __version__
from xllm.errors import XllmError
from xllm.evaluation import question_answering
from xllm.languages import bleu_tokenizer


@dataclass(frozen=True)
class Score:
    """A number that says how it came about."""

    metric: str
    value: float  # 0 to 100
    count: int  # rows scored
    signature: str


def translation(rows: list[dict], language: str) -> list[Score]:
    """Corpus BLEU by sacrebleu, with the tokenizer of the target language."""
    from sacrebleu.metrics import BLEU

    try:
        bleu = BLEU(tokenize=bleu_tokenizer(language))
    except (ImportError, RuntimeError) as error:  # Japanese and Korean need extras
        raise XllmError(f"BLEU for {language}: {error}; try: pip install 'sacrebleu[ja,ko]'") from error
    score = bleu.corpus_score([row["prediction"] for row in rows], [[row["output"] for row in rows]])
    return [Score("BLEU", score.score, len(rows), str(bleu.get_signature()))]


def qa(rows: list[dict], language: str) -> list[Score]:
    """Exact match and F1, over all gold answers of each question."""
    metrics = {"exact_match": question_answering.exact_match, "f1": question_answering.f1}
    signature = f"mlqa_v1|lang:{language}|golds:all|xllm:{__version__}"
    scores = []
    for name, metric in metrics.items():
        values = [metric(row["prediction"], row.get("answers") or [row["output"]], language) for row in rows]
        scores.append(Score(name, sum(values) / len(values), len(rows), signature))
    return scores


# a loading script's TASK → its scores
TASKS = {"translation": translation, "qa": qa}
