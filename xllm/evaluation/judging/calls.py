"""Asking a judge, by any endpoint that speaks OpenAI's chat API; each reply is in a journal before it counts."""

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from urllib.parse import urlsplit

from tqdm import tqdm

from xllm.artifacts.journal import Journal
from xllm.errors import XllmError
from xllm.evaluation.judging.replies import AT_THE_LIMIT, WHOLE

KEY = "OPENAI_API_KEY"  # the variable of the environment; the key is nowhere else
NO_KEY = "none"  # local servers take any text for a key, and the client insists on one
FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds before a call whose reply was none is made again, as the client waits
LENGTH, NEW_LENGTH = "max_tokens", "max_completion_tokens"  # the field's name to all, and to OpenAI's reasoning models
OWN = "default"  # of temperatures: none is sent, since reasoning models take none
LOST = 10  # calls that fail before any was answered, until the endpoint is given up


@dataclass(frozen=True)
class Endpoint:
    """Who judges, and how it is asked."""

    url: str
    model: str
    temperature: float | None  # None: the endpoint's own
    max_tokens: int  # of a reply
    timeout: float  # seconds
    retries: int
    concurrency: int  # calls at a time


class Unusable(Exception):
    """What came back is no reply, though the endpoint calls it one."""


def check_url(url: str) -> str:
    """Return `url`, or raise XllmError where it can't be an endpoint's; nothing secret may be in it."""
    if any(sign in url for sign in "@?#"):
        raise XllmError(f"--judge_url holds more than an address; a key belongs into the environment, as {KEY}")
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or any(character.isspace() or not character.isprintable() for character in url):
        raise XllmError(f"--judge_url {url}: it must be an address such as http://127.0.0.1:8000/v1")
    return url


def connect(endpoint: Endpoint):
    """The client of an endpoint. Raises XllmError without the package, and for a key that can't be one."""
    try:
        from openai import OpenAI
    except ImportError:
        raise XllmError("judge needs the package openai: pip install 'xllm-toolkit[judge]'") from None
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise XllmError(f"{KEY} holds characters that no key has")
    return OpenAI(api_key=key or NO_KEY, base_url=endpoint.url, timeout=endpoint.timeout, max_retries=endpoint.retries)


def ask(client, endpoint: Endpoint, prompts: dict[str, str], notes: Journal) -> dict[str, str]:
    """Get a reply to every prompt that the journal has none of; a reply has `text`, `prompt_tokens`,
    `completion_tokens` (None where the endpoint doesn't count) and, where it isn't whole, the `finish_reason`, with
    `cut` where that is the length limit.

    Returns why some are still without one, by key. Raises XllmError where the endpoint refuses all, or is out of reach.
    """
    return _Asking(client, endpoint, notes).all(prompts)


