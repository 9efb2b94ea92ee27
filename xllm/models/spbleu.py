"""The sentencepiece models of spBLEU (Goyal et al. 2022), which sacrebleu reads but would download unchecked.

They lie where sacrebleu looks for them: $SACREBLEU/models, ~/.sacrebleu/models if that isn't set.
"""

import http.client
import sys
import urllib.request
from pathlib import Path
from typing import Any

from xllm.errors import XllmError
from xllm.files import sha256, whole

SECONDS = 60  # without a byte, after which a download is given up

# sacrebleu's name of the tokenizer → where its model is from. No checksum of FLORES-101's is known, so that it is told
# by its number of pieces, and by not being the other one.
MODELS: dict[str, dict[str, Any]] = {
    "flores101": {
        "url": "https://dl.fbaipublicfiles.com/fairseq/models/flores/sacrebleu_tokenizer_spm.model",
        "sha256": None,
        "pieces": 256_000,
    },
    "flores200": {
        "url": "https://dl.fbaipublicfiles.com/large_objects/nllb/models/spm_200/flores200_sacrebleu_tokenizer_spm.model",
        "sha256": "14bb8dfb35c0ffdea7bc01e56cea38b9e3d5efcdcb9c251d6b40538e1aab555a",
        "pieces": 256_000,
    },
}


def flores_model(name: str) -> Path:
    """The file that sacrebleu will read for `BLEU(tokenize=name)`, "flores101" or "flores200".

    Raises XllmError where it is missing, when sacrebleu would download it, or is another file.
    """
    path = _path(name)
    if not path.is_file():
        raise XllmError(f"BLEU by {name} needs {path}; get it: xllm fetch spm-{name}")
    try:
        _check(path, name)
    except XllmError as error:
        raise XllmError(f"{error}; remove {path}, then: xllm fetch spm-{name}") from None
    return path


def fetch(name: str) -> Path:
    """Download a model, whole or not at all; one that already exists is only checked. Raises XllmError."""
    path = _path(name)
    if path.is_file():
        flores_model(name)
        print(f"{path} already exists", file=sys.stderr)
        return path
    with whole(path) as place:
        place.write_bytes(_download(MODELS[name]["url"], path))
        _check(place, name)
    if MODELS[name]["sha256"] is None:
        print(f"no checksum is known to compare it with; this one has sha256 {sha256(path)}", file=sys.stderr)
    return path


def _path(name: str) -> Path:
    from sacrebleu.tokenizers import tokenizer_spm

    file = tokenizer_spm.SPM_MODELS[name]["url"].rpartition("/")[2]
    return Path(tokenizer_spm.SACREBLEU_DIR) / "models" / file


def _download(url: str, path: Path) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as response:
            return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise XllmError(
            f"cannot download {url}: {error}; get this file some other way and put it at {path}, "
            "nothing else is used in its place"
        ) from error


def _check(path: Path, name: str) -> None:
    found, expected = sha256(path), MODELS[name]["sha256"]
    if expected is not None:
        if found != expected:
            raise XllmError(f"the model of {name} has sha256 {found}, expected {expected}: not the file it should be")
        return
    for other, facts in MODELS.items():
        if found == facts["sha256"]:
            raise XllmError(f"the model of {name} is that of {other}: not the file it should be")
    pieces = _pieces(path)
    if pieces != MODELS[name]["pieces"]:
        what = f"a sentencepiece model of {pieces:,} pieces" if pieces else "no sentencepiece model"
        raise XllmError(
            f"the model of {name} is {what}, expected {MODELS[name]['pieces']:,}: not the file it should be"
        )


def _pieces(path: Path) -> int:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(path)).get_piece_size()
    except (RuntimeError, OSError):  # no sentencepiece model
        return 0
