"""Many who ask at once: who is served when, what ends an answer, and what is refused before it costs anything."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from pathlib import Path

import httpx
import pytest
import torch

from xllm.chat.model_pool import ModelPool
from xllm.chat.service import Full, Limits, Service, TooLong
from xllm.errors import XllmError
from xllm.inference.engine import Decoding
from xllm.inference.hf import HFEngine
from xllm.templates import encode_prompts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def busy(start_site):
    """A page that writes one answer at a time, with an API."""
    return start_site("left", "--at_once", 1, "--openai", "--max_answer", 15000)


def service_of(model, **limits) -> Service:
    return Service(ModelPool([str(model)]), Limits(**limits))


def encoder(text):
    return lambda engine: encode_prompts([(text, "")], "alpaca", engine.tokenizer)[0]


def asked(text, most):
    """The arguments of the page's endpoint /answer."""
    return [text, "", "alpaca", most, 1, False, 0.7, 0.75, 40, "left"]


async def last(service, model, text, most=5, stop=None):
    answers = service.answer(model, encoder(text), Decoding(most), stop or threading.Event())
    return [answer async for answer in answers]


def test_first_come_is_first_served_and_sees_its_place(site):
    async def main():
        service, ended = service_of(site / "model" / "left", at_once=1), []
        await service.pool.engine("left")

        async def client(number):
            seen = await last(service, "left", f"Number {number}", most=30)
            ended.append(number)
            return seen

        seen = await asyncio.gather(*map(client, range(5)))
        assert ended == [0, 1, 2, 3, 4] and len(service.line) == 0
        for number, answers in enumerate(seen):
            places = [answer.place for answer in answers]
            assert places[0] == number and places == sorted(places, reverse=True)
            assert answers[-1].tokens == 30 and answers[-1].end == "length" and answers[-1].speed > 0

    asyncio.run(main())


def test_who_leaves_or_stops_frees_the_place_and_the_model(site):
    async def main():
        service = service_of(site / "model" / "left", at_once=1)
        engine = await service.pool.engine("left")
        passes = []
        engine.model.register_forward_hook(lambda *_: passes.append(1))
        answers = service.answer("left", encoder("Go on."), Decoding(2000), threading.Event())
        async with aclosing(answers):
            async for answer in answers:
                if answer.tokens > 3:
                    break
        assert len(service.line) == 0 and len(passes) < 1500
        before = len(passes)
        await last(service, "left", "Hello", 40)
        assert len(passes) - before == 40  # nothing else is computed any more

        with service.stoppable("a session") as stop:
            waiting = asyncio.ensure_future(last(service, "left", "Go on.", 2000, stop))
            other = asyncio.ensure_future(last(service, "left", "Me, too.", 2000, stop))
            while len(service.line) < 2:
                await asyncio.sleep(0.01)
            service.stop("a session")
            first, second = [answers[-1] for answers in await asyncio.gather(waiting, other)]
        assert first.end == second.end == "stopped" and len(service.line) == 0
        assert second.tokens == 0 and second.seconds == 0  # it wasn't begun only to be stopped

    asyncio.run(main())


def test_a_task_that_is_cancelled_frees_the_place(site):
    async def main():
        service = service_of(site / "model" / "left", at_once=1)
        task = asyncio.ensure_future(last(service, "left", "Go on.", 2000))
        while len(service.line) < 1:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(service.line) == 0

    asyncio.run(main())


def test_what_is_too_much_is_refused(site):
    async def main():
        service = service_of(site / "model" / "left", at_once=1, waiting=1, prompt=100, answer=50)
        with pytest.raises(TooLong, match="a prompt of .* tokens; 100 at most"):
            await last(service, "left", "long " * 100)
        with pytest.raises(XllmError, match="1 to 50 tokens, not 51"):
            await last(service, "left", "Hello", 51)
        with pytest.raises(TooLong, match="characters"):
            service.check_text("x" * 4000)
        with pytest.raises(XllmError, match="unknown model '../left'"):
            await last(service, "../left", "Hello")
        done = await asyncio.gather(*(last(service, "left", "Hello", 50) for _ in range(3)), return_exceptions=True)
        assert sorted(type(one) for one in done if isinstance(one, Exception)) == [Full]

    asyncio.run(main())


def test_a_lack_of_memory_is_told_and_leaves_the_server_alive(site):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    async def main():
        service = service_of(site / "model" / "left", at_once=1)
        hook = (await service.pool.engine("left")).model.register_forward_hook(fail)
        with pytest.raises(XllmError, match="out of memory: a shorter prompt"):
            await last(service, "left", "Hello")
        hook.remove()
        assert (await last(service, "left", "Hello"))[-1].tokens == 5

    asyncio.run(main())


