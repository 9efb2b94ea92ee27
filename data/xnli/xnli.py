"""XNLI (https://arxiv.org/abs/1809.05053): does a hypothesis follow from a premise? 2490 + 5010 pairs, parallel in 15
languages, and the training set of MultiNLI translated by machine. CC BY-NC 4.0. Read in XTREME's layout, one file a
language, without a header and in CSV's quoting,

    dev-en.tsv: And he said, Mama, I'm home.<tab>He told his mom he had gotten home.<tab>entailment

or from the official files: xnli.dev.tsv and xnli.test.tsv of XNLI-1.0, all languages in one (language, gold_label, …,
sentence1, sentence2, …), and multinli.train.<language>.tsv of XNLI-MT-1.0 (premise, hypo, label).
"""

import os

import datasets

from xllm import prompts
from xllm.loading import multiple_choice

LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh")
FILES = {
    datasets.Split.TRAIN: ("train-{}.tsv", "multinli.train.{}.tsv"),
    datasets.Split.VALIDATION: ("dev-{}.tsv", "xnli.dev.tsv"),
    datasets.Split.TEST: ("test-{}.tsv", "xnli.test.tsv"),
}
XTREME = ("premise", "hypothesis", "label")
OFFICIAL = {  # a file name's first part → what its header names
    "xnli": ("language", "sentence1", "sentence2", "gold_label"),
    "multinli": ("premise", "hypo", "label"),
}
LABELS = prompts.LABELS["xnli"]
MEANINGS = LABELS | {"contradictory": LABELS["contradiction"]}  # as the machine-translated files say


class XNLIConfig(datasets.BuilderConfig):
    """`config` is the language code, as in xnli_zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.language = multiple_choice.check_language("xnli", config, LANGUAGES)


class XNLI(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = XNLIConfig
    TASK = "label"

    def _info(self):
        return datasets.DatasetInfo(
            features=multiple_choice.FEATURES, homepage="https://github.com/facebookresearch/XNLI"
        )

    def _split_generators(self, dl_manager):
        return multiple_choice.splits(self.base_path, FILES, self.config.language)

    def _generate_examples(self, path, split):
        first, language = os.path.basename(path).split(".")[0], self.config.language
        columns, official = OFFICIAL.get(first, XTREME), first in OFFICIAL
        rows = multiple_choice.table(path, columns, split, header=official, delimiter="\t", quotes=not official)
        rows = (row for row in rows if row[1].get("language", language) == language)
        for key, row in enumerate(rows):
            premise, hypothesis = (row[1][column] for column in columns[-3:-1])
            question = prompts.choice("xnli", premise=premise, hypothesis=hypothesis)
            yield multiple_choice.record(
                key, question, multiple_choice.right(row, columns[-1], MEANINGS, split), LABELS.values()
            )
