"""Which metrics answers take, by their task."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from xllm import languages
from xllm.artifacts.answers import Answers
from xllm.artifacts.scores import Score
from xllm.errors import XllmError, unknown
from xllm.evaluation import intervals, kinds
from xllm.evaluation.measured import Measured, mean
from xllm.evaluation.metrics import classification, learned, question_answering, rouge, sari, translation
from xllm.records import AnsweredRow

# rows, the language of the answers, a setting such as BLEU's tokenizer → what was found, or None where the rows lack
# what the metric needs
Metric = Callable[[list[AnsweredRow], str, str | None], Measured | None]
LEARNED = {"COMET": learned.comet, "BERTScore": learned.bertscore, "BLEURT": learned.bleurt}
FROM_SOURCES = ("COMET", "SARI")  # metrics that look at the inputs, too


@dataclass(frozen=True)
class Task:
    """The metrics of a kind of answer: those that are always taken, and those that take long, or a model."""

    usual: dict[str, Metric]
    of_a_row: str  # the one that says most of a single row
    others: dict[str, Metric] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, Metric]:
        return self.usual | self.others


def _questions(scorer: str) -> Task:
    metrics = {
        "exact_match": question_answering.measure_exact_match,
        "f1": question_answering.measure_f1,
        "contains": question_answering.measure_contains,
    }
    return Task({name: partial(metric, scorer) for name, metric in metrics.items()}, of_a_row="f1")


def _mean(of_rows: Callable[..., tuple[list[float], str]]) -> Metric:
    """The metric that is the mean of values of single rows."""
    return lambda rows, language, _: mean(*of_rows(rows, language))


def _mean_by_model(of_rows: Callable[..., tuple[list[float], str]]) -> Metric:
    """The same by a model, which is the metric's setting."""
    return lambda rows, language, model: mean(*of_rows(rows, language, model), percent=False)


# a loading script's TASK → its metrics
TASKS = {
    "translation": Task(
        {"BLEU": translation.bleu, "chrF++": translation.chrf},
        of_a_row="chrF++",
        others={"TER": translation.ter}
        | {f"spBLEU-{name}": partial(translation.spbleu_by, name) for name in translation.FLORES}
        | {name: _mean_by_model(of_rows) for name, of_rows in LEARNED.items()},
    ),
    **{task: _questions(scorer) for task, scorer in question_answering.SCORERS.items()},
    "label": Task(
        {
            "accuracy": classification.accuracy,
            "accuracy_per_token": classification.accuracy_per_token,
            "accuracy_per_byte": classification.accuracy_per_byte,
            "accuracy_reference": classification.accuracy_reference,
            "macro_f1": classification.macro_f1,
        },
        of_a_row="accuracy",
    ),
    "summary": Task(
        {"ROUGE-1": _mean(rouge.rouge_1), "ROUGE-2": _mean(rouge.rouge_2), "ROUGE-L": _mean(rouge.rouge_l)},
        of_a_row="ROUGE-L",
    ),
    "simplification": Task({"SARI": _mean(sari.sari), "BLEU": translation.bleu}, of_a_row="SARI"),
}


@dataclass(frozen=True)
class Wanted:
    """What a command line asks for: `names` of metrics, the usual ones of each task if None, and their settings."""

    names: tuple[str, ...] | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def of(self, task: str) -> dict[str, Metric]:
        """Those that fit a task."""
        if self.names is None:
            return TASKS[task].usual
        return {name: metric for name, metric in TASKS[task].metrics.items() if name in self.names}


def parse(metrics: str | None, tokenize: str | None) -> Wanted:
    """Read `--metrics BLEU,COMET=MODEL` and `--tokenize zh`. Raises XllmError for a metric that there isn't, and for
    one whose model is missing."""
    known = {name.lower(): name for task in TASKS.values() for name in task.metrics}
    names, settings = None, {}
    if metrics is not None:
        for word in metrics.split(","):
            name, equals, setting = word.strip().partition("=")
            if name.lower() not in known:
                raise unknown("metric", name, known.values())
            name = known[name.lower()]
            names = (*(names or ()), name)
            if name in LEARNED and not setting:
                raise XllmError(f"{name} needs a model: --metrics {name}=MODEL")
            if equals and name not in LEARNED:
                raise XllmError(f"--metrics {word}: {name} takes no setting (BLEU's is --tokenize)")
            if equals:
                settings[name] = setting
    if tokenize is not None:
        translation.check_tokenizer(tokenize)
        if names is not None and "BLEU" not in names:
            raise XllmError(f"--tokenize {tokenize} has no effect without BLEU among the --metrics")
        settings["BLEU"] = tokenize
    return Wanted(names, settings)


def check(answers: Iterable[Answers], wanted: Wanted) -> None:
    """Raise XllmError where these answers can't be scored as wanted."""
    tasks = {own.task for own in answers if own.task is not None}
    for own in answers:
        if own.task is None or own.task not in TASKS:
            continue
        for name in wanted.of(own.task):
            if name in FROM_SOURCES and not any(row.get("input") for row in own.rows):
                raise XllmError(f"{name} looks at the inputs, which rows of {own.name} lack (of text files: --sources)")
    if "BLEU" in wanted.settings and not any("BLEU" in wanted.of(task) for task in tasks & set(TASKS)):
        raise XllmError("--tokenize has no effect: these answers have no BLEU")
    for name in wanted.names or ():
        if not any(name in TASKS[task].metrics for task in tasks & set(TASKS)):
            fit = sorted({name for task in tasks & set(TASKS) for name in TASKS[task].metrics})
            raise XllmError(f"{name} doesn't fit these answers; available: {', '.join(fit) or 'no scores for them'}")


USUAL = Wanted()


def scorable(answers: Answers) -> Answers:
    """The answers without those whose right label isn't published."""
    if answers.task != "label":
        return answers
    return replace(answers, rows=[row for row in answers.rows if not languages.blank(row["output"])])


def measure(answers: Answers, wanted: Wanted = USUAL) -> dict[str, Measured]:
    """What the metrics find of the answers to one dataset; nothing where its task has none."""
    rows = scorable(answers).rows
    if answers.task is None or answers.task not in TASKS or not kinds.has_references(answers):
        return {}
    language = answers.language or ""  # only labels, whose metrics don't look at it, come without one: see `kinds`
    found = {
        name: metric(rows, language, wanted.settings.get(name)) for name, metric in wanted.of(answers.task).items()
    }
    failed = [number for number, row in enumerate(rows) if "failed" in row]
    return {name: measured.without(failed) for name, measured in found.items() if measured is not None}


def score(answers: Answers, wanted: Wanted = USUAL) -> list[Score]:
    """The scores of the answers to one dataset, each with its 95 % interval (`intervals`)."""
    return [intervals.score(name, measured) for name, measured in measure(answers, wanted).items()]
