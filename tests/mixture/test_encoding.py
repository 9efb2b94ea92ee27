"""Token ids and labels are those of the reference, for a sentencepiece and for a byte-level BPE tokenizer."""

import json

import pytest

from tests.vocabularies import family
from xllm.errors import XllmError
from xllm.files import write_json
from xllm.mixture.batches import encode_batch
from xllm.mixture.encoding import check_lost, encode
from xllm.mixture.load import load_mixture
from xllm.models.load import load_tokenizer
from xllm.templates import TEXT_FIELDS, alpaca

AWKWARD = [
    ("Say it.", "", "Plain."),
    ("Say it.", "", ""),
    ("Say it.", "", " leading space"),
    ("Say it.", "", "\n\nleading lines"),
    ("Say it.", "", '"quoted" (and) :colon'),
    ("Say it.", "中文", "龘𠀀 émoji 🙂 done\n"),
    ("Say {it}.", "a  b\t", "trailing space "),
    ("", "", "no instruction"),
]


def reference(tokenizer, record, max_length):
    """As the reference does it: the full text and the prompt are each tokenized, and the prompt's length masked."""
    prompt = alpaca(record["instruction"], record["input"])
    full = tokenizer(prompt + record["output"] + tokenizer.eos_token, truncation=True, max_length=max_length)
    return full.input_ids, len(tokenizer(prompt).input_ids)


def check(tokenizer, rows, max_length=512):
    columns = {column: [row[column] for row in rows] for column in ("instruction", "input", "output")}
    apart = 0
    encoded = zip(rows, *encode_batch(columns, tokenizer, "alpaca", max_length), strict=True)
    for row, ids, length, _, straddles, _ in encoded:
        expected, masked = reference(tokenizer, row, max_length)
        own = tokenizer(alpaca(row["instruction"], row["input"])).input_ids
        assert length == masked == len(own) and ids[:length].tolist() == own[:max_length], row
        # equal where no token straddles the boundary, and only there
        assert (ids.tolist() == expected) != straddles, row
        apart += straddles
    return apart


@pytest.fixture
def tokenizer(tiny):
    return load_tokenizer(str(tiny))


def test_awkward_rows(tiny, tokenizer):
    apart = check(tokenizer, [dict(zip(("instruction", "input", "output"), row, strict=True)) for row in AWKWARD])
    assert apart == (tiny.name == "smol")  # SmolLM2 has a token :"


def test_the_sample(tokenizer, sample):
    check(tokenizer, load_mixture("alpaca_en+alpaca_zh+translation_daily_en-zh", "train"))


@pytest.mark.slow
@pytest.mark.real
def test_real_rows(tokenizer, real):
    mixture = (
        "alpaca_en[:1500]+alpaca_zh[:500]+alpaca_de[:300]+translation_xnli_en-ar[:200]+translation_xnli_en-hi[:200]"
    )
    check(tokenizer, load_mixture(mixture, "train"))


def test_eos_is_trained_on_even_where_it_is_the_pad_token(tokenizer, sample):
    rows = encode(load_mixture("alpaca_en[:20]", "train"), tokenizer, "alpaca", 512).rows
    for row in rows:
        assert row["input_ids"][-1] == tokenizer.eos_token_id and row["prompt_length"] < len(row["input_ids"])


@pytest.fixture
def long_rows(root, tokenizer):
    """Three rows: one that fits into 256 tokens, one whose response doesn't, one whose prompt doesn't."""
    rows = [("a", "short"), ("a", "long " * 500), ("b " * 300, "lost")]
    (root / "alpaca").mkdir()
    records = [{"instruction": instruction, "input": "", "output": output} for instruction, output in rows]
    (root / "alpaca" / "alpaca_aa.json").write_text(json.dumps(records))
    return load_mixture("alpaca_aa", "train")


def test_long_rows_lose_their_end_and_rows_without_response_are_dropped_and_counted(tokenizer, long_rows):
    encoded = encode(long_rows, tokenizer, "alpaca", 256)
    whole = encode(long_rows, tokenizer, "alpaca", 10_000)
    [term], [uncut] = encoded.terms, whole.terms
    assert (term.rows, term.cut, term.dropped) == (3, 1, 1)
    assert encoded.lengths.tolist() == [whole.lengths[0], 256, 0] and encoded.kept.tolist() == [0, 1]
    assert encoded.rows[1]["input_ids"][-1] != tokenizer.eos_token_id
    targets = [len(row["input_ids"]) - row["prompt_length"] for row in whole.rows]
    assert term.target_tokens == uncut.target_tokens == sum(targets)
    kept = [len(row["input_ids"]) - row["prompt_length"] for row in encoded.rows]
    assert term.lost_target_tokens == sum(targets) - sum(kept) and uncut.lost_target_tokens == 0


def test_rows_in_which_a_token_would_straddle_the_boundary_are_counted(root):
    write_json(
        root / "alpaca" / "alpaca_aa.json", [{"instruction": "a", "input": "", "output": text} for text in TEXTS]
    )
    encoded = encode(load_mixture("alpaca_aa", "train"), family("qwen"), "alpaca", 512)
    [term] = encoded.terms
    assert (term.rows, term.straddling) == (4, 2) and term.facts()["straddling"] == 2
    assert "in 2 a token would straddle prompt and response" in str(encoded)
    for row, text in zip(encoded.rows, TEXTS, strict=True):
        assert family("qwen").decode(row["input_ids"][row["prompt_length"] :]) == f"{text}</s>"


