"""`python -m xllm mixture`, and holding a training run to a lockfile."""

import json
import shutil

import pytest

from tests.conftest import HOME, save_llama
from tests.vocabularies import family
from xllm.files import write_json

SAMPLE = HOME / "data" / "sample"


def test_shows_rows_and_shares(cli, sample):
    lines = [line.split() for line in cli("mixture", "alpaca_en[:60]+translation_daily_en-zh*0.25").out.splitlines()]
    assert lines[0] == ["term", "language", "rows", "share"]
    assert lines[2:] == [
        ["alpaca_en", "en", "60", "42.9", "%"],
        ["translation_daily_en-zh", "zh", "80", "57.1", "%"],
        ["all", "140", "100.0", "%"],
    ]
    assert "1,000" in cli("mixture", "alpaca_en", "--mix_rows", "1000").out.splitlines()[-1]


def test_sums_up_by_language(cli, sample, tmp_path):
    report = tmp_path / "report.json"
    lines = cli(
        "mixture", "alpaca_en[:60]+translation_daily_en-zh[:9]+alpaca_zh[:11]", "--json", report
    ).out.splitlines()
    assert [line.split() for line in lines[5:]] == [
        ["all", "en", "60", "75.0", "%"],
        ["all", "zh", "20", "25.0", "%"],
        ["all", "80", "100.0", "%"],
    ]
    languages = json.loads(report.read_text())["languages"]
    assert languages == [{"language": "en", "rows": 60}, {"language": "zh", "rows": 20}]


def test_counts_the_tokens_that_are_trained_on(cli, sample, llama):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(llama)
    rows = json.loads((SAMPLE / "alpaca" / "alpaca_en.json").read_text())[:5]
    from xllm.templates import alpaca

    tokens = 0
    for row in rows:
        prompt = alpaca(row["instruction"], row["input"])
        tokens += len(tokenizer(prompt + row["output"]).input_ids) + 1 - len(tokenizer(prompt).input_ids)
    line = cli("mixture", "alpaca_en[:5]", "--model", llama).out.splitlines()[2].split()
    assert line == ["alpaca_en", "en", "5", "100.0", "%", str(tokens), "100.0", "%", "0", "0", "0", "0.00", "%", "0"]


def test_shows_what_the_length_limit_takes_away(cli, sample, llama, tmp_path):
    words = (
        "mixture",
        "alpaca_en+alpaca_zh",
        "--model",
        llama,
        "--model_max_length",
        "128",
        "--json",
        tmp_path / "x.json",
    )
    lines = [line.split() for line in cli(*words).out.splitlines()[2:]]
    terms = json.loads((tmp_path / "x.json").read_text())["terms"]
    assert [term["from"] for term in terms] == ["alpaca_en", "alpaca_zh"] and terms[0]["cut"] + terms[0]["dropped"] > 0
    for line, term in zip(lines, terms, strict=False):
        lost, total = term["lost_target_tokens"], term["target_tokens"]
        taken = [str(term["cut"]), str(term["dropped"]), f"{lost:,}", f"{100 * lost / total:.2f}", "%"]
        assert line[8:] == [*taken, str(term["straddling"])]


def test_counts_rows_in_which_a_token_would_straddle_prompt_and_response(cli, root, tmp_path):
    texts = ("Nora", " Nora", "nobody", '"Nora"')
    write_json(root / "alpaca" / "alpaca_en.json", [{"instruction": "Who?", "input": "", "output": x} for x in texts])
    save_llama(tmp_path / "qwen", family("qwen"))
    shown = cli("mixture", "alpaca_en", "--model", tmp_path / "qwen", "--json", tmp_path / "x.json").out.splitlines()
    assert shown[0].split()[-1] == "straddling" and shown[2].split()[-1] == "2"
    assert json.loads((tmp_path / "x.json").read_text())["terms"][0]["straddling"] == 2


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data root of one's own, to change."""
    folder = shutil.copytree(SAMPLE, tmp_path / "data")
    monkeypatch.setenv("XLLM_DATA_DIR", str(folder))
    return folder


def test_a_lockfile_holds_training_to_the_same_mixture(cli, data, llama, tmp_path):
    text, lock = "alpaca_en*0.5+translation_daily_en-zh[:40]", tmp_path / "mixture.lock"
    assert cli("mixture", text, "--lock", lock, "--mix_rows", "50").code == 0
    facts = json.loads(lock.read_text())
    assert facts["text"] == text and facts["rows"] == 50 and facts["seed"] == 42
    files = [path for term in facts["terms"] for path in term["sha256"]]
    assert files == ["alpaca/alpaca.py", "alpaca/alpaca_en.json", "translation/translation.py"] + [
        f"translation/daily/en-zh/train.{language}" for language in ("en", "zh")
    ]

    def train(text, *flags):
        words = ("--prepare_only", "--output_dir", tmp_path / "out", "--lock", lock)
        return cli("train", llama, text, *words, *flags)

    assert train(text, "--mix_rows", "50").code == 0
    assert "mix_rows is None, locked 50" in train(text).err
    assert "seed is 7, locked 42" in train(text, "--mix_rows", "50", "--seed", "7").err
    assert "rows of alpaca_en is" in train("alpaca_en+translation_daily_en-zh[:40]", "--mix_rows", "50").err
    path = data / "alpaca" / "alpaca_en.json"
    path.write_text(path.read_text().replace("。", ".").replace("the ", "a ", 1))
    outcome = train(text, "--mix_rows", "50")
    assert outcome.code == 2 and "sha256 of alpaca/alpaca_en.json is" in outcome.err
    lock.unlink()
    assert "there is not a lockfile" in train(text).err
    lock.write_text("[]")
    assert "is not a lockfile" in train(text).err


def test_a_lockfile_holds_what_is_left_out(cli, sample, llama, tmp_path):
    text, lock = "alpaca_en[:9]+translation_daily_en-zh[:40]", tmp_path / "mixture.lock"
    flags = ["--filter_parallel", "--drop_contaminated", "xquad_en", "--lock", lock]
    assert cli("mixture", text, *flags).code == 0
    facts = json.loads(lock.read_text())
    assert facts["filter_parallel"] is True and [test["from"] for test in facts["tests"]] == ["xquad_en"]
    words = ("train", llama, text, "--prepare_only", "--output_dir", tmp_path / "out")
    assert cli(*words, *flags).code == 0
    assert "filter_parallel is False, locked True" in cli(*words, *flags[1:]).err
    assert "drop_contaminated is None, locked 'xquad_en'" in cli(*words, flags[0], *flags[3:]).err
    assert cli("mixture", text, "--filter_parallel=maybe").err.startswith(
        "xllm: --filter_parallel maybe: it is a switch"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["alpca_en"], "did you mean alpaca?"),
        (["alpaca_en", "--mix_rows", "many"], "--mix_rows many: it must be a whole number, 1 or more"),
        (["alpaca_en", "--mix_rows", "0"], "--mix_rows 0: it must be a whole number, 1 or more"),
        (["alpaca_en", "--mix_temperature", "0"], "--mix_temperature 0: it must be a number above 0"),
        (["alpaca_en", "--split", "test"], "unknown split 'test'; available: train"),
        (["alpaca_en", "--model", "nowhere"], "unknown model 'nowhere'"),
        (["alpaca_en", "--loc", "x"], "unknown flag '--loc'; did you mean --lock"),
    ],
)
def test_mistakes_are_one_line(cli, sample, words, message):
    outcome = cli("mixture", *words)
    assert outcome.code == 2 and message in outcome.err and not outcome.out
