"""PAWS-X (https://arxiv.org/abs/1908.11828): do two sentences, much alike in their words, mean the same? 2000 + 2000
pairs in 7 languages, and 49401 for training, in all but English translated by machine. Free for any use. Read in
XTREME's layout, without a header and in CSV's quoting,

    dev-en.tsv: The club was founded in Rome .<tab>Rome was founded in the club .<tab>0

or in the official one (x-final), a folder a language, where <language>/dev_2k.tsv has a header: id, sentence1,
sentence2, label.
"""

import os

import datasets

from xllm import prompts
from xllm.loading import multiple_choice

LANGUAGES = ("de", "en", "es", "fr", "ja", "ko", "zh")
FILES = {
    datasets.Split.TRAIN: ("train-{}.tsv", "{}/train.tsv", "{}/translated_train.tsv"),
    datasets.Split.VALIDATION: ("dev-{}.tsv", "{}/dev_2k.tsv"),
    datasets.Split.TEST: ("test-{}.tsv", "{}/test_2k.tsv"),
}
COLUMNS = ("sentence1", "sentence2", "label")
LABELS = prompts.LABELS["pawsx"]


class PAWSXConfig(datasets.BuilderConfig):
    """`config` is the language code, as in pawsx_zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.language = multiple_choice.check_language("pawsx", config, LANGUAGES)


class PAWSX(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = PAWSXConfig
    TASK = "label"

    def _info(self):
        return datasets.DatasetInfo(
            features=multiple_choice.FEATURES,
            homepage="https://github.com/google-research-datasets/paws/tree/master/pawsx",
        )

    def _split_generators(self, dl_manager):
        return multiple_choice.splits(self.base_path, FILES, self.config.language)

    def _generate_examples(self, path, split):
        official = not os.path.basename(path).endswith(f"-{self.config.language}.tsv")
        rows = multiple_choice.table(path, COLUMNS, split, header=official, delimiter="\t", quotes=not official)
        for key, row in enumerate(rows):
            sentences = {column: row[1][column] for column in COLUMNS[:2]}
            question = prompts.choice("pawsx", **sentences)
            yield multiple_choice.record(
                key, question, multiple_choice.right(row, "label", LABELS, split), LABELS.values()
            )
