"""The models that may be talked to, and which of them are in memory. They load in the background, one at a time."""

import asyncio
import gc
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from xllm import places
from xllm.artifacts import model_folder
from xllm.errors import XllmError, unknown

# here, not in the thread that loads: transformers imports its parts one by one, and two threads get in each other's way
from xllm.inference.answering import out_of_memory
from xllm.inference.hf import HFEngine

AT_LEAST = 2  # models that may be in memory, however few were named: two can be compared
BEAT = 0.1  # seconds between two looks at what is loading


@dataclass
class Entry:
    """A model on its way into memory: the share (0 to 1) that is there, and how it ended."""

    source: str
    share: float = 0.0
    engine: HFEngine | None = None
    problem: str | None = None
    done: threading.Event = field(default_factory=threading.Event)


class ModelPool:
    """What a request may name is either given at the start, or a folder under model/; nothing else is ever opened."""

    def __init__(self, given: list[str], bits: int | None = None) -> None:
        """`given` are names as `models.find` takes them. Raises XllmError where there is no such model."""
        self.given: dict[str, str] = {}  # the name on the page → what `from_pretrained` takes
        for name in given:
            short = model_folder.short_name(name)
            self.given[name if short in self.given else short] = model_folder.find(name)
        self.bits, self.most = bits, max(AT_LEAST, len(self.given))
        self._entries: dict[str, Entry] = {}  # the one used last comes last
        self._changing = threading.Lock()
        self._loader = ThreadPoolExecutor(1, "loader")

    def names(self) -> list[str]:
        """Every model that can be asked for: those given at the start, then those under model/."""
        here = places.models().iterdir() if places.models().is_dir() else []
        found = sorted(folder.name for folder in here if _is_model(folder))
        return [*self.given, *(name for name in found if name not in self.given)]

    def source(self, name: str) -> str:
        """What `from_pretrained` takes. Raises XllmError for any name that isn't among `names`."""
        if name not in self.names():
            raise unknown("model", name, self.names())
        return self.given.get(name) or str(places.models() / name)

    def want(self, name: str) -> Entry:
        """The entry of a model, which begins to load unless it has, anew where that failed. Raises XllmError."""
        source = self.source(name)
        with self._changing:
            entry = self._entries.pop(name, None)
            if entry is None or entry.problem:
                entry = Entry(source)
                self._loader.submit(self._load, entry)
            self._entries[name] = entry
            return entry

    async def loading(self, name: str) -> AsyncIterator[Entry]:
        """The entry of a model, again and again, until it is done."""
        entry = self.want(name)
        while not entry.done.is_set():
            yield entry
            await asyncio.sleep(BEAT)
        yield entry

    async def engine(self, name: str) -> HFEngine:
        """A model, once it is there. Raises XllmError where it can't be loaded."""
        entry = self.want(name)
        while not entry.done.is_set():
            await asyncio.sleep(BEAT)
        if entry.engine is None:
            raise XllmError(entry.problem)
        return entry.engine

    def _load(self, entry: Entry) -> None:
        try:
            self._make_room(entry)
            with _progress(entry):
                entry.engine = HFEngine.load(entry.source, self.bits)
        except Exception as error:  # whatever it is, the server lives on and the page tells it
            entry.problem = _problem(entry.source, error)
            print(f"app: {entry.problem}", file=sys.stderr)
        finally:
            entry.done.set()

    def _make_room(self, new: Entry) -> None:
        """Let go of the models that were used longest ago; an answer that is being written holds on to its own."""
        with self._changing:
            loaded = [name for name, entry in self._entries.items() if entry is not new and entry.engine]
            for name in loaded[: max(0, len(loaded) + 1 - self.most)]:
                del self._entries[name]
        gc.collect()
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _is_model(folder: Path) -> bool:
    hidden = folder.name.startswith(".")
    return not hidden and (folder / "config.json").is_file() and model_folder.is_finished(folder)


def _problem(source: str, error: Exception) -> str:
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and out_of_memory(error)):
        return f"{Path(source).name} doesn't fit into the memory of this machine; --load_in_4bit makes it smaller"
    told = str(error) if isinstance(error, XllmError) else f"cannot load {source}: {type(error).__name__}: {error}"
    # where the machine keeps its models is nobody's business on the page
    return " ".join(told.replace(source, Path(source).name).split())[:400]


class _progress:
    """While it is entered, the bar that transformers draws for a model's weights tells its share to an entry, too."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    def __enter__(self) -> None:
        from tqdm.auto import tqdm
        from transformers.utils import logging

        entry = self.entry

        class Bar(tqdm):
            def update(self, n: float | None = 1) -> bool | None:
                drawn = super().update(n)
                entry.share = self.n / self.total if self.total else entry.share
                return drawn

        self.before = logging.set_tqdm_hook(lambda _, args, kwargs: Bar(*args, **kwargs))

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        logging.set_tqdm_hook(self.before)
