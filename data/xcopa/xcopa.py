"""XCOPA (https://arxiv.org/abs/2005.00333): which of two events is the likelier cause, or effect, of a third? 100 + 500
questions in 11 languages; the official files are data/<language>/{val,test}.<language>.jsonl, and may lie without
their folders. CC BY 4.0.

    {"premise": "水壶里的水开了。", "choice1": "壶嘴冒出了蒸汽。", "choice2": "壶嘴结了冰。",
     "question": "effect", "label": 0, "idx": 7, "changed": false}
"""

import datasets

from xllm import prompts
from xllm.loading import multiple_choice

LANGUAGES = ("et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh")
FILES = {
    datasets.Split.VALIDATION: ("val.{}.jsonl", "data/{0}/val.{0}.jsonl"),
    datasets.Split.TEST: ("test.{}.jsonl", "data/{0}/test.{0}.jsonl"),
}
QUESTIONS = {"cause": "xcopa_cause", "effect": "xcopa_effect"}  # → a wording
COLUMNS = ("premise", "choice1", "choice2", "question", "label")


class XCOPAConfig(datasets.BuilderConfig):
    """`config` is the language code, as in xcopa_zh."""

    def __init__(self, config: str, **kwargs):
        super().__init__(**kwargs)
        self.language = multiple_choice.check_language("xcopa", config, LANGUAGES)


class XCOPA(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = XCOPAConfig
    TASK = "label"

    def _info(self):
        return datasets.DatasetInfo(features=multiple_choice.FEATURES, homepage="https://github.com/cambridgeltl/xcopa")

    def _split_generators(self, dl_manager):
        return multiple_choice.splits(self.base_path, FILES, self.config.language)

    def _generate_examples(self, path, split):
        for key, row in enumerate(multiple_choice.objects(path, COLUMNS)):
            events = {column: row[1][column].strip() for column in COLUMNS[1:3]}
            wording = multiple_choice.meaning(row, "question", QUESTIONS)
            question = prompts.choice(wording, premise=row[1]["premise"], **events)
            meanings = dict(zip(("0", "1"), events.values(), strict=True))
            yield multiple_choice.record(
                key, question, multiple_choice.right(row, "label", meanings, split), events.values()
            )
