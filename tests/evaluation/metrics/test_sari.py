"""SARI, against what two published implementations define, on texts of all sorts."""

import json
import random

import pytest
from sacrebleu.metrics import BLEU

from xllm.evaluation import kinds
from xllm.evaluation.metrics.sari import sari
from xllm.files import read_json, write_jsonl

SOURCE = "About 95 species are currently accepted ."
GOLDS = (
    "About 95 species are currently known .",
    "About 95 species are now accepted .",
    "95 species are now accepted .",
)
WEATHER = "The weather is very good today ."
CHINESE = "他们目前接受了大约九十五种物种。"


def scored(prediction: str, *answers: str, source: str = "", language: str = "en") -> float:
    row = {"instruction": "", "input": source, "output": answers[0], "prediction": prediction, "answers": list(answers)}
    [value], _ = sari([row], language)
    return value


def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def share(part: float, whole: float) -> float:
    return part / whole if whole else 1


def harmonic(precision: float, recall: float) -> float:
    return 2 / (1 / precision + 1 / recall) if precision and recall else 0


def by_evaluate(source: list[str], prediction: list[str], golds: list[list[str]]) -> float:
    """What the metric "sari" of Hugging Face's `evaluate` defines, n-gram by n-gram."""
    total, times = 0.0, len(golds)
    for n in (1, 2, 3, 4):
        had, has = grams(source, n), grams(prediction, n)
        right = [gram for gold in golds for gram in grams(gold, n)]
        kept = dropped = kept_share = dropped_share = kept_right = to_keep = 0.0
        for gram in set(had):
            before, after, wanted = had.count(gram) * times, has.count(gram) * times, right.count(gram)
            stays, goes = min(before, after), max(before - after, 0)
            kept += stays > 0
            kept_share += min(stays, wanted) / stays if stays else 0
            kept_right += min(stays, wanted)
            to_keep += min(before, wanted)
            dropped += goes > 0
            dropped_share += max(goes - wanted, 0) / goes if goes else 0
        new, wished = set(has) - set(had), set(right) - set(had)
        total += harmonic(share(kept_share, kept), share(kept_right, to_keep))
        total += share(dropped_share, dropped)
        total += harmonic(share(len(new & wished), len(new)), share(len(new & wished), len(wished)))
    return 100 * total / 12


def by_tensor2tensor(source: list[str], prediction: list[str], golds: list[list[str]]) -> float:
    """What tensor2tensor's `sari_hook` defines: each n-gram counts once, and has the share of the references that hold
    it for a weight. Those too short for an n-gram are left out there, which this port doesn't need."""
    total = 0.0
    for n in (1, 2, 3, 4):
        had, has = set(grams(source, n)), set(grams(prediction, n))
        weight = {
            gram: sum(gram in grams(gold, n) for gold in golds) / len(golds)
            for gold in golds
            for gram in grams(gold, n)
        }
        kept = sum(weight.get(gram, 0) for gram in had & has)
        dropped = sum(max(1 - weight.get(gram, 0), 0) for gram in had - has)
        new, wished = has - had, set(weight) - had
        total += harmonic(share(kept, len(had & has)), share(kept, sum(weight.get(gram, 0) for gram in had)))
        total += share(dropped, len(had - has))
        total += harmonic(share(len(new & wished), len(new)), share(len(new & wished), len(wished)))
    return 100 * total / 12


@pytest.mark.parametrize(
    ("source", "prediction", "golds", "expected"),
    [
        # the examples of evaluate's metrics "sari" and "wiki_split"
        ("About 95 species are currently accepted.", "About 95 you now get in.", GOLDS, 26.953601953601954),
        (SOURCE, "About 95 you now get in .", GOLDS[:1], 21.805555555555557),
        (SOURCE, "About 95 species are now agreed .", GOLDS, 61.70965608465608),
        # evaluate takes an empty text for an empty word: one that nobody wanted was added (8.33 less), and kept of
        # nothing is nothing. Of what was deleted, 2/7, 4/6, 4/5 and 4/4 is right; nothing to add is there from n = 1 on
        (WEATHER, "", ["The weather is good ."], 100 * (2 / 7 + 4 / 6 + 4 / 5 + 1 + 0 + 0 + 1 + 0) / 12),
        (WEATHER, "", ["The weather is good ."], 31.26984126984127),
        (WEATHER, "", ["The weather is good .", ""], None),
        (WEATHER, "", [""], 100),
        (WEATHER, WEATHER, [""], None),
        ("", "", [""], 100),
        ("", "", ["Good ."], None),
        ("", "Good .", ["Good ."], 100),
        ("", "Good .", [""], None),
        ("Good", "Good", ["Good"], 100),
        ("Good", "Bad", ["Fair"], None),
        ("Good", "good", ["GOOD"], 100),  # case is none
        ("a a a b", "a b b", ["a a b", "b", "a b c a b"], None),
        (WEATHER, "   ", ["The weather is good ."], 31.26984126984127),
        (WEATHER, "The  weather\tis good.", ["The weather is good ."], 100),
    ],
)
def test_sari_is_that_of_evaluate(source, prediction, golds, expected):
    cut = BLEU(tokenize="13a").tokenizer
    words = [cut(text.lower()).split(" ") for text in (source, prediction, *golds)]
    assert scored(prediction, *golds, source=source) == pytest.approx(by_evaluate(words[0], words[1], words[2:]))
    if expected is not None:
        assert scored(prediction, *golds, source=source) == pytest.approx(expected)


