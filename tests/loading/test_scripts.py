"""Running loading scripts: ours, and those that were written for older releases of `datasets`."""

import json
import os
import sys

import pytest

from tests.conftest import HOME
from xllm.errors import XllmError
from xllm.mixture.load import load_mixture

# in the shape of the reference's scripts: config=…, self.base_path, integer ids, columns in any order, prefixes of
# file names, and a class attribute that lists configs
OLD_SCRIPT = """
import os
import datasets

class OldConfig(datasets.BuilderConfig):
    def __init__(self, config: str, **kwargs):
        super(OldConfig, self).__init__(**kwargs)
        self.lang = config

class Old(datasets.GeneratorBasedBuilder):
    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIGS = [OldConfig(config=lang, name=f"old_{lang}") for lang in LANGUAGES]
    BUILDER_CONFIG_CLASS = OldConfig

    def _info(self):
        return datasets.DatasetInfo(description="", features=datasets.Features({
            "output": datasets.Value("string"),
            "input": datasets.Value("string"),
            "id": datasets.Value("int32"),
            "instruction": datasets.Value("string"),
        }), citation="")

    def _split_generators(self, dl_manager):
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"filepath": os.path.join(self.base_path, name)})
            for split, name in ((datasets.Split.TEST, "test"), (datasets.Split.TRAIN, "train"))
        ]

    def _generate_examples(self, filepath):
        if os.path.exists(f"{filepath}.{self.config.lang}"):
            with open(f"{filepath}.{self.config.lang}", encoding="utf-8") as f:
                for key, line in enumerate(f):
                    yield key, {"id": key, "instruction": "Echo.", "input": line.strip(), "output": line.strip()}
"""


@pytest.fixture(params=['["xx", "yy"]', '["xx"]', "[]"], ids=["two configs", "one config", "no configs"])
def old(request, root):
    folder = root / "old"
    folder.mkdir()
    (folder / "old.py").write_text(OLD_SCRIPT.replace("LANGUAGES", request.param))
    (folder / "train.xx").write_text("one\ntwo\n")
    return folder


def test_a_script_of_the_reference_s_shape_loads_unchanged(old):
    rows = list(load_mixture("old_xx", "train"))
    assert list(rows[0]) == ["id", "instruction", "input", "output", "from"]
    assert rows[1] == {"id": "1", "instruction": "Echo.", "input": "two", "output": "two", "from": "old_xx"}


def test_a_split_without_files_is_an_empty_mixture(old):
    with pytest.raises(XllmError, match="empty at 'old_xx': of 0 rows"):
        load_mixture("old_xx", "test")


def test_the_cache_follows_the_raw_file_and_the_script(old):
    assert len(load_mixture("old_xx", "train")) == 2
    stat = (old / "train.xx").stat()
    (old / "train.xx").write_text("one\nTWO\n")
    os.utime(old / "train.xx", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size, same time
    assert [row["input"] for row in load_mixture("old_xx", "train")] == ["one", "TWO"]
    (old / "old.py").write_text((old / "old.py").read_text().replace("Echo.", "Say it."))
    assert [row["instruction"] for row in load_mixture("old_xx", "train")] == ["Say it."] * 2


def test_the_cache_follows_folders_and_modules_that_the_script_reads(old):
    text = (
        (old / "old.py")
        .read_text()
        .replace("os.path.join(self.base_path, name)", 'os.path.join(self.base_path, "parts")')
    )
    text = text.replace("{filepath}.{self.config.lang}", "{filepath}/{self.config.lang}")
    (old / "old.py").write_text(text)
    (old / "parts").mkdir()
    for content in ("a\n", "b\n"):
        (old / "parts" / "xx").write_text(content)
        assert [row["input"] for row in load_mixture("old_xx", "train")] == [content.strip()]


def test_an_unchanged_dataset_is_prepared_once(old, capfd):
    (old / "train.xx").write_text(f"content that no other test has: {old}\n")
    load_mixture("old_xx", "train")
    assert "Generating" in capfd.readouterr().err
    load_mixture("old_xx", "train")
    assert "Generating" not in capfd.readouterr().err


def test_what_a_script_raises_is_told_in_one_line(old):
    (old / "old.py").write_text(
        (old / "old.py").read_text().replace("for key, line", "raise KeyError('oops')\n                for key, line")
    )
    with pytest.raises(XllmError, match=r"old_xx: .*old\.py failed: KeyError: 'oops'"):
        load_mixture("old_xx", "train")


def test_a_script_must_give_the_record_s_columns(old):
    text = (
        (old / "old.py")
        .read_text()
        .replace('"input": datasets.Value("string"),', "")
        .replace('"input": line.strip(), ', "")
    )
    (old / "old.py").write_text(text)
    with pytest.raises(XllmError, match="gives no column input"):
        load_mixture("old_xx", "train")


def test_a_script_in_the_data_root_wins_over_the_checkout_s(root):
    folder = root / "alpaca"
    folder.mkdir()
    script = (HOME / "data" / "alpaca" / "alpaca.py").read_text().replace("**row}", "**row, 'output': 'ours'}")
    (folder / "alpaca.py").write_text(script)
    (folder / "alpaca_en.json").write_text(json.dumps([{"instruction": "hi", "input": "", "output": "there"}]))
    assert load_mixture("alpaca_en", "train")[0]["output"] == "ours"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from iso639 import languages", "it imports iso639, which isn't installed: pip install iso-639"),
        ("import sklearnful.metrics as m", "it imports sklearnful, which isn't installed: pip install sklearnful"),
        ("import some_module.part", "it imports some_module, which isn't installed: pip install some-module"),
        ("import google.cloudy.x", "it imports google.cloudy, which isn't installed: pip install google-cloudy"),
        ("from .helper import x", "it imports nowhere_else, which isn't installed: pip install nowhere-else"),
        ("from . import helper", "it imports nowhere_else, which isn't installed: pip install nowhere-else"),
        ("from .absent import x", "it imports absent, and there is no absent.py beside it"),
        ("import pkg_resources", "isn't installed: pip install 'setuptools<82'"),
        ("import helper", "it imports helper, which is beside it; write: from . import helper"),
        ("from datasets.tasks import QuestionAnswering", "it imports datasets.tasks, which datasets 5"),
        ("from datasets import Nothing", "it imports Nothing from datasets, which datasets 5"),
        ("from json import nothing", "it imports nothing from json, which the module json here doesn't have"),
        ("raise RuntimeError('no licence')", "failed: RuntimeError: no licence"),
        ("raise ImportError('a library of C')", "failed: ImportError: a library of C"),
        ("raise SystemExit('bye')", "failed: SystemExit: bye"),
        ("def broken(:", "failed: SyntaxError"),
    ],
)
@pytest.mark.parametrize("where", ["import os", "for key, line"], ids=["at once", "while it reads"])
def test_an_import_that_fails_names_the_package_to_install(cli, root, monkeypatch, line, message, where):
    old = root / "old"
    old.mkdir()
    (old / "train.xx").write_text("one\n")
    for name in ("iso639", "pkg_resources"):  # as where they aren't installed
        monkeypatch.setitem(sys.modules, name, None)
    (old / "helper.py").write_text("import nowhere_else\n")
    script = OLD_SCRIPT.replace("LANGUAGES", "[]").replace(where, f"{line}\n{' ' * 16 * (where[0] == 'f')}{where}")
    (old / "old.py").write_text(script)
    outcome = cli("mixture", "old_xx")
    assert outcome.code == 2 and not outcome.out and "Traceback" not in outcome.err
    [*_, told] = outcome.err.splitlines()  # after the bar of what is being read
    assert told.startswith("xllm: old_xx: ") and message in told


