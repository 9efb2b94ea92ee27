"""Parallel text: `<set>/<source>-<target>/{train,validation,test}.<language>`, plain text, line i of one file being
the translation of line i of the other. translation_flores_en-zh reads flores/en-zh/*.en and *.zh.

    train.en: And he said, Mama, I'm home.        train.zh: 他说，妈妈，我回来了。

A pair with an empty side is left out. Training rows are worded in many ways, test rows in one.
"""

import itertools
import os

import datasets

from xllm import languages, prompts
from xllm.errors import XllmError
from xllm.records import COLUMNS

logger = datasets.logging.get_logger(__name__)


class TranslationConfig(datasets.BuilderConfig):
    """`config` is <set>_<source>-<target>, as in flores_en-zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.set, _, pair = config.rpartition("_")
        self.source, _, self.target = pair.partition("-")
        if not (self.set and self.source and self.target):
            raise XllmError(f"unknown config {config!r} of translation; it is <set>_<source>-<target>, as flores_en-zh")
        self.names = {"source": languages.name(self.source), "target": languages.name(self.target)}
        self.language = self.target  # of the outputs


class Translation(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = TranslationConfig
    TASK = "translation"

    def _info(self):
        return datasets.DatasetInfo(
            features=datasets.Features({column: datasets.Value("string") for column in COLUMNS}),
            homepage="https://opus.nlpl.eu",
        )

    def _split_generators(self, dl_manager):
        folder = os.path.join(self.base_path, self.config.set, f"{self.config.source}-{self.config.target}")
        splits = (datasets.Split.TRAIN, datasets.Split.VALIDATION, datasets.Split.TEST)
        pairs = {s: [os.path.join(folder, f"{s}.{c}") for c in (self.config.source, self.config.target)] for s in splits}
        there = {split: pair for split, pair in pairs.items() if any(map(os.path.exists, pair))}
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"source": pair[0], "target": pair[1], "split": str(split)})
            for split, pair in (there or pairs).items()
        ]

    def _generate_examples(self, source, target, split):
        wordings = prompts.TRANSLATION if split == "train" else prompts.TRANSLATION[:1]
        empty = 0
        # "\n" alone ends a line: a sentence may hold U+2028 and its kin
        with open(source, encoding="utf-8", newline="\n") as sources, open(target, encoding="utf-8", newline="\n") as targets:
            for key, pair in enumerate(itertools.zip_longest(sources, targets)):
                if None in pair:
                    counts = [key + (side is not None) + sum(1 for _ in file) for side, file in zip(pair, (sources, targets))]
                    raise XllmError(f"unequal line counts: {source} has {counts[0]}, {target} has {counts[1]}")
                text, translation = map(str.strip, pair)
                if text and translation:
                    instruction = wordings[key % len(wordings)].format(**self.config.names)
                    yield key, {"id": str(key), "instruction": instruction, "input": text, "output": translation}
                else:
                    empty += 1
        if empty:
            logger.warning("%s: %d pairs with an empty side are left out", source, empty)
