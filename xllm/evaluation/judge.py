"""`python -m xllm judge`: let another model compare answers, or say which are right."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from xllm import journal, models, records, scorefile
from xllm.errors import RowsFailed, XllmError, unknown
from xllm.evaluation import answers, calls, tally, verdicts
from xllm.evaluation.answers import Answers
from xllm.evaluation.calls import Endpoint
from xllm.evaluation.tally import Tally
from xllm.evaluation.verdicts import PAIRWISE, YES_NO, Protocol, Question
from xllm.runinfo import RunInfo, differences
from xllm.values import above_zero, whole_number

QUESTIONS = ("qa", "mlqa")  # the tasks in which an answer is right or wrong
HOTTEST = 2.0  # temperature that the API takes


@dataclass(frozen=True)
class Request:
    """What a command line asks for."""

    models: tuple[str, ...]  # A, and B if there is one
    endpoint: Endpoint
    samples: int
    words: list[str]  # of the command line

    @property
    def protocol(self) -> Protocol:
        return PAIRWISE if len(self.models) == 2 else YES_NO

    def file(self, model: str, dataset: str) -> Path:
        """A model's answers to a dataset."""
        return answers.folder_of(model) / f"{dataset}{answers.ENDING}"

    def settings(self, dataset: str) -> dict:
        """All that decides what the verdicts on a dataset are."""
        judged = [
            {"model": models.short_name(model), "sha256": records.sha256(self.file(model, dataset))}
            for model in self.models
        ]
        return {
            "judge": {"url": self.endpoint.url, "model": self.endpoint.model},
            "protocol": self.protocol.name,
            "prompt_sha256": self.protocol.prompt_sha256,
            "samples": self.samples,
            "temperature": self.endpoint.temperature,
            "max_tokens": self.endpoint.max_tokens,
            "answers": dict(zip("AB", judged, strict=False)),
        }


@dataclass(frozen=True)
class Sheet:
    """The answers to a dataset that are judged together, and where the verdicts go."""

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
        signature += f"|temp:{made['temperature']:g}|max_tokens:{made['max_tokens']}|prompt:{made['prompt_sha256']}"
        return signature + (f"|against:{against['model']},{against['sha256'][:8]}" if against else "")


def judge(
    *models_,
    dataset,
    judge_url,
    judge_model,
    samples="1",
    temperature=None,
    max_tokens="1024",
    concurrency="4",
    timeout="120",
    retries="5",
    price_in=None,
    price_out=None,
    overwrite=False,
):
    """Let JUDGE_MODEL at JUDGE_URL, an OpenAI-compatible API such as http://127.0.0.1:8000/v1, judge answers.

    judge A B: which model answers better, row by row, in both orders (FairEval); wins are those of A. An answer in
    another language than it should be, or an empty one, loses without a call.
    judge MODEL: whether answers to reading questions (xquad, mlqa) are right.

    DATASET names one, or several separated by commas. SAMPLES of each call are drawn and averaged, at a TEMPERATURE
    above 0 if more than one (0, if not given). MAX_TOKENS bounds a reply. CONCURRENCY calls are made at a time; one
    that gets no reply within TIMEOUT seconds, or none that can be used, is made again, RETRIES times at most. With
    PRICE_IN and PRICE_OUT, of a million tokens, the table tells the cost. The API's key is read from OPENAI_API_KEY.

    Each reply is in a journal at once: the same command goes on after a kill, and makes the calls again that failed.
    OVERWRITE judges anew.
    """
    flags = {name: value for name, value in locals().items() if name != "models_" and value not in (None, False)}
    request, prices = _request(models_, flags), tally.prices(price_in, price_out)
    sheets = read(request, dataset)
    rows = run(request, calls.connect(request.endpoint), sheets, overwrite)
    tallies = [own for sheet, found in zip(sheets, rows, strict=True) for own in _tallies(request, sheet, found)]
    print(tally.table([models.short_name(model) for model in models_], tallies, prices))
    if failed := [row["failed"] for found in rows for row in found if "failed" in row]:
        raise RowsFailed(
            f"{len(failed)} of {sum(map(len, rows))} rows have no verdict, since calls failed ({failed[0]}); "
            "the same command makes these again"
        )


def _request(models_: tuple[str, ...], flags: dict[str, str]) -> Request:
    if len(models_) not in (1, 2):
        raise XllmError(f"judge takes two models to compare, or one; here are {len(models_)}")
    samples = whole_number("samples", flags["samples"])
    endpoint = Endpoint(
        calls.check_url(flags["judge_url"]),
        flags["judge_model"].strip(),
        _temperature(flags.get("temperature"), samples),
        whole_number("max_tokens", flags["max_tokens"]),
        above_zero("timeout", flags["timeout"]),
        whole_number("retries", flags["retries"], least=0),
        whole_number("concurrency", flags["concurrency"]),
    )
    if not endpoint.model:
        raise XllmError("--judge_model is empty; it must be a name that the API knows")
    words = [f"--{flag}={value}" for flag, value in flags.items()]
    return Request(models_, endpoint, samples, [*models_, *words])


def _temperature(text: str | None, samples: int) -> float:
    try:
        value = 0.0 if text is None else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= HOTTEST:
        raise XllmError(f"--temperature {text}: it must be a number from 0 to {HOTTEST:g}")
    if samples > 1 and value == 0:
        raise XllmError(f"--samples {samples} would all be the same at temperature 0; as: --temperature 1")
    return value


