"""COMET, BERTScore and BLEURT on tiny models of their kinds, each against its own library."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import HOME
from xllm.artifacts import scores
from xllm.errors import XllmError
from xllm.evaluation.metrics.learned import bertscore, bleurt, comet
from xllm.files import write_jsonl

PARALLEL = HOME / "data" / "sample" / "translation" / "daily" / "en-zh"
COMET = os.environ.get("XLLM_COMET") or shutil.which("comet-score")
BLEURT = os.environ.get("XLLM_BLEURT")
needs_comet = pytest.mark.skipif(not COMET, reason="no comet-score: XLLM_COMET isn't set")
needs_bleurt = pytest.mark.skipif(not BLEURT, reason="XLLM_BLEURT isn't set")
needs_bertscore = pytest.mark.skipif(find_spec("bert_score") is None, reason="no bert-score")

ROWS = [
    {"input": source, "prediction": prediction, "output": gold}
    for source, prediction, gold in (
        ("水很冷。", "The water is cold.", "The water was cold."),
        ("你在哪里？", "Where are you?\nI am here.", "Where are you?"),  # two lines
        ("今天", "", "Today"),
        ("早上好，我的朋友，今天的天气很好。", "good morning", "Good morning my friend, the weather is fine today."),
        ("长", "a very long answer " * 100, "long"),
    )
]

# run by the Python that has COMET: a checkpoint of it, as it trains them
MAKE_COMET = """
import sys, torch, yaml, pytorch_lightning
from pathlib import Path
from comet.models import RegressionMetric
torch.manual_seed(0)
model = RegressionMetric(
    encoder_model="BERT", pretrained_model=sys.argv[1], hidden_sizes=[16], local_files_only=True
)
folder = Path(sys.argv[2])
(folder / "checkpoints").mkdir(parents=True)
(folder / "hparams.yaml").write_text(yaml.safe_dump(dict(model.hparams)))
state = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
state["pytorch-lightning_version"] = pytorch_lightning.__version__
torch.save(state, folder / "checkpoints" / "model.ckpt")
"""

# run by the Python that has bleurt-pytorch: a model of BLEURT-20's kind; prints what the port's README would compute
MAKE_BLEURT = """
import json, sys, sentencepiece, torch
from pathlib import Path
from bleurt_pytorch import BleurtConfig, BleurtForSequenceClassification, BleurtTokenizer
folder = Path(sys.argv[1])
folder.mkdir()
sentencepiece.SentencePieceTrainer.train(
    input=sys.argv[2], model_prefix=str(folder / "spm"), vocab_size=300, hard_vocab_limit=False, minloglevel=2,
    pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=["[CLS]", "[SEP]", "[MASK]"],
)
torch.manual_seed(0)
config = BleurtConfig(
    vocab_size=400, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=64, max_position_embeddings=64, initializer_range=0.5,
)
BleurtForSequenceClassification(config).save_pretrained(folder)
model = BleurtForSequenceClassification.from_pretrained(folder).eval()
tokenizer = BleurtTokenizer.from_pretrained(folder)
for reference, prediction in json.load(sys.stdin):
    inputs = tokenizer([reference], [prediction], return_tensors="pt", truncation=True, max_length=64)
    with torch.no_grad():
        print(model(**inputs).logits.item())
"""


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    """A BERT with 10 layers and a WordPiece tokenizer of the sample data, which cuts texts at 64 tokens."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    folder.mkdir()
    words = BertWordPieceTokenizer(lowercase=False)
    texts = sorted(PARALLEL.glob("train.*"))
    words.train([str(path) for path in texts], vocab_size=500, show_progress=False)
    words.save_model(str(folder))
    tokenizer = BertTokenizerFast.from_pretrained(folder, do_lower_case=False, model_max_length=64)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=10,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@needs_bertscore
def test_bertscore_is_cosine_of_layer_9_matched_greedily(bert):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()

    def vectors(text: str) -> torch.Tensor:
        inputs = tokenizer(text.strip(), return_tensors="pt", truncation=True)
        with torch.no_grad():
            states = model(**inputs, output_hidden_states=True).hidden_states[9][0]
        return torch.nn.functional.normalize(states, dim=-1)

    def expected(row: dict) -> float:
        if not row["prediction"]:
            return 0
        similar = vectors(row["prediction"]) @ vectors(row["output"]).T
        # [CLS] and [SEP] may be matched, but don't count themselves
        precision, recall = (best.values[1:-1].mean().item() for best in (similar.max(1), similar.max(0)))
        return 2 * precision * recall / (precision + recall)

    values, signature = bertscore(ROWS, "en", str(bert))
    assert values == pytest.approx([expected(row) for row in ROWS], abs=1e-5)
    assert len(set(values)) == len(ROWS)
    assert signature.startswith("model:tiny-bert@") and "|layer:9|" in signature and "bert-score:0." in signature


