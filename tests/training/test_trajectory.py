"""Laying rows out without padding changes nothing but the time: the reference's trajectory, step by step."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
    Trainer,
    TrainingArguments,
)

from xllm.mixture.encoding import encode
from xllm.mixture.load import load_mixture
from xllm.mixture.mixture import Selection
from xllm.models.load import load_tokenizer
from xllm.packing.collate import packed_batch, padded_batch, without_targets
from xllm.packing.packed import make_losses
from xllm.templates import alpaca
from xllm.training.layout import order, reference_weights

TEXT = "alpaca_en[:10]+alpaca_zh[:6]+translation_daily_en-zh[:8]"
DRAWN = "alpaca_en[:10]*1.5+alpaca_zh[:3]+translation_daily_en-zh[:3]*2"  # as many rows
SHORT = {"llama-7b-hf": 130, "smol": 65}  # tokens, at which half of the rows or more are dropped
STEPS = 6  # three an epoch, the third of them short
RECIPE = {"learning_rate": 1e-3, "warmup_steps": 2, "max_steps": STEPS, "lr_scheduler_type": "cosine", "seed": 7}


def plain(tiny, folder, text=TEXT, limit=512):
    """The reference: transformers' own Trainer and loss, rows padded to the longest of four, accumulated. A row whose
    prompt is all that fits has labels that are all masked."""
    tokenizer, rows = load_tokenizer(str(tiny)), []
    for row in load_mixture(text, "train", selection=Selection(seed=RECIPE["seed"])):
        prompt = alpaca(row["instruction"], row["input"])
        whole = prompt + row["output"] + tokenizer.eos_token
        ids = tokenizer(whole, truncation=True, max_length=limit).input_ids
        rows.append({"input_ids": ids, "prompt_length": len(tokenizer(prompt).input_ids)})
    dropped = sum(row["prompt_length"] >= limit for row in rows)
    cut = sum(row["prompt_length"] < limit == len(row["input_ids"]) for row in rows)
    assert len(rows) == 24 and (limit == 512 or (dropped >= 8 and cut >= 2))

    def collate(batch):
        ids = [torch.tensor(row["input_ids"]) for row in batch]
        labels = [row.clone() for row in ids]
        for label, row in zip(labels, batch, strict=True):
            label[: row["prompt_length"]] = -100
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(ids, True, tokenizer.eos_token_id),
            "attention_mask": pad([torch.ones_like(row) for row in ids], True, 0),
            "labels": pad(labels, True, -100),
        }

    args = TrainingArguments(
        str(folder),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        logging_steps=1,
        report_to="none",
        remove_unused_columns=False,
        save_strategy="no",
        optim="adamw_torch",
        use_cpu=True,
        **RECIPE,
    )
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    trainer = Trainer(model=model, args=args, train_dataset=rows, data_collator=collate)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses, model.state_dict()


@pytest.fixture
def tune(cli, tiny, tmp_path, sample):
    """The same by the command line: losses and weights."""

    def run(name, *flags, text=TEXT):
        recipe = [word for flag, value in RECIPE.items() for word in (f"--{flag}", value)]
        words = ("train", tiny, text, "--output_dir", tmp_path / name, "--global_batch_size", 8, *recipe, *flags)
        assert cli(*words).code == 0
        return read(tmp_path / name)

    return run


def read(folder):
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in log if "loss" in entry], load_file(folder / "model.safetensors")


def same(one, other, rounding=1e-5, steps=STEPS):
    losses, weights = zip(one, other, strict=True)
    assert len(losses[0]) == steps and losses[0] == pytest.approx(losses[1], rel=rounding, abs=rounding)
    for name, tensor in weights[0].items():
        assert torch.linalg.norm(tensor - weights[1][name]) <= rounding * torch.linalg.norm(tensor), name


def test_the_trajectory_is_that_of_padded_rows(tune, tiny, tmp_path):
    same(tune("packed"), plain(tiny, tmp_path / "plain"))


def test_dropped_rows_leave_the_others_in_the_steps_that_the_recipe_gives_them(tune, tiny, tmp_path):
    limit = SHORT[tiny.name]
    same(tune("packed", "--model_max_length", limit, text=DRAWN), plain(tiny, tmp_path / "plain", DRAWN, limit))


def test_a_step_of_dropped_rows_alone_counts_and_has_a_zero_gradient(cli, llama, root, tmp_path):
    (root / "alpaca").mkdir()
    rows = [{"instruction": "zq " * 600 * (number != 3), "input": "", "output": "b"} for number in range(6)]
    (root / "alpaca" / "alpaca_en.json").write_text(json.dumps(rows))
    words = ("--global_batch_size", 1, "--num_train_epochs", 2, "--learning_rate", "1e-3", "--lr_scheduler_type")
    folder = tmp_path / "out"
    assert cli("train", llama, "alpaca_en", "--output_dir", folder, *words, "linear", "--warmup_steps", 0).code == 0
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    taught = [
        6 * epoch + torch.randperm(6, generator=torch.Generator().manual_seed(42 + epoch)).tolist().index(3)
        for epoch in range(2)
    ]
    assert [entry["step"] for entry in log] == list(range(1, 13))
    assert [entry["step"] - 1 for entry in log if entry["loss"] is not None] == taught
    assert [entry["step"] - 1 for entry in log if entry["grad_norm"]] == taught
    assert [entry["learning_rate"] for entry in log] == pytest.approx([1e-3 * (12 - step) / 12 for step in range(12)])

    # the same by hand: Adam goes on by its momentum where the gradient is zero
    torch.manual_seed(42)
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    tokenizer = load_tokenizer(str(llama))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    prompt = alpaca("", "")
    ids = torch.tensor([tokenizer(prompt + "b" + tokenizer.eos_token).input_ids])
    labels = ids.clone()
    labels[:, : len(tokenizer(prompt).input_ids)] = -100
    for step in range(12):
        (model(ids, labels=labels).loss * (step in taught)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = 1e-3 * (12 - step) / 12
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in load_file(folder / "model.safetensors").items():
        assert torch.linalg.norm(tensor - model.state_dict()[name]) <= 1e-5 * torch.linalg.norm(tensor), name


def test_micro_batches_do_not_change_it(tune):
    same(tune("one", "--tokens_per_micro_batch", 5000), tune("many", "--tokens_per_micro_batch", 320))


def by_hand(tiny, ranks):
    """transformers 4.29's way, which averages the means of padded micro-batches of two rows; each of `ranks` has each
    second row of a step."""
    rows = encode(load_mixture(TEXT, "train"), load_tokenizer(str(tiny)), "alpaca", 512).rows
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for step in range(2):
        drawn = order(len(rows), 7, 0)[8 * step : 8 * step + 8]
        micro_batches = [drawn[rank::ranks][two : two + 2] for rank in range(ranks) for two in range(0, 8 // ranks, 2)]
        means = []
        for numbers in micro_batches:
            own = rows[numbers]
            batch = padded_batch(list(own["input_ids"]), np.asarray(own["prompt_length"]))
            means.append(model(**{name: batch[name] for name in ("input_ids", "attention_mask", "labels")}).loss)
        loss = sum(means) / len(means)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses, model.state_dict()


AS_THERE = ("--global_batch_size", 8, "--per_device_train_batch_size", 2, "--loss_average", "reference")
AS_THERE = (
    *AS_THERE,
    "--seed",
    7,
    "--optim",
    "sgd",
    "--learning_rate",
    0.5,
    "--lr_scheduler_type",
    "constant",
    "--warmup_steps",
    0,
)


def test_the_reference_s_average_is_that_of_its_micro_batches(cli, llama, tmp_path, sample):
    """Whatever ours are: those of `--tokens_per_micro_batch` are others, and rows are packed."""
    expected = by_hand(llama, 1)
    words = (
        "train",
        llama,
        TEXT,
        *AS_THERE,
        "--max_steps",
        2,
        "--eval_mixture",
        "alpaca_en[:3]",
        "--eval_split",
        "train",
    )
    for name, tokens in (("one", 5000), ("many", 400)):
        outcome = cli(*words, "--output_dir", tmp_path / name, "--tokens_per_micro_batch", tokens)
        assert outcome.code == 0, outcome.err
        same(read(tmp_path / name), expected, steps=2)
    assert json.loads((tmp_path / "one" / "run.json").read_text())["averaged_rows"] == 2
    mean = cli("train", llama, TEXT, "--output_dir", tmp_path / "mean", *AS_THERE[:2], *AS_THERE[6:], "--max_steps", 1)
    assert mean.code == 0 and abs(read(tmp_path / "mean")[0][0] - expected[0][0]) > 1e-4  # by default it is another


@pytest.mark.slow
def test_the_reference_s_average_over_ranks_is_that_of_their_means(torchrun, llama, tmp_path, sample):
    torchrun("-m", "xllm", "train", llama, TEXT, *AS_THERE, "--max_steps", 2, "--output_dir", tmp_path / "two")
    same(read(tmp_path / "two"), by_hand(llama, 2), steps=2)


def test_rows_of_a_micro_batch_that_are_dropped_leave_its_mean_to_the_others():
    """Places 2 and 3 have no row: a micro-batch of two rows that has none is left out, as it has no mean."""
    targets = np.array([3, 5, 4, 8])
    weights = reference_weights(np.array([0, 1, 4, 7]), targets, 2, 1)
    assert (weights * targets / targets.sum()).tolist() == pytest.approx([3 / 8 / 3, 5 / 8 / 3, 1 / 3, 1 / 3])
    weights = reference_weights(np.array([0, 1, 4, 7]), targets, 2, 2)  # ranks have places 0 2 4 6 and 1 3 5 7
    assert (weights * targets / targets.sum()).tolist() == pytest.approx([1 / 4] * 4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--global_batch_size", 6),
            "a step of 6 rows can't be made of micro-batches of 4 rows on each of 1 processes",
        ),
        (("--per_device_train_batch_size", 3), "a step of 128 rows can't be made of micro-batches of 3 rows"),
    ],
)
def test_a_step_is_made_of_whole_micro_batches(cli, llama, tmp_path, sample, flags, message):
    outcome = cli("train", llama, TEXT, "--output_dir", tmp_path / "out", "--loss_average", "reference", *flags)
    assert outcome.code == 2 and message in outcome.err


def test_how_rows_a_step_are_said_does_not_matter(cli, tiny, tmp_path, sample):
    flags = ("--per_device_train_batch_size", 4, "--gradient_accumulation_steps", 2, "--max_steps", 1)
    assert cli("train", tiny, TEXT, "--output_dir", tmp_path / "out", *flags).code == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["rows_a_step"] == 8


# families: how a small model of each is made, and whether its rows can lie end to end
SIZE = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = SIZE | {"intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}
FAMILIES = {
    "llama": (LlamaConfig(**GROUPED), True),
    "mistral, whose window is short": (MistralConfig(**GROUPED, sliding_window=11), True),
    "qwen2": (Qwen2Config(**{k: v for k, v in GROUPED.items() if k != "head_dim"}), True),
    "qwen3": (Qwen3Config(**GROUPED), True),
    "gemma": (GemmaConfig(**GROUPED), True),
    "gemma2, with soft caps and a short window": (Gemma2Config(**GROUPED, sliding_window=11), True),
    "gemma3, with a short window": (Gemma3TextConfig(**GROUPED, sliding_window=11), True),
    "bloom, which has no replaceable attention": (BloomConfig(**SIZE), False),
}


@pytest.fixture(params=FAMILIES)
def family(request):
    config, packed = FAMILIES[request.param]
    torch.manual_seed(0)
    # the implementation that leaves nothing out (torch's own knows no soft caps)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager"), packed


def batch_of(packed, lengths, prompts, seed=0):
    generator = np.random.default_rng(seed)
    rows = [generator.integers(0, 97, length) for length in lengths]
    return (packed_batch if packed else padded_batch)(rows, np.array(prompts)), rows


def test_loss_and_gradient_are_the_model_s_own(family):
    model, packed = family
    lengths, prompts = [23, 5, 31, 2], [4, 3, 30, 1]
    _, rows = batch_of(packed, lengths, prompts)
    expected = []
    for row, prompt in zip(rows, prompts, strict=True):
        ids = torch.from_numpy(row)[None]
        labels = ids.clone()
        labels[:, :prompt] = -100
        logits = model(input_ids=ids).logits[0, :-1].float()
        expected.append(torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum", ignore_index=-100))
    sum(expected).backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()

    assert make_losses(model, 40) == packed
    total, by_row = model(**batch_of(packed, lengths, prompts)[0])
    (total * 0.5).backward()
    assert by_row.tolist() == pytest.approx([loss.item() for loss in expected], rel=1e-5)
    assert total.item() == pytest.approx(sum(expected).item(), rel=1e-5)
    for name, weight in model.named_parameters():
        assert torch.allclose(2 * weight.grad, gradients[name], rtol=1e-4, atol=1e-5), name


def test_rows_do_not_see_each_other(family):
    model, _ = family
    packed = make_losses(model, 40)
    with torch.no_grad():
        batch, rows = batch_of(packed, [23, 9, 31], [4, 3, 8])
        other = [rows[0], (rows[1] + 5) % 97, rows[2]]
        changed = (packed_batch if packed else padded_batch)(other, np.array([4, 3, 8]))
        before, after = model(**batch)[1], model(**changed)[1]
    assert before[1] != after[1]
    assert before[[0, 2]].tolist() == after[[0, 2]].tolist()


def test_a_micro_batch_without_targets_has_no_gradient(family):
    model, _ = family
    packed = make_losses(model, 40)
    total, _ = model(**without_targets(batch_of(packed, [9], [3])[0]))
    total.backward()
    assert total.item() == 0
    gradients = [weight.grad for weight in model.parameters()]
    assert not any(gradient.any() for gradient in gradients if gradient is not None)
    assert any(gradient is not None for gradient in gradients)  # or ranks would wait for one another
    assert not packed or all(gradient is not None for gradient in gradients)


def test_a_model_still_generates(family):
    model, _ = family
    prompt = torch.tensor([[5, 6, 7, 8]])
    before = model.generate(prompt, max_new_tokens=6, do_sample=False, pad_token_id=0)
    make_losses(model, 40)
    model.set_attn_implementation("eager")
    assert model.generate(prompt, max_new_tokens=6, do_sample=False, pad_token_id=0).tolist() == before.tolist()


def test_chunks_do_not_change_the_loss(monkeypatch):
    from xllm.packing.loss import CHUNK, chunked_loss

    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(50, 16), torch.randn(40, 16), torch.randn(40)
    targets = torch.randint(40, (50,))
    found = []
    for chunk in (2**25, 7 * 40):
        monkeypatch.setitem(CHUNK, "cpu", chunk)
        leaves = [tensor.clone().requires_grad_() for tensor in (hidden, weight, bias)]
        total, each = chunked_loss(*leaves, targets, softcap=3.0)
        (3 * total).backward()
        found.append([total, each, *(leaf.grad for leaf in leaves)])
    leaves = [tensor.clone().requires_grad_() for tensor in (hidden, weight, bias)]
    logits = 3.0 * torch.tanh(torch.nn.functional.linear(*leaves) / 3.0)
    each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    (3 * each.sum()).backward()
    for way in found:
        for tensor, expected in zip(way, [each.sum(), each, *(leaf.grad for leaf in leaves)], strict=True):
            assert torch.allclose(tensor, expected, rtol=1e-4, atol=1e-5)
