"""Answers for everyone who asks at once: who waits, what is too long, and the end of an answer that nobody awaits."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from xllm.chat.model_pool import BEAT, ModelPool
from xllm.errors import XllmError
from xllm.inference.answering import out_of_memory
from xllm.records import encodable

if TYPE_CHECKING:
    from xllm.inference.engine import Decoding
    from xllm.inference.hf import HFEngine, Written


class Full(XllmError):
    """So many wait already that one more is sent away."""


class TooLong(XllmError):
    """A prompt that is longer than this server or the model's window allows."""


class Unavailable(XllmError):
    """A model that can't be loaded, or not go on for lack of memory: no fault of the request."""


@dataclass(frozen=True)
class Limits:
    prompt: int = 4096  # tokens of a prompt
    answer: int = 2048  # tokens of an answer
    at_once: int = 2  # answers that are being written
    waiting: int = 64  # requests that wait for one of those to end
    beams: int = 8

    @property
    def characters(self) -> int:
        """The longest text that is looked at: no tokenizer puts more into so few tokens but for blanks."""
        return 32 * self.prompt


@dataclass(frozen=True)
class Answer:
    """How it stands with an answer."""

    text: str = ""
    tokens: int = 0
    prompt_tokens: int = 0
    seconds: float = 0.0  # of writing
    place: int = 0  # in the queue; 1 is next, 0 is being written
    loading: float | None = None  # the share of the model that is in memory, while it isn't all there
    end: str | None = None  # why there is no more: "stop" (its own end), "length", or "stopped" by who asked

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds if self.seconds else 0.0


