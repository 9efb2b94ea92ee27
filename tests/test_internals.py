"""Every name that isn't public, or says little of itself, and that we rely on: it is there, and means what we think.

A new release of a library that changes one fails here, and says which. Where a name is reached from is told with each.
"""

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    Trainer,
)

from xllm.training.trainer import StepTrainer

TABLE = {}


def means(name: str):
    """Add a check, which takes fixtures, to the table: `name` is the library's."""

    def add(check):
        TABLE[name] = check
        return check

    return add


SIZE = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = SIZE | {"intermediate_size": 32, "num_key_value_heads": 1, "head_dim": 8}
IDS = torch.arange(3, 12)[None]


def model_of(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


def told(config, **inputs) -> list[tuple]:
    """What a model tells an attention function of ours: the module and the keywords of each layer."""
    seen = []

    def attention(module, query, key, value, mask, **keywords):
        seen.append((module, keywords))
        return torch.zeros(query.shape).transpose(1, 2), None

    AttentionInterface.register("seen", attention)
    model = model_of(config)
    model.set_attn_implementation("seen")
    with torch.no_grad():
        model(IDS, use_cache=False, **inputs)
    return seen


# xllm/packing/internals.py


@means("transformers: config._attn_implementation")
def _():
    from xllm.packing.internals import attention_kept, attention_of

    model = model_of(LlamaConfig(**WIDE))
    for name in ("eager", "sdpa"):
        model.set_attn_implementation(name)
        assert attention_of(model) == name
    with pytest.raises(ZeroDivisionError), attention_kept(model):
        model.set_attn_implementation("eager")
        raise ZeroDivisionError
    assert attention_of(model) == "sdpa"


@means("transformers: the attention modules' layer_idx")
def _():
    from xllm.packing.internals import layer_number

    assert [layer_number(module) for module, _ in told(LlamaConfig(**WIDE))] == [0, 1]


@means("transformers: model.forward, replaced")
def _(tmp_path):
    from xllm.packing.internals import replace_forward

    model, seen = model_of(LlamaConfig(**WIDE)), []
    kind, before = type(model), set(model.state_dict())
    model.register_forward_hook(lambda *_: seen.append("hook"))
    expected = model(IDS).logits

    def make(forward):
        def ours(self, *args, **inputs):
            seen.append(self)
            return forward(*args, **inputs).logits

        return ours

    replace_forward(model, make)
    assert torch.equal(model(IDS), expected) and seen == ["hook", model, "hook"]
    assert type(model) is kind and set(model.state_dict()) == before
    model.save_pretrained(tmp_path)
    assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path)(IDS).logits, expected)


@means("transformers: model.base_model, and where there is none")
def _():
    from transformers import Llama4TextConfig

    from xllm.packing.internals import body

    nameless = model_of(Llama4TextConfig(**WIDE, num_local_experts=2, pad_token_id=0))
    for model in (model_of(LlamaConfig(**WIDE)), nameless):
        assert body(model) is model.model
    assert nameless.base_model is nameless


# xllm/packing/{packed,prefix_tree}.py, xllm/training/memory.py


@means("transformers: model.is_backend_compatible")
def _():
    assert model_of(LlamaConfig(**WIDE)).is_backend_compatible()
    assert not model_of(BloomConfig(**SIZE)).is_backend_compatible()


@means("transformers: what attention functions are told (scaling, dropout, and what the caller adds)")
def _():
    for _, keywords in told(LlamaConfig(**WIDE), lengths=[4, 5]):
        assert keywords["scaling"] == 8**-0.5 and keywords["dropout"] == 0 and keywords["lengths"] == [4, 5]
        assert keywords.get("sliding_window") is None and keywords.get("softcap") is None
        assert keywords.get("s_aux") is None


@means("transformers: what attention functions are told (sliding_window)")
def _():
    assert {keywords["sliding_window"] for _, keywords in told(MistralConfig(**WIDE, sliding_window=5))} == {5}


@means("transformers: what attention functions are told (softcap)")
def _():
    assert {keywords["softcap"] for _, keywords in told(Gemma2Config(**WIDE, attn_logit_softcapping=9.0))} == {9.0}


