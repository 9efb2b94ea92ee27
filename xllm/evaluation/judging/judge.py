"""`python -m xllm judge`: let another model compare answers, or say which are right."""

import sys
from contextlib import ExitStack

from xllm.artifacts import journal, model_folder
from xllm.artifacts.run_info import RunInfo
from xllm.errors import RowsFailed, XllmError
from xllm.evaluation.judging import calls, tally, verdicts
from xllm.evaluation.judging.calls import OWN, Endpoint
from xllm.evaluation.judging.request import Request, Sheet, read
from xllm.evaluation.judging.tally import Tally
from xllm.files import read_jsonl
from xllm.values import above_zero, whole_number

HOTTEST = 2.0  # temperature that the API takes


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
    above 0 if more than one (0, if not given; `default` leaves it to the judge, as reasoning models want it).
    MAX_TOKENS bounds a reply. CONCURRENCY calls are made at a time; one that gets no reply within TIMEOUT seconds, or
    none that can be used, is made again, RETRIES times at most. With PRICE_IN and PRICE_OUT, of a million tokens, the
    table tells the cost. The API's key is read from OPENAI_API_KEY.

    Each reply is in a journal at once: the same command goes on after a kill, and makes the calls again that failed.
    OVERWRITE judges anew, but goes on with what the same settings have begun.
    """
    flags = {name: value for name, value in locals().items() if name != "models_" and value not in (None, False)}
    request, prices = _request(models_, flags), tally.prices(price_in, price_out)
    tallies = run(request, calls.connect(request.endpoint), read(request, dataset), overwrite)
    print(tally.table(model_folder.names_apart(models_), tallies, prices))
    if failed := [reason for own in tallies for reason in own.failed]:
        rows = sum(len(own.rows) for own in tallies)
        raise RowsFailed(
            f"{len(failed)} of {rows} rows have no verdict, since calls failed ({failed[0]}); "
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


def _temperature(text: str | None, samples: int) -> float | None:
    if text == OWN:
        return None
    try:
        value = 0.0 if text is None else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= HOTTEST:
        raise XllmError(f"--temperature {text}: it must be a number from 0 to {HOTTEST:g}, or {OWN}")
    if samples > 1 and value == 0:
        raise XllmError(f"--samples {samples} would all be the same at temperature 0; as: --temperature 1")
    return value


def run(request: Request, client, sheets: list[Sheet], overwrite: bool) -> list[Tally]:
    """Judge what hasn't been yet, and write it; what is known in the end of every dataset.

    Raises XllmError where other settings have judged before.
    """
    info, begun, found = RunInfo("judge", request.words), [], []
    known = [sheet.dataset for sheet in sheets if sheet.done and not overwrite]
    if not overwrite:
        for sheet in sheets:
            sheet.check_settings()
    with ExitStack() as locks:
        try:
            for sheet in (sheet for sheet in sheets if sheet.dataset not in known):
                locks.callback(journal.begin(sheet.journal, sheet.settings, overwrite).release)
                begun.append(sheet)
            for sheet in sheets:
                rows = read_jsonl(sheet.output) if sheet.dataset in known else _judge(request, client, sheet)
                found.append(_tallies(request, sheet, rows))
                if sheet.dataset not in known:
                    sheet.write(rows, [own.scored for own in found[-1]], info)
        except XllmError:
            for sheet in begun:
                journal.abandon(sheet.journal)
            raise
        # only now: else a command that judges several anew, and is killed, would judge the first once more
        for sheet, own in zip(sheets, found, strict=True):
            if sheet.dataset not in known and not any(part.failed for part in own):
                sheet.end()
    return [part for own in found for part in own]


def _judge(request: Request, client, sheet: Sheet) -> list[dict]:
    """Ask what hasn't been asked yet; the judged rows."""
    prompts, notes = verdicts.calls(sheet.questions, request.samples), journal.Journal(sheet.journal, 0)
    try:
        known, settled = len(prompts.keys() & notes.read().keys()), sum(not row.asked for row in sheet.questions)
        print(
            f"{sheet.dataset}: {len(sheet.questions)} rows, {settled} of them settled without a call; "
            f"{len(prompts) - known} calls to {request.endpoint.model} ({known} were made before)",
            file=sys.stderr,
        )
        failed = calls.ask(client, request.endpoint, prompts, notes)
        return verdicts.judged(request.protocol, sheet.questions, request.samples, notes.read(), failed)
    finally:
        notes.close()


def _tallies(request: Request, sheet: Sheet, rows: list[dict]) -> list[Tally]:
    parts = [(own, [row for row in rows if row["from"] == own.name]) for own in sheet.answers]
    return [tally.count(request.protocol, own, judged, sheet.signature) for own, judged in parts]
