"""The card of a tuned model, by the hub's own classes."""

import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, ModelCardData, metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results

from xllm.artifacts import model_card, scores
from xllm.artifacts.scores import Score, Scored


def run_of(languages=("en",), base="llama-7b-hf", mixture="alpaca_en", **more):
    terms = [{"from": f"alpaca_{code}", "language": code, "rows": 3, "target_tokens": 9} for code in languages]
    return {
        "base": {"name": base},
        "mixture": {"text": mixture, "terms": terms},
        "encoding": {"terms": terms, "template": "alpaca", "model_max_length": 512},
        "command": ["python", "-m", "xllm", "train", base, mixture],
        "rows_a_step": 4,
        "training": {},
        **more,
    }


def card_of(folder: Path, run: dict) -> dict:
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(json.dumps(run))
    model_card.write(folder)
    found = metadata_load(folder / "README.md")
    assert isinstance(ModelCard((folder / "README.md").read_text()).data, ModelCardData)
    return found


def test_codes_of_languages_are_iso_s_and_stay_text(tmp_path):
    codes = ("no", "zh-Hant", "zho_Hans", "pt-BR", "yue", "on")
    found = card_of(tmp_path / "m", run_of(codes))
    assert found["language"] == ["no", "on", "pt", "yue", "zh"]
    assert found["license"] == "unknown" and "base_model" not in found and "model-index" not in found
    assert "language" not in card_of(tmp_path / "none", run_of((None,)))


def test_scores_are_a_model_index(tmp_path):
    test = tmp_path / "yes: a#b" / "test"
    own = Scored("xquad_en", "qa", "en", [Score("f1", 61.234567, 20, "squad|lang:en", 50, 70)], [])
    for name in ("xquad_en", "xquad_en.first5"):
        scores.write(test / f"{name}.metrics.json", "m", name, ["x"], "0", [own])
    found = card_of(test.parent, run_of(origin={"base_model": "org/base", "license": "apache-2.0"}))
    assert (found["base_model"], found["license"]) == ("org/base", "apache-2.0")
    name, results = model_index_to_eval_results(found["model-index"])
    assert name == "yes: a#b" and [result.dataset_name for result in results] == ["xquad_en", "xquad_en.first5"]
    assert (results[0].metric_type, results[0].metric_value, results[0].metric_args["count"]) == ("f1", 61.2346, 20)
    text = (test / "xquad_en.metrics.json").read_text()
    (test / "xquad_en.metrics.json").write_text(text.replace("61.234567", "NaN"))
    assert len(model_index_to_eval_results(card_of(test.parent, run_of())["model-index"])[1]) == 1


@pytest.mark.parametrize(
    ("name", "files", "told"),
    [
        ("base", {}, {"base_model": "base", "license": "unknown"}),
        ("a+b", {}, {"base_model": None, "license": "unknown"}),
        ("base", {"run.json": '{"fetched": "org/Base"}'}, {"base_model": "org/Base", "license": "unknown"}),
        ("base", {"LICENSE": "  Apache License\n   Version 2.0"}, {"base_model": "base", "license": "apache-2.0"}),
        (
            "base",
            {"LICENSE.txt": "All rights reserved."},
            {"base_model": "base", "license": "other", "license_name": "license.txt"},
        ),
        (
            "base",
            {"LICENSE": "MIT License", "README.md": "---\nlicense: other\nlicense_name: gemma\n---\n"},
            {"base_model": "base", "license": "other", "license_name": "gemma"},
        ),
        ("base", {"README.md": "---\nlicense: [a: b\n---\n"}, {"base_model": "base", "license": "unknown"}),
    ],
)
def test_what_is_known_of_the_base(tmp_path, name, files, told):
    (tmp_path / name).mkdir()
    for file, text in files.items():
        (tmp_path / name / file).write_text(text)
    assert model_card.origin(str(tmp_path / name)) == told


@pytest.mark.slow
def test_an_alias_is_written_out(cli, llama, root, tmp_path):
    (root / "alpaca").mkdir()
    for code in ("aa", "bb"):
        rows = [{"instruction": str(n), "input": "", "output": "x"} for n in range(4)]
        (root / "alpaca" / f"alpaca_{code}.json").write_text(json.dumps(rows))
    (root / "alias").mkdir()
    aliases = {"few": "alpaca_aa[:2]", "both": "few*2+alpaca_bb", "other": "alpaca_bb"}
    (root / "alias" / "alias.json").write_text(json.dumps(aliases))
    base = shutil.copytree(llama, tmp_path / "tuned=base")
    out = tmp_path / "out"
    words = ("train", base, "both[:7]+alias_few", "--output_dir", out, "--max_steps", "1", "--global_batch_size", "4")
    assert cli(*words).code == 0
    card = (out / "README.md").read_text()
    assert "- `both` is `few*2+alpaca_bb`\n- `few` is `alpaca_aa[:2]`\n" in card and "`other`" not in card
    assert re.search(r"alpaca_aa +\| aa +\| 6 ", card) and re.search(r"alpaca_bb +\| bb +\| 3 ", card)