@means("transformers: what attention functions are told (s_aux, attention sinks)")
def _():
    config = GptOssConfig(**WIDE, num_local_experts=2, num_experts_per_tok=1)
    assert all(keywords["s_aux"] is not None for _, keywords in told(config))


@means("transformers: config.final_logit_softcapping")
def _():
    bounded = model_of(Gemma2Config(**WIDE, final_logit_softcapping=1e-3))(IDS).logits
    assert bounded.abs().max() <= 1e-3 < model_of(Gemma2Config(**WIDE, final_logit_softcapping=None))(IDS).logits.max()


@means("transformers: config.rope_parameters")
def _():
    dynamic = LlamaConfig(**WIDE, rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0})
    scaled = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [1.0] * 4}
    long = Phi3Config(**WIDE, rope_parameters=scaled, original_max_position_embeddings=64, pad_token_id=0)
    plain = str(LlamaConfig(**WIDE).rope_parameters)
    assert "dynamic" in str(dynamic.rope_parameters) and "longrope" in str(long.rope_parameters)
    assert "default" in plain and "dynamic" not in plain


@means("torch: torch.nn.attention.varlen.varlen_attn")
def _():
    from torch.nn.attention.varlen import varlen_attn

    names = ["query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k"]
    parameters = inspect.signature(varlen_attn).parameters
    assert list(parameters)[:7] == names and {"scale", "window_size", "enable_gqa"} <= set(parameters)


@means("torch: torch.multiprocessing.reductions.StorageWeakRef")
def _():
    from torch.multiprocessing.reductions import StorageWeakRef

    one, other = (torch.zeros(4, device="meta") for _ in range(2))
    first, view, second = (StorageWeakRef(tensor.untyped_storage()) for tensor in (one, one[1:], other))
    assert first == view and hash(first) == hash(view) and first != second and second not in {first}


# xllm/training/sharding.py


@means("transformers: model._no_split_modules")
def _():
    from xllm.training.sharding import layers

    model = model_of(LlamaConfig(**WIDE))
    assert set(model._no_split_modules) == {"LlamaDecoderLayer"} and layers(model) == list(model.model.layers)


@means("transformers: model.all_tied_weights_keys")
def _():
    from xllm.training.sharding import untied_state

    for tied in (True, False):
        model = model_of(LlamaConfig(**WIDE, tie_word_embeddings=tied))
        assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
        assert set(model.state_dict()) - set(untied_state(model)) == ({"lm_head.weight"} if tied else set())


@means("transformers: model._get_dtype_plan and build_glob_alternation")
def _():
    from xllm.training.sharding import float32_names

    norms = {
        f"model.layers.{layer}.{name}_layernorm.weight" for layer in (0, 1) for name in ("input", "post_attention")
    }
    model = model_of(GptOssConfig(**WIDE, num_local_experts=2, num_experts_per_tok=1))
    assert float32_names(model) == norms | {"model.norm.weight"} and not float32_names(model_of(LlamaConfig(**WIDE)))


# xllm/training/saving.py


@means("transformers: core_model_loading.revert_weight_conversion, of weights without values")
def _():
    from transformers.core_model_loading import revert_weight_conversion

    with torch.device("meta"):
        model = model_of(GptOssConfig(**WIDE, num_local_experts=2, num_experts_per_tok=1))
    assert set(revert_weight_conversion(model, model.state_dict())) == set(model.state_dict())


# xllm/training/trainer.py, xllm/training/checkpoint.py


OVERRIDDEN = [name for name, value in vars(StepTrainer).items() if inspect.isfunction(value) and name != "__init__"]


def overridden(name: str) -> None:
    ours, its = (inspect.signature(getattr(owner, name)).parameters.values() for owner in (StepTrainer, Trainer))
    assert [(p.kind, p.default) for p in ours] == [(p.kind, p.default) for p in its]


for method in OVERRIDDEN:
    TABLE[f"transformers: Trainer.{method}"] = lambda method=method: overridden(method)


