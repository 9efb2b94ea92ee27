"""MMLU (https://arxiv.org/abs/2009.03300): 14042 + 1531 questions of examinations with four options, on 57 subjects, in
English. MIT. Read from the official data/{dev,val,test}/<subject>_{dev,val,test}.csv, without a header. The five
questions of a subject's dev file go before each of its questions, with their answers.

    data/test/astronomy_test.csv: Which planet is nearest the Sun?,Venus,Mercury,Mars,Earth,B
"""

import os

import datasets

from xllm.loading import multiple_choice


class MMLUConfig(datasets.BuilderConfig):
    """`config` is the subject, as in mmlu_astronomy, or all: mmlu_all."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.subject, self.language = config, "en"


class MMLU(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = MMLUConfig
    TASK = "label"

    def _info(self):
        return datasets.DatasetInfo(features=multiple_choice.FEATURES, homepage="https://github.com/hendrycks/test")

    def _split_generators(self, dl_manager):
        return multiple_choice.exams("mmlu", os.path.join(self.base_path, "data"), self.config.subject)

    def _generate_examples(self, papers, split):
        return multiple_choice.exam_questions("mmlu", papers, split, header=False)