def read(request: Request, dataset: str) -> list[Sheet]:
    """What is to be judged. Raises XllmError for what can be known to be wrong before the first call."""
    folders, names = [answers.folder_of(model) for model in request.models], list(dict.fromkeys(dataset.split(",")))
    for model, folder in zip(request.models, folders, strict=True):
        there = answers.answered(folder)
        if lacking := [name for name in names if name not in there]:
            hint = f"first: python -m xllm infer {model} {lacking[0]}"
            raise unknown(f"answered dataset of {model}", lacking[0], there, hint)
    if len(folders) > len({folder.resolve() for folder in folders}):
        raise XllmError(f"{' and '.join(request.models)} are the same model; judge compares two")
    return [_sheet(request, name) for name in names]


def _sheet(request: Request, dataset: str) -> Sheet:
    own, *others = (answers.of_file(request.file(model, dataset)) for model in request.models)
    for other in others:
        if [answers.asked(part.rows) for part in own] != [answers.asked(part.rows) for part in other]:
            raise XllmError(
                f"{' and '.join(request.models)} have answered different rows of {dataset}; answer them anew"
            )
    if others:
        questions = [question for two in zip(own, *others, strict=True) for question in verdicts.pairs(*two)]
        name = f"{dataset}.judge.{models.short_name(request.models[1])}"
    else:
        _check_questions(own)
        questions, name = [question for part in own for question in verdicts.readings(part)], f"{dataset}.judge"
    output = request.file(request.models[0], dataset).with_name(f"{name}.jsonl")
    sheet = Sheet(dataset, own, questions, output, request.settings(dataset))
    records.check_name(sheet.beside(scorefile.ENDING))  # the longest of them
    return sheet


def _check_questions(own: list[Answers]) -> None:
    for part in own:
        if part.task not in QUESTIONS:
            raise XllmError(
                f"{part.name} has the task {part.task}; one model's answers are judged where they are right or wrong "
                f"(task {' or '.join(QUESTIONS)}), two models' are compared: judge A B"
            )
        if not part.language:
            raise XllmError(f"the loading script of {part.name} names no language, which its answers must be in")


def run(request: Request, client, sheets: list[Sheet], overwrite: bool) -> list[list[dict]]:
    """Judge what hasn't been yet, and write it; the judged rows of every sheet.

    Raises XllmError where other settings have judged before.
    """
    info, rows = RunInfo("judge", request.words), []
    begun = [sheet.dataset for sheet in sheets if overwrite or not sheet.done]
    if not overwrite:
        for sheet in sheets:
            _check_settings(sheet)
    with ExitStack() as locks:
        mine = [sheet for sheet in sheets if sheet.dataset in begun]
        for sheet in mine:
            locks.callback(journal.begin(sheet.journal, sheet.settings, overwrite).release)
        try:
            for sheet in sheets:
                known = sheet.dataset not in begun
                rows.append(records.read_jsonl(sheet.output) if known else _judge(request, client, sheet, info))
        except XllmError:
            for sheet in mine:
                journal.abandon(sheet.journal)
            raise
        # only now: else a command that judges several anew, and is killed, would judge the first once more
        for sheet, found in zip(sheets, rows, strict=True):
            if sheet.dataset in begun and not any("failed" in row for row in found):
                _end(sheet.journal)
    return rows


def _check_settings(sheet: Sheet) -> None:
    if not sheet.done:
        journal.check(sheet.journal, sheet.settings)
        return
    facts = sheet.beside(".run.json")
    made = records.read_json(facts)["settings"] if facts.is_file() else {}
    if found := list(differences(made, sheet.settings)):
        raise XllmError(f"{sheet.output} was made with other settings: {'; '.join(found)}; --overwrite judges anew")


def _judge(request: Request, client, sheet: Sheet, info: RunInfo) -> list[dict]:
    """Ask what hasn't been asked yet, and write what is known then."""
    prompts, notes = verdicts.calls(sheet.questions, request.samples), journal.Journal(sheet.journal, 0)
    try:
        known, settled = len(prompts.keys() & notes.read().keys()), sum(not row.asked for row in sheet.questions)
        print(
            f"{sheet.dataset}: {len(sheet.questions)} rows, {settled} of them settled without a call; "
            f"{len(prompts) - known} calls to {request.endpoint.model} ({known} were made before)",
            file=sys.stderr,
        )
        failed = calls.ask(client, request.endpoint, prompts, notes)
        rows = verdicts.judged(request.protocol, sheet.questions, request.samples, notes.read(), failed)
    finally:
        notes.close()
    records.write_jsonl(sheet.output, rows)
    info.write(sheet.beside(".run.json"), settings=sheet.settings, rows=len(rows), calls=len(prompts))
    model, scored = request.models[0], [own.scored for own in _tallies(request, sheet, rows)]
    sha256 = sheet.settings["answers"]["A"]["sha256"]
    scorefile.write(sheet.beside(scorefile.ENDING), model, sheet.dataset, info.facts["command"], sha256, scored)
    return rows


def _tallies(request: Request, sheet: Sheet, rows: list[dict]) -> list[Tally]:
    parts = [(own, [row for row in rows if row["from"] == own.name]) for own in sheet.answers]
    return [tally.count(request.protocol, own, judged, sheet.signature) for own, judged in parts]


def _end(folder: Path) -> None:
    """Remove a journal at one blow: a part of one would look like a run that has calls to make."""
    place = records.partial(folder)
    records.remove(place)
    folder.rename(place)
    records.remove(place)
