"""MLQA (https://arxiv.org/abs/1910.07475): questions on Wikipedia paragraphs in 7 languages, in the JSON layout of
SQuAD v1.1; the official files are named test-context-<language>-question-<language>.json. CC BY-SA 3.0.

    {"data": [{"title": "…", "paragraphs": [{"context": "…", "qas": [{"question": "…", "id": "0e5f…",
        "answers": [{"text": "伊斯兰教", "answer_start": 11}]}]}]}]}
"""

import os

import datasets

from xllm.loading import squad


class MLQAConfig(datasets.BuilderConfig):
    """`config` is <context>-<question>, as in mlqa_en-zh, or one language code for both, as in mlqa_zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        context, _, question = config.partition("-")
        self.language = squad.check_language("mlqa", context)  # answers are spans of the context
        self.question = squad.check_language("mlqa", question or context)


class MLQA(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = MLQAConfig
    TASK = "mlqa"

    def _info(self):
        return datasets.DatasetInfo(features=squad.FEATURES, homepage="https://github.com/facebookresearch/MLQA")

    def _split_generators(self, dl_manager):
        name = f"context-{self.config.language}-question-{self.config.question}.json"
        splits = {datasets.Split.VALIDATION: "dev", datasets.Split.TEST: "test"}
        paths = {split: os.path.join(self.base_path, f"{prefix}-{name}") for split, prefix in splits.items()}
        there = {split: path for split, path in paths.items() if split == datasets.Split.TEST or os.path.exists(path)}
        return [datasets.SplitGenerator(name=split, gen_kwargs={"path": path}) for split, path in there.items()]

    def _generate_examples(self, path):
        return squad.questions(path, self.config.question)