@means("transformers: when Trainer calls its private methods")
def _(cli, llama, sample, tmp_path, monkeypatch):
    """In a run that is stopped after three of four steps, and in one that goes on from its checkpoint."""
    from xllm.training import train

    seen: list[tuple[str, int | None]] = []
    stop = {3}

    class Recorder(StepTrainer):
        pass

    for name in OVERRIDDEN:

        def record(self, *args, name=name, **keywords):
            seen.append((name, getattr(getattr(self, "state", None), "global_step", None)))  # none while it is made
            if name == "training_step" and self.state.global_step in stop:
                raise KeyboardInterrupt
            return getattr(super(Recorder, self), name)(*args, **keywords)

        setattr(Recorder, name, record)

    def steps(calls, name):
        return [step for call, step in calls if call == name]

    monkeypatch.setattr(train, "StepTrainer", Recorder)
    words = ("train", llama, "alpaca_en[:12]", "--output_dir", tmp_path / "out", "--global_batch_size", 4)
    words = (*words, "--max_steps", 4, "--save_steps", 2, "--logging_steps", 1)
    assert cli(*words).code == 130
    begun = list(seen)
    seen.clear(), stop.clear()
    assert cli(*words).code == 0
    assert steps(begun, "training_step") == [0, 1, 2, 3] and steps(seen, "training_step") == [2, 3]
    for calls in (begun, seen):
        done = [step for step in steps(calls, "training_step") if calls is seen or step < 3]
        assert steps(calls, "_get_grad_norm") == steps(calls, "floating_point_ops") == done
        for step in done:  # a gradient is looked at before the optimizer uses it
            assert calls.index(("training_step", step)) < calls.index(("_get_grad_norm", step))
    assert steps(begun, "_save_checkpoint") == [2] and steps(seen, "_save_checkpoint") == [4]
    assert begun.index(("log", 2)) < begun.index(("_save_checkpoint", 2))  # a checkpoint holds the log of its step
    assert not steps(begun, "_load_from_checkpoint") and len(steps(seen, "_load_from_checkpoint")) == 1
    restored = [seen.index((name, 2)) for name in ("_load_optimizer_and_scheduler", "_load_rng_state")]
    assert restored == sorted(restored) and restored[-1] < seen.index(("training_step", 2))


@means("transformers: TrainingArguments.place_model_on_device")
def _(tmp_path, monkeypatch):
    """A model stays where it is when its arguments say so: on no device at all, here."""
    from xllm.training.request import StepArguments

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(LlamaConfig(**WIDE))
    monkeypatch.setattr(StepArguments, "world_size", 2)
    Trainer(model=model, args=StepArguments(str(tmp_path), use_cpu=True, report_to="none"))
    monkeypatch.setattr(StepArguments, "world_size", 1)
    with pytest.raises(NotImplementedError):  # there is nothing that could be moved
        Trainer(model=model, args=StepArguments(str(tmp_path), use_cpu=True, report_to="none"))


@means("accelerate: Accelerator.prepare_model, replaced")
def _():
    from accelerate import Accelerator

    accelerator, model, seen = Accelerator(cpu=True), model_of(LlamaConfig(**WIDE)), []
    accelerator.prepare_model = lambda given, *_, **__: seen.append(given) or given
    optimizer = torch.optim.AdamW(model.parameters())
    assert accelerator.prepare(model, optimizer)[0] is model and seen == [model]


@means("accelerate: a prepared optimizer's state_dict, load_state_dict and param_groups")
def _():
    from accelerate import Accelerator

    weight = torch.nn.Parameter(torch.ones(3))
    plain = torch.optim.AdamW([weight], lr=0.5)
    prepared = Accelerator(cpu=True).prepare(plain)
    weight.sum().backward()
    prepared.step()
    state = prepared.state_dict()
    assert state["state"][0]["exp_avg"] is plain.state[weight]["exp_avg"]
    assert prepared.param_groups[0]["params"][0] is weight and state["param_groups"][0]["lr"] == 0.5
    state["param_groups"][0]["lr"] = 0.25
    prepared.load_state_dict(state)
    assert plain.param_groups[0]["lr"] == 0.25