def test_another_package_s_module_of_the_same_name_is_told(root, monkeypatch, cli):
    """iso639 is a module of four packages; x-LLM's scripts mean iso-639's."""
    (root / "site").mkdir()
    (root / "site" / "iso639.py").write_text("")
    monkeypatch.syspath_prepend(root / "site")
    monkeypatch.delitem(sys.modules, "iso639", raising=False)
    (root / "old").mkdir()
    (root / "old" / "old.py").write_text("from iso639 import languages\n")
    assert cli("mixture", "old_xx").err.rstrip().endswith("doesn't have: pip install iso-639 'setuptools<82'")
    sys.modules.pop("iso639")


def test_a_script_imports_modules_that_lie_beside_it(old):
    script = (old / "old.py").read_text().replace("import os", "import os\nfrom .words import ECHO", 1)
    (old / "old.py").write_text(script.replace('"Echo."', "ECHO"))
    for word in ("One.", "Another."):
        (old / "words.py").write_text(f"ECHO = {word!r}\n")
        assert {row["instruction"] for row in load_mixture("old_xx", "train")} == {word}


LABELS = """
import datasets

class Picks(datasets.GeneratorBasedBuilder):
    def _info(self):
        texts = datasets.List(datasets.Value("string"))
        strings = dict.fromkeys(("id", "instruction", "input", "output"), datasets.Value("string"))
        return datasets.DatasetInfo(features=datasets.Features({**strings, "labels": texts}))

    def _split_generators(self, dl_manager):
        return [datasets.SplitGenerator(name=datasets.Split.TEST, gen_kwargs={})]

    def _generate_examples(self):
        for key, (output, labels) in enumerate(ROWS):
            yield key, {"id": str(key), "instruction": "", "input": "", "output": output, "labels": labels}
"""


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("yes", ["yes", "no"]), None),
        (("", ["yes", "no", "perhaps"]), None),
        (("maybe", ["yes", "no"]), r"row 2: its output is 'maybe', which is none of its labels \['yes', 'no'\]"),
        (("yes", ["yes", ""]), r"row 2: its labels are \['yes', ''\]; they must be texts that differ, none empty"),
        (("yes", ["yes", "\u200e"]), "row 2: its labels are .*none empty"),
        (("yes", ["yes", "yes"]), r"row 2: its labels are \['yes', 'yes'\]"),
        (("", []), r"row 2: its labels are \[\]"),
        (("", None), r"row 2: its labels are None"),
    ],
)
def test_labels_are_checked(root, row, message):
    (root / "picks").mkdir()
    (root / "picks" / "picks.py").write_text(LABELS.replace("ROWS", repr([("no", ["yes", "no"]), row])))
    if message is None:
        assert [row["labels"] for row in load_mixture("picks_x", "test")] == [["yes", "no"], row[1]]
    else:
        with pytest.raises(XllmError, match=f"picks_x: {message}"):
            load_mixture("picks_x", "test")
