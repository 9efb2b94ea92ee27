"""The page's server as other programs see it: OpenAI's API by its own client, and doors that stay shut."""

import json
import os
import time

import httpx
import pytest

from xllm.chat.access import users
from xllm.errors import XllmError
from xllm.inference.engine import Decoding
from xllm.inference.hf import HFEngine
from xllm.templates import encode_prompts

pytestmark = pytest.mark.slow

if os.environ.get("CI") == "true":
    import openai
else:
    openai = pytest.importorskip("openai")

KEY = "ada:lovelace"
HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def guarded(start_site):
    """A page that asks for a password, with an API: its folder and its address."""
    return start_site("left", "--openai", "--auth", "env:XLLM_AUTH", XLLM_AUTH=f"{KEY}\nbob:builder\n")[:2]


@pytest.fixture
def client(guarded):
    return openai.OpenAI(base_url=f"{guarded[1]}/v1", api_key=KEY, max_retries=0)


def test_a_chat_is_answered_as_the_engine_does_whole_and_streamed(client, guarded):
    engine = HFEngine.load(str(guarded[0] / "model" / "left"))  # which has no chat template, so alpaca asks
    [prompt] = prompts = encode_prompts([("Say hello.", "")], "alpaca", engine.tokenizer)
    [expected] = engine.answer(prompts, Decoding(9))
    asked = {"model": "left", "messages": HELLO, "max_tokens": 9}
    done = client.chat.completions.create(**asked)
    assert done.choices[0].message.content == expected and done.choices[0].finish_reason == "length"
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (len(prompt), 9)
    *events, last = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    assert "".join(event.choices[0].delta.content or "" for event in events) == expected
    assert [event.choices[0].finish_reason for event in events][-1] == "length" and last.usage == done.usage
    parts = [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}]
    assert client.chat.completions.create(**asked | {"messages": parts}).choices == done.choices
    earlier = [*HELLO, {"role": "assistant", "content": "Hello!"}, *HELLO]
    longer = client.chat.completions.create(
        **asked | {"messages": [{"role": "system", "content": "Be brief."}, *earlier]}
    )
    assert longer.usage.prompt_tokens > 2 * len(prompt)


def test_completions_go_on_from_the_text_as_it_stands(client, guarded):
    engine = HFEngine.load(str(guarded[0] / "model" / "left"))
    texts = ["Once upon", "a time"]
    prompts = encode_prompts([(text, "") for text in texts], "raw", engine.tokenizer)
    expected = [engine.answer([prompt], Decoding(7))[0] for prompt in prompts]
    done = client.completions.create(model="left", prompt=texts, max_tokens=7)
    assert [choice.text for choice in done.choices] == expected
    streamed = ["", ""]
    for event in client.completions.create(model="left", prompt=texts, max_tokens=7, stream=True):
        streamed[event.choices[0].index] += event.choices[0].text
    assert streamed == expected
    stop = expected[0][3:5]
    [choice] = client.completions.create(model="left", prompt=texts[0], max_tokens=7, stop=stop).choices
    assert (choice.text, choice.finish_reason) == (expected[0][: expected[0].index(stop)], "stop")
    events = client.completions.create(model="left", prompt=texts[0], max_tokens=7, stop=[stop], stream=True)
    assert "".join(event.choices[0].text for event in events) == choice.text
    assert client.completions.create(model="left", prompt="x", max_tokens=3, temperature=0.9, top_p=0.9).choices
    greedy = client.completions.create(model="left", prompt=texts[0], max_tokens=7, temperature=1e-40, seed=7)
    assert greedy.choices[0].text == expected[0]  # so cold that logits would overflow
    assert len(client.completions.create(model="left", prompt=["x " * 2000] * 40, max_tokens=1).choices) == 40


def test_only_models_that_are_there_can_be_named(client):
    assert [model.id for model in client.models.list()] == ["left", "right"]
    assert client.models.retrieve("right").id == "right"
    assert client.chat.completions.create(model="right", messages=HELLO, max_tokens=2).model == "right"
    for name in ("middle", "../left", "/etc", "left/../right", "Qwen/Qwen3-0.6B", ""):
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.chat.completions.create(model=name, messages=HELLO)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "the role system, user or assistant"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "must be text"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "x"}]}, "the last of the messages"),
        ({"messages": [{"role": "user", "content": "long " * 9000}]}, "4096 at most"),
        ({"n": 2}, "n isn't supported"),
        ({"logprobs": True}, "logprobs isn't supported"),
        ({"max_tokens": 10**6}, "from 1 to 2048"),
        ({"temperature": 7}, "temperature must be a number from 0 to 2"),
        ({"stop": [""]}, "stop must be text"),
        ({"temperature": 1, "seed": 7}, "seed isn't supported where answers are drawn"),
        ({"extra_body": {"stream": "false"}}, "stream must be true or false"),
        ({"extra_body": {"speed": 3}}, "Unrecognized request argument supplied: speed"),
    ],
)
def test_mistakes_are_told_as_openai_does(client, fields, message):
    with pytest.raises(openai.BadRequestError, match=message) as error:
        client.chat.completions.create(**{"model": "left", "messages": HELLO, **fields})
    assert error.value.body["type"] == "invalid_request_error"
    with pytest.raises(openai.BadRequestError, match=message):  # before a stream begins, too
        client.chat.completions.create(**{"model": "left", "messages": HELLO, "stream": True, **fields})


