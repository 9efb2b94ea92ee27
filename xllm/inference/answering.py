"""Asking an engine for every answer once: what the journal has is kept, what fails is told, the rest goes on."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from tqdm import tqdm

from xllm.artifacts.journal import Journal
from xllm.inference import batching, constrained
from xllm.inference.batching import Key
from xllm.inference.engine import Decoding, Engine, text_of
from xllm.inference.hf import HFEngine
from xllm.inference.ranks import Ranks
from xllm.packing.prefix_tree import attend_by_tree
from xllm.packing.structure import apart_in_batches
from xllm.records import Answer, Row
from xllm.templates import encode_prompts, word

READ = 2048  # tokens that are read at a time where what the model says after each of them is wanted
Work = Callable[[list[Key]], Iterator[tuple[Key, Answer, int]]]  # a batch → what is known of each, and its tokens


@dataclass(frozen=True)
class Task:
    """What is asked of an engine."""

    template: str
    decoding: Decoding
    seed: int
    labels: str | None  # "constrain" or "score" rows that have some; None: every answer is free
    rows: int | None  # at a time, at most
    bits: int | None  # of a weight, where they are few
    special_tokens_in_data: bool = False  # what is asked may hold control tokens (`xllm.control_tokens`)


class Answering:
    """An engine at work on a dataset, with its journal."""

    def __init__(self, engine: Engine, task: Task, journal: Journal, ranks: Ranks) -> None:
        self.engine, self.task, self.journal, self.ranks = engine, task, journal, ranks

    def translate(self, asked: dict[str, tuple[str, str]]) -> dict[str, str]:
        """Greedy answers to (instruction, input) pairs; none for what failed."""
        free = replace(self.task, decoding=Decoding(self.task.decoding.max_new_tokens), labels=None)
        known = self._run(free, asked, {})
        return {key: entry["prediction"] for key, entry in known.items() if "prediction" in entry}

    def answer(self, rows: Sequence[Row]) -> dict[int, Answer]:
        """What is known of each row in the end, by its number. A row without labels is answered freely."""
        asked = {number: (row["instruction"], row["input"]) for number, row in enumerate(rows)}
        choices = {n: row["labels"] for n, row in enumerate(rows) if "labels" in row} if self.task.labels else {}
        known: dict[int, Answer] = {}
        if choices:
            known |= self._run(self.task, {number: asked[number] for number in choices}, choices)
        if left := {number: pair for number, pair in asked.items() if number not in choices}:
            known |= self._run(replace(self.task, labels=None), left, {})
        return known

    def _run(self, task: Task, asked: dict[Key, tuple[str, str]], choices: dict[Key, list[str]]) -> dict[Key, Answer]:
        engine, pairs = self.engine, list(asked.values())
        prompts = dict(zip(asked, encode_prompts(pairs, task.template, engine.tokenizer), strict=True))
        given, least = {}, 1
        if choices:
            texts = word(pairs, task.template, engine.tokenizer)
            named = {f"row {key}": own for key, own in choices.items()}
            found = constrained.after_prompts(texts, named, task.template, engine.tokenizer)
            if task.labels == "constrain":
                constrained.check_ends(found, engine.eos_token_ids)
            given = dict(zip(asked, found, strict=True))
            least = max(len(label.tokens) for row in found for label in row)
            task = replace(task, decoding=replace(task.decoding, max_new_tokens=least))  # no label is cut
        faults = {key: _fault(prompt, given.get(key, []), least, engine) for key, prompt in prompts.items()}
        fit = {key: prompt for key, prompt in prompts.items() if faults[key] is None}
        if self.ranks.first:
            for key in (key for key in asked if key not in fit):
                self.journal.add(key, failed=faults[key])
        scored = task.labels == "score"
        work = scoring(engine, given) if scored else writing(engine, task, fit, given)
        longest = task.decoding.max_new_tokens
        budget = self.ranks.agree(READ if scored else engine.tokens)  # ranks must have the same plan
        plan = batching.plan(fit, longest, budget, task.rows or engine.rows)
        costs = [sum(len(fit[key]) + longest for key in batch) for batch in plan]
        self._go(work, batching.deal(plan, costs, self.ranks.count)[self.ranks.rank])
        self.ranks.wait()
        known = self.journal.read()
        return {key: cast(Answer, known[key]) for key in asked}

    def _go(self, work: Work[Key], plan: list[list[Key]]) -> None:
        done = self.journal.read()
        rows = [key for batch in plan for key in batch]
        written = 0
        with tqdm(total=len(rows), initial=sum(key in done for key in rows), unit="row", file=sys.stderr) as progress:
            for batch in plan:
                if all(key in done for key in batch):
                    continue
                for key, entry, tokens in attempt(work, batch):
                    if key not in done:  # it is computed again where others of its batch are missing
                        self.journal.add(key, **entry)
                        progress.update()
                    written += tokens
                    seconds = progress.format_dict["elapsed"]
                    progress.set_postfix_str(f"{written / max(seconds, 1e-9):.0f} tokens/s", refresh=False)
                self.journal.sync()


def _fault(prompt: list[int], labels: list[constrained.Label], least: int, engine: Engine) -> str | None:
    """Why a row can't be answered, with `least` tokens of an answer."""
    window = engine.window or sys.maxsize
    if not 0 < len(prompt) <= window - least:
        return f"a prompt of {len(prompt)} tokens; the model's window has {window}"
    largest = max(max(prompt), *(max(label.ids) for label in labels), 0)
    if largest >= engine.vocabulary:
        return f"token {largest} of the prompt or a label; the model has embeddings for {engine.vocabulary} tokens"
    return None


