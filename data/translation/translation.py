"""Parallel text: `<set>/<source>-<target>/{train,validation,test}.<language>`, plain text, line i of one file being
the translation of line i of the other. translation_flores_en-zh reads flores/en-zh/*.en and *.zh; a language may have a
script and a region, as zh-Hant, pt_BR or eng_Latn.

    train.en: And he said, Mama, I'm home.        train.zh: 他说，妈妈，我回来了。

A pair with nothing to see on a side is left out. Training rows are worded in many ways, test rows in one.
"""

import itertools
import os

import datasets

from xllm import languages, prompts
from xllm.errors import XllmError
from xllm.files import read_lines
from xllm.loading import pairs
from xllm.records import COLUMNS

logger = datasets.logging.get_logger(__name__)


class TranslationConfig(datasets.BuilderConfig):
    """`config` is <set>_<source>-<target>, as in flores_en-zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        found = pairs.read(config)
        if found is None:
            raise XllmError(f"unknown config {config!r} of translation; it is <set>_<source>-<target>, as flores_en-zh")
        self.set, self.source, self.target = found
        self.names = {"source": languages.name(self.source), "target": languages.name(self.target)}
        self.source_language, self.language = self.source, self.target  # of the inputs and of the outputs


class Translation(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = TranslationConfig
    TASK = "translation"

    def _info(self):
        return datasets.DatasetInfo(
            features=datasets.Features({column: datasets.Value("string") for column in COLUMNS}),
            homepage="https://opus.nlpl.eu",
        )

    def _split_generators(self, dl_manager):
        config, pairs = self.config, {}
        for split in (datasets.Split.TRAIN, datasets.Split.VALIDATION, datasets.Split.TEST):
            path = os.path.join(self.base_path, config.set, f"{config.source}-{config.target}", str(split))
            pairs[split] = [f"{path}.{config.source}", f"{path}.{config.target}"]
        there = {split: pair for split, pair in pairs.items() if any(map(os.path.exists, pair))}
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"source": pair[0], "target": pair[1], "split": str(split)})
            for split, pair in (there or pairs).items()
        ]

    def _generate_examples(self, source, target, split):
        wordings = prompts.TRANSLATION if split == "train" else prompts.TRANSLATION[:1]
        empty = 0
        left, right = read_lines(source), read_lines(target)
        for key, (text, translation) in enumerate(itertools.zip_longest(left, right)):
            if text is None or translation is None:
                more = [sum(1 for _ in side) for side in (left, right)]
                lines = [key + more[0] + (text is not None), key + more[1] + (translation is not None)]
                raise XllmError(f"unequal line counts: {source} has {lines[0]}, {target} has {lines[1]}")
            if not languages.blank(text) and not languages.blank(translation):
                instruction = wordings[key % len(wordings)].format(**self.config.names)
                record = {"instruction": instruction, "input": text.strip(), "output": translation.strip()}
                yield key, {"id": str(key), **record}
            else:
                empty += 1
        if empty:
            logger.warning("%s: %d pairs with an empty side are left out", source, empty)
