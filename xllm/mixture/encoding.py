"""From records to token ids: prompt, response and eos, and how many of the tokens are prompt."""

import json
import multiprocessing
import os
import re
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import datasets
import numpy as np
import pyarrow.compute as pc
from datasets.arrow_writer import ArrowWriter
from tqdm import tqdm

from xllm import boundary, cache, control_tokens, templates
from xllm.errors import XllmError
from xllm.loading import scripts
from xllm.mixture import aliases, batches, blanks, draw, filters, grammar, load, mixture, overlap, quality
from xllm.mixture.batches import COUNTED, FEATURES, Batch, Wording, encode_rows
from xllm.mixture.filters import kept
from xllm.mixture.mixture import Mixture
from xllm.models.load import check_id

if TYPE_CHECKING:  # mixing does without transformers until there is something to tokenize
    from transformers import PreTrainedTokenizerFast

BATCH = 1000  # rows tokenized at a time
# what decides, beside files, selection, tokenizer and settings, which token ids there are
CODE = (
    *scripts.CODE,
    *(aliases, batches, blanks, boundary, control_tokens, draw, filters, grammar, load, mixture, overlap, quality),
    templates,
    sys.modules[__name__],
)


@dataclass(frozen=True)
class DatasetTokens:
    """What an encoded mixture says of a dataset."""

    name: str  # what its rows come `from`
    language: str | None
    left_out: dict[str, int]  # rows, by reason; empty where the mixture filters nothing
    rows: int
    target_tokens: int  # with those that are lost
    cut: int  # rows that lost a part of their target
    dropped: int  # rows that lost all of it
    lost_target_tokens: int
    straddling: int  # rows in which a token would take the prompt's end and the response's beginning
    empty: int  # rows without any target
    invisible: int  # rows with a target that leaves nothing to see, which are dropped, too
    control_tokens: dict[str, int]  # that the rows' texts hold; they are text unless allowed

    def facts(self) -> dict[str, Any]:
        """The same for JSON and for tables."""
        left_out = {"left_out": self.left_out} if self.left_out else {}
        counts = {name: getattr(self, name) for name in (*COUNTED, "control_tokens")}
        return {"from": self.name, "language": self.language, **left_out, **counts}

    @classmethod
    def read(cls, facts: dict[str, Any]) -> "DatasetTokens":
        """From what `facts` gives."""
        counts = {name: facts[name] for name in (*COUNTED, "control_tokens")}
        return cls(facts["from"], facts["language"], facts.get("left_out", {}), **counts)


@dataclass(frozen=True)
class Encoded:
    """A mixture as token ids, in a file that is read as it is needed.

    `rows` has `input_ids` (prompt, response, eos; cut at the length limit), `prompt_length` (the leading tokens that
    aren't trained on), `lost` (the target tokens that were cut off) and `row` (dataset/id, to name it by). Rows without
    any target left are dropped: they keep their place, from which the recipe draws, but have no tokens.
    `terms` are the datasets that took part, `control_tokens` says what those in their texts are taken for.
    """

    rows: datasets.Dataset
    terms: list[DatasetTokens]
    control_tokens: str

    @property
    def lengths(self) -> np.ndarray:
        """The tokens of each row, 0 where it is dropped, read from the file as a whole column."""
        return pc.list_value_length(self.rows.data["input_ids"]).to_numpy()

    @property
    def kept(self) -> np.ndarray:
        """The numbers of the rows that aren't dropped."""
        return np.flatnonzero(self.lengths)

    @property
    def longest(self) -> int:
        """The tokens of the longest row."""
        return int(self.lengths.max())

    def __str__(self) -> str:
        """A line for each dataset, and what the length limit took away of it, if anything."""
        lines = []
        for term in self.terms:
            out = ", ".join(f"{count} {reason}" for reason, count in term.left_out.items())
            lines.append(f"{term.name}: {term.rows} rows" + (f" (left out: {out})" if out else ""))
            if term.lost_target_tokens:
                lines[-1] += (
                    f"; too long: {term.cut} lose their end, {term.dropped} have no response left and are "
                    f"dropped: {term.lost_target_tokens} of {term.target_tokens} target tokens"
                )
            if term.straddling:
                lines[-1] += (
                    f"; in {term.straddling} a token would straddle prompt and response: these are tokenized apart"
                )
            if term.empty:
                lines[-1] += f"; {term.empty} have no response and teach to end at once"
            if term.invisible:
                lines[-1] += f"; {term.invisible} have a response of invisible characters alone and are dropped"
            if term.control_tokens:
                held = ", ".join(f"{name} ({count})" for name, count in term.control_tokens.items())
                lines[-1] += f"; control tokens, which are {self.control_tokens}: {held}"
        return "\n".join(lines)


