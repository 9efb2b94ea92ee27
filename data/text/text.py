"""Plain text, one document a line, for continued pretraining: text_news_zh reads news_zh.txt.

    The museum opened its doors again in March. Visitors …

The document is the record's input, as in x-LLM. A name's last part, after "_", is its language.
"""

import os

import datasets

from xllm import languages
from xllm.files import read_lines
from xllm.records import COLUMNS


class TextConfig(datasets.BuilderConfig):
    """`config` is <set>_<language>, as in news_zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.config, self.language = config, config.rpartition("_")[2]
        languages.name(self.language)  # or it is no language


class Text(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = TextConfig

    def _info(self):
        return datasets.DatasetInfo(
            features=datasets.Features({column: datasets.Value("string") for column in COLUMNS}),
        )

    def _split_generators(self, dl_manager):
        path = os.path.join(self.base_path, f"{self.config.config}.txt")
        return [datasets.SplitGenerator(name=datasets.Split.TRAIN, gen_kwargs={"path": path})]

    def _generate_examples(self, path):
        for key, text in enumerate(read_lines(path)):
            if not languages.blank(text):
                yield key, {"id": str(key), "instruction": "", "input": text.strip(), "output": ""}
