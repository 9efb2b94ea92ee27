"""How a model does while it is tuned: its loss on held-out rows, and the scores of a few answers."""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from accelerate.utils import send_to_device
from transformers import PreTrainedTokenizerFast, Trainer, TrainerCallback

from xllm.artifacts.answers import Answers
from xllm.evaluation.metrics.registry import measure
from xllm.inference.engine import Decoding
from xllm.inference.hf import HFEngine
from xllm.mixture.mixture import Mixture
from xllm.packing import packed
from xllm.packing.internals import attention_kept, attention_of
from xllm.templates import encode_prompts
from xllm.training.layout import Steps

DECODING = Decoding(max_new_tokens=128)
AT_A_TIME = 8  # prompts


@dataclass(frozen=True)
class Held:
    """What a run is held to: rows for the loss, and questions to answer, either of which may be missing."""

    rows: Steps | None
    questions: Mixture | None
    template: str
    tokenizer: PreTrainedTokenizerFast


class Develop(TrainerCallback):
    """Every so many steps, and after the last: `eval_loss`, and `<dataset> <metric>` of greedy answers, in the log."""

    def __init__(self, trainer: Trainer, held: Held, every: float | None) -> None:
        self.trainer, self.held, self.every = trainer, held, every

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step != state.max_steps and (self.every is None or state.global_step % self.every):
            return
        found = {} if self.held.rows is None else {"eval_loss": loss(self.trainer, self.held.rows)}
        if self.held.questions is not None:
            found |= scores(self.trainer, self.held)
        due = control.should_log
        self.trainer.log(found)
        control.should_log = due  # or the step's own loss would be logged as a part of the next one's


def loss(trainer: Trainer, steps: Steps) -> float:
    """The mean loss over the target tokens of held-out rows; every rank takes its part of each step."""
    trainer.model.eval()
    total, targets = torch.zeros((), device=trainer.args.device), 0
    with torch.no_grad():
        for number in range(len(steps)):
            step = steps[number]
            for batch in step["micro_batches"]:
                total += trainer.model(**send_to_device(batch, trainer.args.device))[0]
            targets += step["targets"]
    if dist.is_initialized():
        dist.all_reduce(total)
    return total.item() / targets


def scores(trainer: Trainer, held: Held) -> dict[str, float]:
    """The scores of the answers to the questions, as `infer` and `evaluate` would give them. Every rank answers all of
    them: a sharded model is put together by all at once."""
    rows = list(held.questions)
    prompts = encode_prompts([(row["instruction"], row["input"]) for row in rows], held.template, held.tokenizer)
    with _answering(trainer.model):
        engine = HFEngine(trainer.model, held.tokenizer)
        batches = [prompts[start : start + AT_A_TIME] for start in range(0, len(prompts), AT_A_TIME)]
        texts = [text for batch in batches for text in engine.answer(batch, DECODING)]
    answered = [row | {"prediction": text} for row, text in zip(rows, texts, strict=True)]
    found = {}
    for term in held.questions.terms:
        own = [row for row in answered if row["from"] == term.name]
        for metric, measured in measure(Answers(term.name, term.task, term.language, own)).items():
            found[f"{term.name} {metric}"] = round(measured.value, 2)
    return found


@contextmanager
def _answering(model):
    """The attention and the settings that a model answers with, while it is being trained."""
    settings, cache = model.generation_config, model.config.use_cache
    routed = getattr(model.config, "output_router_logits", None)
    model.config.use_cache = True
    with attention_kept(model):
        if attention_of(model) == packed.NAME:
            model.set_attn_implementation("sdpa")
        try:
            yield
        finally:
            model.generation_config, model.config.use_cache = settings, cache
            if routed is not None:
                model.config.output_router_logits = routed
