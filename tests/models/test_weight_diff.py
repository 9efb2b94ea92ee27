"""A tuned model as its difference from the base."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM


@pytest.fixture(params=[torch.float32, torch.bfloat16])
def tuned(llama, tmp_path, request):
    """The base with other weights, one of them in another shape."""
    folder = shutil.copytree(llama, tmp_path / "tuned")
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, weight in weights.items():
        noise = torch.randn(weight.shape, generator=generator) * 10 ** float(
            torch.randint(-9, 9, (), generator=generator)
        )
        weights[name] = (weight + noise).to(request.param)
    weights["lm_head.weight"] = torch.cat([weights["lm_head.weight"], weights["lm_head.weight"][:1]])
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_what_is_recovered_is_the_tuned_model_to_the_bit(cli, llama, tuned, tmp_path):
    diff, again = tmp_path / "diff", tmp_path / "again"
    assert cli("weight_diff", "make", llama, tuned, diff).out == f"{diff}\n"
    difference, original = load_file(diff / "model.safetensors"), load_file(tuned / "model.safetensors")
    assert not any(torch.equal(difference[name], original[name]) for name in original if name != "lm_head.weight")
    assert cli("weight_diff", "recover", llama, diff, again).code == 0
    assert (again / "model.safetensors").read_bytes() == (tuned / "model.safetensors").read_bytes()
    assert {path.name for path in again.iterdir()} == {path.name for path in tuned.iterdir()}


def test_another_base_or_a_damaged_difference_is_refused(cli, llama, tuned, tmp_path):
    diff, again = tmp_path / "diff", tmp_path / "again"
    cli("weight_diff", "make", llama, tuned, diff)
    other = shutil.copytree(llama, tmp_path / "other")
    model = AutoModelForCausalLM.from_pretrained(other)
    with torch.no_grad():
        model.model.norm.weight[0] += 1
    model.save_pretrained(other)
    outcome = cli("weight_diff", "recover", other, diff, again)
    assert outcome.code == 2 and "isn't the base that" in outcome.err and not again.exists()
    facts = json.loads((diff / "weight_diff.json").read_text())
    (diff / "weight_diff.json").write_text(json.dumps(facts | {"tuned": "0"}))
    outcome = cli("weight_diff", "recover", llama, diff, again)
    assert outcome.code == 2 and "is it damaged?" in outcome.err and not again.exists()


def test_mistakes_are_one_line(cli, llama, tuned, tmp_path):
    for words, message in (
        (("mak", llama, tuned, tmp_path / "diff"), "unknown value of WHAT 'mak'; did you mean make?"),
        (("make", llama, tuned, tuned), "already exists"),
        (("recover", llama, tuned, tmp_path / "x"), "is not a weight diff"),
    ):
        outcome = cli("weight_diff", *words)
        assert outcome.code == 2 and message in outcome.err
        assert not (tmp_path / "x").exists()


def changed(path):
    path.write_text(path.read_text().replace(": ", ":  ", 1))


def replaced(path):
    path.unlink()
    path.symlink_to("/etc/hostname")


ALTERED = {
    "config.json": [(changed, "isn't the file that was made"), (replaced, "leads out of the folder, to /etc/hostname")],
    "tokenizer.json": [(changed, "isn't the file that was made"), (lambda path: path.unlink(), "lacks tokenizer.json")],
    "weight_diff.json": [
        (replaced, "leads out of the folder"),
        (lambda path: path.write_text("[]"), "doesn't say what"),
    ],
    "model.safetensors": [(replaced, "leads out of the folder")],
    "added.md": [(lambda path: path.symlink_to("/etc/passwd"), "leads out of the folder, to /etc/passwd")],
    "loop.md": [(lambda path: path.symlink_to("loop.md"), None), (lambda path: path.symlink_to("config.json"), None)],
    "more.json": [(lambda path: path.write_text("{}"), None)],
}


@pytest.mark.parametrize("tuned", [torch.bfloat16], indirect=True)
@pytest.mark.parametrize("name", ALTERED)
def test_nothing_but_what_was_made_is_taken(cli, llama, tuned, tmp_path, name):
    """Whatever has been changed, removed, added or turned into a link on its way."""
    made = tmp_path / "made"
    cli("weight_diff", "make", llama, tuned, made)
    for number, (alter, message) in enumerate(ALTERED[name]):
        diff, again = shutil.copytree(made, tmp_path / f"diff{number}"), tmp_path / f"again{number}"
        alter(diff / name)
        outcome = cli("weight_diff", "recover", llama, diff, again)
        if message is None:
            assert outcome.code == 0 and {path.name for path in again.iterdir()} == {p.name for p in tuned.iterdir()}
        else:
            assert outcome.code == 2 and message in outcome.err and not again.exists(), outcome.err


@pytest.mark.parametrize("tuned", [torch.bfloat16], indirect=True)
def test_a_name_in_the_list_leads_nowhere_else(cli, llama, tuned, tmp_path):
    diff = tmp_path / "diff"
    cli("weight_diff", "make", llama, tuned, diff)
    facts = json.loads((diff / "weight_diff.json").read_text())
    for name in ("../secret.json", "/etc/passwd", "", ".", ".."):
        (diff / "weight_diff.json").write_text(json.dumps(facts | {"files": {name: "0"}}))
        outcome = cli("weight_diff", "recover", llama, diff, tmp_path / "again")
        assert outcome.code == 2 and "lacks" in outcome.err and not (tmp_path / "again").exists()
    del facts["files"]
    (diff / "weight_diff.json").write_text(json.dumps(facts))
    assert "made by another version of xllm" in cli("weight_diff", "recover", llama, diff, tmp_path / "again").err
