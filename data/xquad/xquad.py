"""XQuAD (https://arxiv.org/abs/1910.11856): 1190 questions on 240 paragraphs, parallel in 12 languages, in the JSON
layout of SQuAD v1.1; the official files are named xquad.<language>.json. CC BY-SA 4.0.

    {"data": [{"paragraphs": [{"context": "…", "qas": [{"id": "56be…", "question": "…",
        "answers": [{"answer_start": 34, "text": "308"}]}]}]}]}
"""

import os

import datasets

from xllm.loading import squad


class XQuADConfig(datasets.BuilderConfig):
    """`config` is the language code, as in xquad_zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.language = squad.check_language("xquad", config)


class XQuAD(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = XQuADConfig
    TASK = "qa"

    def _info(self):
        return datasets.DatasetInfo(features=squad.FEATURES, homepage="https://github.com/google-deepmind/xquad")

    def _split_generators(self, dl_manager):
        path = os.path.join(self.base_path, f"xquad.{self.config.language}.json")
        return [datasets.SplitGenerator(name=datasets.Split.TEST, gen_kwargs={"path": path})]

    def _generate_examples(self, path):
        return squad.questions(path, self.config.language)