def test_bodies_that_no_client_sends(guarded):
    def post(**body):
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"} | body.pop("headers", {})
        done = httpx.post(f"{guarded[1]}/v1/completions", headers=headers, **body)
        return done.status_code, done.json()["error"]["message"]

    half = b'{"model": "left", "prompt": "\\ud800"}'
    assert post(content=half) == (400, "the text holds half of a surrogate pair, which is no character")
    assert post(content=b"[1]") == (400, "the body must be a JSON object")
    assert post(content=b"{")[1].startswith("the body isn't JSON")
    assert post(content=b"{}", headers={"content-type": "text/plain"}) == (400, "the body must be application/json")
    found = httpx.get(f"{guarded[1]}/v1/nothing", auth=("bob", "builder"))
    assert found.json()["error"]["message"] == "there is no GET /v1/nothing"
    name = json.dumps("m" * (5 << 20)).encode()
    for field in (b'{"\\ud800": 1}', b'{"' + b"x" * (5 << 20) + b'": 1}', b'{"model": ' + name + b', "prompt": ""}'):
        status, message = post(content=field)
        assert status in (400, 404) and len(message) < 1000
    for content, said in (
        ({"prompt": ["x"] * 300_000}, "there are 300000 prompts; 256 at most"),
        ({"prompt": "x", "stop": ["z" * 10**6]}, "stop has 1000 characters at most"),
        ({"prompt": "x", "stop": ["z" * 400] * 3}, "stop has 1000 characters at most"),
        ({"prompt": "x", "temperature": True}, "temperature must be a number from 0 to 2"),
        ({"prompt": "x", "top_p": False}, "top_p must be a number from 0 to 1"),
        ({"prompt": "x", "n": True}, "n isn't supported"),
        ({"prompt": "x", "max_tokens": True}, "max_tokens must be a whole number"),
    ):
        began = time.perf_counter()
        status, message = post(json={"model": "left", **content})
        assert status == 400 and message.startswith(said), message
        assert time.perf_counter() - began < 5


def test_a_client_that_leaves_ends_all_its_prompts(guarded):
    """The 200 prompts of 500 tokens each would take minutes."""
    headers, body = {"authorization": f"Bearer {KEY}"}, {"model": "left", "prompt": ["x"] * 200, "max_tokens": 500}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{guarded[1]}/v1/completions", headers=headers, json=body, timeout=1.5)
    began = time.perf_counter()
    one = {"model": "left", "prompt": "x", "max_tokens": 1}
    for _ in range(3):  # one after the other, as many as are answered at once and one more
        assert httpx.post(f"{guarded[1]}/v1/completions", headers=headers, json=one, timeout=60).status_code == 200
    assert time.perf_counter() - began < 30


def test_nobody_comes_in_without_a_password(guarded):
    address = guarded[1]
    for key in ("ada:byron", "lovelace", "bob:lovelace", "x"):
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
            openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0).models.list()
    assert httpx.get(f"{address}/v1/models").status_code == 401
    assert httpx.get(f"{address}/v1/models", auth=("bob", "builder")).status_code == 200
    assert httpx.post(f"{address}/gradio_api/call/answer", json={"data": ["x"]}).status_code == 401
    assert httpx.get(f"{address}/config").status_code == 401
    wrong = httpx.post(f"{address}/login", data={"username": "ada", "password": "byron"})
    assert wrong.status_code == 400 and not wrong.cookies


@pytest.mark.parametrize("path", ["/manifest.json", "/gradio_api/info", "/gradio_api/heartbeat/x"])
def test_without_a_login_there_is_the_form_alone(guarded, path):
    assert httpx.get(f"{guarded[1]}{path}").status_code == 401
    for posted in ("cancel", "reset", "queue/join", "run/answer", "call/answer"):
        body = b"{" + b" " * (12 << 20)  # of which nothing is read
        assert httpx.post(f"{guarded[1]}/gradio_api/{posted}", content=body).status_code == 401
    assert httpx.get(guarded[1]).status_code == 200


