"""XWinograd (https://arxiv.org/abs/2106.12066): which of two words makes a sentence sensible? 83 to 2325 sentences in 6
languages, as published at https://huggingface.co/datasets/Muennighoff/xwinograd in test/<language>.jsonl, Japanese
being jp. CC BY 4.0.

    {"sentence": "Mia let her tea stand by the window until _ was cool.", "option1": "the tea",
     "option2": "the window", "answer": "1"}
"""

import datasets

from xllm import prompts
from xllm.errors import XllmError
from xllm.loading import multiple_choice

CODES = {"en": "en", "fr": "fr", "ja": "jp", "jp": "jp", "pt": "pt", "ru": "ru", "zh": "zh"}  # → in file names
FILES = {datasets.Split.TEST: ("test/{}.jsonl", "{}.jsonl")}
COLUMNS = ("sentence", "option1", "option2", "answer")


class XWinogradConfig(datasets.BuilderConfig):
    """`config` is the language code, as in xwinograd_zh; jp is ja."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.code = CODES[multiple_choice.check_language("xwinograd", config, CODES)]
        self.language = "ja" if self.code == "jp" else self.code


class XWinograd(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = XWinogradConfig
    TASK = "label"

    def _info(self):
        return datasets.DatasetInfo(
            features=multiple_choice.FEATURES, homepage="https://huggingface.co/datasets/Muennighoff/xwinograd"
        )

    def _split_generators(self, dl_manager):
        return multiple_choice.splits(self.base_path, FILES, self.config.code)

    def _generate_examples(self, path, split):
        for key, row in enumerate(multiple_choice.objects(path, COLUMNS)):
            place, fields = row
            if "_" not in fields["sentence"]:
                raise XllmError(f"{place}: 'sentence' has no gap (_): {fields['sentence'][:40]!r}")
            options = {column: fields[column].strip() for column in COLUMNS[1:3]}
            question = prompts.choice("xwinograd", sentence=fields["sentence"], **options)
            meanings = dict(zip(("1", "2"), options.values(), strict=True))
            yield multiple_choice.record(
                key, question, multiple_choice.right(row, "answer", meanings, split), options.values()
            )