@needs_bertscore
def test_bertscore_takes_the_best_reference(bert):
    row = {**ROWS[0], "answers": ["Where?", ROWS[0]["prediction"], ""]}
    assert bertscore([row], "en", str(bert))[0] == pytest.approx([1.0])


@needs_bertscore
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "model.safetensors"])
def test_bertscore_refuses_models_that_do_not_fit(bert, tmp_path, file):
    import json

    folder = tmp_path / "model"
    shutil.copytree(bert, folder)
    if file == "model.safetensors":
        (folder / file).unlink()
    else:
        facts = json.loads((folder / file).read_text()) | {"num_hidden_layers": 8}
        facts.pop("model_max_length", None)
        (folder / file).write_text(json.dumps(facts))
    reason = {
        "config.json": "has 8",
        "tokenizer_config.json": "no model_max_length",
        "model.safetensors": "safetensors",
    }
    with pytest.raises(XllmError, match=reason[file]):
        bertscore(ROWS, "en", str(folder))


@pytest.fixture(scope="module")
def checkpoint(bert, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("comet") / "tiny-comet"
    elsewhere(Path(COMET).with_name("python"), MAKE_COMET, bert, folder)
    return folder / "checkpoints" / "model.ckpt"


@needs_comet
def test_comet_scores_each_row_by_its_own_command(checkpoint):
    values, signature = comet(ROWS, "en", str(checkpoint))
    turned, _ = comet(ROWS[::-1], "en", str(checkpoint))
    assert len(set(values)) == len(ROWS) and turned[::-1] == pytest.approx(values, abs=2e-3)  # in half precision
    assert signature.startswith("model:tiny-comet@") and "unbabel-comet:2." in signature
    code = (
        "import sys; from comet import load_from_checkpoint as load; m = load(sys.argv[1]); m.half();"
        "print(m.predict([{'src': '水很冷。', 'mt': 'The water is cold.', 'ref': 'The water was cold.'}], gpus=0,"
        "progress_bar=False, accelerator='cpu', num_workers=0).scores[0])"
    )
    own = elsewhere(Path(COMET).with_name("python"), code, checkpoint).splitlines()[-1]
    assert values[0] == pytest.approx(float(own), abs=2e-3)


@needs_comet
def test_what_comet_says_is_told_in_one_line(checkpoint):
    (checkpoint.parent / "torn.ckpt").write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(XllmError, match="^COMET failed: [^\n]+$"):
        comet(ROWS, "en", str(checkpoint.parent / "torn.ckpt"))


@needs_bleurt
def test_bleurt_scores_each_row_as_its_port_does(tmp_path):
    import json

    text, pairs = (
        PARALLEL / "train.en",
        [[r["output"], r["prediction"]] for r in ROWS],
    )
    out = elsewhere(BLEURT, MAKE_BLEURT, tmp_path / "tiny-bleurt", text, text_in=json.dumps(pairs))
    values, signature = bleurt(ROWS, "en", str(tmp_path / "tiny-bleurt"))
    assert values == pytest.approx([float(line) for line in out.splitlines()[-len(ROWS) :]], abs=1e-5)
    assert len(set(values)) == len(ROWS)
    assert signature.startswith("model:tiny-bleurt@") and "bleurt-pytorch:0." in signature


@pytest.mark.parametrize("metric, variable", [(comet, "XLLM_COMET"), (bleurt, "XLLM_BLEURT")])
@pytest.mark.parametrize("value", [None, "/nowhere/comet-score"])
def test_a_metric_that_is_not_installed_says_how_to(monkeypatch, tmp_path, metric, variable, value):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    if value:
        monkeypatch.setenv(variable, value)
    with pytest.raises(XllmError) as error:
        metric(ROWS, "en", "model")
    assert "pip install unbabel-comet bleurt-pytorch" in str(error.value) and f"export {variable}=" in str(error.value)
    assert (value or "it isn't here") in str(error.value) and "\n" not in str(error.value)


def elsewhere(python: str | Path, code: str, *words: object, text_in: str = "") -> str:
    """What code prints that another Python runs."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), "-c", code, *map(str, words)]
    done = subprocess.run(command, input=text_in, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_bertscore
def test_a_learned_metric_stands_beside_the_others(bert, cli, tmp_path):
    write_jsonl(tmp_path / "theirs.jsonl", ROWS)
    flags = ("--task", "translation", "--lang", "en", "--metrics", f"BLEU,bertscore={bert}")
    outcome = cli("evaluate", tmp_path / "theirs.jsonl", *flags)
    _, [scored] = scores.read(tmp_path / "theirs.metrics.json")
    values, signature = bertscore(ROWS, "en", str(bert))
    assert outcome.code == 0 and [score.metric for score in scored.scores] == ["BLEU", "BERTScore"]
    assert scored.scores[1].value == pytest.approx(sum(values) / len(values))
    assert scored.scores[1].signature == signature
    assert (
        "BERTScore needs a model: --metrics BERTScore=MODEL" in cli("evaluate", tmp_path, "--metrics", "bertscore").err
    )