def test_random_texts_score_as_two_published_implementations_define():
    draw, exact = random.Random(5), 0
    for _ in range(600):
        few = draw.random() < 0.5  # words, which then come again and again

        def text(least: int = 0, few: bool = few) -> list[str]:
            words = "a b c d" if few else "a b c d e f g h i j k l m n o p"
            size = draw.randint(least, 12)
            return draw.choices(words.split(), k=size) if few else draw.sample(words.split(), k=size)

        source, prediction, golds = text(), text(), [text(4) for _ in range(draw.randint(1, 4))]
        if few:
            golds += [text()]
        found = scored(" ".join(prediction), *map(" ".join, golds), source=" ".join(source))
        assert found == pytest.approx(by_evaluate(source or [""], prediction or [""], [own or [""] for own in golds]))
        if not few and source and prediction:  # tensor2tensor's has each word once, and no empty texts
            exact += 1
            assert found == pytest.approx(by_tensor2tensor(source, prediction, golds))
    assert exact > 100


@pytest.mark.parametrize(
    ("language", "tokenizer", "texts"),
    [
        ("zh", "zh", [CHINESE, "他们接受了大约九十五种。", "现在大约有九十五种物种。", "大约 95 种"]),
        ("zh-Hant", "zh", [CHINESE, "", "現在大約有九十五種物種。"]),
        ("th", "char", ["วันนี้อากาศดีมาก", "อากาศดี", "วันนี้อากาศดี", "ดี"]),
        ("ja", "ja-mecab", ["今日はとても良い天気ですね。", "", "今日は良い天気です。"]),
    ],
)
def test_sari_cuts_by_the_language(language, tokenizer, texts):
    cut = BLEU(tokenize=tokenizer).tokenizer
    source, prediction, *golds = [cut(text).split() or [""] for text in texts]
    found = scored(texts[1], *texts[2:], source=texts[0], language=language)
    assert found == pytest.approx(by_evaluate(source, prediction, golds)) and 0 < found < 100
    _, signature = sari([{"input": "", "output": "好", "prediction": "好"}], language)
    assert f"tok:{tokenizer}" in signature and "case:lc" in signature and "sacrebleu:" in signature


def test_sari_rewards_what_references_did():
    perfect = scored(GOLDS[0], GOLDS[0], source=SOURCE)
    copied = scored(SOURCE, GOLDS[0], source=SOURCE)
    empty = scored("", GOLDS[0], source=SOURCE)
    assert perfect == 100 and perfect > copied > empty >= 0


OUTPUT = ["它很好。", "“它”很好，it's [good]。"]


@pytest.mark.parametrize("task", ["simplification", "summary"])
@pytest.mark.parametrize(
    ("text", "golds"),
    [
        (str(OUTPUT), OUTPUT),  # as the reference's loading script writes MCTS
        (json.dumps(OUTPUT), OUTPUT),
        (json.dumps(OUTPUT, ensure_ascii=False, indent=1), OUTPUT),
        (f" {OUTPUT}\n", OUTPUT),
        ("['它很好。'\n '它好。']", ["它很好。", "它好。"]),  # as numpy writes an array
        (r"['C:\dir', 'b']", [r"C:\dir", "b"]),
        (r'["a\/b"]', ["a/b"]),
        ("['它很好。']", ["它很好。"]),
        # texts that only look like a list of texts
        *((text, [text]) for text in ("[1, 2]", "['a', 1]", "[['a']]", "['a'", "['a']。", "[a]", "[x for x in 'ab']")),
        *((text, [text]) for text in ("[]", "['a' + 'b']", "[f'a']", "[b'a']", "['a']['b']", "[" * 9999 + "]" * 9999)),
    ],
)
def test_a_list_in_a_text_is_several_references_to_a_simplification(cli, tmp_path, task, text, golds):
    rows = [{"id": "1", "input": "它非常好。", "output": text, "prediction": golds[-1]}]
    write_jsonl(tmp_path / "theirs.jsonl", rows)
    [own] = kinds.read(tmp_path / "theirs.jsonl", task, "zh")
    [row] = own.rows
    assert (row.get("answers") or [row["output"]]) == (golds if task == "simplification" else [text])
    if text == str(OUTPUT) and task == "simplification":
        assert cli("evaluate", tmp_path / "theirs.jsonl", "--task", task, "--lang", "zh").code == 0
        found = {row["metric"]: row["value"] for row in read_json(tmp_path / "theirs.metrics.json")}
        cut = BLEU(tokenize="zh").tokenizer
        words = [cut(text).split() for text in ("它非常好。", golds[-1], *golds)]
        assert found["SARI"] == pytest.approx(by_evaluate(words[0], words[1], words[2:]))
        assert found["BLEU"] == pytest.approx(100)