def load(source: str, task: Task, engine: str) -> Engine:
    """The engine that a task needs: one that shares what prompts have in common, where the model can."""
    if engine == "vllm":
        from xllm.inference.vllm import VLLMEngine

        return VLLMEngine(source)
    made = HFEngine.load(source, task.bits)
    made.shares_prefixes = task.decoding.num_beams == 1 and attend_by_tree(made.model)
    made.one_by_one = not (made.shares_prefixes or apart_in_batches(made.model))
    return made


def writing(
    engine: Engine, task: Task, prompts: dict[Key, list[int]], given: dict[Key, list[constrained.Label]]
) -> Work[Key]:
    """Answers token by token, or by the engine as a whole; nothing but a label where some are given."""

    def work(batch: list[Key]) -> Iterator[tuple[Key, Answer, int]]:
        asked = [prompts[key] for key in batch]
        tries = [constrained.Trie(given[key], engine.eos_token_ids) for key in batch] if given else None
        seeds = [_seed(task, key) for key in batch]
        for number, ids in engine.generate(asked, task.decoding, seeds, tries):
            entry = Answer(prediction=tries[number].text(ids) if tries else text_of(ids, engine))
            if not tries and ids[-1] not in engine.eos_token_ids:
                entry["cut"] = True
            yield batch[number], entry, len(ids)

    return work


def _seed(task: Task, key: Key) -> int:
    """Of what is drawn for a row; lines to translate draw nothing."""
    return (task.seed << 31) + key if isinstance(key, int) else task.seed


def scoring(engine: Engine, given: dict[Key, list[constrained.Label]]) -> Work[Key]:
    """The likeliest label of each row, and how likely each is."""
    assert isinstance(engine, HFEngine)  # no other gives probabilities; `vllm.check` has refused it
    model, eos = engine.model, engine.eos_token_ids

    def work(batch: list[Key]) -> Iterator[tuple[Key, Answer, int]]:
        for key, found in zip(batch, constrained.score(model, [given[key] for key in batch], eos), strict=True):
            scores = {label.text: score for label, score in zip(given[key], found, strict=True)}
            best = max(scores, key=lambda text: (scores[text]["sum"], text))  # a tie doesn't go by their order
            yield key, {"prediction": best, "label_scores": scores}, sum(len(label.tokens) for label in given[key])

    return work


def attempt(work: Work[Key], batch: list[Key]) -> Iterator[tuple[Key, Answer, int]]:
    """Work on a batch, or on halves of it where memory runs out; a row that is too much alone has failed."""
    known: set[Key] = set()
    try:
        for key, entry, tokens in work(batch):
            known.add(key)
            yield key, entry, tokens
        return
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
    # outside the handler, which holds on to what filled the memory
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    left = [key for key in batch if key not in known]
    if len(batch) == 1:
        yield left[0], {"failed": f"out of memory: {reason}"}, 0
        return
    half = (len(left) + 1) // 2
    for part in (left[:half], left[half:]):
        if part:
            yield from attempt(work, part)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether that is what an error says: a GPU's has a class of its own, a CPU's but its words."""
    words = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(part in str(error) for part in words)
