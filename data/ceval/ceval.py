"""C-Eval (https://arxiv.org/abs/2305.08322): 12342 + 1346 questions of examinations with four options, on 52 subjects,
in Chinese; the test set is published without its answers. CC BY-NC-SA 4.0. Read from the official (ceval-exam)
{dev,val,test}/<subject>_{dev,val,test}.csv. The five questions of a subject's dev file go before each of its questions,
with their answers.

    val/high_school_physics_val.csv:
    id,question,A,B,C,D,answer
    0,下列单位中，表示力的是____。,牛顿,焦耳,瓦特,帕斯卡,A
"""

import datasets

from xllm.loading import multiple_choice


class CEvalConfig(datasets.BuilderConfig):
    """`config` is the subject, as in ceval_high_school_physics, or all: ceval_all."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.subject, self.language = config, "zh"


class CEval(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = CEvalConfig
    TASK = "label"

    def _info(self):
        return datasets.DatasetInfo(features=multiple_choice.FEATURES, homepage="https://github.com/hkust-nlp/ceval")

    def _split_generators(self, dl_manager):
        return multiple_choice.exams("ceval", self.base_path, self.config.subject)

    def _generate_examples(self, papers, split):
        return multiple_choice.exam_questions("ceval", papers, split, header=True)
