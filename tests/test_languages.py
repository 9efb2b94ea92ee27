"""Names, scripts and segmentation of languages."""

import unicodedata

import pytest
import regex
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from xllm import languages
from xllm.chat.tabs.browse_rows import TOKENS
from xllm.errors import XllmError
from xllm.evaluation.metrics.question_answering import normalise
from xllm.evaluation.metrics.rouge import Words
from xllm.evaluation.metrics.translation import TOKENIZERS

IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("el", "Greek"),
        ("zh", "Chinese"),
        ("ar", "Arabic"),
        ("hi", "Hindi"),
        ("sw", "Swahili"),
        ("zh-Hant", "Traditional Chinese"),
        ("zho_Hans", "Simplified Chinese"),
        ("cmn", "Chinese"),
        ("ell_Grek", "Greek"),
        ("sr-Latn", "Serbian (Latin)"),
        ("nan_Latn", "Min Nan Chinese (Latin)"),
        ("kor_Hang", "Korean"),
    ],
)
def test_languages_have_the_names_that_people_use(code, name):
    assert languages.name(code) == name


@pytest.mark.parametrize("code", Locale("en").languages)
def test_every_language_of_the_cldr_has_its_name_and_a_tokenizer(code):
    assert languages.name(code)
    assert languages.bleu_tokenizer(code) in TOKENIZERS
    languages.check(code)


def test_an_unknown_code_is_refused():
    with pytest.raises(XllmError, match="unknown language code 'qq'"):
        languages.name("qq")
    with pytest.raises(XllmError, match="unknown language code 'qq'"):
        languages.check("qq")


def test_an_unknown_script_is_refused():
    with pytest.raises(XllmError, match="unknown script 'Abcd'"):
        languages.name("sr-Abcd")


def test_a_code_without_a_name_but_with_a_script_can_be_scored():
    languages.check("cdo")


# ISO 639-3's zho, what it comes from, and the codes and tags of the whole
SINITIC = [
    "zh",
    "zho",
    "chi",
    "cmn",
    "yue",
    "nan",
    "hak",
    "gan",
    "hsn",
    "wuu",
    "cdo",
    "cjy",
    "cnp",
    "cpx",
    "csp",
    "czh",
]
SINITIC += ["czo", "hnm", "luh", "lzh", "mnp", "sjc", "ltc", "och", "zhx"]


@pytest.mark.parametrize("code", SINITIC)
@pytest.mark.parametrize("spelling", ["{}", "{}-Hans", "{}_Hans", "{}_Hant", "{}-Hant-HK", "{}_Hani", "{}-CN", "{}-TW"])
def test_every_sinitic_language_is_tokenized_as_chinese(code, spelling):
    spelled = spelling.format(code)
    for written in (spelled, spelled.upper(), spelled.lower()):
        assert languages.bleu_tokenizer(written) == "zh"
        assert languages.identifiable(written)


@pytest.mark.parametrize(
    ("code", "tokenizer"),
    [
        ("zh-yue", "zh"),
        ("zh-cmn-Hans-CN", "zh"),
        ("nan-Latn", "13a"),
        ("nan_Latn", "13a"),
        ("zh-Latn", "13a"),
        ("ja", "ja-mecab"),
        ("jpn_Jpan", "ja-mecab"),
        ("ja-Latn", "13a"),
        ("ko", "ko-mecab"),
        ("kor_Hang", "ko-mecab"),
        ("th", "char"),
        ("tha_Thai", "char"),
        ("lao_Laoo", "char"),
        ("khm_Khmr", "char"),
        ("mya_Mymr", "char"),
        ("shn", "char"),
        ("bod_Tibt", "char"),
        ("dzo_Tibt", "char"),
        ("ii", "char"),
        ("jv", "13a"),
        ("jv-Java", "char"),
        ("el", "13a"),
        ("hin_Deva", "13a"),
        ("arb_Arab", "13a"),
        ("vie_Latn", "13a"),
        ("qq", "13a"),
        ("de-Latf", "13a"),
    ],
)
def test_bleu_is_tokenized_by_script(code, tokenizer):
    assert languages.bleu_tokenizer(code) == tokenizer


@pytest.mark.parametrize(("code", "short"), [("zho", "zh"), ("arb", "ar"), ("npi", "ne"), ("ckb", "ckb"), ("zh", "zh")])
def test_a_language_has_one_code_in_use(code, short):
    assert languages.short(code) == short


