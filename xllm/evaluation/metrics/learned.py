"""COMET, BERTScore and BLEURT: translations scored by neural models.

BERTScore's library runs here. The other two need older versions of numpy and transformers than this project, so that
they run in an environment of their own, in other processes:

    python -m venv metrics && metrics/bin/pip install unbabel-comet bleurt-pytorch 'setuptools<81'
    export XLLM_COMET=metrics/bin/comet-score XLLM_BLEURT=metrics/bin/python
"""

import json
import os
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xllm import __version__, languages
from xllm.artifacts import model_folder
from xllm.errors import XllmError
from xllm.files import sha256
from xllm.models.load import check_weights, load_config
from xllm.records import AnsweredRow

LAYER = 9  # whose output BERTScore compares: with multilingual BERT, the one that agrees best with people
BLEURT = Path(__file__).with_name("bleurt_process.py")
INSTALL = "python -m venv metrics && metrics/bin/pip install unbabel-comet bleurt-pytorch 'setuptools<81'"
SET_COMET = f"{INSTALL}, then: export XLLM_COMET=metrics/bin/comet-score"
SET_BLEURT = f"{INSTALL}, then: export XLLM_BLEURT=metrics/bin/python"


def comet(rows: list[AnsweredRow], language: str, model: str) -> tuple[list[float], str]:
    """COMET (Rei et al. 2020) of each row by its own command, `comet-score`, found by $XLLM_COMET or on the PATH.

    `model` is a checkpoint, a file model.ckpt with hparams.yaml in the folder above its own, or a name such as
    Unbabel/wmt22-comet-da, which the command downloads. Checkpoints are pickles: take only those you trust. The scale
    is the model's own, about 0 to 1 for wmt22-comet-da. A row's `input` is the source, its `output` the reference.
    Raises XllmError where the command is missing or fails.
    """
    command = _command(os.environ.get("XLLM_COMET") or shutil.which("comet-score"), "COMET", SET_COMET)
    if model.endswith(".ckpt") and not Path(model).is_file():
        raise XllmError(f"COMET: there is no checkpoint {model}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        flags = ["--model", model, "--gpus", str(int(_on_gpu())), "--to_json", folder / "scores.json", "--quiet"]
        columns = {
            ("-s", "src"): [row.get("input", "") for row in rows],
            ("-t", "mt"): [row["prediction"] for row in rows],
            ("-r", "ref"): [row["output"] for row in rows],
        }
        for (flag, name), texts in columns.items():
            (folder / name).write_text("".join(f"{_line(text)}\n" for text in texts), encoding="utf-8")
            flags += [flag, folder / name]
        _run([command, *flags, "--only_system"], "COMET")
        [scored] = json.loads((folder / "scores.json").read_text(encoding="utf-8")).values()
    library = _elsewhere(command.with_name("python"), "unbabel-comet")
    return [row["COMET"] for row in scored], f"{_model(model)}|golds:first|unbabel-comet:{library}|xllm:{__version__}"


def bertscore(rows: list[AnsweredRow], language: str, model: str) -> tuple[list[float], str]:
    """The F1 of BERTScore (Zhang et al. 2020) of each row, -1 to 1, without idf or a baseline, for the reference where
    it is best; 0 where a text is empty, as the library has it.

    `model` is a BERT with weights in safetensors: a folder under model/, a path, or a hub id. Raises XllmError where
    the library is missing or the model doesn't fit.
    """
    if find_spec("bert_score") is None:
        raise XllmError("BERTScore needs its library: pip install bert-score")
    source = _encoder(model)
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=source, num_layers=LAYER)
    pairs = [
        (number, row["prediction"], gold)
        for number, row in enumerate(rows)
        for gold in row.get("answers") or [row["output"]]
        # with transformers 5 the library fails at empty texts
        if not (languages.blank(row["prediction"]) or languages.blank(gold))
    ]
    best: dict[int, float] = {}
    if pairs:
        found = scorer.score([prediction for _, prediction, _ in pairs], [gold for *_, gold in pairs])[2]
        for (number, *_), value in zip(pairs, found.tolist(), strict=True):
            best[number] = max(value, best.get(number, value))
    libraries = f"bert-score:{version('bert-score')}|transformers:{version('transformers')}"
    signature = f"{_model(source)}|layer:{LAYER}|F1|idf:no|baseline:no|golds:all|{libraries}|xllm:{__version__}"
    return [best.get(number, 0.0) for number in range(len(rows))], signature


def bleurt(rows: list[AnsweredRow], language: str, model: str) -> tuple[list[float], str]:
    """BLEURT (Sellam et al. 2020) of each row, by its PyTorch port, bleurt-pytorch, which $XLLM_BLEURT, a Python, has.

    `model` is a folder with a model of the port's, such as lucadiliello/BLEURT-20, in safetensors. The scale is the
    model's own, about 0 to 1 for BLEURT-20. Raises XllmError where the port or the model is missing.
    """
    python = _command(os.environ.get("XLLM_BLEURT"), "BLEURT", SET_BLEURT)
    source = model_folder.find(model)
    check_weights(source)
    asked = {"model": source, "pairs": [[row["output"], row["prediction"]] for row in rows]}
    # -I: what lies beside the script must not be found in place of that environment's packages
    answered = json.loads(_run([python, "-I", BLEURT], "BLEURT", json.dumps(asked)).splitlines()[-1])
    library = f"bleurt-pytorch:{_elsewhere(python, 'bleurt-pytorch')}"
    return answered, f"{_model(source)}|golds:first|{library}|xllm:{__version__}"


def _encoder(model: str) -> str:
    """A model's folder or hub id, once it is known to fit BERTScore."""
    from transformers import AutoTokenizer

    source = model_folder.find(model)
    check_weights(source)
    layers = load_config(source).num_hidden_layers
    if layers < LAYER:
        raise XllmError(f"BERTScore takes layer {LAYER}, and {model} has {layers}; take a larger model")
    longest = AutoTokenizer.from_pretrained(source, trust_remote_code=False).model_max_length
    if longest > 1e9:  # transformers' word for unknown
        raise XllmError(
            f"the tokenizer of {model} has no model_max_length, which BERTScore cuts texts at; "
            f"write it into {source}/tokenizer_config.json"
        )
    return source


def _command(path: str | Path | None, metric: str, hint: str) -> Path:
    found = shutil.which(path) if path else None
    if found is None:
        what = f"{path} is no program" if path else "it isn't here"
        raise XllmError(f"{metric} runs in an environment of its own, and {what}: {hint}")
    return Path(found).absolute()


def _run(command: list[Any], metric: str, text: str = "") -> str:
    # the other environment has its own packages: ours must not be found there
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), input=text, capture_output=True, text=True, env=environment)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise XllmError(f"{metric} failed: {reason}; its command: {' '.join(map(str, command[:3]))}")
    return done.stdout


def _elsewhere(python: Path, package: str) -> str:
    """The version of a package in another environment."""
    code = f"from importlib.metadata import version; print(version('{package}'))"
    return _run([_command(python, package, "install it in a virtual environment"), "-c", code], package).strip()


def _model(name: str) -> str:
    """What a signature says of a model: its name, and where it is local the digest of its weights."""
    path = Path(name)
    weights = path if path.is_file() else path / "model.safetensors"
    if not weights.is_file():
        return f"model:{name}"
    # COMET's checkpoints are all called checkpoints/model.ckpt
    own = path.absolute().parents[1].name if path.is_file() else path.absolute().name
    return f"model:{own}@{sha256(weights)[:12]}"


def _line(text: str) -> str:
    return " ".join(text.split())  # the files have a line for each row


def _on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
