"""Reading questions in the JSON layout of SQuAD v1.1, which XQuAD and MLQA share."""

from collections.abc import Iterator
from typing import Any

import datasets

from xllm import prompts
from xllm.errors import XllmError, unknown
from xllm.files import read_json
from xllm.records import COLUMNS

TEXT = datasets.Value("string")
FEATURES = datasets.Features({**dict.fromkeys(COLUMNS, TEXT), "answers": datasets.List(TEXT)})


def check_language(dataset: str, language: str) -> str:
    """Return `language`, or raise XllmError where there is no wording of questions in it."""
    if language not in prompts.QUESTION_ANSWERING:
        raise unknown(f"language of {dataset}", language, prompts.QUESTION_ANSWERING)
    return language


def questions(path: str, language: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and record of each question in a SQuAD file, worded in `language`; `answers` holds all gold answers.

    Raises XllmError for a file in another layout.
    """
    try:
        for article in read_json(path)["data"]:
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    instruction, text = prompts.question(language, paragraph["context"].strip(), qa["question"].strip())
                    answers = [answer["text"].strip() for answer in qa["answers"]]
                    record = {"id": qa["id"], "instruction": instruction, "input": text, "output": answers[0]}
                    yield qa["id"], {**record, "answers": answers}
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise XllmError(f"{path} isn't in the layout of SQuAD v1.1: {type(error).__name__}: {error}") from None
