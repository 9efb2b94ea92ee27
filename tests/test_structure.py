"""The house keeps its plan: who may import whom, and what the repository may not hold."""

import ast
import subprocess

import pytest

from xllm import HOME

STAGES = {"mixture", "training", "inference", "evaluation", "analysis", "chat"}
MAY_IMPORT = {
    "training": {"mixture", "inference", "evaluation"},  # a model is scored while it is tuned
    "inference": {"mixture", "evaluation"},  # answers may be scored at once
    "evaluation": {"mixture"},  # predictions from elsewhere are scored by the dataset that they answer
    "analysis": {"mixture", "inference"},
    "chat": {"inference", "evaluation"},  # answers are shown with their scores
}
MODULES = sorted((HOME / "xllm").rglob("*.py"))


def stages_imported(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("xllm.")} & STAGES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOME)))
def test_arrows_between_stages(path):
    stage = path.relative_to(HOME / "xllm").parts[0]
    assert stages_imported(path) <= MAY_IMPORT.get(stage, set()) | ({stage} & STAGES)


@pytest.mark.parametrize("path", sorted((HOME / "script").iterdir()), ids=lambda path: path.name)
def test_scripts_are_short_and_parse(path):
    assert len(path.read_text().splitlines()) < 50
    subprocess.run(["bash", "-n", path], check=True)


def test_the_readme_s_tree_names_every_module():
    readme = (HOME / "README.md").read_text()
    lacking = [path.name for path in MODULES if path.name != "__init__.py" and path.name not in readme]
    assert not lacking
