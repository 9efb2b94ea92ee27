"""Training through the command line, on tiny models."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from xllm.training import recipe

FLAGS = ("--max_steps", "4", "--global_batch_size", "8", "--learning_rate", "1e-2")


@pytest.fixture
def tune(cli, tiny, tmp_path, sample):
    """Tune a tiny model; the outcome and the folder of the new one."""

    def run(mixture, *flags, folder="tuned"):
        outcome = cli("train", tiny, mixture, "finetune", "--output_dir", tmp_path / folder, *flags)
        return outcome, tmp_path / folder

    return run


@pytest.mark.slow
def test_writes_a_complete_folder(tune, tiny):
    outcome, folder = tune("alpaca_en[:30]+translation_daily_en-zh[:10]", *FLAGS)
    assert outcome.code == 0 and outcome.out == f"{folder}\n"
    assert not list(folder.parent.glob(".*"))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    base = AutoModelForCausalLM.from_pretrained(tiny)
    assert model.dtype == torch.float32 and model.config.use_cache
    assert model.config.vocab_size == base.config.vocab_size  # no token is added, pad or no pad
    assert tokenizer("请 Hi").input_ids == AutoTokenizer.from_pretrained(tiny)("请 Hi").input_ids
    assert sorted(path.name for path in folder.glob("*.model")) == sorted(path.name for path in tiny.glob("*.model"))
    for (name, tuned), original in zip(model.named_parameters(), base.parameters(), strict=True):
        assert not torch.equal(tuned, original), f"{name} wasn't tuned"
    losses = [
        entry["loss"]
        for entry in json.loads((folder / "trainer_state.json").read_text())["log_history"]
        if "loss" in entry
    ]
    assert len(losses) == 4 and losses[-1] < losses[0]


@pytest.mark.slow
def test_run_json_says_what_made_the_model(tune, sample):
    _, folder = tune("alpaca_en[:30]+translation_daily_en-zh[:10]", *FLAGS)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["command"][:4] == ["python", "-m", "xllm", "train"]
    assert facts["mixture"]["rows"] == 40
    assert [(term["from"], term["rows"]) for term in facts["mixture"]["terms"]] == [
        ("alpaca_en", 30),
        ("translation_daily_en-zh", 10),
    ]
    assert set(facts["mixture"]["terms"][0]["sha256"]) == {"alpaca/alpaca.py", "alpaca/alpaca_en.json"}
    assert facts["encoding"]["template"] == "alpaca" and facts["encoding"]["model_max_length"] == 512
    assert [term["lost_target_tokens"] for term in facts["encoding"]["terms"]] == [0, 0]
    assert {"torch", "transformers", "python"} <= set(facts["versions"])


@pytest.mark.slow
def test_the_loss_is_that_of_response_and_eos_alone(tune, tiny, sample):
    """The first logged loss, recomputed by hand: the mean over all target tokens of the step, row by row."""
    _, folder = tune("alpaca_en[:8]", "--max_steps", "1", "--global_batch_size", "8")
    logged = json.loads((folder / "trainer_state.json").read_text())["log_history"][0]["loss"]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    from xllm.templates import alpaca

    total, count = 0.0, 0
    for row in json.loads((sample / "alpaca" / "alpaca_en.json").read_text())[:8]:
        prompt = tokenizer(alpaca(row["instruction"], row["input"])).input_ids
        ids = tokenizer(alpaca(row["instruction"], row["input"]) + row["output"]).input_ids
        ids = [*ids, tokenizer.eos_token_id]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, len(prompt) - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(ids[len(prompt) :]), reduction="sum").item()
        count += len(ids) - len(prompt)
    assert logged == pytest.approx(total / count, rel=1e-5)


@pytest.mark.slow
def test_an_existing_model_is_not_overwritten(tune):
    _, folder = tune("alpaca_en[:8]", "--max_steps", "1", "--global_batch_size", "4")
    before = (folder / "model.safetensors").read_bytes()
    outcome, _ = tune("alpaca_en[:8]", "--max_steps", "1", "--global_batch_size", "4")
    assert outcome.code == 2 and "already exists" in outcome.err
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.slow
def test_rows_that_are_cut_or_dropped_are_told(tune, root):
    (root / "alpaca").mkdir()
    rows = [{"instruction": "a", "input": "", "output": "b c " * n} for n in (1, 1, 1, 1, 500)]
    rows.append({"instruction": "a b " * 500, "input": "", "output": "lost"})
    (root / "alpaca" / "alpaca_aa.json").write_text(json.dumps(rows))
    outcome, folder = tune("alpaca_aa", "--max_steps", "1", "--global_batch_size", "4", "--model_max_length", "128")
    assert "1 lose their end, 1 have no response left and are dropped" in outcome.err
    assert json.loads((folder / "run.json").read_text())["encoding"]["terms"][0]["dropped"] == 1
    assert (
        "--max_lost allows 2%" in tune("alpaca_aa", "--max_lost", "2%", "--model_max_length", "128", folder="x")[0].err
    )
    outcome, folder = tune("alpaca_aa[5:]", "--max_steps", "1", folder="none")
    assert outcome.code == 2 and "no row has any response left" in outcome.err and not folder.exists()


PRODUCT = ["BASE", "alpaca_en", "--per_device_train_batch_size", "4"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "alpaca_en"], "unknown model 'nowhere'"),
        (["BASE", "alpca_en"], "unknown dataset 'alpca'; did you mean alpaca?"),
        (["BASE", "alpaca_en["], "at column 10"),
        (["BASE", "xquad_en"], "unknown split 'train'"),
        (["BASE"], "train needs MIXTURE"),
        (["BASE", "alpaca_en", "a", "b"], "cannot place 'b'"),
        (["BASE", "alpaca_en", "--learning_rat", "1"], "unknown flag '--learning_rat'; did you mean --learning_rate"),
        (["BASE", "alpaca_en", "--learning_rate", "high"], "invalid float value: 'high'"),
        (["BASE", "alpaca_en", "--template", "chat"], "unknown value of --template 'chat'"),
        (["BASE", "alpaca_en", "--model_max_length", "641"], "longer than the model's window of 640"),
        (
            [*PRODUCT, "--gradient_accumulation_steps", "3", "--global_batch_size", "8"],
            "isn't --per_device_train_batch_size 4 × --gradient_accumulation_steps 3 × 1",
        ),
        (PRODUCT, "micro-batches go by --tokens_per_micro_batch"),
        (
            ["BASE", "alpaca_en", "--tokens_per_micro_batch", "0"],
            "--tokens_per_micro_batch 0: it must be a whole number, 1 or more",
        ),
        (["BASE", "alpaca_en", "--tokens_per_micro_batch", "50"], "tokens of the longest row"),
        (["BASE", "alpaca_en", "--save_steps", "0"], "--save_steps 0: it must be a whole number, 1 or more"),
        (["BASE", "alpaca_en", "--cpu_offload"], "--cpu_offload: one process shards nothing"),
        (["BASE", "alpaca_en", "--fsdp", "full_shard"], "see --hsdp_group and --cpu_offload"),
        (["BASE", "alpaca_en", "--eval_strategy", "steps"], "--eval_mixture and --dev evaluate"),
        (["BASE", "alpaca_en", "--eval_steps", "5"], "has no effect without --eval_mixture or --dev"),
        (["BASE", "alpaca_en", "--dev", "xquad_en"], "unknown split 'validation'; available: test"),
        (["BASE", "alpaca_en", "--optim", "nope"], "nope"),
        (["BASE", "alpaca_en", "--save_strategy", "steps"], "--save_steps N saves checkpoints"),
        (["BASE", "alpaca_en", "--resume_from_checkpoint", "x"], "run the same command again to resume"),
        (["BASE", "alpaca_en", "--per_device_train_batch_size", "0"], "--per_device_train_batch_size 0"),
        (["BASE", "alpaca_en", "--global_batch_size", "0"], "--global_batch_size 0"),
        (["BASE", "alpaca_en", "--report_to", "wandb"], "the Trainer refuses these flags"),
        (["BASE", "alpaca_en", "--name", "a/b"], "'a/b' can't be a model's name"),
        (["BASE", "alpaca_en", "--name", ".hidden"], "'.hidden' can't be a model's name"),
        (["BASE", "alpaca_en", "--name", ""], "'' can't be a model's name"),
        (["BASE", "alpaca_en", "--name", "a", "--output_dir", "b"], "it must be one of them"),
        (["BASE", "alpaca_en", "continue", "--template", "alpaca"], "the METHOD continue trains on plain text"),
        (["x" * 300, "alpaca_en"], "unknown model"),
        (["BASE", "+".join(["alpaca_en"] * 40)], "has 4"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(cli, sample, llama, monkeypatch, tmp_path, words, message):
    monkeypatch.setenv("XLLM_MODEL_DIR", str(tmp_path))
    outcome = cli("train", *[str(llama) if word == "BASE" else word for word in words])
    lines = [line for line in outcome.err.splitlines() if line.startswith("xllm: ")]
    assert outcome.code == 2 and not outcome.out and len(lines) == 1 and message in lines[0]
    assert "Traceback" not in outcome.err and not list(tmp_path.iterdir())


def test_a_model_without_safetensors_is_refused(cli, sample, llama, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(llama, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    outcome = cli("train", folder, "alpaca_en[:8]", "--output_dir", tmp_path / "out")
    assert outcome.code == 2 and "cannot read the weights (safetensors)" in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("parameters", "epochs", "rate"), [(6.7e9, 3, 2e-5), (7.1e9, 3, 2e-5), (13e9, 5, 1e-5)])
def test_the_recipe_is_the_reference_s(parameters, epochs, rate):
    settings = recipe.defaults(int(parameters))
    assert (settings["num_train_epochs"], settings["learning_rate"]) == (epochs, rate)
    assert settings["lr_scheduler_type"] == "cosine" and settings["warmup_steps"] == 0.03


def test_a_step_has_128_rows_on_any_number_of_gpus():
    assert [recipe.rows_a_step(None, None, None, processes) for processes in (1, 3, 8)] == [128] * 3
    assert recipe.rows_a_step(None, 4, 8, 2) == recipe.rows_a_step(64, 4, 8, 2) == 64


@pytest.mark.slow
def test_continued_pretraining_reads_plain_text_in_blocks(cli, tiny, root, tmp_path):
    (root / "text").mkdir()
    texts = ["The river runs past the mill. " * 20, "它从磨坊旁边流过。", "x"]
    (root / "text" / "news_en.txt").write_text("\n".join([*texts, "", " \n"]))
    words = ("train", tiny, "text_news_en", "continue", "--output_dir", tmp_path / "out", "--model_max_length", "64")
    assert cli(*words, "--max_steps", "1").code == 0
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["encoding"]["template"] == "text"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    total = count = 0
    for text in texts:
        ids = [*tokenizer(text.strip()).input_ids, tokenizer.eos_token_id]
        for start in range(0, len(ids), 64):
            block = torch.tensor(ids[start : start + 64])
            if len(block) > 1:
                with torch.no_grad():
                    logits = model(block[None]).logits[0, :-1]
                total += torch.nn.functional.cross_entropy(logits, block[1:], reduction="sum").item()
                count += len(block) - 1
    assert run["encoding"]["terms"][0]["target_tokens"] == count > 100
    assert log[0]["loss"] == pytest.approx(total / count, rel=1e-5)


def test_preparing_checks_and_fills_the_cache_but_trains_nothing(tune, cli):
    outcome, folder = tune("alpaca_en[:8]", "--prepare_only")
    assert outcome.code == 0 and not outcome.out and "alpaca_en: 8 rows" in outcome.err and not folder.exists()
    assert "tokenizing" not in tune("alpaca_en[:8]", "--prepare_only")[0].err
    assert tune("alpaca_en[:8]", "--global_batch_size", "0", "--prepare_only")[0].code == 2


@pytest.mark.slow
def test_sampling_settings_of_a_base_do_not_spoil_the_save(cli, sample, llama, tmp_path):
    folder = shutil.copytree(llama, tmp_path / "base")
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(settings | {"temperature": 0.6, "top_p": 0.9}))
    outcome = cli(
        "train", folder, "alpaca_en[:4]", "--output_dir", tmp_path / "out", *FLAGS[:2], "--global_batch_size", "4"
    )
    assert outcome.code == 0 and (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.base_model
def test_tied_weights_are_saved_once(cli, sample, smol, tmp_path):
    from transformers import LlamaForCausalLM

    folder = shutil.copytree(smol, tmp_path / "base")
    config = AutoModelForCausalLM.from_pretrained(smol).config
    config.tie_word_embeddings = True
    LlamaForCausalLM(config).save_pretrained(folder)
    cli(
        "train",
        folder,
        "alpaca_en[:4]",
        "--output_dir",
        tmp_path / "out",
        "--max_steps",
        "1",
        "--global_batch_size",
        "4",
    )
    assert "lm_head.weight" not in load_file(tmp_path / "out" / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.lm_head.weight is model.model.embed_tokens.weight
