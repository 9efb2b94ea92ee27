"""Instructions in the format of Stanford Alpaca: one file a language, a JSON list of such objects or, as .jsonl, one a
line.

    {"instruction": "What are the three primary colors?", "input": "", "output": "Red, blue, and yellow."}

Licence: that of the file. The original English set is CC BY-NC 4.0.
"""

import os

import datasets

from xllm.errors import XllmError
from xllm.files import read_json, read_jsonl
from xllm.records import COLUMNS, strings


class AlpacaConfig(datasets.BuilderConfig):
    """`config` is the language code, as in alpaca_zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.language = config


class Alpaca(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = AlpacaConfig

    def _info(self):
        return datasets.DatasetInfo(
            features=datasets.Features({column: datasets.Value("string") for column in COLUMNS}),
            homepage="https://github.com/tatsu-lab/stanford_alpaca",
        )

    def _split_generators(self, dl_manager):
        path = os.path.join(self.base_path, f"alpaca_{self.config.language}.json")
        if os.path.exists(path + "l"):
            if os.path.exists(path):
                raise XllmError(f"there are {path} and {path}l; keep one of them")
            path += "l"
        return [datasets.SplitGenerator(name=datasets.Split.TRAIN, gen_kwargs={"path": path})]

    def _generate_examples(self, path):
        rows = read_jsonl(path) if path.endswith("l") else read_json(path)
        for key, row in enumerate(strings(rows, COLUMNS[1:], path)):
            yield key, {"id": str(key), **row}
