"""Reading models as they come."""

import json
import shutil

import pytest

from xllm.errors import XllmError
from xllm.models.load import load_tokenizer


@pytest.fixture
def folder(llama, tmp_path):
    """A LLaMA folder of the first kind: sentencepiece's own file, and what tokenizer_config.json is told to say."""

    def make(**settings):
        place = shutil.copytree(llama, tmp_path / "base")
        (place / "tokenizer.json").unlink()
        (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"} | settings))
        return str(place)

    return make


@pytest.mark.parametrize(("settings", "added"), [({}, 1), ({"add_bos_token": True}, 1), ({"add_bos_token": False}, 0)])
def test_texts_begin_with_bos_unless_the_tokenizer_says_otherwise(folder, llama, tmp_path, settings, added):
    whole = load_tokenizer(str(llama))
    tokenizer = load_tokenizer(folder(**settings))
    ids = tokenizer("The river").input_ids
    assert ids == whole("The river").input_ids[1 - added :]
    tokenizer.save_pretrained(tmp_path / "saved")
    shutil.copy(llama / "config.json", tmp_path / "saved")
    assert load_tokenizer(str(tmp_path / "saved"))("The river").input_ids == ids


def test_a_tokenizer_without_eos_is_refused_in_one_line(folder):
    with pytest.raises(XllmError, match="tokenizer of"):
        load_tokenizer(folder(tokenizer_class="PreTrainedTokenizerFast", bos_token="", eos_token="", unk_token=""))
