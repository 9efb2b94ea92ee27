"""No code that comes with a model is ever run, whatever stands on stdin."""

import io
import json
import re
import shutil

import pytest

from tests.conftest import HOME

CODE = """
from pathlib import Path
Path({mark!r}).touch()
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizerFast
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
class OwnTokenizer(LlamaTokenizerFast):
    pass
"""
CONFIG = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
TOKENIZER = {"AutoTokenizer": [None, "own.OwnTokenizer"]}
CHANGES = {
    "a configuration": {"config.json": {"model_type": "own", "auto_map": CONFIG}},
    "a tokenizer": {"tokenizer_config.json": {"tokenizer_class": "OwnTokenizer", "auto_map": TOKENIZER}},
    "a tokenizer, named in config.json": {"config.json": {"auto_map": TOKENIZER}},
    "a model of a family that there is": {"config.json": {"auto_map": CONFIG}},
    "all": {"config.json": {"model_type": "own", "auto_map": CONFIG | TOKENIZER}},
}
COMMANDS = (
    ("preview", "alpaca_en[:2]", "--model", "MODEL", "-n", "1"),
    ("mixture", "alpaca_en[:2]", "--model", "MODEL"),
    ("plan", "MODEL", "alpaca_en[:2]"),
    ("infer", "MODEL", "mieval_en[:1]", "--max_new_tokens", "1"),
    ("perplexity", "MODEL", "alpaca_en[:2]", "--split", "train"),
    ("train", "MODEL", "alpaca_en[:2]", "finetune", "--max_steps", "1", "--name", "tuned"),
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_s_own_code_never_runs(cli, llama, tmp_path, sample, monkeypatch, change):
    model, mark = shutil.copytree(llama, tmp_path / "models" / "model"), tmp_path / "ran"
    (model / "own.py").write_text(CODE.format(mark=str(mark)))
    for name, altered in CHANGES[change].items():
        (model / name).write_text(json.dumps(json.loads((model / name).read_text()) | altered))
    monkeypatch.setenv("XLLM_MODEL_DIR", str(tmp_path / "made"))
    for words in COMMANDS:
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
        outcome = cli(*[str(model) if word == "MODEL" else word for word in words])
        assert not mark.exists(), words
        assert "[y/N]" not in outcome.out + outcome.err and "Traceback" not in outcome.err
        refused = outcome.code == 2 and "is never run (trust_remote_code=False)" in outcome.err
        assert refused or outcome.code == 0, outcome.err


def test_every_call_that_could_run_it_says_no():
    calls = []
    for path in sorted((HOME / "xllm").rglob("*.py")):
        found = re.finditer(r"(\w+)\.from_(?:pretrained|config)\(([^()]|\([^()]*\))*\)", path.read_text())
        calls += [call.group() for call in found]
    checked = [call for call in calls if not call.startswith(("GenerationConfig.", "Bleurt"))]  # which run none
    assert len(checked) >= 6 and not [call for call in checked if "trust_remote_code=False" not in call]
