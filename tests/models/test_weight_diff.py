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
