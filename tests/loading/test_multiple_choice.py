"""Loading scripts of datasets with a closed set of answers: what they publish, and what is broken in it."""

import json
from collections import Counter

import pytest

from xllm import languages
from xllm.errors import XllmError
from xllm.mixture.load import load_mixture

STRINGS = ["id", "instruction", "input", "output", "from"]


LABEL_SETS = [  # term, split, rows, the language of the inputs, the labels of every row or None where each has its own
    ("xnli_en", "validation", 6, "en", ["Yes", "Maybe", "No"]),
    ("xnli_zh", "test", 9, "zh", ["Yes", "Maybe", "No"]),
    ("pawsx_en", "validation", 6, "en", ["Yes", "No"]),
    ("pawsx_zh", "test", 8, "zh", ["Yes", "No"]),
    ("xcopa_zh", "validation", 6, "zh", None),
    ("xcopa_zh", "test", 8, "zh", None),
    ("xwinograd_en", "test", 8, "en", None),
    ("xwinograd_zh", "test", 8, "zh", None),
    ("belebele_eng_Latn", "test", 6, "en", list("ABCD")),
    ("belebele_zh", "test", 6, "zh", list("ABCD")),
    ("mmlu_high_school_geography", "validation", 6, "en", list("ABCD")),
    ("mmlu_all", "test", 6, "en", list("ABCD")),
    ("ceval_middle_school_geography", "test", 6, "zh", list("ABCD")),
    ("ceval_all", "validation", 6, "zh", list("ABCD")),
]


@pytest.mark.parametrize(("term", "split", "count", "language", "labels"), LABEL_SETS)
def test_rows_of_a_closed_set_say_what_may_be_answered(sample, term, split, count, language, labels):
    mixture = load_mixture(term, split)
    rows = list(mixture)
    assert len(rows) == count and list(rows[0]) == [*STRINGS[:4], "labels", "from"]
    assert (mixture.terms[0].task, mixture.terms[0].language) == ("label", language)
    assert all(row["labels"] == (labels or row["labels"]) and len(set(row["labels"])) > 1 for row in rows)
    answered = [row["output"] in row["labels"] for row in rows]
    assert all(answered) if (term, split) != ("ceval_middle_school_geography", "test") else not any(answered)
    if labels is None:  # then they stand in the input
        assert all(f"\n- {label}" in row["input"] for row in rows for label in row["labels"])


def test_labels_and_answers_mix(sample):
    rows = list(load_mixture("xnli_en[:1]+xquad_en[:1]+translation_daily_en-zh[:1]+xcopa_zh[:1]", "test"))
    assert [set(row) - set(STRINGS) for row in rows] == [{"labels"}, {"answers"}, set(), {"labels"}]


@pytest.mark.parametrize(
    ("term", "block", "answer", "last"),
    [
        ("mmlu_all", "Question: ", "Answer: ", "Answer:"),
        ("ceval_all", "问题：", "答案：", "答案："),
    ],
)
def test_an_exam_s_question_is_the_last_block_after_five_examples(sample, term, block, answer, last):
    for row in load_mixture(term, "validation"):
        blocks = row["input"].split("\n\n")
        assert len(blocks) == 6 and all(text.startswith(block) for text in blocks)
        assert [text.split("\n")[-1] for text in blocks] == [f"{answer}{letter}" for letter in "BADCA"] + [last]
        assert [line[:3] for line in blocks[-1].split("\n")[1:5]] == ["A. ", "B. ", "C. ", "D. "]


def test_the_subject_of_an_exam_is_told_and_names_its_rows(sample):
    row = load_mixture("mmlu_all", "test")[0]
    assert (
        row["instruction"]
        == "Answer the last of these questions on high school geography with the letter of the right option."
    )
    assert row["id"] == "high_school_geography-0" and row["input"].endswith("D. Australia\nAnswer:")