def test_models_that_were_used_longest_ago_make_room(site, monkeypatch):
    async def main():
        pool = ModelPool([])
        left, right = [await pool.engine(name) for name in ("left", "right")]
        assert await pool.engine("left") is left and right is await pool.engine("right")
        assert await pool.engine("third") is not left
        assert await pool.engine("right") is right and await pool.engine("left") is not left

    monkeypatch.setenv("XLLM_MODEL_DIR", str(site / "model"))
    (site / "model" / "third").symlink_to("left")
    asyncio.run(main())


def test_who_waits_for_a_model_to_load_is_counted(site):
    async def main():
        service = service_of(site / "model" / "left", at_once=1, waiting=2)
        clients = [last(service, "left", "Hello", 2) for _ in range(4)]
        found = await asyncio.gather(*clients, return_exceptions=True)
        assert [isinstance(one, Full) for one in found] == [False, False, True, True]
        assert len(service.loading) == len(service.line) == 0

        service.pool.given["right"] = str(site / "model" / "right")
        with ExitStack() as others:
            for _ in range(2):
                others.enter_context(service.loading.join())
            assert (await last(service, "left", "Hello", 2))[-1].end  # which has nothing to load
            with pytest.raises(Full):
                await last(service, "right", "Hello", 2)

    asyncio.run(main())


def test_a_broken_folder_is_told_and_can_be_mended(site, llama, monkeypatch, capsys):
    async def main():
        pool, weights = ModelPool([]), site / "model" / "left" / "model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(b"\0" * 100)
        with pytest.raises(XllmError, match="cannot read the weights") as told:
            await pool.engine("left")
        assert "/" not in str(told.value)  # where the machine keeps its models
        weights.write_bytes(whole)
        assert await pool.engine("left")

    monkeypatch.setenv("XLLM_MODEL_DIR", str(site / "model"))
    asyncio.run(main())


def test_sixteen_clients_at_once_get_their_own_answers(start_site):
    """Four answers are written at a time."""
    from gradio_client import Client

    site, address, _ = start_site("left", "--at_once", 4)
    engine = HFEngine.load(str(site / "model" / "left"))
    texts = [f"Tell me of {letter}" for letter in "abcdefghijklmnop"]
    prompts = encode_prompts([(text, "") for text in texts], "raw", engine.tokenizer)
    expected = [engine.answer([prompt], Decoding(12))[0] for prompt in prompts]
    assert len(set(expected)) > 12  # else a mix-up would go unseen
    with ThreadPoolExecutor(16) as pool:
        clients = list(pool.map(lambda _: Client(address, verbose=False), texts))
        jobs = [
            client.submit(text, "", "raw", 12, api_name="/answer") for client, text in zip(clients, texts, strict=True)
        ]
        assert [job.result(timeout=60) for job in jobs] == expected


def test_a_client_that_disconnects_frees_its_place(busy):
    _, address, _ = busy
    body = {"model": "left", "prompt": "Go on.", "stream": True}
    with httpx.stream("POST", f"{address}/v1/completions", json=body | {"max_tokens": 15000}, timeout=30) as answer:
        assert next(answer.iter_lines()).startswith("data: ")
    short = {"model": "left", "prompt": "Hello", "max_tokens": 3}
    assert httpx.post(f"{address}/v1/completions", json=short, timeout=20).status_code == 200

    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}/v1/completions", json=short | {"max_tokens": 15000}, timeout=1)
    assert httpx.post(f"{address}/v1/completions", json=short, timeout=20).status_code == 200

    call = f"{address}/gradio_api/call/answer"
    event = httpx.post(call, json={"data": asked("Go on.", 15000)}).json()["event_id"]
    with httpx.stream("GET", f"{call}/{event}", timeout=30) as answer:
        assert next(answer.iter_lines()) == "event: generating"
    assert httpx.post(f"{address}/v1/completions", json=short, timeout=20).status_code == 200


def test_memory_stays_flat(busy):
    _, address, process = busy
    status = Path(f"/proc/{process}/status")

    def ask(number):
        if number % 4:
            body = {"model": "left", "prompt": f"Number {number}", "max_tokens": 4}
            assert client.post(f"{address}/v1/completions", json=body).status_code == 200
            return
        call = f"{address}/gradio_api/call/answer"
        event = client.post(call, json={"data": asked(f"Number {number}", 4)}).json()["event_id"]
        assert "event: complete" in client.get(f"{call}/{event}").text

    def resident():
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(0, 480, 4)))  # as many sessions as are kept, and some more
        before = resident()
        list(pool.map(ask, range(200)))
        after = resident()
        assert after - before < 6, (before, after)  # MiB
