"""The chat page, driven in a real browser, and through gradio's own client."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import HOME
from xllm.files import read_jsonl, write_jsonl
from xllm.mixture.load import load_mixture

pytestmark = pytest.mark.slow

BASE_MODEL = HOME / "model" / "smollm2-135m"
DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 800}
HARMFUL = (
    "<img src=x onerror=\"document.title='harmed'\"><script>document.title='harmed'</script>"
    "<iframe src='javascript:parent.document.title=1'></iframe> [link](javascript:alert(1)) <form action='/x'></form>"
)


@pytest.fixture(scope="module")
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


@pytest.fixture
def visit(browser):
    """Open a page; at the end its console must hold no error, and no other machine may have been asked anything."""
    contexts, errors = [], []

    def reload(page):
        """Reload a page; what is said meanwhile of requests that this cuts off is no error."""
        before = len(errors)
        page.reload()
        errors[before:] = [error for error in errors[before:] if not re.match("AbortError|Unexpected error", error)]

    def open_(address, viewport=DESKTOP):
        context = browser.new_context(viewport=viewport)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda line: errors.append(f"{line.text} {line.location['url']}") if line.type == "error" else None,
        )
        page.on(
            "request",
            lambda asked: (
                None if "127.0.0.1" in asked.url or asked.url[:5] in ("data:", "blob:") else errors.append(asked.url)
            ),
        )
        page.goto(address)
        return page

    open_.errors, open_.reload = errors, reload
    yield open_
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture(scope="module")
def served(start_site):
    """The page of two tiny models: its folder and its address."""
    return start_site("left", "right", "--max_prompt", 500)[:2]


def tab(page, name):
    page.get_by_role("tab", name=name).click()


def say(page, text):
    """Send a message; it has been taken when its box is empty, as is the line below the conversation then."""
    from playwright.sync_api import TimeoutError

    page.locator("#message textarea").fill(text)
    for _ in range(60):  # while the event before is ending, the page takes no other
        page.locator("#message textarea").press("Enter")
        try:
            page.wait_for_function("() => document.querySelector('#message textarea').value == ''", timeout=500)
            return
        except TimeoutError:
            pass
    raise AssertionError("the message wasn't taken")


def ended(page, line="#chat-line"):
    """Wait for the end of an answer, which the line below it tells; that line."""
    page.wait_for_function(
        f"() => /tokens/.test(document.querySelector('{line}').innerText) && !/writing|waiting/.test(document.querySelector('{line}').innerText)"
    )
    return page.locator(line).inner_text()


def bubbles(page):
    return [
        text.strip()
        for text in page.locator("#conversation [data-testid=user], #conversation [data-testid=bot]").all_inner_texts()
    ]


@pytest.mark.base_model
def test_chats_stops_and_keeps_conversations(page_of, root, visit):
    address = page_of(BASE_MODEL)
    assert address.startswith("http://127.0.0.1:")
    page = visit(address)
    page.get_by_text("million parameters").wait_for(timeout=60_000)
    say(page, "What is the capital of France? Answer in one word.")
    line = ended(page)
    assert "Paris" in bubbles(page)[1] and "tokens/s" in line and "English (en" in line

    say(page, "Write a very long story about a dragon and a knight.")
    page.wait_for_function("() => /\\b[2-9]\\d tokens.*writing/.test(document.querySelector('#chat-line').innerText)")
    page.get_by_role("button", name="Stop").locator("visible=true").click()
    assert "stopped" in ended(page)
    told = bubbles(page)
    assert len(told) == 4 and 0 < len(told[3].split()) < 200  # unstopped, the story fills 512 tokens

    page.get_by_role("button", name="Undo").click()
    page.wait_for_function("() => document.querySelectorAll('#conversation [data-testid=bot]').length == 1")
    assert page.locator("#message textarea").input_value().startswith("Write a very long story")
    page.get_by_role("button", name="Retry").click()
    page.wait_for_function("() => /writing/.test(document.querySelector('#chat-line').innerText)")
    ended(page)
    assert bubbles(page) == told[:2]

    page.get_by_role("button", name="Edit").first.click()
    page.locator("#conversation textarea").fill("What is the capital of Italy? Answer in one word.")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_function("() => /Rome/.test(document.querySelector('#conversation [data-testid=bot]')?.innerText)")
    ended(page)

    page.get_by_text("Export as training data").locator("visible=true").click()
    page.get_by_role("button", name="Show the records").locator("visible=true").click()
    page.wait_for_function("() => /Rome/.test(document.querySelector('.records .cm-content')?.innerText)")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").locator("visible=true").click()
    (root / "alpaca").mkdir()
    assert download.value.suggested_filename == "alpaca.jsonl"
    download.value.save_as(root / "alpaca" / "alpaca_en.jsonl")
    [record] = load_mixture("alpaca_en", "train")
    assert "Italy" in record["instruction"] and "Rome" in record["output"]

    visit.reload(page)
    page.get_by_text("Rome").first.wait_for()
    page.get_by_role("button", name="New", exact=True).click()
    page.wait_for_function("() => !document.querySelector('#conversation [data-testid=bot]')")
    page.get_by_label("Conversations in this browser").click()
    page.get_by_role("option", name="What is the capital of Italy").click()
    page.get_by_text("Rome").first.wait_for()
    page.get_by_role("button", name="Delete").click()
    page.wait_for_function("() => !document.querySelector('#conversation [data-testid=bot]')")
    kept(page, 0)
    visit.reload(page)
    page.get_by_text("million parameters").wait_for()
    assert bubbles(page) == []


KEPT = "JSON.parse(localStorage.getItem('xllm-conversations-of-all-tabs') ?? '[]')"


def kept(page, count):
    """Wait until the browser keeps so many conversations; their first messages."""
    page.wait_for_function(f"(count) => {KEPT}.length == count", arg=count)
    return page.evaluate(f"() => {KEPT}.map(one => one.messages[0].content)")


CODE = "def f(x):\n    if x:\n\treturn 1\n    return 0"


def test_what_is_said_stays_as_it_is(visit, served, tmp_path):
    page = visit(served[1])
    page.get_by_text("Export as training data").locator("visible=true").click()
    page.get_by_role("button", name="Download").locator("visible=true").click()
    page.get_by_text("There is nothing to export: chat first.").wait_for()
    say(page, CODE)
    prompt = re.search(r"prompt: (\d+) tokens", ended(page)).group(1)
    visit.reload(page)
    page.get_by_text("return 0").wait_for()
    page.get_by_role("button", name="Retry").click()
    page.wait_for_function("() => /tokens/.test(document.querySelector('#chat-line').innerText)")
    assert f"prompt: {prompt} tokens" in ended(page)
    page.get_by_text("Export as training data").locator("visible=true").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").locator("visible=true").click()
    download.value.save_as(tmp_path / "alpaca.jsonl")
    [record] = read_jsonl(tmp_path / "alpaca.jsonl")
    assert record["instruction"] == CODE and (tmp_path / "alpaca.jsonl").read_text().endswith("}\n")


def test_tabs_of_a_browser_keep_each_other_s_conversations(visit, served):
    page = visit(served[1])
    other = page.context.new_page()
    other.goto(served[1])
    for tab_ in (page, other):
        tab_.bring_to_front()
        longest(tab_, 5)
    for tab_, text in ((page, "Of the first tab."), (other, "Of the second tab."), (page, "Again of the first.")):
        tab_.bring_to_front()  # a browser draws nothing in the others
        say(tab_, text)
        ended(tab_)
    assert kept(page, 2) == ["Of the first tab.", "Of the second tab."]
    other.bring_to_front()
    other.get_by_role("button", name="Delete").click()
    assert kept(page, 1) == ["Of the first tab."]
    visit.reload(page)
    page.get_by_text("Again of the first.").wait_for()


def test_a_question_is_kept_before_it_is_answered_and_the_oldest_conversations_make_room(visit, served):
    page = visit(served[1])
    one = "(number, text) => ({id: String(number), messages: [{role: 'user', content: text}]})"
    fill = f"(text) => localStorage.setItem('xllm-conversations-of-all-tabs', JSON.stringify(Array.from({{length: 30}}, (_, n) => ({one})(n, text))))"
    longest(page, 2000)
    for text, count in (("old", 30), ("old " * 25_000, 10)):
        page.evaluate(fill, text)
        say(page, "The newest.")
        writing(page)
        assert kept(page, count)[0] == "The newest."
        visit.reload(page)
        page.locator("#conversation").get_by_text("The newest.").first.wait_for()
        longest(page, 2000)


def test_nothing_that_is_said_logs_its_reader_out(site, page_of, visit):
    page = visit(page_of("left", site, "--auth", "env:DOOR", DOOR="ada:lovelace"))
    page.get_by_label("username").fill("ada")
    page.get_by_label("password").fill("lovelace")
    page.get_by_role("button", name="Login").click()
    page.locator("#message textarea").wait_for()
    say(page, "![a](/logout) ![b](/gradio_api/logout)")
    ended(page)
    visit.reload(page)
    page.locator("#conversation").get_by_text("a", exact=False).first.wait_for()
    assert page.locator("#message").count() and not page.get_by_label("password").count()
    page.close()
    assert any("403 (Forbidden)" in error and error.endswith("/logout") for error in visit.errors)
    visit.errors.clear()  # the browser's own notes of refusals, of images and before the login


def test_text_is_shown_in_its_direction_and_does_no_harm(visit, served):
    page = visit(served[1])
    say(page, "مرحبا 123\n\nHello")
    ended(page)
    sides = "text => { const box = [...document.querySelectorAll('#conversation [data-testid=user] p')].find(p => p.innerText.includes(text)); const range = document.createRange(); range.selectNodeContents(box); const [a, b] = [range.getBoundingClientRect(), box.getBoundingClientRect()]; return [Math.round(a.left - b.left), Math.round(b.right - a.right)]; }"
    assert page.evaluate(sides, "Hello")[0] == 0 and page.evaluate(sides, "123")[1] == 0

    page.get_by_role("button", name="New", exact=True).click()
    page.wait_for_function("() => !document.querySelector('#conversation [data-testid=bot]')")
    say(page, f"```python\nprint(1)\n```\n**bold** {HARMFUL}")
    ended(page)
    last = page.locator("#conversation [data-testid=user]").last
    last.locator("code").wait_for()
    assert last.locator("strong").inner_text() == "bold"
    assert page.title() != "harmed" and not page.locator("#conversation :is(script, iframe)").count()
    assert not page.locator("#conversation [onerror], #conversation a[href^='javascript']").count()
    visit.errors[:] = [
        error for error in visit.errors if not error.endswith(f"403 (Forbidden) {served[1].rstrip('/')}/x")
    ]


def longest(page, tokens):
    """Set the length of answers; the settings are open then."""
    box = page.get_by_label("number input for Longest answer, in tokens")
    if not box.is_visible():
        page.get_by_text("Settings").click()
    box.fill(str(tokens))
    box.press("Tab")


def edit(page, number, text):
    page.get_by_role("button", name="Edit").nth(number).click()
    page.locator("#conversation textarea").fill(text)
    page.get_by_role("button", name="Submit").click()


def test_a_turn_that_is_edited_into_something_over_long_costs_nothing(visit, served):
    page = visit(served[1])
    longest(page, 20)
    for number, text in enumerate(("First.", "Second.")):
        say(page, text)
        # the line below is this answer's once it is shown
        page.locator("#conversation [data-testid=bot]").nth(number).wait_for()
        ended(page)
    told = bubbles(page)
    assert len(told) == 4
    page.locator("#message textarea").fill("unsent")
    edit(page, 0, "long " * 2000)
    page.get_by_text("500 at most").wait_for()
    assert bubbles(page) == told and page.locator("#message textarea").input_value() == "unsent"
    visit.reload(page)
    page.get_by_text("Second.").first.wait_for()
    assert bubbles(page) == told


def writing(page):
    page.wait_for_function("() => /writing/.test(document.querySelector('#chat-line').innerText)")


def test_what_is_typed_meanwhile_stays(visit, served):
    page = visit(served[1])
    longest(page, 2000)  # a short answer may be over before the page is looked at
    say(page, "First.")
    writing(page)
    page.locator("#message textarea").fill("and then")
    ended(page)
    assert page.locator("#message textarea").input_value() == "and then"


def test_a_closed_tab_frees_its_place(visit, start_site):
    address = start_site("left", "--at_once", 1, "--max_answer", 15000)[1]
    page, other = visit(address), visit(address)
    longest(page, 15000)
    say(page, "Go on.")
    page.wait_for_function("() => /\\d\\d tokens.*writing/.test(document.querySelector('#chat-line').innerText)")
    longest(other, 5)
    say(other, "Hello.")
    other.wait_for_function("() => /waiting/.test(document.querySelector('#chat-line').innerText)")
    page.close()
    assert "5 tokens" in ended(other)


def test_an_answer_that_is_left_harms_no_other_conversation(visit, start_site):
    page = visit(start_site("left", "--at_once", 1)[1])
    settle = "() => !document.querySelector('#conversation [data-testid=user]')"
    shown = "text => document.querySelector('#conversation [data-testid=user]')?.innerText.includes(text)"
    say(page, "The older one.")
    ended(page)
    older = bubbles(page)
    page.get_by_role("button", name="New", exact=True).click()
    page.wait_for_function(settle)
    longest(page, 2000)
    say(page, "The newer one.")
    page.wait_for_function("() => /\\d\\d tokens.*writing/.test(document.querySelector('#chat-line').innerText)")

    def choose(title):
        page.get_by_label("Conversations in this browser").click()
        page.get_by_role("option", name=title).click()
        page.wait_for_function(shown, arg=title)

    choose("The older one.")
    longest(page, 5)
    say(page, "Go on.")  # which waits for the other answer unless that has really ended
    assert "5 tokens" in ended(page)
    longer = bubbles(page)
    assert longer[:2] == older and longer[2] == "Go on." and len(longer) == 4
    for _ in range(2):
        choose("The newer one.")
        newer = bubbles(page)
        assert len(newer) == 2 and 0 < len(newer[1].split()) < 2000
        choose("The older one.")
        assert bubbles(page) == longer
        visit.reload(page)
        page.wait_for_function("() => document.querySelector('#conversation [data-testid=user]')")
    longest(page, 2000)
    for leave in ("New", "Delete"):
        say(page, f"Left by {leave}.")
        writing(page)
        page.get_by_role("button", name=leave, exact=True).click()
        page.wait_for_function(settle)
    longest(page, 5)
    say(page, "Last.")
    ended(page)
    page.get_by_label("Conversations in this browser").click()
    page.get_by_role("option", name="Last.").wait_for()  # the line is there before the list
    titles = page.get_by_role("option").all_inner_texts()
    assert titles[0].strip("✓ \n") == "Last." and len(titles) >= 2


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_instruct_compare_and_browse(visit, served, viewport):
    folder, address = served
    page = visit(address, viewport)
    tab(page, "Instruct")
    page.get_by_label("Instruction").locator("visible=true").fill("Say hello.")
    page.get_by_role("button", name="Answer", exact=True).click()
    assert "prompt: " in ended(page, "#answer-line") and page.locator("#answer textarea").input_value()
    page.get_by_label("Instruction").locator("visible=true").fill("Say nothing.")
    page.get_by_text("Export as training data").locator("visible=true").click()
    page.get_by_role("button", name="Show the records").locator("visible=true").click()
    page.get_by_text('"Say hello."').locator("visible=true").wait_for()
    page.get_by_label("Instruction").locator("visible=true").fill("Say hello.")
    page.get_by_text("The exact prompt").click()
    page.get_by_role("button", name="Show the prompt").click()
    page.wait_for_function("() => document.querySelector('#prompt textarea').value")
    read = page.locator("#prompt textarea").input_value()
    assert read.startswith("<s> Below is an instruction") and read.endswith(
        "### Instruction:\nSay hello.\n\n### Response:"
    )

    tab(page, "Compare")
    page.get_by_label("Hide which is which").check()
    page.locator("#compare-instruction textarea").fill("Name a colour.")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_label("Tie").wait_for()
    assert page.get_by_label("Model A").count() and not page.get_by_label("left", exact=True).count()
    page.get_by_label("Left", exact=True).check()
    page.get_by_role("button", name="Vote").click()
    page.get_by_text("Thank you").wait_for()
    assert page.locator("#vote input:enabled").count() == 0
    *_, vote = read_jsonl(folder / "model" / "votes.jsonl")
    assert vote["instruction"] == "Name a colour." and vote["hidden"] and sorted(vote["models"]) == ["left", "right"]
    assert vote["vote"] == vote["models"][0]
    assert vote["answers"] == [page.locator(f"#answer-{n} textarea").input_value().strip() for n in (0, 1)]

    tab(page, "Browse")
    page.get_by_text("2 of 2 rows").wait_for()
    page.locator("#one del").first.wait_for()
    assert page.locator("#one .side-by-side ins").all_inner_texts()[-2:] == ["<script>", "Turkey</script>"]
    page.locator("#search :is(input, textarea)").fill("القاهرة")
    page.locator("#search :is(input, textarea)").press("Enter")
    page.get_by_text("1 of 2 rows").wait_for()
    page.get_by_role("button", name="Try this prompt").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('textarea')].some(box => box.value == 'أين تقع القاهرة؟' && box.offsetParent)"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_a_language_that_the_next_dataset_lacks_is_no_longer_asked_for(visit, served):
    folder, address = served
    row = {"id": "1", "input": "?", "output": "in Greece", "prediction": "It is in Greece."}
    (folder / "model" / "left" / "test" / "zz.inference.jsonl").write_text(json.dumps(row))
    page = visit(address)
    tab(page, "Browse")
    page.get_by_text("2 of 2 rows").wait_for()
    page.get_by_label("Language of an answer").click()
    page.get_by_role("option", name="Arabic").click()
    page.get_by_text("1 of 2 rows").wait_for()
    page.get_by_label("Dataset").click()
    page.get_by_role("option", name="zz").click()
    page.get_by_text("1 of 1 rows").wait_for()
    assert page.get_by_label("Language of an answer").input_value() == "any"


def test_models_of_one_name_stand_side_by_side_in_rows_that_were_asked_alike(visit, start_site, site):
    other = site / "model" / "left"
    file = other / "test" / "xquad_en.inference.jsonl"
    first, second = read_jsonl(file)
    write_jsonl(file, [first | {"input": "Where is Sparta?"}, second | {"prediction": "elsewhere"}])
    page = visit(start_site("left", other, "right")[1])
    tab(page, "Browse")
    page.get_by_text("1 of 1 rows; 2 left out").wait_for()
    titles = page.locator("#one .side-by-side h4").all_inner_texts()
    assert [title.split(" · ")[0] for title in titles] == ["left", str(other), "right"]
    assert page.locator("#one .side-by-side ins").first.inner_text() == "elsewhere"
    file.write_text("{")
    page.locator("#search :is(input, textarea)").press("Enter")
    page.get_by_role("alert").get_by_text(f"malformed JSON: {file.name} of {other}, line 1").wait_for()


def test_what_is_too_long_or_empty_is_told_and_can_be_mended(visit, served):
    page = visit(served[1])
    message = page.locator("#message textarea")
    message.fill("long " * 2000)
    message.press("Enter")
    page.get_by_text("500 at most").wait_for()
    assert message.input_value().startswith("long long")
    message.fill("  ")
    message.press("Enter")
    page.get_by_text("Write a message first.").wait_for()
    tab(page, "Compare")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("Write an instruction first.").wait_for()


def test_a_model_is_switched_to_and_a_broken_one_is_told(visit, served):
    folder, address = served
    shutil.copytree(folder / "model" / "left", folder / "model" / "broken")
    (folder / "model" / "broken" / "model.safetensors").write_bytes(b"\0" * 100)
    page = visit(address)
    page.get_by_text("ready").wait_for()
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name="broken").click()
    page.get_by_role("alert").get_by_text("cannot read the weights").wait_for()
    say(page, "Are you there?")
    page.locator("#chat-line").get_by_text("cannot read the weights").wait_for()
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name="right").click()
    page.get_by_text("ready").wait_for()
    say(page, "Are you there?")
    ended(page)


def test_the_keyboard_alone_reaches_everything(visit, served):
    page = visit(served[1])
    page.get_by_text("ready").wait_for()
    seen = "() => [...document.querySelectorAll('button, input, textarea, [role=tab]')].filter(e => e.offsetParent && !e.disabled && e.type != 'file' && e.tabIndex >= 0 && getComputedStyle(e).visibility == 'visible').length"
    mark = "() => { const e = document.activeElement; if (e && e != document.body) e.dataset.reached = 1; }"
    for name in ("Chat", "Instruct", "Compare", "Browse"):
        page.get_by_role("tab", name=name).focus()
        page.keyboard.press("Enter")
        if name == "Browse":
            page.locator("#count").get_by_text("2 of 2 rows").wait_for()
        page.evaluate("() => document.querySelectorAll('[data-reached]').forEach(e => delete e.dataset.reached)")
        for _ in range(page.evaluate(seen) + 40):
            page.keyboard.press("Tab")
            page.evaluate(mark)
        lacking = page.evaluate(
            "() => [...document.querySelectorAll('button, input, textarea, [role=tab]')].filter(e => e.offsetParent && !e.disabled && e.type != 'file' && e.tabIndex >= 0 && !e.dataset.reached && getComputedStyle(e).visibility == 'visible').map(e => e.outerHTML.slice(0, 200))"
        )
        assert not lacking, name


def test_a_wrong_password_does_not_open_the_page(site, page_of, tmp_path, visit):
    users = tmp_path / "users"
    users.write_text("ada:lovelace\n")
    page = visit(page_of("left", site, "--auth", users))
    page.get_by_label("username").fill("ada")
    page.get_by_label("password").fill("byron")
    page.get_by_role("button", name="Login").click()
    page.get_by_text("Incorrect Credentials").wait_for()
    assert not page.locator("#message").count()
    page.get_by_label("username").fill("ada")
    page.get_by_label("password").fill("lovelace")
    page.get_by_role("button", name="Login").click()
    page.locator("#message textarea").wait_for()
    # the browser's own notes of the two refusals: before anyone has said who they are, and of the wrong password
    refusals = [
        error for error in visit.errors if re.search(r"40[01] \(.*\) http://127\.0\.0\.1:\d+/(login|config)\S*$", error)
    ]
    assert any("/login" in error for error in refusals)
    visit.errors[:] = [error for error in visit.errors if error not in refusals]


def test_answers_gradio_s_client_as_the_engine_does(page_of, llama):
    from gradio_client import Client

    from xllm.inference.engine import Decoding
    from xllm.inference.hf import HFEngine
    from xllm.templates import encode_prompts

    client = Client(page_of(llama), verbose=False)
    settings = ["alpaca", 10, 1, False, 0.7, 0.75, 40]
    engine = HFEngine.load(str(llama))
    prompts = encode_prompts([("Say hello.", "你好")], "alpaca", engine.tokenizer)
    [expected] = engine.answer(prompts, Decoding(max_new_tokens=10))
    assert client.predict("Say hello.", "你好", *settings, api_name="/answer") == expected
    assert client.predict("Say hello.", "你好", max_new_tokens=10, api_name="/answer") == expected
    assert client.predict("Say hello.", "你好", "alpaca", 10, 3, *settings[3:], api_name="/answer")  # beams
    for words, options, message in (
        ("long " * 700, {}, "fit into the model's window of 640"),
        ("Hi", {"model": "../x"}, "unknown model '../x'"),
        ("Hi", {"num_beams": 99}, "1 to 8 beams"),
        ("Hi", {"num_beams": 0}, "num_beams 0: it must be 1 or more"),
        ("Hi", {"do_sample": True, "temperature": -1}, "temperature -1: it must be 0.01 or more"),
        ("Hi", {"do_sample": "no"}, "settings of another type than they should be: do_sample is 'no'"),
        ("Hi", {"num_beams": "many"}, "settings of another type than they should be"),
        (3, {}, "must be text"),
        ("Hi", {"template": "chat"}, "has no chat template"),
        ("\u200b ", {}, "Write an instruction first"),
    ):
        with pytest.raises(Exception, match=message):
            client.predict(words, "", **options, api_name="/answer")


def test_importing_the_page_does_nothing():
    code = "import sys, app; print(sorted({'torch', 'gradio', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n" and not done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "unknown model 'nowhere'"),
        (["x", "--prot", "1"], "unknown flag '--prot'; did you mean --port"),
        (["x", "--port", "0"], "0: it must be a whole number, 1 or more"),
        (["x", "--port", "80000"], "--port 80000: it must be a whole number, 1 or more, 65535 at most"),
        (["x", "--at_once", "0"], "0: it must be a whole number, 1 or more"),
        (["x", "--auth", "ada:lovelace"], "--auth takes env:NAME, an environment variable, or a file"),
    ],
)
def test_mistakes_end_with_code_2_and_no_traceback(words, message):
    done = subprocess.run([sys.executable, "app.py", *words], cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr and not done.stdout
    assert "lovelace" not in done.stderr