def test_a_cause_and_an_effect_are_asked_for_in_different_words(sample):
    cause, effect = list(load_mixture("xcopa_zh", "test"))[:2]
    assert "cause" in cause["instruction"] and "follow" in effect["instruction"]
    assert cause["input"] == "Premise: 小猫跳上了餐桌。\n- 桌上放着一条鱼。\n- 桌子是木头做的。"
    assert cause["output"] == cause["labels"][0] and effect["output"] == effect["labels"][1]


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


XNLI_HEADER = "language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpairID\n"
PAWSX_HEADER = "id\tsentence1\tsentence2\tlabel\n"
COPA = {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 0, "changed": False}
WINO = {"sentence": "_ x", "option1": "a", "option2": "b", "answer": "2"}
BELE = {
    "flores_passage": "p",
    "question": "q",
    **{f"mc_answer{i}": f"o{i}" for i in range(1, 5)},
    "correct_answer_num": 4,
}
EXAM = "q,a,b,c,d,A\n"
CEVAL = "id,question,A,B,C,D"


@pytest.mark.parametrize(
    ("term", "split", "files", "inputs", "outputs"),
    [
        # XTREME's layouts, in CSV's quoting; test sets without answers
        (
            "xnli_el",
            "validation",
            {"xnli/dev-el.tsv": '"a ""b"""\tc\tneutral\r\n'},
            ['Premise: a "b"\nHypothesis: c'],
            ["Maybe"],
        ),
        ("xnli_el", "test", {"xnli/test-el.tsv": "a\tb\n"}, ["Premise: a\nHypothesis: b"], [""]),
        ("xnli_el", "train", {"xnli/train-el.tsv": "a\tb\tentailment\n"}, ["Premise: a\nHypothesis: b"], ["Yes"]),
        ("pawsx_ko", "test", {"pawsx/test-ko.tsv": "a\tb\t1\n"}, ["Sentence 1: a\nSentence 2: b"], ["Yes"]),
        # the official ones, where a quote is a quote
        (
            "xnli_ur",
            "test",
            {"xnli/xnli.test.tsv": XNLI_HEADER + 'ar\tneutral\t\tx\ty\t1\nur\tcontradiction\t\t"a" b\tc\t2\n'},
            ['Premise: "a" b\nHypothesis: c'],
            ["No"],
        ),
        (
            "xnli_sw",
            "train",
            {"xnli/multinli.train.sw.tsv": "premise\thypo\tlabel\na\tb\tcontradictory\n"},
            ["Premise: a\nHypothesis: b"],
            ["No"],
        ),
        (
            "pawsx_ja",
            "test",
            {"pawsx/ja/test_2k.tsv": PAWSX_HEADER + '1\t"a\tb\t0\n'},
            ['Sentence 1: "a\nSentence 2: b'],
            ["No"],
        ),
        (
            "pawsx_en",
            "train",
            {"pawsx/en/train.tsv": PAWSX_HEADER + "1\ta\tb\t1\n"},
            ["Sentence 1: a\nSentence 2: b"],
            ["Yes"],
        ),
        (
            "pawsx_fr",
            "train",
            {"pawsx/fr/translated_train.tsv": PAWSX_HEADER + "1\ta\tb\t1\n"},
            ["Sentence 1: a\nSentence 2: b"],
            ["Yes"],
        ),
        ("xcopa_qu", "test", {"xcopa/data/qu/test.qu.jsonl": json.dumps(COPA)}, ["Premise: p\n- a\n- b"], ["b"]),
        ("xwinograd_jp", "test", {"xwinograd/jp.jsonl": json.dumps(WINO)}, ["Sentence: _ x\n- a\n- b"], ["b"]),
        ("xwinograd_ja", "test", {"xwinograd/test/jp.jsonl": json.dumps(WINO)}, ["Sentence: _ x\n- a\n- b"], ["b"]),
        (
            "belebele_acm_Arab",
            "test",
            {"belebele/acm_Arab.jsonl": json.dumps(BELE)},
            ["Passage: p\nQuestion: q\nA. o1\nB. o2\nC. o3\nD. o4\nAnswer:"],
            ["D"],
        ),
        # a quoted field over several lines, of which blank ones would end a block
        (
            "mmlu_x",
            "validation",
            {"mmlu/data/dev/x_dev.csv": "", "mmlu/data/val/x_val.csv": '"q\n\n  r",a,b,c,d,C\n'},
            ["Question: q\n  r\nA. a\nB. b\nC. c\nD. d\nAnswer:"],
            ["C"],
        ),
        (
            "ceval_all",
            "test",
            {
                f"ceval/{p}/{s}_{p}.csv": f"{CEVAL},answer\n0,{s},a,b,c,d,{a}\n"
                for s in "yx"
                for p, a in (("dev", "A"), ("test", ""))
            },
            [f"问题：{s}\nA. a\nB. b\nC. c\nD. d\n答案：A\n\n问题：{s}\nA. a\nB. b\nC. c\nD. d\n答案：" for s in "xy"],
            ["", ""],
        ),
    ],
)
def test_published_layouts_are_read(root, term, split, files, inputs, outputs):
    write(root, files)
    rows = list(load_mixture(term, split))
    assert ([row["input"] for row in rows], [row["output"] for row in rows]) == (inputs, outputs)


