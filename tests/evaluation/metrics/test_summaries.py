"""ROUGE and SARI, against published values and the library's own tokenizer."""

import pytest

from xllm.evaluation.metrics.rouge import rouge_1, rouge_2, rouge_l
from xllm.evaluation.metrics.sari import sari

ALL = [rouge_1, rouge_2, rouge_l]


def row(prediction: str, *answers: str, source: str = "") -> dict:
    return {
        "instruction": "",
        "input": source,
        "output": answers[0],
        "prediction": prediction,
        "answers": list(answers),
    }


def scored(metric, prediction: str, *answers: str, language: str = "en", source: str = "") -> float:
    [value], _ = metric([row(prediction, *answers, source=source)], language)
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


SOURCE = "About 95 species are currently accepted."
GOLDS = ("About 95 species are currently known.", "About 95 species are now accepted.", "95 species are now accepted.")


def test_sari_gives_the_values_that_evaluate_publishes():
    # the examples of its metrics "sari" and "wiki_split"
    assert scored(sari, "About 95 you now get in.", *GOLDS, source=SOURCE) == pytest.approx(26.953601953601954)
    first = GOLDS[0].replace(".", " .")
    one = scored(sari, "About 95 you now get in .", first, source=SOURCE.replace(".", " ."))
    assert one == pytest.approx(21.805555555555557)


def test_sari_rewards_what_references_did():
    perfect = scored(sari, GOLDS[0], GOLDS[0], source=SOURCE)
    copied = scored(sari, SOURCE, GOLDS[0], source=SOURCE)
    empty = scored(sari, "", GOLDS[0], source=SOURCE)
    assert perfect == 100 and perfect > copied > empty >= 0


def test_sari_cuts_by_the_language():
    chinese = {"source": "他们目前接受了大约九十五种物种。", "language": "zh"}
    assert 0 < scored(sari, "他们接受了大约九十五种。", "现在大约有九十五种物种。", **chinese) < 100
    _, signature = sari([row("好", "好", source="好")], "zh-Hant")
    assert "tok:zh" in signature and "case:lc" in signature and "sacrebleu:" in signature
