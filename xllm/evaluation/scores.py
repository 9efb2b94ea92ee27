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


def label(rows: list[dict], language: str) -> list[Score]:
    """The share of right labels: of the answers as they were written, or of the likeliest labels, by the sum of their
    tokens' log-probabilities, and by what that is for each token and for each byte. Rows whose right label isn't
    published are left out."""
    rows = [row for row in rows if row["output"]]
    if not rows:
        return []
    found = {"accuracy": [row["prediction"].strip() for row in rows]}
    if any("label_scores" in row for row in rows):  # a row that failed has none
        for measure in ("per_token", "per_byte"):
            found[f"accuracy_{measure}"] = [_likeliest(row.get("label_scores", {}), measure) for row in rows]
    signature = f"exact|case:mixed|xllm:{__version__}"
    return [
        Score(
            name,
            100 * sum(answer == row["output"] for answer, row in zip(answers, rows, strict=True)) / len(rows),
            len(rows),
            signature,
        )
        for name, answers in found.items()
    ]


def _likeliest(scores: dict[str, dict[str, float]], measure: str) -> str:
    return max(scores, key=lambda text: scores[text][measure], default="")


# a loading script's TASK → its scores
TASKS = {"translation": translation, "qa": qa, "label": label}
