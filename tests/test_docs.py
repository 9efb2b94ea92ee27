"""The documentation: what is generated is not stale, every link resolves, every message quoted exists."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from tests.conftest import HOME
from tests.test_structure import MAY_IMPORT, MODULES

DOCS = HOME / "docs"
PAGES = [HOME / "README.md", HOME / "CONTRIBUTING.md", HOME / "SECURITY.md", *sorted(DOCS.glob("*.md"))]
AGAIN = "write it again: python docs/reference.py"


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_reference_is_that_of_the_code(reference):
    assert (DOCS / "commands.md").read_text() == reference.commands(), AGAIN


def test_the_architecture_names_every_module_by_its_path(reference):
    page = (DOCS / "architecture.md").read_text()
    assert page == reference.architecture(MAY_IMPORT), AGAIN
    for module in MODULES:
        if module.name != "__init__":
            assert f"| `{module.as_posix()}.py` |" in page


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", title.replace("`", "").lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = unquote(target).partition("#")
        found = page.parent / path if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_the_readme_is_a_page_and_the_site_has_every_other():
    assert len((HOME / "README.md").read_text().splitlines()) <= 150
    nav = yaml.safe_load((HOME / "mkdocs.yml").read_text())["nav"]
    assert {name for entry in nav for name in entry.values()} == {page.name for page in DOCS.glob("*.md")}


def test_the_messages_in_troubleshooting_exist():
    sources = "\n".join(path.read_text() for path in (HOME / "xllm").rglob("*.py"))
    quoted = re.findall(r"^\| `([^`]+)` \|", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(quoted) > 10 and not [message for message in quoted if message not in sources]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="needs mkdocs, of the extra docs")
    pytest.importorskip("material", reason="needs mkdocs-material, of the extra docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "commands" / "index.html").is_file()
