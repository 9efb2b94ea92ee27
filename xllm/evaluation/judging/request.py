"""The answers that a judge is asked about, and the files of what comes of it."""

from dataclasses import dataclass
from pathlib import Path

from xllm import files
from xllm.artifacts import answers, file_names, journal, model_folder, scores
from xllm.artifacts.answers import Answers
from xllm.artifacts.run_info import RunInfo, differences
from xllm.artifacts.scores import Scored
from xllm.errors import XllmError
from xllm.evaluation import kinds
from xllm.evaluation.judging import verdicts
from xllm.evaluation.judging.calls import OWN, Endpoint
from xllm.evaluation.judging.verdicts import PAIRWISE, YES_NO, Protocol, Question
from xllm.evaluation.metrics.question_answering import SCORERS
from xllm.files import check_name, partial, read_json, remove, write_jsonl


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    models: tuple[str, ...]  # A, and B if there is one
    endpoint: Endpoint
    samples: int
    task: str | None = None  # of answers whose run.json names none
    language: str | None = None

    @property
    def protocol(self) -> Protocol:
        return PAIRWISE if len(self.models) == 2 else YES_NO

    def file(self, model: str, dataset: str) -> Path:
        """A model's answers to a dataset."""
        return answers.file_of(answers.folder_of(model), dataset)

    def settings(self, dataset: str) -> dict:
        """All that decides what the verdicts on a dataset are."""
        judged = [
            {"model": model_folder.short_name(model), "sha256": files.sha256(self.file(model, dataset))}
            for model in self.models
        ]
        return {
            "judge": {"url": self.endpoint.url, "model": self.endpoint.model},
            "protocol": self.protocol.name,
            "prompt_sha256": self.protocol.prompt_sha256,
            "samples": self.samples,
            "temperature": OWN if self.endpoint.temperature is None else self.endpoint.temperature,
            "max_tokens": self.endpoint.max_tokens,
            "answers": dict(zip("AB", judged, strict=False)),
        } | ({"lang": self.language} if self.language else {})


@dataclass(frozen=True)
class Sheet:
    """The answers to a dataset that are judged together, and where the verdicts go."""

    model: str  # A, as it was named
    dataset: str
    answers: list[Answers]  # of A
    questions: list[Question]
    output: Path  # <dataset>.judge.jsonl, or <dataset>.judge.<B>.jsonl
    settings: dict

    def beside(self, ending: str) -> Path:
        """Another file of the same verdicts."""
        return self.output.with_name(self.output.name.removesuffix(".jsonl") + ending)

    @property
    def journal(self) -> Path:
        return self.beside(".journal")

    @property
    def done(self) -> bool:
        """Whether all is written: the journal goes after that."""
        return self.output.exists() and not self.journal.exists()

    @property
    def signature(self) -> str:
        """What made the scores, but for the gate and the version."""
        made, against = self.settings, self.settings["answers"].get("B")
        signature = f"judge:{made['judge']['model']}|protocol:{made['protocol']}|k:{made['samples']}"
        warmth = made["temperature"]
        warmth = warmth if warmth == OWN else format(warmth, "g")
        signature += f"|temp:{warmth}|max_tokens:{made['max_tokens']}|prompt:{made['prompt_sha256']}"
        return signature + (f"|against:{against['model']},{against['sha256'][:8]}" if against else "")

    def check_settings(self) -> None:
        """Raise XllmError where other settings have judged these answers, or have begun to."""
        if not self.done:
            journal.check(self.journal, self.settings)
            return
        facts = self.beside(".run.json")
        made = read_json(facts)["settings"] if facts.is_file() else {}
        if found := list(differences(made, self.settings)):
            raise XllmError(f"{self.output} was made with other settings: {'; '.join(found)}; --overwrite judges again")

    def write(self, rows: list[dict], scored: list[Scored], info: RunInfo) -> None:
        """Write judged rows, and what goes with them."""
        write_jsonl(self.output, rows)
        info.write(self.beside(".run.json"), settings=self.settings, rows=len(rows))
        path, sha256 = self.beside(scores.ENDING), self.settings["answers"]["A"]["sha256"]
        scores.write(path, self.model, self.dataset, info.facts["command"], sha256, scored)

    def end(self) -> None:
        """Remove the journal at one blow: a part of one would look like a run that has calls to make."""
        place = partial(self.journal)
        remove(place)
        self.journal.rename(place)
        remove(place)


def read(request: Request, dataset: str) -> list[Sheet]:
    """What is to be judged. Raises XllmError for what can be known to be wrong before the first call."""
    folders = [answers.folder_of(model) for model in request.models]
    [names, *_] = [
        answers.named(dataset.split(","), answers.answered(folder), model)
        for model, folder in zip(request.models, folders, strict=True)
    ]
    if len(folders) > len({folder.resolve() for folder in folders}):
        raise XllmError(f"{' and '.join(request.models)} are the same model; judge compares two")
    return [_sheet(request, name) for name in names]


def _sheet(request: Request, dataset: str) -> Sheet:
    own, *others = (
        kinds.read(request.file(model, dataset), request.task, request.language) for model in request.models
    )
    for other in others:
        if not answers.asked_alike(own, other):
            raise XllmError(
                f"{' and '.join(request.models)} have answered different rows of {dataset}; answer them again"
            )
    if others:
        questions = [question for two in zip(own, *others, strict=True) for question in verdicts.pairs(*two)]
        name = f"{dataset}.judge.{file_names.clean(model_folder.short_name(request.models[1]))}"
    else:
        _check_questions(own)
        questions, name = [question for part in own for question in verdicts.readings(part)], f"{dataset}.judge"
    output = file_names.existing(request.file(request.models[0], dataset).with_name(f"{name}.jsonl"))
    sheet = Sheet(request.models[0], dataset, own, questions, output, request.settings(dataset))
    check_name(sheet.beside(scores.ENDING))  # the longest of them
    return sheet


def _check_questions(own: list[Answers]) -> None:
    for part in own:
        if part.task not in SCORERS:
            raise XllmError(
                f"{part.name} has the task {part.task}; one model's answers are judged where they are right or wrong "
                f"(task {' or '.join(SCORERS)}), two models' are compared: judge A B"
                + ("" if part.task else "; where its loading script names no TASK, --task does")
            )
        if not part.language:
            raise XllmError(
                f"the loading script of {part.name} names no language, which its answers must be in; give --lang"
            )