TEXTS = ("Nora", " Nora", '"Nora"', "1")


def test_losing_more_than_is_allowed_is_an_error(tokenizer, long_rows):
    encoded = encode(long_rows, tokenizer, "alpaca", 256)
    [term] = encoded.terms
    share = 100 * term.lost_target_tokens / term.target_tokens
    check_lost(encoded, f"{share + 0.1:.1f}%")
    with pytest.raises(XllmError, match=rf"alpaca_aa loses {share:.2f} % of its target tokens, --max_lost allows 2%"):
        check_lost(encoded, "2%")
    for wrong in ("2", "two%", "-1%"):
        with pytest.raises(XllmError, match="it must be a percentage"):
            check_lost(encoded, wrong)


def test_a_tokenizer_that_ends_texts_itself_gives_one_eos(llama):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(llama, add_bos_token=True, add_eos_token=True)
    row = {"instruction": ["a"], "input": [""], "output": ["b"]}
    [plain], [first], [length], *_ = encode_batch(row, AutoTokenizer.from_pretrained(llama), "alpaca", 512)
    assert tokenizer("x").input_ids[-1] == tokenizer.eos_token_id
    [ids], *rest = encode_batch(row, tokenizer, "alpaca", 512)
    assert ids.tolist() == plain.tolist() and rest == [[first], [length], [False], ["b"]]


RECORDS = [("Name a mill.", "by the river " * 30, "the old one"), ("Go.", "", "gone")]


@pytest.mark.parametrize("field", [None, "instruction", "input", "output"])
def test_plain_text_is_a_field_of_a_record_or_all_of_it(tokenizer, root, field):
    (root / "alpaca").mkdir()
    records = [dict(zip(TEXT_FIELDS, row, strict=True)) for row in RECORDS]
    (root / "alpaca" / "alpaca_en.json").write_text(json.dumps(records))
    encoded = encode(load_mixture("alpaca_en", "train"), tokenizer, "text", 16, text_field=field)
    blocks = []
    for record in records:
        text = record[field] if field else "\n\n".join(filter(None, record.values()))
        ids = tokenizer(text + tokenizer.eos_token).input_ids
        own = [ids[start : start + 16] for start in range(0, len(ids), 16)]
        blocks += [block for block in own if len(block) > 1] or [[]]  # nothing comes before a single token
    assert [row.tolist() for row in encoded.rows["input_ids"]] == blocks
    assert encoded.terms[0].dropped == ([] in blocks)


def test_the_text_of_continue_train_is_that_of_the_field_input(tokenizer, sample):
    """The reference trains on a record's input and eos, without masking any of it."""
    rows = encode(load_mixture("alpaca_en", "train"), tokenizer, "text", 512, text_field="input").rows
    inputs = [row["input"] for row in load_mixture("alpaca_en", "train")]
    assert len(rows) == len(inputs)
    for row, text in zip(rows, inputs, strict=True):
        ids = tokenizer(text + tokenizer.eos_token).input_ids
        assert row["input_ids"].tolist() == (ids if len(ids) > 1 else [])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "MODEL", "alpaca_en", "--text_field", "input"], "not with the template alpaca"),
        (["train", "MODEL", "alpaca_en", "finetune", "--text_field", "output"], "METHOD continue, or --template text"),
        (["train", "MODEL", "alpaca_en", "continue", "--text_field", "text"], "'text'"),
        (["plan", "MODEL", "alpaca_en", "--text_field", "input"], "not with the template alpaca"),
        (["preview", "alpaca_en", "--model", "MODEL", "--text_field", "input"], "not with the template alpaca"),
        (["perplexity", "MODEL", "xquad_en", "--text_field", "input"], "not with the template alpaca"),
        (["mixture", "alpaca_en", "--model", "MODEL", "--text_field", "input"], "not with the template alpaca"),
        (["mixture", "alpaca_en", "--text_field", "input"], "--model"),
        (
            ["perplexity", "MODEL", "mieval_en", "--template", "text", "--text_field", "output"],
            "no row of mieval_en has an output",
        ),
    ],
)
def test_a_field_that_has_no_effect_is_refused(cli, llama, sample, words, message):
    outcome = cli(*(llama if word == "MODEL" else word for word in words))
    assert outcome.code == 2 and message in outcome.err and not outcome.out


def test_every_command_that_reads_a_mixture_takes_it(cli, llama, sample, tmp_path):
    words = ("--template", "text", "--text_field", "input", "--json", tmp_path / "x.json")
    found = {}
    for name, front in {"plan": (llama, "alpaca_en"), "mixture": ("alpaca_en", "--model", llama)}.items():
        assert cli(name, *front, *words).code == 0
        found[name] = json.loads((tmp_path / "x.json").read_text())
    words = ("train", llama, "alpaca_en", "continue", "--text_field", "input", "--max_steps", 1, "--output_dir")
    assert cli(*words, tmp_path / "out").code == 0
    [term] = json.loads((tmp_path / "out" / "run.json").read_text())["encoding"]["terms"]
    assert term["target_tokens"] == found["mixture"]["terms"][0]["target_tokens"] == found["plan"]["targets"]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["encoding"]["text_field"] == "input"
