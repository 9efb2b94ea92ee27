"""Make the screenshots of the docs: python docs/screenshots.py ADDRESS, the address of a page with the models of the
quickstart, the base first, which is asked nothing else meanwhile."""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1000, 860
COLOURS = 64  # enough for text and buttons, and a third of the bytes
WRITTEN = (
    "line => /tokens/.test(document.querySelector(line).innerText)"
    " && !/writing|waiting/.test(document.querySelector(line).innerText)"
)


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(120_000)
        page.goto(address)
        page.get_by_text("ready").wait_for()
        for tab in (chat, instruct, compare, browse):
            tab(page)
            keep(page, tab.__name__)
        browser.close()


def keep(page, name: str) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # until what moves has come to rest
    image = Image.open(io.BytesIO(page.screenshot(full_page=name != "chat"))).convert("RGB")
    image.quantize(COLOURS).save(HERE / "images" / f"{name}.png", optimize=True)


def chat(page) -> None:
    for text in ("Write a Python function that adds two numbers.", "قل مرحبا بالعربية."):
        page.locator("#message textarea").fill(text)
        page.get_by_role("button", name="Send").click()
        page.wait_for_function("() => document.querySelector('#message textarea').value == ''")
        page.wait_for_function(WRITTEN, arg="#chat-line")
        page.wait_for_timeout(1000)


def instruct(page) -> None:
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option").last.click()
    page.get_by_role("tab", name="Instruct").click()
    page.get_by_label("Instruction").locator("visible=true").fill("Translate the text below from English into Chinese.")
    page.get_by_label("Input").locator("visible=true").fill("My sister buys fruit every evening.")
    page.get_by_role("button", name="Answer", exact=True).click()
    page.wait_for_function(WRITTEN, arg="#answer-line")
    page.get_by_text("The exact prompt").click()
    page.get_by_role("button", name="Show the prompt").click()
    page.wait_for_function("() => document.querySelector('#prompt textarea').value")


def compare(page) -> None:
    page.get_by_role("tab", name="Compare").click()
    page.get_by_label("Hide which is which").check()
    page.locator("#compare-instruction textarea").fill(
        "Give the Chinese translation of this English text: They have two cats."
    )
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_label("Tie").wait_for()


def browse(page) -> None:
    page.get_by_role("tab", name="Browse").click()
    page.locator("#row input").fill("4")
    page.locator("#row input").press("Enter")
    page.get_by_text("Is your mother happy today?").last.wait_for()
    page.wait_for_timeout(1000)


if __name__ == "__main__":
    main(sys.argv[1])
