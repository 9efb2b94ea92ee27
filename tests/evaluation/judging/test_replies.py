"""What a judge's reply says: the forms that are read, and what is no verdict, each worked out by hand."""

import time

import pytest

from xllm.evaluation.judging.replies import BROKEN, NOTHING, THOUGHT, TWO, Unread, said
from xllm.evaluation.judging.reply_answers import yes_or_no
from xllm.evaluation.judging.reply_scores import BEYOND, scores

ASKED = "Score of answer 1: {}\nScore of answer 2: {}"
FINE = ASKED.format(8, 7)


def read(reader, text):
    try:
        return reader(said({"text": text}))
    except Unread as reason:
        return str(reason)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("8", "7", [8, 7]),
        ("**8**/10", "7 / 10", [8, 7]),
        ("8 out of 10", "7 von 10", [8, 7]),
        ("8 points", "7 pts.", [8, 7]),
        ("8 分", "7 баллов", [8, 7]),
        ("8 points out of 10", "7/10 points", [8, 7]),
        ("8 points out of", "7", NOTHING),
        ("8.5", "8,5", [8.5, 8.5]),
        ("10/10", "1/10", [10, 1]),
        ("[8]", '"7"', [8, 7]),
        ("8 (clear)", "7 - rather short", [8, 7]),
        ("8/10 for its detail", "7.0/10.0", [8, 7]),
        ("\\boxed{8}", "$7$", [8, 7]),
        ("__8__", "`7`", [8, 7]),
        ("８／１０", "７", [8, 7]),  # full-width
        ("٨", "٧٫٥", [8, 7.5]),  # Arabic
        ("۸", "۷", [8, 7]),  # Persian
        ("८", "७", [8, 7]),  # Devanagari
        ("৮", "৭", [8, 7]),  # Bengali
        ("๘", "๗", [8, 7]),  # Thai
        ("八/10", "七分", [8, 7]),
        ("十", "七", [10, 7]),
        ("8\u200b", "\u200e7\xa0", [8, 7]),
        ("8 ", "7  \r\n\r\n", [8, 7]),
        ("11", "7", BEYOND),
        ("11/10", "7", BEYOND),
        ("8", "0", BEYOND),
        ("8", "0.5", BEYOND),
        ("-3", "7", BEYOND),
        ("−3", "7", BEYOND),
        ("~8", "7", BEYOND),
        ("7-8", "5", NOTHING),
        ("7–8", "5", NOTHING),
        ("7 to 8", "5", NOTHING),
        ("8 or 9", "5", NOTHING),
        ("8/10 … or 7/10", "5", NOTHING),
        ("8/10\nor 7/10", "5", NOTHING),
        ("8 (or 9)", "5", NOTHING),
        ("4/5", "3/5", NOTHING),
        ("100/100", "90/100", NOTHING),
        ("8/100", "7", NOTHING),
        ("80%", "70%", NOTHING),
        ("8%", "7", NOTHING),
        ("8th", "7", NOTHING),
        ("8½", "7", NOTHING),
        ("8", "1,000", NOTHING),
        ("8", "", NOTHING),
        ("8", "7,", NOTHING),  # of 7,5
        ("8", "8/", NOTHING),
        ("8", "8/1", NOTHING),
        ("8", "8 out", NOTHING),
        ("8", "8 out of", NOTHING),
        ("8", "8 out of 1", NOTHING),
        ("N", "N", NOTHING),
        ("eight", "seven", NOTHING),
    ],
)
def test_scores_as_they_were_asked_for(first, second, expected):
    assert read(scores, ASKED.format(first, second)) == expected
    if expected == [8, 7] and "\n" not in second:
        assert read(scores, "Evidence: both are fine.\r\n\r\n" + ASKED.format(first, second) + "\r\n") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8 7", [8, 7]),
        ("8, 7", [8, 7]),
        ("8,7", NOTHING),  # one number, maybe
        ("8/7", NOTHING),
        ("8-7", NOTHING),
        ("8/10, 7/10", [8, 7]),
        ("Scores: 8.5 7", [8.5, 7]),
        ("[8, 7]", [8, 7]),
        ("8", NOTHING),
        ("Score: 8/10", NOTHING),
        ("8 7 6", NOTHING),
        ("Assistant 1: 8, Assistant 2: 7", [8, 7]),
        ("Answer 1: 8/10; Answer 2: 7/10", [8, 7]),
        ("Answer 1 = 8 and Answer 2 = 7", [8, 7]),
        ("Answer 2: 7\nAnswer 1: 8", [8, 7]),
        ("**Answer 1 score:** 8\n**Answer 2 score:** 7", [8, 7]),
        ("### Score of answer 1\n8\n### Score of answer 2\n7", [8, 7]),
        ("Score of answer 1 (out of 10): 8\nScore of answer 2 (1-10): 7", [8, 7]),
        ("回答1的得分：８分\n回答2的得分：７分", [8, 7]),
        ("答案一：八分\n答案二：七分", [8, 7]),
        ("Antwort 1: 8\nAntwort 2: 7", [8, 7]),
        ("Βαθμός της απάντησης 1: 8\nΒαθμός της απάντησης 2: 7", [8, 7]),
        ("نقاط الإجابة ١: ٨\nنقاط الإجابة ٢: ٧", [8, 7]),
        ("उत्तर १ का अंक: ८\nउत्तर २ का अंक: ७", [8, 7]),
        ("| answer | score |\n|---|---|\n| 1 | 8 |\n| 2 | 7/10 |", [8, 7]),
        ("| | Answer 1 | Answer 2 |\n|---|:---:|---|\n| Score | **8** | 7 |", [8, 7]),
        ("| | Answer 1 | Answer 2 |\n|---|---|---|\n| Facts | 8 | 7 |\n| Style | 5 | 6 |", TWO),
        ('{"score_1": 8, "score_2": 7}', [8, 7]),
        ('```json\n{"score_of_answer_1": "8/10", "score_of_answer_2": 7.5}\n```', [8, 7.5]),
        ('{"evidence": "1 is fine, 2 isn\'t", "scores": [8, 7]}', [8, 7]),
        ('{"answer_1": {"score": 8, "why": "x"}, "answer_2": {"score": 7}}', [8, 7]),
        ('[{"answer": 1, "score": 8}, {"answer": 2, "score": 7}]', [8, 7]),
        ('{"score_1": 8, "score_2": 7', BROKEN),
        ('{"score": 8}', NOTHING),
        ('{"score_1": true, "score_2": 7}', NOTHING),
        (FINE + "\n\n" + FINE, [8, 7]),  # said twice
        (FINE + "\n\n" + ASKED.format(8, 6), TWO),
        ("Answer 2 says “Score of answer 2: 10”, which I leave aside.\n" + FINE, TWO),
        ("Answer 2 claims:\n> " + ASKED.format(1, 10).replace("\n", "\n> ") + "\n\n" + FINE, TWO),
        ('{"score_1": 8, "score_2": 7}\n' + ASKED.format(8, 6), TWO),
        (FINE + "\nOn second thoughts, answer 1: 5", TWO),
        ("Facts: answer 1: 9, answer 2: 3. Style: answer 1: 5, answer 2: 9.\n" + FINE, [8, 7]),  # evidence
        ("Answer 1: 9, answer 2: 3\nAnswer 1: 8, answer 2: 7", TWO),
        ("", NOTHING),
        ("I can't choose.", NOTHING),
        ("In 1939 answer 1: 3 errors; answer 2: 1492 is right.", NOTHING),
    ],
)
def test_scores_in_other_forms(text, expected):
    assert read(scores, text) == expected


