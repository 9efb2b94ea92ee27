"""What is built and installed works without the checkout, and holds no file that isn't ours."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.conftest import HOME
from xllm import __version__
from xllm.experiment.quickstart import HELD_OUT, MIXTURE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (HOME / ".git").exists(), reason="git tells which files are ours"),
]
DATA = "xllm/data/"
# what a user may have put into data/
FOREIGN = ("alpaca/alpaca_xx.json", "mine/mine.py", "mine/rows.jsonl", "alias/other.json", "sample/xquad/xquad.de.json")
BUILD = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")


def ours(folder: str = ".") -> list[str]:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder]
    names = subprocess.run(listed, cwd=HOME, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if (HOME / name).is_file()]


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Of the environment, what leads to no other copy of the package and no data or models."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "XLLM_"))}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A checkout in which a user has put raw data."""
    folder = tmp_path_factory.mktemp("package") / "checkout"
    for name in ours():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(HOME / name, folder / name)
    for name in FOREIGN:
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_text("[]")
    return folder


def build_wheel(source: Path, place: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", *BUILD, "--wheel-dir", place, source]
    subprocess.run(list(map(str, command)), check=True)
    return next(place.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tree) -> Path:
    return build_wheel(tree, tree.parent / "dist")


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.slow
def test_a_wheel_has_the_package_and_of_the_data_what_is_ours(wheel):
    assert wheel.name == f"xllm_toolkit-{__version__}-py3-none-any.whl"
    packed = {name for name in members(wheel) if ".dist-info/" not in name}
    expected = {*ours("xllm"), *(f"xllm/{name}" for name in ours("data"))}
    assert packed == expected


def test_a_wheel_tells_its_licence_and_its_command(wheel):
    about = f"xllm_toolkit-{__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{about}/METADATA").decode()
        assert "xllm=xllm.__main__:main" in archive.read(f"{about}/entry_points.txt").decode().replace(" ", "")
        for name in ("LICENSE", "NOTICE"):
            assert archive.read(f"{about}/licenses/{name}") == (HOME / name).read_bytes()
    assert "Name: xllm-toolkit\n" in metadata and "License-Expression: Apache-2.0\n" in metadata


@pytest.mark.slow
def test_a_source_distribution_builds_the_same_wheel(tree, wheel):
    code = "from setuptools import build_meta; build_meta.build_sdist('sources')"
    subprocess.run([sys.executable, "-c", code], cwd=tree, check=True, capture_output=True)
    with tarfile.open(next((tree / "sources").glob("xllm_toolkit-*.tar.gz"))) as archive:
        names = archive.getnames()
        archive.extractall(tree.parent / "unpacked", filter="data")
    assert not [name for name in names if name.endswith(FOREIGN)]
    again = build_wheel(next((tree.parent / "unpacked").iterdir()), tree.parent / "again")
    assert members(again) == members(wheel)


class Machine:
    """An environment in which, of all packages but ours, those of the tests' own are installed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        tell_place = [folder / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        site = subprocess.check_output(tell_place, text=True).strip()
        (Path(site) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, *words: object) -> None:
        python = self.folder / "bin" / "python"
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--ignore-installed", *BUILD, *words]
        subprocess.run(list(map(str, command)), check=True, env=self.environment)

    def run(self, cwd: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
        command = [str(self.folder / "bin" / words[0]), *words[1:]]
        return subprocess.run(command, cwd=cwd, env=self.environment | variables, capture_output=True, text=True)


@pytest.fixture
def machine(tmp_path, environment) -> Machine:
    return Machine(tmp_path / "venv", environment)


@pytest.mark.slow
def test_a_wheel_alone_takes_an_empty_folder_through_the_quickstart(machine, wheel, llama, tmp_path):
    machine.install(wheel)
    folder = tmp_path / "folder"
    shutil.copytree(llama, folder / "model" / "tiny")  # what fetch would get
    first = machine.run(folder, "xllm", "quickstart", "--base", "tiny")
    assert first.returncode == 0, first.stderr
    tuned = f"tiny.{MIXTURE}.finetune"
    compared = first.stdout[first.stdout.index("A  tiny") :]
    assert compared.startswith(f"A  tiny\nB  {tuned}\n\n")
    assert all(f"\n{dataset} " in compared for dataset in HELD_OUT)
    commands = [line.removeprefix("+ ") for line in first.stderr.splitlines() if line.startswith("+ ")]
    stages = [command.split()[1] for command in commands if command.startswith("xllm ")]
    assert stages == ["train", "infer", "infer", "evaluate", "infer", "infer", "evaluate", "compare"]
    assert commands[0].startswith(f"export XLLM_DATA_DIR={machine.folder}")

    kept = (folder / "model" / tuned / "model.safetensors").stat()
    second = machine.run(folder, "xllm", "quickstart", "--base", "tiny")
    assert second.returncode == 0 and second.stdout.endswith(compared)
    assert "+ xllm train" not in second.stderr and "+ xllm infer" not in second.stderr
    assert (folder / "model" / tuned / "model.safetensors").stat() == kept

    typed = f"PATH={machine.folder}/bin:$PATH; {commands[0]}; {commands[-1]}"  # what is shown can be typed
    command = ["bash", "-c", typed]
    by_hand = subprocess.run(command, cwd=folder, env=machine.environment, capture_output=True, text=True)
    assert by_hand.returncode == 0 and by_hand.stdout == compared, by_hand.stderr


@pytest.mark.slow
def test_the_quickstart_stops_where_a_command_fails(machine, wheel, tmp_path):
    machine.install(wheel)
    done = machine.run(tmp_path, "xllm", "quickstart", "--base", "smollm")
    last = done.stderr.splitlines()[-2:]
    assert done.returncode == 2 and "unknown model 'smollm'" in last[0]
    assert last[1].startswith("xllm: the quickstart stopped: xllm fetch smollm ended with exit code 2")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["lenient", "strict", "compat"])
def test_an_editable_install_finds_scripts_and_sample_data(machine, tree, mode, tmp_path):
    machine.install("--config-settings", f"editable_mode={mode}", "--editable", tree)
    done = machine.run(tmp_path, "python", "-c", "import xllm.places; print(xllm.places.own_data())")
    assert Path(done.stdout.strip()).is_relative_to(tree) and Path(done.stdout.strip(), "sample").is_dir(), done.stderr
    done = machine.run(tmp_path, "xllm", "mixture", "alpaca_en", XLLM_DATA_DIR=f"{done.stdout.strip()}/sample")
    assert done.returncode == 0 and "alpaca_en" in done.stdout, done.stderr
