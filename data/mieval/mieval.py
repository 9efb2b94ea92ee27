"""MI-Eval: open questions without reference answers, the same in each language; one JSON object a line.

{"instruction": "How can I manage my time better?", "input": ""}
"""

import os

import datasets

from xllm.files import read_jsonl
from xllm.records import COLUMNS, strings


class MIEvalConfig(datasets.BuilderConfig):
    """`config` is the language code, as in mieval_zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.language = config


class MIEval(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = MIEvalConfig

    def _info(self):
        return datasets.DatasetInfo(
            features=datasets.Features({column: datasets.Value("string") for column in COLUMNS}),
            homepage="https://github.com/NJUNLP/x-LLM",
        )

    def _split_generators(self, dl_manager):
        path = os.path.join(self.base_path, f"{self.config.language}.jsonl")
        return [datasets.SplitGenerator(name=datasets.Split.TEST, gen_kwargs={"path": path})]

    def _generate_examples(self, path):
        for key, row in enumerate(strings(read_jsonl(path), COLUMNS[1:3], path)):
            yield key, {"id": str(key), **row, "output": ""}