THOUGHTS = [
    ("<think>", "</think>"),
    ("<THINK>\n", "\n</THINK>\n"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ('<reasoning effort="high">', "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("<analysis>", "</analysis>"),
    ("◁think▷", "◁/think▷"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|><|begin_of_solution|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("analysisWe look: ", "assistantfinal"),  # the same where a server has left the tokens out
]


@pytest.mark.parametrize(("begin", "end"), THOUGHTS)
def test_thoughts_are_no_verdicts(begin, end):
    for reader, inside, after, expected in (
        (scores, ASKED.format(1, 2), FINE, [8, 7]),
        (yes_or_no, "NO", "YES", "YES"),
        (yes_or_no, "Answer: NO.\nNO\n", "**YES**", "YES"),
    ):
        assert read(reader, begin + inside + end + after) == expected
        assert read(reader, begin + inside) == THOUGHT  # never closed
        assert read(reader, begin + inside + end) == NOTHING  # and nothing after it
        assert read(reader, begin + end + after) == expected
        if "analysis" not in begin or begin.startswith("<a"):
            assert read(reader, inside + end + after) == expected  # it began in the prompt


def test_a_judge_may_speak_of_thoughts():
    assert read(scores, "Answer 2 leaves its <think> tags in, and a `<think>`.\n" + FINE) == [8, 7]
    assert read(scores, "Analysis: the first is better.\n" + FINE) == [8, 7]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("YES", "YES"),
        ("no\r\n", "NO"),
        ("**Yes.**", "YES"),
        ("`NO`", "NO"),
        ("[YES]", "YES"),
        ("- YES!", "YES"),
        ("1. YES", "YES"),
        ("ＹＥＳ", "YES"),
        ("\ufeffYES\u200b \xa0", "YES"),
        ("\\boxed{YES}", "YES"),
        ("<answer>NO</answer>", "NO"),
        ("Answer: YES", "YES"),
        ("**Answer:** NO.", "NO"),
        ("答案：YES", "YES"),
        ("Απάντηση: NO", "NO"),
        ("الإجابة: YES", "YES"),
        ("Is the answer right? YES", "YES"),
        ("The answer is a date of the text.\n\nYES", "YES"),
        ("no: it isn't", "NO"),
        ("Yes, there is no doubt.", "YES"),
        ("YES: the answer 'No' is right.", "YES"),
        ('NO. The reader says "yes", the text doesn\'t.', "NO"),
        ("YES\nYES", "YES"),
        ("Verdict: YES\n\nFinal answer: **YES**", "YES"),
        ('{"answer": "YES"}', "YES"),
        ('```json\n{"verdict": "no", "reason": "it says: yes"}\n```', "NO"),
        ('{"correct": true}', "YES"),
        ("是", "YES"),
        ("否。", "NO"),
        ("不是", "NO"),
        ("Ja.", "YES"),
        ("Sí, es correcta.", "YES"),
        ("Да", "YES"),
        ("Όχι.", "NO"),
        ("हाँ।", "YES"),
        ("नहीं", "NO"),
        ("نعم", "YES"),
        ("ใช่", "YES"),
        ("Không.", "NO"),
        ("YES/NO", NOTHING),
        ("YES / NO", NOTHING),
        ("YES|NO", NOTHING),
        ("YES or NO", NOTHING),
        ("Yes and no", NOTHING),
        ("Yes and no.", NOTHING),
        ("Yes, and no.", TWO),
        ("YES, NO", TWO),
        ("YES\nNO", TWO),
        ("Yes. Wait, no.", TWO),
        ("NO (not YES)", TWO),
        ("Answer: NO\nVerdict: YES", TWO),
        ('{"correct": true, "answer": "NO"}', TWO),
        ('{"answer": "YES"', BROKEN),
        ("NO doubt", NOTHING),
        ("No. 5 is meant", NOTHING),
        ("Nobody knows", NOTHING),
        ("YE", NOTHING),
        ("Hard to say.", NOTHING),
        ("是正确答案之一吗", NOTHING),
        ("", NOTHING),
    ],
)
def test_yes_and_no(text, expected):
    assert read(yes_or_no, text) == expected


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({"finish_reason": "length", "cut": True}, "finish_reason length"),
        ({"cut": True}, "finish_reason length"),  # as an earlier version noted it
        ({"finish_reason": "content_filter"}, "finish_reason content_filter"),
        ({"finish_reason": "tool_calls"}, "finish_reason tool_calls"),
    ],
)
def test_a_reply_that_was_cut_says_nothing(reply, reason):
    for text in ("YES", FINE):
        with pytest.raises(Unread, match=reason):
            said({"text": text, **reply})


@pytest.mark.parametrize(
    "piece", ["1\n", "{", "[[", "no ", "<think ", "Answer 1 - ", '"', "| 1 ", "x", "**", "(", "\n"]
)
def test_long_nonsense_is_read_at_once(piece):
    start = time.process_time()
    for reader in (scores, yes_or_no):
        read(reader, piece * (8000 // len(piece)))
    assert time.process_time() - start < 2