@pytest.mark.parametrize(
    ("dataset", "accepted"),
    [
        ("xnli", "ar bg de el en es fr hi ru sw th tr ur vi zh"),
        ("pawsx", "de en es fr ja ko zh"),
        ("xcopa", "et ht id it qu sw ta th tr vi zh"),
        ("xwinograd", "en fr ja jp pt ru zh"),
    ],
)
def test_languages_are_those_of_the_set(root, dataset, accepted):
    for language in accepted.split():
        with pytest.raises(XllmError, match="raw file not found"):
            load_mixture(f"{dataset}_{language}", "test")
    with pytest.raises(
        XllmError, match=f"unknown language of {dataset} 'xx'; available: {accepted.replace(' ', ', ')}$"
    ):
        load_mixture(f"{dataset}_xx", "test")


@pytest.mark.parametrize(
    ("code", "language"),
    [("zho_Hant", "zh"), ("arb_Arab", "ar"), ("fuv_Latn", "ff"), ("npi_Latn", "ne"), ("si", "si"), ("ckb", "ckb")],
)
def test_belebele_has_a_language_code_for_every_flores_code(root, code, language):
    file = {"si": "sin_Sinh", "ckb": "ckb_Arab"}.get(code, code)
    write(root, {f"belebele/data/{file}.jsonl": json.dumps(BELE)})
    assert load_mixture(f"belebele_{code}", "test").terms[0].language == language
    assert languages.name(language)


TAB_ROW = "a\tb\tneutral\n"