# language, text, and its units with | between them
TEXTS = [
    ("fr", "naïve Café", "naïve|Café"),
    ("el", "Ελληνικά κείμενα", "Ελληνικά|κείμενα"),
    ("ru", "Русский язык", "Русский|язык"),
    ("hy", "Հայերեն լեզու", "Հայերեն|լեզու"),
    ("ka", "ქართული ენა", "ქართული|ენა"),
    ("ar", "كِتَابٌ جديد", "كِتَابٌ|جديد"),
    ("he", "עִבְרִית שפה", "עִבְרִית|שפה"),
    ("fa", "می\u200cروم", "میروم"),  # the zero width non-joiner ends no word
    ("dv", "ދިވެހި ބަސް", "ދިވެހި|ބަސް"),
    ("hi", "हिन्दी भाषा", "हिन्दी|भाषा"),
    ("bn", "বাংলা ভাষা", "বাংলা|ভাষা"),
    ("ta", "தமிழ் மொழி", "தமிழ்|மொழி"),
    ("si", "ශ්\u200dරී ලංකා", "ශ්රී|ලංකා"),  # nor does the joiner
    ("am", "አማርኛ፡ቋንቋ", "አማርኛ|ቋንቋ"),  # the Ethiopic word space
    ("mn-Mong", "ᠮᠣᠩᠭᠣᠯ ᠬᠡᠯᠡ", "ᠮᠣᠩᠭᠣᠯ|ᠬᠡᠯᠡ"),
    ("ff-Adlm", "𞤀𞤣𞤤𞤢𞤥 𞤆𞤵𞤤𞤢𞤪", "𞤀𞤣𞤤𞤢𞤥|𞤆𞤵𞤤𞤢𞤪"),
    ("chr", "ᏣᎳᎩ ᎦᏬᏂ", "ᏣᎳᎩ|ᎦᏬᏂ"),
    ("ko", "한국어 문장", "한국어|문장"),
    ("zh", "在2020年 NFL", "在|2020|年|NFL"),
    ("yue", "佢哋冇嘢食", "佢|哋|冇|嘢|食"),
    ("ja", "日本語のテスト", "日|本|語|の|テ|ス|ト"),
    ("ja", "コーヒー", "コ|ー|ヒ|ー"),
    ("ja", "か\u3099く", "か\u3099|く"),  # a voicing mark stays with its letter
    ("ja", "ｶﾞｷﾞ ｶﾅ", "ｶﾞ|ｷﾞ|ｶ|ﾅ"),
    ("ja", "人々", "人|々"),
    ("lzh", "𠮷𪚥", "𠮷|𪚥"),  # beyond the first plane
    ("nan-Bopo", "ㄓㄨㄧㄣ", "ㄓ|ㄨ|ㄧ|ㄣ"),
    ("th", "ภาษาไทย", "ภ|า|ษ|า|ไ|ท|ย"),
    ("th", "แม่น้ำ", "แ|ม่|น้ำ"),
    ("th", "ปี ๒๕๐๐", "ปี|๒๕๐๐"),
    ("lo", "ພາສາລາວ ມື້", "ພ|າ|ສ|າ|ລ|າ|ວ|ມື້"),
    ("km", "ភាសាខ្មែរ", "ភា|សា|ខ្មែ|រ"),
    ("my", "မြန်မာ", "မြ|န်|မ|ာ"),
    ("bo", "བོད་སྐད་ཡིན", "བོད|སྐད|ཡིན"),  # tsheg ends a syllable
    ("ii", "ꆈꌠꉙ", "ꆈ|ꌠ|ꉙ"),
    ("tdd", "ᥖᥭᥰᥖᥬᥲ", "ᥖ|ᥭ|ᥰ|ᥖ|ᥬ|ᥲ"),
    ("ban-Bali", "ᬪᬵᬲᬩᬮᬶ", "ᬪᬵ|ᬲ|ᬩ|ᬮᬶ"),
    ("jv-Java", "ꦧꦱꦗꦮ", "ꦧ|ꦱ|ꦗ|ꦮ"),
    ("fa", "١٢٣ ۴۵ 12", "١٢٣|۴۵|12"),  # digits of any script
    ("fr", "ＡＢＣ１２", "ＡＢＣ１２"),
    ("fr", "中文mixed กขtext 한국", "中|文|mixed|ก|ข|text|한국"),
    ("de", "שלום world سلام", "שלום|world|سلام"),
    ("de", "Schiff\u00adfahrt", "Schifffahrt"),  # a soft hyphen isn't seen
    ("km", "ក\u200bខ", "ក|ខ"),
]

