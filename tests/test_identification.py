"""Whether a text is in the language that it should be in: what tells, and what doesn't."""

import time

import pytest

from xllm.identification import NEAR, told
from xllm.languages import identifiable

NORWEGIAN = "Jeg skal ikke gjøre noe galt i morgen, sa hun og lo."
CHINESE = "今天天气很好，我们一起去公园散步吧。"
HINDI = "यह एक किताब है"
URDU = "یہ ایک کتاب ہے"
LONG_SPANISH = (
    "El perro corre por el jardín mientras los niños juegan con la pelota que les regaló su abuela la semana pasada, "
    "y nadie se ha dado cuenta todavía de que empieza a llover sobre las mesas."
)


@pytest.mark.parametrize(
    ("text", "expected", "found"),
    [
        # another script, however short
        ("是", "en", "zh"),
        ("Παρίσι", "en", "el"),
        ("Привет", "zh", "ru"),
        ("the house", "zh", "en"),
        ("The capital is Paris.", "el", "en"),
        ("THE WEATHER IS FINE TODAY, LET US TAKE A WALK.", "zh", "en"),
        (URDU, "hi", "ur"),
        (HINDI, "ur", "hi"),
        ("二人用のテーブルを予約したいのですが。", "zh", "ja"),
        (CHINESE, "ko", "zh"),
        ("The city is 北京, as it is the capital of China", "zh", "en"),
        # the same script, and enough words
        (NORWEGIAN, "en", "no"),
        ("Das Wetter ist heute wirklich sehr schön geworden.", "en", "de"),
        (LONG_SPANISH, "pt", "es"),
        # right
        ("αμφίπλευρων", "el", "el"),
        ("IBM 现任 CEO 是 Arvind Krishna。", "zh", "zh"),
        ("又大又硬的纤毛", "zh", "zh"),
        (CHINESE, "yue", "yue"),
        (CHINESE, "zh-Hant", "zh"),
        (NORWEGIAN, "nb", "nb"),
        ("Ovo je dobar dan za sve nas", "sr", "sr"),  # Serbian has two scripts
        ("Ово је добар дан за све нас", "sr", "sr"),
        (LONG_SPANISH, "es", "es"),
        # a few words of one of two that are alike
        ("प्रत्येक राज्य", "hi", None),
        ("La variable no está inicializada", "es", None),
        ("Jeg har en hund", "sv", None),
        ("كتاب جديد", "fa", None),
        ("Привет, как дела у тебя", "uk", None),
        ("今天天气很好", "ja", None),
        # what is at home in all languages
        ("", "zh", None),
        ("42", "zh", None),
        ("3.14 × 10⁸ %", "hi", None),
        ("OK", "zh", None),
        ("et al.", "zh", None),
        ("Homo sapiens sapiens", "zh", None),
        ("van der Waals", "ru", None),
        ("π", "en", None),
        ("Paris", "el", None),
        ("Wojciech Bogusławski", "el", None),
        ("Tesla Electric Light & Manufacturing", "vi", None),
        ("Brown v. Board of Education of Topeka", "hi", None),
        ("ABC DEF GHI JKL MNO", "zh", None),
        ("https://example.com/the/old/house/of/cards", "zh", None),
        ("someone.and.another@mail.example.org", "hi", None),
        ("/usr/share/some/path/to/a/file.txt", "zh", None),
        ("SELECT name FROM customers WHERE city = 'Rome';", "de", None),
        ("```python\nfor word in the_list:\n    print(word)\n```", "zh", None),
        ("def total(values):\n    return sum(values)", "de", None),
        ("`git commit --amend --no-edit`", "tr", None),
        ("<div class='a'><p></p></div>", "ru", None),
        ("near Millingen aan de Rijn", "en", None),
        ("“ありがとう”是日语的谢谢", "zh", None),  # a word is quoted
    ],
)
def test_what_a_text_tells_of_its_language(text, expected, found):
    assert told(text, expected) == found


def test_languages_that_are_alike_are_languages():
    for group in NEAR:
        assert len(group) > 1 and sum(map(identifiable, group)) > 1


@pytest.mark.parametrize(
    "piece", ["x", "a ", "a@", "`", "/a", "a.b", "<a", "_", "1", "a(", "aB", "-", "a-", "a\n", "的a"]
)
def test_long_nonsense_is_told_at_once(piece):
    start = time.process_time()
    told(piece * (9000 // len(piece)), "zh")
    assert time.process_time() - start < 1