class _Asking:
    def __init__(self, client, endpoint: Endpoint, notes: Journal) -> None:
        self.client, self.endpoint, self.notes = client, endpoint, notes
        self.lock = threading.Lock()  # of the journal and the counts
        self.answered, self.failed = 0, {}
        self.given_up = False  # no call is begun any more
        self.length = LENGTH

    def all(self, prompts: dict[str, str]) -> dict[str, str]:
        done = self.notes.read()
        left = {key: prompt for key, prompt in prompts.items() if key not in done}
        if not left:
            return {}
        pool = ThreadPoolExecutor(self.endpoint.concurrency)
        try:
            futures = [pool.submit(self._work, key, prompt) for key, prompt in left.items()]
            with tqdm(total=len(prompts), initial=len(prompts) - len(left), unit="call", file=sys.stderr) as progress:
                for future in as_completed(futures):
                    future.result()
                    progress.update()
        finally:
            pool.shutdown(cancel_futures=True)  # calls under way are paid for: their replies go into the journal
        return self.failed

    def _work(self, key: str, prompt: str) -> None:
        if self.given_up:  # another thread knows it before the first can cancel the rest
            return
        try:
            self._one(key, prompt)
        except BaseException:
            self.given_up = True
            raise

    def _one(self, key: str, prompt: str) -> None:
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        within, out_of_reach = f"in {self.endpoint.retries + 1} tries", False
        try:
            reply = self._reply(prompt)
        except APIStatusError as error:
            self._check_access(error.status_code)
            reason = f"status {error.status_code}: {self._without_key(_said(error))}"
        except APITimeoutError:
            reason = f"no reply within {self.endpoint.timeout:g} seconds {within}"
        except APIConnectionError as error:
            reason, out_of_reach = f"no connection {within}: {self._without_key(str(error.__cause__ or error))}", True
        except Unusable as error:
            reason = f"no usable reply {within}: {self._without_key(str(error))}"
        else:
            with self.lock:
                self.notes.add(key, **reply)
                self.notes.sync()
                self.answered += 1
            return
        with self.lock:
            self.failed[key] = reason
            if not self.answered and (out_of_reach or len(self.failed) >= LOST):
                raise XllmError(f"{self.endpoint.model} at {self.endpoint.url} has answered no call: {reason}")

    def _reply(self, prompt: str) -> dict:
        """One reply. The client itself tries again after 408, 409, 429 (as Retry-After says), 5xx, timeouts and lost
        connections, but takes any 200 for an answer."""
        wait = FIRST_WAIT
        for left in reversed(range(self.endpoint.retries + 1)):
            try:
                return read(self._call(prompt))
            except Unusable:
                if not left:
                    raise
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
        raise AssertionError("unreachable")

    def _call(self, prompt: str) -> bytes:
        """The body of a response. Raises XllmError where the endpoint doesn't take the temperature."""
        from openai import BadRequestError

        length, warmth = self.length, self.endpoint.temperature
        fields = {length: self.endpoint.max_tokens} | ({} if warmth is None else {"temperature": warmth})
        messages = [{"role": "user", "content": prompt}]
        try:
            return self.client.chat.completions.with_raw_response.create(
                model=self.endpoint.model, messages=messages, **fields
            ).content
        except BadRequestError as error:
            said = _said(error)
            if "temperature" in said and warmth is not None:
                raise XllmError(
                    f"{self.endpoint.model} takes no temperature of {warmth:g}: {self._without_key(said)}; "
                    f"--temperature {OWN} leaves it to the judge"
                ) from None
            if NEW_LENGTH not in said or length != LENGTH:
                raise
        self.length = NEW_LENGTH
        return self._call(prompt)

    def _check_access(self, status: int) -> None:
        url, model = self.endpoint.url, self.endpoint.model
        told = {
            401: f"{url} doesn't take the key (401); it is read from {KEY} in the environment",
            403: f"{url} forbids asking {model} (403) with the key in {KEY}",
            404: f"{url} knows no model {model}, or has no chat API there (404); see --judge_model and --judge_url",
        }
        if status in told:
            raise XllmError(told[status])

    def _without_key(self, text: str) -> str:
        """What an endpoint says, which may repeat the key, on a line."""
        key = self.client.api_key
        return " ".join((text if key == NO_KEY else text.replace(key, "…")).split())[:200]


def _said(error) -> str:
    """What an endpoint says of an error: OpenAI's message, else all that it sent."""
    message = error.body.get("message") if isinstance(error.body, dict) else None
    return message if isinstance(message, str) else error.response.text


def read(body: bytes) -> dict:
    """The reply in the body of a response. A text that is empty is a reply, and paid for. Raises Unusable."""
    try:
        content = json.loads(body)
        choice, usage = content["choices"][0], content.get("usage")
        text = _text(choice["message"]["content"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        start = " ".join(body[:80].decode("utf-8", "replace").split())
        raise Unusable(f"its body begins with {start!r}" if start else "its body is empty") from None
    if not isinstance(text, str | None):
        raise Unusable("its content is no text")
    counts = usage if isinstance(usage, dict) else {}
    reply = {"text": (text or "").encode("utf-8", "replace").decode("utf-8")}  # half a surrogate pair can't be written
    for kind in ("prompt_tokens", "completion_tokens"):
        reply[kind] = counts[kind] if isinstance(counts.get(kind), int) else None
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason.lower() not in WHOLE:
        reply["finish_reason"] = reason
        reply |= {"cut": True} if reason.lower() in AT_THE_LIMIT else {}
    return reply


def _text(content: object) -> object:
    """The text of a message whose content is in parts, without those that are thoughts."""
    if not isinstance(content, list):
        return content
    parts = [part["text"] for part in content if isinstance(part, dict) and part.get("type") in ("text", "output_text")]
    return "".join(parts)