def encode(
    mixture: Mixture,
    tokenizer: "PreTrainedTokenizerFast",
    template: str,
    max_length: int,
    num_proc: int = 1,
    text_field: str | None = None,
) -> Encoded:
    """Encode a mixture for training, once: what it comes to is kept in the cache.

    `template` is a key of TEMPLATES, `max_length` counts tokens, `num_proc` processes share the work; what they make
    doesn't depend on their number. `text_field` is for `text_of`.
    """
    if num_proc < 1:
        raise XllmError(f"--num_proc {num_proc}: it must be 1 or more")
    how = Wording(tokenizer, template, max_length, text_field)
    key = cache.key(CODE, mixture.facts(), *how.facts())
    folder = cache.folder(f"tokens/{key}", lambda place: _write(place, kept(mixture), how, num_proc))
    terms = [DatasetTokens.read(facts) for facts in json.loads((folder / "terms.json").read_text())]
    rows = datasets.Dataset.from_file(str(folder / "tokens.arrow")).with_format("numpy")
    return Encoded(rows, terms, "control tokens" if control_tokens.allowed(tokenizer) else "text")


@dataclass(frozen=True)
class Work:
    """What every batch needs."""

    parts: list[tuple[str, datasets.Dataset]]
    how: Wording


def _write(place: Path, mixture: Mixture, how: Wording, num_proc: int) -> None:
    counts: dict[str, Counter[str]] = {term.name: Counter(dict.fromkeys(COUNTED, 0)) for term in mixture.terms}
    controls: dict[str, Counter[str]] = {term.name: Counter() for term in mixture.terms}
    with (
        ArrowWriter(features=FEATURES, path=str(place / "tokens.arrow")) as writer,
        tqdm(total=len(mixture), desc="tokenizing", unit="row", file=sys.stderr) as progress,
        _encoders(Work(mixture.parts, how), num_proc) as encoded,
    ):
        for batch in encoded:
            writer.write_table(batch.table)
            counts[batch.name].update(batch.counts)
            controls[batch.name].update(batch.control_tokens)
            progress.update(batch.counts["rows"])
    terms = [
        DatasetTokens(
            term.name, term.language, term.left_out, **counts[term.name], control_tokens=dict(controls[term.name])
        )
        for term in mixture.terms
    ]
    (place / "terms.json").write_text(json.dumps([term.facts() for term in terms]))


@contextmanager
def _encoders(work: Work, num_proc: int) -> Iterator[Iterable[Batch]]:
    """`_rows` over all batches of a mixture, in their order."""
    batches = [(part, start) for part, (_, rows) in enumerate(work.parts) for start in range(0, len(rows), BATCH)]
    if num_proc == 1:
        yield (_rows(work, *batch) for batch in batches)
        return
    threads = max(1, (os.cpu_count() or 1) // num_proc)
    # not forked: threads of the tokenizer may be at work in this process
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_proc, context, _Worker.begin, (work, threads)) as pool:
        yield _in_order(pool, batches, ahead=2 * num_proc)


def _in_order(pool: ProcessPoolExecutor, batches: list[tuple[int, int]], ahead: int) -> Iterator[Batch]:
    """What the pool makes of the batches; it is never more than `ahead` of its reader, so that memory is bounded."""
    pending: deque[Future[Batch]] = deque()
    try:
        for batch in batches:
            pending.append(pool.submit(_Worker.encode, *batch))
            if len(pending) == ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise XllmError("a process that tokenizes was killed (is memory short?); take fewer by --num_proc") from None


class _Worker:
    """A process of the pool, which gets what each of its batches needs once."""

    work: ClassVar[Work]

    @classmethod
    def begin(cls, work: Work, threads: int) -> None:
        cls.work = work
        os.environ["RAYON_NUM_THREADS"] = str(threads)  # of the tokenizer

    @classmethod
    def encode(cls, part: int, start: int) -> Batch:
        return _rows(cls.work, part, start)


def _rows(work: Work, part: int, start: int) -> Batch:
    """The batch of a part that begins at row `start`."""
    name, rows = work.parts[part]
    return encode_rows(name, rows[start : min(start + BATCH, len(rows))], work.how)


def check_any(encoded: Encoded, max_length: int) -> None:
    """Raise XllmError where no row is left to train on."""
    if len(encoded.kept):
        return
    unseen = sum(term.invisible for term in encoded.terms)
    told = f"; {unseen} have a response of invisible characters alone" if unseen else ""
    raise XllmError(f"no row has any response left within --model_max_length {max_length} tokens{told}")


def check_ids(encoded: Encoded, vocabulary: int, model: str) -> None:
    """Raise XllmError where a row holds a token that a model has no embedding for, of which it has a `vocabulary`."""
    tokens = encoded.rows.data["input_ids"]
    if int(pc.max(pc.list_flatten(tokens)).as_py() or 0) < vocabulary:
        return
    row, largest = next((row, max(ids)) for row, ids in enumerate(tokens.to_pylist()) if ids and max(ids) >= vocabulary)
    check_id(largest, vocabulary, str(encoded.rows.data["row"][row]), model)


def check_lost(encoded: Encoded, most: str) -> None:
    """Raise XllmError where a dataset loses more than `most` of its target tokens, as in "2%"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", most)
    if match is None:
        raise XllmError(f"--max_lost {most}: it must be a percentage, as 2%")
    for term in encoded.terms:
        share = 100 * term.lost_target_tokens / max(1, term.target_tokens)
        if share > float(match[1]):
            raise XllmError(
                f"{term.name} loses {share:.2f} % of its target tokens, --max_lost allows {most}: "
                "raise --model_max_length, or leave long rows out"
            )
