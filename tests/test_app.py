"""The chat page, driven in a real browser, and through gradio's own client."""

import os
import shutil
import subprocess
import sys

import pytest

from xllm import HOME

BASE_MODEL = HOME / "model" / "smollm2-135m"
FINISHED = "() => !document.querySelector('.generating')"


@pytest.fixture
def browser():
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no chromium, which this test needs: apt-get install chromium")
        pytest.skip("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=quiet)
        yield chromium
        chromium.close()


@pytest.mark.base_model
def test_asks_answers_and_stops_in_a_browser(browser, page_of):
    address = page_of(BASE_MODEL)
    assert address.startswith("http://127.0.0.1:")
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: errors.append(request.url) if "127.0.0.1" not in request.url else None)
    page.goto(address)
    instruction, answer = page.get_by_label("Instruction"), page.locator("#answer textarea")
    text = "document.querySelector('#answer textarea').value"

    instruction.fill("What is the capital of France? Answer in one word.")
    page.get_by_role("button", name="Answer").click()
    page.wait_for_function(f"() => {text}.includes('Paris')", timeout=120_000)
    page.wait_for_function(FINISHED, timeout=60_000)

    instruction.fill("Write a very long story about a dragon and a knight.")
    page.get_by_role("button", name="Answer").click()
    page.wait_for_function(f"() => /dragon|knight/.test({text}) && !({FINISHED})()", timeout=120_000)
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function(FINISHED, timeout=20_000)
    assert 0 < len(answer.input_value().split()) < 200  # unstopped, the story fills 512 tokens

    instruction.fill("")
    page.get_by_role("button", name="Answer").click()
    page.get_by_text("Write an instruction first.").wait_for(timeout=20_000)
    assert not errors


def test_answers_gradio_s_client_as_the_engine_does(page_of, llama):
    from gradio_client import Client

    from xllm.inference.generate import Decoding, Engine, encode_prompts

    client = Client(page_of(llama), verbose=False)
    settings = ["alpaca", 10, 1, False, 0.7, 0.75, 40]
    engine = Engine.load(str(llama))
    prompts = encode_prompts([("Say hello.", "你好")], "alpaca", engine.tokenizer)
    [expected] = engine.answer(prompts, Decoding(max_new_tokens=10))
    assert client.predict("Say hello.", "你好", *settings, api_name="/answer") == expected
    assert client.predict("Say hello.", "你好", "alpaca", 10, 3, *settings[3:], api_name="/answer")  # beams
    with pytest.raises(Exception, match="fit into the model's window of 640"):
        client.predict("long " * 700, "", *settings, api_name="/answer")


def test_importing_the_page_does_nothing():
    code = "import sys, app; print(sorted({'torch', 'gradio', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n" and not done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [(["nowhere"], "unknown model 'nowhere'"), (["x", "--prot", "1"], "unrecognized arguments: --prot")],
)
def test_mistakes_end_with_code_2_and_no_traceback(words, message):
    done = subprocess.run([sys.executable, "app.py", *words], cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr and not done.stdout
