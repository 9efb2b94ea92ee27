"""The command line: what it imports, and what it refuses before any work."""

import os
import subprocess
import sys

import pytest

from tests.conftest import HOME
from xllm import __version__
from xllm.__main__ import COMMANDS

HEAVY = {"torch", "transformers", "datasets", "gradio", "sacrebleu", "fire", "babel"}


def imported(code):
    """The heavy modules that a fresh interpreter has loaded after `code`."""
    code += "\nimport sys; print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    return HEAVY & set(done.stderr.split())


def test_help_imports_nothing_heavy_and_names_every_command(cli):
    assert imported("from xllm.__main__ import main; main(['--help'])") == set()
    assert all(f"  {command} " in cli("--help").out for command in COMMANDS)
    assert cli().out == cli("--help").out
    assert cli("--version").out == f"{__version__}\n"


@pytest.mark.slow
def test_mixing_and_scoring_do_without_torch():
    assert not imported("import xllm.mixture.encoding, xllm.evaluation.evaluate, xllm.evaluation.comparing.compare") & {
        "torch",
        "transformers",
    }


def test_a_place_that_cannot_be_written_is_told_in_one_line(cli, sample, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = cli("mixture", "alpaca_en", "--json", tmp_path / "file" / "report.json")
    assert outcome.code == 2 and f"xllm: File exists: {tmp_path / 'file'}\n" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(("words", "code", "said"), [(["--version"], 0, __version__), (["trian"], 2, "did you mean")])
def test_one_of_several_processes_ends_as_it_ran(words, code, said):
    """A thread of gloo may abort a process that Python clears up; here an object does, for certain."""
    script = """
import atexit, builtins, os, runpy
builtins.last = type("Last", (), {"__del__": lambda self, abort=os.abort: abort()})()
atexit.register(print, "left in order")
runpy.run_module("xllm", run_name="__main__")"""
    environment = os.environ | {"WORLD_SIZE": "2"}
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, cwd=HOME, env=environment, capture_output=True, text=True)
    assert done.returncode == code and said in done.stdout + done.stderr and "left in order" in done.stdout
    alone = subprocess.run(command, cwd=HOME, capture_output=True, text=True)
    assert alone.returncode < 0  # so the object does abort