# with punctuation and symbols, which QA has rules of its own for
SIGNS = [
    ("", ""),
    ("  \t\n", ""),
    ("。！？…“”—,.", ""),
    ("👨\u200d👩\u200d👧 😀 🇨🇳 ❤\ufe0f", ""),
    ("ok👨\u200d👩\u200d👧fine", "ok|fine"),
    ("\u0301\u200d\u200c\ufeff", ""),
    ("Don't STOP!", "Don|t|STOP"),
    ("用GPT-4写。", "用|GPT|4|写"),
    ("中文，很好。", "中|文|很|好"),
    ("བོད་ཡིག།", "བོད|ཡིག"),
    ("हिन्दी।भाषा", "हिन्दी|भाषा"),
    ("⼈⺠", "⼈|⺠"),  # radicals, as PDF files have them
    ("3.14%", "3|14"),
    ("葛\U000e0100城", "葛|城"),  # a variant of a character is the character
]


def _parts(units):
    return units.split("|") if units else []


@pytest.mark.parametrize(("text", "units"), [*((text, units) for _, text, units in TEXTS), *SIGNS])
def test_text_is_cut_into_words_and_characters(text, units):
    assert languages.cut(text) == _parts(units)


@pytest.mark.parametrize(("text", "units"), [*((text, units) for _, text, units in TEXTS), *SIGNS])
def test_overlap_rouge_and_browse_count_alike(text, units):
    assert len(languages.units(text)) == len(Words().tokenize(text)) == _browsed(text) == len(_parts(units))


# of languages that MLQA's scorer has no rule of its own for, or where it is the same
@pytest.mark.parametrize(("language", "text", "units"), TEXTS)
def test_question_answering_counts_like_the_others(language, text, units):
    assert len(normalise(text, language).split()) == len(_parts(units))


def _browsed(text):
    return sum(languages.UNIT.fullmatch(token) is not None for token in TOKENS.findall(text))


@given(st.text())
def test_any_text_counts_alike_and_browse_loses_none_of_it(text):
    assert "".join(TOKENS.findall(text)) == text
    assert len(languages.units(text)) == len(Words().tokenize(text)) == len(languages.cut(text)) == _browsed(text)


# of Chinese characters, Latin letters, kana, marks and joiners: what the short ways to a unit start and end at
@given(st.text("中文一鿿，。aZ9éか゛ \u3099\u0301\u200d\ufe00\u302a", max_size=12))
def test_the_short_ways_find_what_the_long_ones_would(text):
    slow = f"(?:{languages._run(languages.LETTER)}|{languages.SINGLE.pattern})"
    assert languages.UNIT.findall(text) == regex.findall(slow, text, regex.VERSION1)


@given(st.text(), st.sampled_from(["th", "ja", "bo", "fr", "km"]))
def test_a_normalised_answer_stays_as_it_is(text, language):
    once = normalise(text, language)
    assert once == normalise(once, language)


UNSEEN = {
    "nothing": "",
    "spaces": " \t\r\n\x0b\x0c\x1c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u205f\u3000",
    "controls": "\0\x07\x1b\x7f\x9f",
    "zero width": "\u200b\u200c\u200d\u2060\ufeff",
    "directions": "\u200e\u200f\u061c\u202a\u202e\u2066\u2069",
    "soft hyphen": "\u00ad",
    "Hangul fillers": "\u115f\u1160\u3164\uffa0",
    "selectors": "\ufe00\ufe0f\U000e0100\u180b\u180e",
    "tags": "\U000e0001\U000e0041\U000e007f",
    "grapheme joiner": "\u034f",
    "invisible operators": "\u2061\u2064",
    "Khmer inherent vowels": "\u17b4\u17b5",
    "musical and shorthand formats": "\U0001d159\U0001d173\U0001bca0",
    "interlinear annotation": "\ufff9\ufffb",
    "Braille blank": "\u2800",
    "noncharacters": "\ufffe\U0001ffff",
}


@pytest.mark.parametrize("text", [*UNSEEN.values(), "".join(UNSEEN.values())], ids=[*UNSEEN, "all"])
def test_what_leaves_nothing_to_see_is_blank(text):
    assert languages.blank(text) and all(map(languages.blank, text))
    for seen in ("a", "\u06dd", "\u0600", "\u0301", "\u2801", "\ufffd", "\ufffc", "\ue000", "🏽", "ا", "。", "-"):
        assert not languages.blank(seen) and not languages.blank(text + seen + text)


def test_any_letter_mark_number_sign_or_punctuation_is_seen():
    for number in [*range(0x30000), *range(0xE0000, 0xE0200)]:
        kind = unicodedata.category(chr(number))
        assert languages.blank(chr(number)) or kind not in ("Zs", "Zl", "Zp", "Cc"), hex(number)
        if languages.blank(chr(number)) and kind[0] not in "ZC":
            assert IGNORABLE.fullmatch(chr(number)) or chr(number) in "\u2800\U0001d159\U00016fe4", hex(number)