@means("accelerate: accelerate.utils.send_to_device")
def _():
    from accelerate.utils import send_to_device

    sent = send_to_device({"input_ids": IDS, "lengths": [4, 5]}, torch.device("meta"))
    assert sent["input_ids"].is_meta and sent["lengths"] == [4, 5]


# xllm/models/load.py, xllm/chat/model_pool.py, xllm/inference/engine.py, xllm/mixture/encoding.py


@means("huggingface_hub: where its cache keeps the files of a commit")
def _(llama):
    from huggingface_hub.constants import HF_HUB_CACHE

    from xllm.models.load import load_config, revision

    commit, folder = "0123456789abcdef0123456789abcdef01234567", f"{HF_HUB_CACHE}/models--some--model"
    LlamaConfig(**WIDE).save_pretrained(f"{folder}/snapshots/{commit}")
    reference = Path(folder) / "refs" / "main"
    reference.parent.mkdir()
    reference.write_text(commit)
    assert load_config("some/model").hidden_size == WIDE["hidden_size"]
    assert revision("some/model") == commit and revision(str(llama)) is None


@means("transformers: transformers.utils.logging.set_tqdm_hook")
def _(llama):
    from transformers.utils import logging

    totals = []

    def hook(make, args, keywords):
        bar = make(*args, **keywords)
        totals.append(bar.total)
        return bar

    before = logging.set_tqdm_hook(hook)
    try:
        model = AutoModelForCausalLM.from_pretrained(llama)
    finally:
        assert logging.set_tqdm_hook(before) is hook
    assert totals == [len(model.state_dict())]


@means("transformers: TextIteratorStreamer.on_finalized_text and .end")
def _(llama):
    from transformers import AutoTokenizer, TextIteratorStreamer

    told, ended = (TextIteratorStreamer(AutoTokenizer.from_pretrained(llama), timeout=5) for _ in range(2))
    told.on_finalized_text("whole", stream_end=True)
    ended.end()
    assert next(iter(told)) == "whole" and "".join(ended) == ""


@means("transformers: tokenizer.backend_tokenizer")
def _(llama):
    from transformers import AutoTokenizer

    tokenizer, text = AutoTokenizer.from_pretrained(llama), "Say hello. 你好"
    backend = tokenizer.backend_tokenizer
    for encode in (backend.encode_batch, backend.encode_batch_fast):
        for special in (False, True):
            [encoding] = encode([text], add_special_tokens=special)
            assert encoding.ids == tokenizer(text, add_special_tokens=special).input_ids
            assert encoding.special_tokens_mask[0] == special and sum(encoding.special_tokens_mask) == special
    [encoding] = backend.encode_batch([text], add_special_tokens=True)
    assert encoding.token_to_chars(0) is None and encoding.token_to_chars(len(encoding) - 1) == (
        len(text) - 1,
        len(text),
    )


# xllm/evaluation/metrics/translation.py, xllm/models/spbleu.py


@means("sacrebleu: metric._extract_corpus_statistics and ._compute_score_from_stats")
def _():
    from sacrebleu.metrics import BLEU, CHRF, TER

    predictions = ["The cat sat on the mat.", "It is raining today, is it?", ""]
    references = [["The cat sat on a mat.", "It rains today.", "Nothing."], ["A cat sat down.", None, None]]
    for metric in (BLEU(), BLEU(tokenize="zh"), CHRF(word_order=2), TER()):
        rows = np.array(metric._extract_corpus_statistics(predictions, references), float)
        assert len(rows) == len(predictions)
        score = metric._compute_score_from_stats(rows.sum(0).tolist()).score
        assert score == pytest.approx(metric.corpus_score(predictions, references).score, abs=1e-9), metric


@means("sacrebleu: tokenizer_spm.SPM_MODELS and .SACREBLEU_DIR")
def _(llama, tmp_path, monkeypatch):
    """Where its model of spBLEU is looked for: one that lies there is taken, and nothing is downloaded."""
    import shutil

    from sacrebleu.tokenizers import tokenizer_spm

    from xllm.models import spbleu

    monkeypatch.setattr(tokenizer_spm, "SACREBLEU_DIR", str(tmp_path))
    place = spbleu._path("flores200")
    assert place.is_relative_to(tmp_path)
    place.parent.mkdir(parents=True)
    shutil.copy(llama / "tokenizer.model", place)
    assert tokenizer_spm.TokenizerSPM("flores200")("Say hello.").replace(" ", "").endswith("hello.")