@pytest.mark.parametrize(
    ("term", "files", "message"),
    [
        (
            "xnli_en",
            {"dev-en.tsv": TAB_ROW + "a\tb\tmaybe\n"},
            r"dev-en\.tsv, line 2: 'label' is 'maybe'; it must be one of entailment, neutral, ",
        ),
        (
            "xnli_en",
            {"dev-en.tsv": TAB_ROW + "a\tneutral\n"},
            r"dev-en\.tsv, line 2 has 2 fields, not 3: premise, hypothesis, label",
        ),
        (
            "xnli_en",
            {"dev-en.tsv": TAB_ROW + '"a\tb\tneutral\n' + TAB_ROW},
            r"dev-en\.tsv, line 2 can't be cut into fields: unexpected end",
        ),
        ("xnli_en", {"dev-en.tsv": ""}, "empty at 'xnli_en'"),
        (
            "xnli_en",
            {"xnli.dev.tsv": "language\tsentence1\tsentence2\nen\ta\tb\n"},
            r"line 1 names no column 'gold_label'; it names language, sentence1",
        ),
        (
            "xnli_en",
            {"xnli.dev.tsv": XNLI_HEADER + "en\tneutral\ta\n"},
            r"xnli\.dev\.tsv, line 2 has 3 fields, not 6: language, ",
        ),
        ("xnli_en", {"test-en.tsv": TAB_ROW}, "unknown split 'validation'; available: test"),
        (
            "pawsx_en",
            {"en/dev_2k.tsv": PAWSX_HEADER + "1\ta\tb\t\n"},
            r"dev_2k\.tsv, line 2: 'label' is ''; it must be one of 1, 0",
        ),
        (
            "xcopa_zh",
            {"val.zh.jsonl": json.dumps(COPA) + "\n" + json.dumps(COPA | {"label": 2})},
            r"val\.zh\.jsonl, row 2: 'label' is '2'; it must be one of 0, 1",
        ),
        (
            "xcopa_zh",
            {"val.zh.jsonl": json.dumps(COPA | {"question": "why"})},
            r"row 1: 'question' is 'why'; it must be one of cause, effect",
        ),
        (
            "xcopa_zh",
            {"val.zh.jsonl": json.dumps(COPA | {"premise": None})},
            r"val\.zh\.jsonl, row 1: 'premise' is null, not text",
        ),
        ("xcopa_zh", {"val.zh.jsonl": '{"premise": "p"}'}, r"val\.zh\.jsonl, row 1 has no 'choice1'"),
        (
            "xcopa_zh",
            {"val.zh.jsonl": json.dumps(COPA | {"choice2": "a"})},
            r"xcopa_zh: row 1: its labels are \['a', 'a'\]",
        ),
        (
            "mmlu_x",
            {"data/dev/x_dev.csv": EXAM, "data/val/x_val.csv": EXAM + "q,a,b,c,A\n"},
            r"x_val\.csv, line 2 has 5 fields, not 6: question, A, B",
        ),
        (
            "mmlu_x",
            {"data/dev/x_dev.csv": EXAM, "data/val/x_val.csv": "q,a,b,c,d,E\n"},
            r"x_val\.csv, line 1: 'answer' is 'E'; it must be one of A, B, C, D",
        ),
        (
            "mmlu_x",
            {"data/dev/x_dev.csv": "q,a,b,c,d,\n", "data/val/x_val.csv": EXAM},
            r"x_dev\.csv, line 1: 'answer' is ''",
        ),
        ("mmlu_x", {"data/val/x_val.csv": EXAM}, r"raw file not found: .*x_dev\.csv"),
        ("mmlu_y", {"data/val/xx_val.csv": EXAM}, "unknown subject of mmlu 'y'; available: all, xx"),
        ("mmlu_x", {}, r"raw file not found: .*x_dev\.csv .*hendrycks"),
        (
            "ceval_x",
            {"dev/x_dev.csv": f"{CEVAL},answer\n", "val/x_val.csv": f"{CEVAL}\n0,q,a,b,c,d\n"},
            r"x_val\.csv, line 1 names no column 'answer'",
        ),
    ],
)
def test_a_broken_row_of_a_closed_set_is_told_with_its_place(root, term, files, message):
    (root / term.split("_")[0]).mkdir()
    write(root / term.split("_")[0], files)
    with pytest.raises(XllmError, match=message) as error:
        load_mixture(term, "validation")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answer": "3"}, "row 1: 'answer' is '3'; it must be one of 1, 2"),
        ({"sentence": "x"}, r"row 1: 'sentence' has no gap \(_\): 'x'"),
        ({"option1": " "}, r"xwinograd_en: row 1: its labels are \['', 'b'\]"),
    ],
)
def test_a_broken_row_of_xwinograd_is_told(root, row, message):
    write(root, {"xwinograd/en.jsonl": json.dumps(WINO | row)})
    with pytest.raises(XllmError, match=message):
        load_mixture("xwinograd_en", "test")


@pytest.mark.real
def test_a_real_set_without_a_test_file_says_so(real):
    with pytest.raises(XllmError, match="xnli_zh: unknown split 'test'; available: validation"):
        load_mixture("xnli_zh", "test")
    labels = Counter(row["output"] for row in load_mixture("xnli_zh", "validation"))
    assert labels == {"Yes": 830, "Maybe": 830, "No": 830}
