"""Two processes that would write the same: the second is told who the first is, and nothing is torn."""

import json
import os
import platform
import re
import subprocess
import sys

import pytest

from tests.conftest import HOME
from xllm import locks
from xllm.errors import XllmError
from xllm.files import whole

HOLD = """
import sys
from pathlib import Path
from xllm.files import whole
with whole(Path(sys.argv[1])) as place:
    place.mkdir()
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def busy(tmp_path):
    """A process that writes the folder `out` until it is told to end."""
    words = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    yield process
    process.communicate()


def test_the_second_is_told_who_the_first_is(busy, tmp_path, llama, cli):
    who = rf"\(process {busy.pid} on {re.escape(platform.node())}, since 20[\d: -]+\+00:00\)"
    said = rf"another process is writing {re.escape(str(tmp_path / 'out'))} {who}"
    with pytest.raises(XllmError, match=said), whole(tmp_path / "out"):
        pass
    outcome = cli("weight_diff", "make", llama, llama, tmp_path / "out")
    assert outcome.code == 2 and "another process is writing" in outcome.err
    busy.communicate()
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and busy.returncode == 0


def test_what_a_killed_process_leaves_holds_nobody_up(busy, tmp_path):
    busy.kill()
    busy.wait()
    with whole(tmp_path / "out") as place:
        place.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (tmp_path / "out").read_text() == "whole"


@pytest.mark.parametrize("left", ["", "{", "[]", "{}", json.dumps({"pid": 1}), "123\nhost\n"])
def test_a_lock_that_says_something_else_is_still_held(tmp_path, left):
    lock = locks.take(tmp_path / "lock", "here")
    (tmp_path / "lock").write_text(left)
    with pytest.raises(XllmError, match="^another process is here$"):
        locks.take(tmp_path / "lock", "here")
    lock.release()
    locks.take(tmp_path / "lock", "here").release()