# xllm/loading/scripts.py, xllm/mixture/encoding.py


class Config(datasets.BuilderConfig):
    def __init__(self, config: str = "listed", **keywords):
        super().__init__(**keywords)
        self.language = config


class Builder(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = Config
    BUILDER_CONFIGS = (Config(name="only"),)

    def _info(self):
        return datasets.DatasetInfo(features=datasets.Features({"text": datasets.Value("string")}))

    def _split_generators(self, downloads):
        names = ("train", "test")
        return [datasets.SplitGenerator(name=name, gen_kwargs={"text": name}) for name in names]

    def _generate_examples(self, text):
        assert text != "test", "this split has no files"
        yield 0, {"text": text}


@means("datasets: builder.BUILDER_CONFIGS and .BUILDER_CONFIG_CLASS")
def _(monkeypatch):
    """Emptied, a builder takes the configuration that its class makes of our arguments."""
    monkeypatch.setattr(Builder, "BUILDER_CONFIGS", [])
    assert Builder(config="zh", hash="key").config.language == "zh"
    assert "config" in inspect.signature(Builder.BUILDER_CONFIG_CLASS.__init__).parameters


@means("datasets: builder._split_generators")
def _(tmp_path):
    """It may be asked alone, and where it names one split, that alone is prepared."""
    downloads = datasets.DownloadManager(dataset_name="builder", base_path=str(tmp_path))
    found = Builder(cache_dir=str(tmp_path))._split_generators(downloads)
    assert [(str(one.name), one.gen_kwargs) for one in found] == [(name, {"text": name}) for name in ("train", "test")]
    one = type("One", (Builder,), {"_split_generators": lambda self, downloads: found[:1]})
    prepared = one(cache_dir=str(tmp_path), hash="key")
    prepared.download_and_prepare(verification_mode="no_checks")
    assert list(prepared.info.splits) == ["train"] and prepared.as_dataset(split="train")[:] == {"text": ["train"]}


@means("datasets: datasets.arrow_writer.ArrowWriter")
def _(tmp_path):
    from datasets.arrow_writer import ArrowWriter

    table = datasets.Dataset.from_dict({"text": ["a", "b"]})
    with ArrowWriter(features=table.features, path=str(tmp_path / "rows.arrow")) as writer:
        writer.write_table(table.data.table)
    assert datasets.Dataset.from_file(str(tmp_path / "rows.arrow"))[:] == {"text": ["a", "b"]}


# xllm/chat/access.py (its routes: tests/chat/test_access.py)


@means("gradio: app.state_holder.session_data and .time_last_used")
def _(monkeypatch):
    import gradio as gr
    from gradio.routes import App

    from xllm.chat import access

    with gr.Blocks(analytics_enabled=False) as page:
        gr.State(1)
    app = App.create_app(page)
    holder = app.state_holder
    monkeypatch.setattr(access, "SECONDS", 0)

    async def visit():
        assert holder["one"] and holder["two"]
        access.forget(SimpleNamespace(request=SimpleNamespace(app=app), session_hash="one"))
        await asyncio.sleep(0.01)

    asyncio.run(visit())
    assert set(holder.session_data) == set(holder.time_last_used) == {"two"}


# xllm/__main__.py


@means("python: atexit._run_exitfuncs")
def _():
    code = "import atexit, os; atexit.register(print, 'cleared'); atexit._run_exitfuncs(); os._exit(0)"
    assert subprocess.run([sys.executable, "-uc", code], capture_output=True, text=True).stdout == "cleared\n"


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_means_what_we_rely_on(name, request):
    check = TABLE[name]
    fixtures = [p.name for p in inspect.signature(check).parameters.values() if p.default is p.empty]
    values = {fixture: request.getfixturevalue(fixture) for fixture in fixtures}
    try:
        check(**values)
    except Exception as error:
        raise AssertionError(f"{name} isn't there any more, or means something else") from error