def test_many_wrong_passwords_from_an_address_have_to_wait(start_site):
    address = start_site("left", "--openai", "--auth", "env:XLLM_AUTH", XLLM_AUTH=KEY)[1]
    wrong = [httpx.post(f"{address}/login", data={"username": "ada", "password": str(n)}).status_code for n in range(4)]
    for header in ("Basic é", "Basic %%", "Basic", "Bearer é", "Digest x", "é"):  # no header is more than wrong
        asked = httpx.get(f"{address}/v1/models", headers={"authorization": header.encode("latin-1")})
        assert asked.json()["error"]["code"] == "invalid_api_key"
        wrong.append(asked.status_code)
    wrong.append(httpx.get(f"{address}/v1/models", auth=("ada", "lovelace")).status_code)
    assert wrong == [400] * 4 + [401] * 6 + [429]
    right = httpx.post(f"{address}/login", data={"username": "ada", "password": "lovelace"})
    assert right.status_code == 429 and right.headers["retry-after"] == "60"
    assert httpx.get(address).status_code == 200


def test_no_file_of_the_machine_is_served(guarded):
    folder, address = guarded
    with httpx.Client(base_url=address) as user:
        assert user.post("/login", data={"username": "ada", "password": "lovelace"}).status_code == 200
        assert user.get("/config").status_code == 200
        for path in (
            "/etc/passwd",
            "app.py",
            folder / "app.py",
            folder / "model/left/config.json",
            "http://example.com",
        ):
            for route in ("/gradio_api/file=", "/gradio_api/file/", "/file=", "/gradio_api/proxy="):
                found = user.get(f"{route}{path}")
                assert found.status_code in (403, 404), (route, path)
        for path in ("static", "assets", "theme", "svelte"):
            assert user.get(f"/{path}/..%2f..%2f..%2f..%2f..%2fetc/passwd").status_code >= 400
        for route in ("upload", "upload/", "process_recording", "component_server", "process_recording/"):
            assert user.post(f"/gradio_api/{route}", files={"files": b"x"}).status_code == 403, route
        assert user.get("/gradio_api/deep_link").status_code == 403
        assert user.post("/v1/completions", content=b"{}", headers={"content-type": "text/plain"}).status_code == 401


def test_the_page_of_another_address_of_this_machine_is_asked_by_it_alone(start_site):
    address = start_site("left", "--host", "127.0.0.2")[1]
    assert address.startswith("http://127.0.0.2:") and httpx.get(f"{address}/config").status_code == 200
    assert httpx.get(f"{address}/config", headers={"host": "evil.example"}).status_code == 403


def test_a_body_has_a_largest_size(guarded):
    def piece_by_piece():
        for _ in range(40):
            yield b" " * (1 << 20)

    with httpx.Client(base_url=guarded[1], auth=("bob", "builder")) as user:
        headers = {"content-type": "application/json"}
        for path in ("/v1/completions", "/login"):
            for body in (b" " * (17 << 20), piece_by_piece()):
                assert user.post(path, content=body, headers=headers).status_code == 413
        fine = b'{"model": "left", "prompt": "' + b" " * (1 << 20) + b'"}'
        assert "characters" in user.post("/v1/completions", content=fine, headers=headers).json()["error"]["message"]


def test_pages_of_other_sites_get_no_answer(guarded):
    """What a foreign page lets a visitor's browser ask: with its own Origin, or by a name that it points here."""
    address = guarded[1]
    port, auth = address.rpartition(":")[2], ("bob", "builder")
    for headers, status in (
        ({"origin": address}, 200),
        ({"host": f"localhost:{port}", "origin": f"http://localhost:{port}"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://[bad"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": f"evil.example:{port}", "origin": f"http://evil.example:{port}"}, 403),
    ):
        assert httpx.get(f"{address}/v1/models", auth=auth, headers=headers).status_code == status, headers
        assert (httpx.get(f"{address}/", headers=headers).status_code == 403) == (status == 403), headers


def test_passwords_come_from_the_environment_or_a_file_alone(tmp_path, monkeypatch):
    file = tmp_path / "users"
    file.write_text("ada:love:lace\n\nbob:builder\n")
    assert users(str(file)) == [("ada", "love:lace"), ("bob", "builder")]
    monkeypatch.setenv("USERS", "ada:x")
    assert users("env:USERS") == [("ada", "x")]
    file.write_text("ada:old\nada:new\n")
    with pytest.raises(XllmError, match="each user once"):
        users(str(file))
    file.write_text("ada\n")
    for where in ("ada:lovelace", str(file), str(tmp_path), "env:NOBODY", "env:"):
        with pytest.raises(XllmError, match="--auth takes env:NAME") as error:
            users(where)
        assert "lovelace" not in str(error.value)
