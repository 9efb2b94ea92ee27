"""What a model reads of a conversation, the records that one comes to, and the votes on answers."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from xllm.artifacts import votes
from xllm.chat import conversation
from xllm.errors import XllmError
from xllm.files import read_jsonl, write_json
from xllm.mixture.load import load_mixture
from xllm.models.load import load_tokenizer
from xllm.templates import alpaca

TURNS = [
    {"role": "user", "content": "Say hello."},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "再说一次。"},
]


def test_earlier_turns_are_read_as_training_rows(llama, root):
    from xllm.mixture.encoding import encode

    (root / "alpaca").mkdir()
    write_json(root / "alpaca" / "alpaca_en.json", conversation.records(TURNS))
    tokenizer = load_tokenizer(str(llama))
    [row] = encode(load_mixture("alpaca_en", "train"), tokenizer, "alpaca", 512).rows["input_ids"]
    last = tokenizer(alpaca("再说一次。", ""))["input_ids"]
    assert conversation.encode(TURNS, "alpaca", tokenizer) == [*row, *last]
    assert conversation.encode(TURNS[2:], "alpaca", tokenizer) == last
    assert conversation.encode_one("再说一次。", "", "alpaca", tokenizer) == last
    expected = tokenizer("Be brief.\n\nSay hello.")["input_ids"]
    brief = {"role": "system", "content": "Be brief."}
    for said in ([brief, TURNS[0]], [TURNS[1], brief, TURNS[0]]):
        assert conversation.encode(said, "raw", tokenizer) == expected
    # what was never answered, as where the answer was stopped at once, is no turn; nor is the next question its answer
    assert conversation.encode([TURNS[2], TURNS[0]], "raw", tokenizer) == tokenizer("Say hello.")["input_ids"]


def test_a_chat_template_has_all_turns(smol):
    tokenizer = load_tokenizer(str(smol))
    expected = tokenizer.apply_chat_template(TURNS, add_generation_prompt=True, return_dict=False)
    assert conversation.encode(TURNS, "chat", tokenizer) == expected
    assert conversation.template_for(conversation.OWN, str(smol), tokenizer) == "chat"
    tokenizer.chat_template = "{{ raise_exception('no system') }}"
    with pytest.raises(XllmError, match="doesn't take these messages: no system"):
        conversation.encode(TURNS, "chat", tokenizer)


def test_the_template_is_that_of_the_tuning(llama, tmp_path):
    tokenizer = load_tokenizer(str(llama))
    assert conversation.template_for(conversation.OWN, str(llama), tokenizer) == "alpaca"
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "run.json").write_text(json.dumps({"encoding": {"template": "raw"}}))
    assert conversation.template_for(conversation.OWN, str(tmp_path), tokenizer) == "raw"
    for broken in ([], {"encoding": None}, {"encoding": {"template": "gone"}}):
        (tmp_path / "run.json").write_text(json.dumps(broken))
        with pytest.raises(XllmError, match="doesn't say how the model was tuned|unknown template 'gone'"):
            conversation.template_for(conversation.OWN, str(tmp_path), tokenizer)
    with pytest.raises(XllmError, match="has no chat template"):
        conversation.template_for("chat", str(llama), tokenizer)


def test_records_are_read_back_as_training_data(root):
    turns = [*TURNS, {"role": "assistant", "content": "你好！\u2028\"'"}, {"role": "user", "content": "unanswered"}]
    (root / "alpaca").mkdir()
    (root / "alpaca" / "alpaca_zh.jsonl").write_text(conversation.lines(conversation.records(turns)))
    read = [(row["instruction"], row["input"], row["output"]) for row in load_mixture("alpaca_zh", "train")]
    assert read == [("Say hello.", "", "Hello!"), ("再说一次。", "", "你好！\u2028\"'")]
    (root / "alpaca" / "alpaca_zh.json").write_text("[]")
    with pytest.raises(XllmError, match=r"there are .*alpaca_zh\.json and .*alpaca_zh\.jsonl; keep one"):
        load_mixture("alpaca_zh", "train")


def test_votes_are_lines_that_nobody_tears(tmp_path, monkeypatch):
    monkeypatch.setenv("XLLM_MODEL_DIR", str(tmp_path))
    asked = {"instruction": "Say\nhello.", "input": "", "template": "alpaca", "models": ["a", "b"], "hidden": True}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: votes.cast("a", asked | {"answers": [str(n), "x" * 5000]}), range(40)))
    found = read_jsonl(votes.file())
    assert sorted(int(vote["answers"][0]) for vote in found) == list(range(40))
    assert found[0].keys() == {"time", *asked, "answers", "vote"} and found[0]["vote"] == "a"
    with votes.file().open("a") as file:
        file.write('{"time": "torn')
    votes.cast(votes.BOTH_BAD, asked | {"answers": ["", ""]})
    assert [vote["vote"] for vote in read_jsonl(votes.file())] == ["a"] * 40 + ["both bad"]
    with pytest.raises(XllmError, match="unknown vote 'c'"):
        votes.cast("c", asked | {"answers": ["", ""]})