class Line:
    """Who is being answered and who waits: first come, first served."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once, self.most = at_once, at_once + waiting
        self._here: list[object] = []

    def __len__(self) -> int:
        return len(self._here)

    @contextmanager
    def join(self) -> Iterator[Callable[[], int]]:
        """A place in the line, kept within the block: a function that tells how far it is from being served (0: it is
        served). Raises Full."""
        if len(self._here) >= self.most:
            raise Full(f"{self.most} requests are being answered or wait already; try again in a while")
        me = object()
        self._here.append(me)
        try:
            yield lambda: max(0, self._here.index(me) - self.at_once + 1)
        finally:
            self._here.remove(me)


class Service:
    """All that the tabs of the page and the API share."""

    def __init__(self, pool: ModelPool, limits: Limits) -> None:
        self.pool, self.limits = pool, limits
        self.line = Line(limits.at_once, limits.waiting)
        self.loading = Line(0, limits.waiting)  # who waits for a model, before the queue
        self._running: dict[str, list[threading.Event]] = {}

    @contextmanager
    def stoppable(self, session: str) -> Iterator[threading.Event]:
        """What ends an answer of a browser session when it is set, as `stop` does."""
        event = threading.Event()
        self._running.setdefault(session, []).append(event)
        try:
            yield event
        finally:
            event.set()
            self._running[session].remove(event)
            if not self._running[session]:
                del self._running[session]

    def stop(self, session: str) -> None:
        """End every answer of a session, those that wait too."""
        for event in self._running.get(session, []):
            event.set()

    async def answer(
        self,
        model: str,
        encode: Callable[["HFEngine"], list[int]],
        decoding: "Decoding",
        stop: threading.Event,
    ) -> AsyncIterator[Answer]:
        """An answer of a model as it is loaded, waited for, and written, several times a second; the last has an `end`.

        `encode` makes the prompt's token ids. Raises XllmError: TooLong, Full, or one that says what is wrong with the
        model or the request. Setting `stop`, or leaving the iterator, ends the generation and frees its place.
        """
        there = self.pool.want(model).done.is_set()
        with nullcontext() if there else self.loading.join():
            async for entry in self.pool.loading(model):
                if stop.is_set():
                    yield Answer(end="stopped")
                    return
                if not entry.done.is_set():
                    yield Answer(loading=entry.share)
        if entry.engine is None:
            raise Unavailable(entry.problem)
        prompt = encode(entry.engine)
        self._check(prompt, decoding, entry.engine)
        del entry  # who waits doesn't keep a model in memory
        with self.line.join() as place:
            while place() and not stop.is_set():
                yield Answer(place=place(), prompt_tokens=len(prompt))
                await asyncio.sleep(BEAT / 2)
            if stop.is_set():
                yield Answer(prompt_tokens=len(prompt), end="stopped")
                return
            engine = await self.pool.engine(model)
            async with aclosing(_write(engine, prompt, decoding, stop)) as answers:
                async for answer in answers:
                    yield answer

    def check_text(self, *texts: str) -> None:
        """Raise TooLong for a text that isn't worth tokenizing, XllmError for one that can't be."""
        size = sum(map(len, texts))
        if size > self.limits.characters:
            raise TooLong(f"a prompt of {size} characters; {self.limits.characters} at most, or --max_prompt more")
        if not all(map(encodable, texts)):
            raise XllmError("the text holds half of a surrogate pair, which is no character")

    def _check(self, prompt: list[int], decoding: "Decoding", engine: "HFEngine") -> None:
        if len(prompt) > self.limits.prompt:
            raise TooLong(f"a prompt of {len(prompt)} tokens; {self.limits.prompt} at most, or --max_prompt more")
        if engine.window is not None and len(prompt) >= engine.window:
            raise TooLong(f"a prompt of {len(prompt)} tokens doesn't fit into the model's window of {engine.window}")
        if max(prompt, default=0) >= engine.vocabulary:
            raise XllmError(
                f"token {max(prompt)} of the prompt; the model has embeddings for {engine.vocabulary} tokens"
            )
        if decoding.max_new_tokens > self.limits.answer:
            raise XllmError(f"an answer has 1 to {self.limits.answer} tokens, not {decoding.max_new_tokens}")
        if decoding.num_beams > self.limits.beams:
            raise XllmError(f"there are 1 to {self.limits.beams} beams, not {decoding.num_beams}")


class _Writer(threading.Thread):
    """Writes an answer in a thread of its own."""

    def __init__(self, engine: "HFEngine", prompt: list[int], decoding: "Decoding") -> None:
        super().__init__(daemon=True)
        self.work = engine, prompt, decoding
        self.written: Written | None = None
        self.failure: Exception | None = None
        self.halt = threading.Event()
        self.loop, self.done = asyncio.get_running_loop(), asyncio.Event()

    def run(self) -> None:
        engine, prompt, decoding = self.work
        try:
            for written in engine.stream(prompt, decoding, self.halt):
                self.written = written
        except Exception as error:  # told to who asked
            self.failure = error
        with suppress(RuntimeError):  # the server is closing
            self.loop.call_soon_threadsafe(self.done.set)

    async def wait(self) -> None:
        """Return after a beat, or as soon as all is written."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.done.wait(), BEAT)


async def _write(
    engine: "HFEngine", prompt: list[int], decoding: "Decoding", stop: threading.Event
) -> AsyncIterator[Answer]:
    """An answer while it is written; the model is free again when this ends, whatever ends it."""
    writer, start = _Writer(engine, prompt, decoding), time.perf_counter()

    def answer(end: str | None = None) -> Answer:
        text, tokens = (writer.written.text, writer.written.tokens) if writer.written else ("", 0)
        return Answer(text, tokens, len(prompt), time.perf_counter() - start, end=end)

    writer.start()
    try:
        while not writer.done.is_set() and not stop.is_set():
            yield answer()
            await writer.wait()
        stopped = not writer.done.is_set()
    finally:
        writer.halt.set()
        with anyio.CancelScope(shield=True):
            await writer.done.wait()
    if writer.failure:
        raise _told(writer.failure)
    yield answer("stopped" if stopped else "stop" if writer.written.ended else "length")


def _told(failure: Exception) -> Exception:
    """What a failure of the model says to who asked."""
    if isinstance(failure, MemoryError) or (isinstance(failure, RuntimeError) and out_of_memory(failure)):
        return Unavailable("out of memory: a shorter prompt or answer, or fewer beams, takes less")
    return failure
