"""ROUGE, against the library's own tokenizer."""

import pytest

from xllm.evaluation.metrics.rouge import rouge_1, rouge_2, rouge_l

ALL = [rouge_1, rouge_2, rouge_l]


def row(prediction: str, *answers: str) -> dict:
    return {
        "instruction": "",
        "input": "",
        "output": answers[0],
        "prediction": prediction,
        "answers": list(answers),
    }


def scored(metric, prediction: str, *answers: str) -> float:
    [value], _ = metric([row(prediction, *answers)], "en")
    return value


@pytest.mark.parametrize(
    "prediction, gold, expected",
    [
        ("the cat sat on the mat", "the cat lay on the mat", (5 / 6, 3 / 5, 5 / 6)),
        ("今天天气很好", "今天天气好。", (10 / 11, 6 / 9, 10 / 11)),  # a character is a word, punctuation is none
        ("สวัสดี", "สวัส", (6 / 7, 4 / 5, 6 / 7)),  # a vowel sign is one with its letter
        ("использует GPT-4", "Использует GPT 4!", (1, 1, 1)),
        ("हिन्दी में", "हिन्दी का", (1 / 2, 0, 1 / 2)),  # a vowel sign doesn't end a word
        ("한국어 요약", "한국어 번역", (1 / 2, 0, 1 / 2)),
        ("用GPT4写", "用 GPT4 写。", (1, 1, 1)),
        ("コーヒー", "コーヒー", (1, 1, 1)),
        ("", "a summary", (0, 0, 0)),
        ("。！", "摘要", (0, 0, 0)),
    ],
)
def test_rouge_of_awkward_cases(prediction, gold, expected):
    assert [scored(metric, prediction, gold) for metric in ALL] == pytest.approx([100 * value for value in expected])


def test_rouge_of_plain_english_is_the_library_s():
    from rouge_score.rouge_scorer import RougeScorer

    texts = [
        ("Police killed the gunman.", "The gunman was shot dead by the police, 2 days later."),
        ("a b c d e f", "f e d c b a"),
        ("nothing shared", "at all"),
    ]
    for kind, metric in zip(("rouge1", "rouge2", "rougeL"), ALL, strict=True):
        library = RougeScorer([kind])
        assert [scored(metric, *pair) for pair in texts] == pytest.approx(
            [100 * library.score(gold, prediction)[kind].fmeasure for prediction, gold in texts]
        )


def test_rouge_takes_the_best_reference_and_says_how_it_cut():
    assert scored(rouge_1, "a b", "c d", "a b") == 100
    _, signature = rouge_l([row("a", "a")], "zh")
    assert "tok:words+char" in signature and "rouge-score:0." in signature
    [value], _ = rouge_1([{"input": "", "output": "a", "prediction": "a"}], "en")  # a row with one answer
    assert value == 100
