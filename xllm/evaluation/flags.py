"""The command lines of evaluate, compare, judge and report."""

from dataclasses import dataclass
from typing import Any

from xllm.cli import Flags, flag, switch, word
from xllm.records import TASKS

METRICS = "Metrics separated by commas, as BLEU,TER,COMET=MODEL."
TOKENIZE = "BLEU's tokenizer, a name of sacrebleu's."


def task(source: str = "run.json") -> Any:
    return flag(f"What kind of answers these are, where {source} doesn't say.", choices=TASKS)


def language(source: str = "run.json") -> Any:
    return flag(f"The language of the answers, as zh, where {source} doesn't say.")


@dataclass(frozen=True)
class EvaluateFlags(Flags):
    what: tuple[str, ...] = word(
        "MODEL [DATASET …]: what infer wrote, of all datasets if none is named. FILE …: predictions from elsewhere, "
        "as .jsonl, .json, .csv or .txt, by their shape. Nothing with --hypotheses.",
        many=True,
        default=(),
    )
    metrics: str | None = flag(METRICS, shown="the usual ones of the task")
    tokenize: str | None = flag(TOKENIZE, shown="auto, by the target language")
    lang: str | None = language()
    task: str | None = task()
    dataset: str | None = flag("The dataset that FILE answers, by id, or in its order where there are no ids.")
    split: str | None = flag("The split of --dataset.", shown="test", needs=("dataset",))
    hypotheses: str | None = flag("Answers in a text file, a line each.", metavar="FILE")
    references: str | None = flag("The right answers to --hypotheses, a line each.", metavar="FILE")
    sources: str | None = flag(
        "The inputs of --hypotheses, a line each; COMET and SARI need them.", metavar="FILE", needs=("hypotheses",)
    )


@dataclass(frozen=True)
class CompareFlags(Flags):
    models: tuple[str, ...] = word("Two models or more; the first is the baseline.", many=True)
    dataset: str | None = flag(
        "Datasets separated by commas.", metavar="DATASETS", shown="all that every model has answered"
    )
    metrics: str | None = flag(METRICS, shown="the usual ones of the task")
    tokenize: str | None = flag(TOKENIZE, shown="auto, by the target language")
    lang: str | None = language()
    task: str | None = task()
    by: str = flag(
        "A line for each dataset (from), for each quarter of its inputs by length, or for each language.",
        "from",
        choices=("from", "length", "language"),
    )
    examples: int = flag("Rows to show where the baseline loses most, and wins most.", 0, least=0)
    html: str | None = flag("Write all of it as a page.", metavar="FILE")


@dataclass(frozen=True)
class JudgeFlags(Flags):
    models: tuple[str, ...] = word(
        "A B: which answers better, in both orders; wins are those of A. MODEL alone: which answers to reading "
        "questions are right.",
        many=True,
    )
    dataset: str = flag("Datasets separated by commas.", metavar="DATASETS", required=True)
    judge_url: str = flag(
        "An OpenAI-compatible API, as http://127.0.0.1:8000/v1; its key is read from $OPENAI_API_KEY.", required=True
    )
    judge_model: str = flag("The judge's name there.", required=True)
    lang: str | None = language()
    task: str | None = task()
    samples: int = flag("Replies drawn for each call, and averaged.", 1, least=1)
    temperature: str | None = flag(
        "From 0 to 2; above 0 with several --samples; default leaves it to the judge, as reasoning models want it.",
        metavar="X",
        shown="0",
    )
    max_tokens: int = flag(
        "The longest reply, in tokens; a cut one is no verdict. More than 5 % without one end in exit code 3.",
        1024,
        least=1,
    )
    concurrency: int = flag("Calls made at a time.", 4, least=1)
    timeout: float = flag("Seconds after which a call without a reply is made again.", 120.0, above=0)
    retries: int = flag("How often a call is made again, at most.", 5, least=0)
    price_in: float | None = flag("Price of a million input tokens, for the cost.", least=0)
    price_out: float | None = flag("Price of a million output tokens, for the cost.", least=0)
    overwrite: bool = switch("Judge again, but go on with what the same settings have begun.")


@dataclass(frozen=True)
class ReportFlags(Flags):
    models: tuple[str, ...] = word("Models under model/, or folders, as model/*.", many=True)
    output: str = flag("The folder to write to.", "report", metavar="FOLDER")
