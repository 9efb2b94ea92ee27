"""`xllm judge`: let another model compare answers, or say which are right."""

import sys
from contextlib import ExitStack

from xllm.artifacts import journal, model_folder
from xllm.artifacts.run_info import RunInfo
from xllm.cli import done
from xllm.errors import RowsFailed, XllmError
from xllm.evaluation.flags import JudgeFlags
from xllm.evaluation.judging import calls, tally, verdicts
from xllm.evaluation.judging.calls import OWN, Endpoint
from xllm.evaluation.judging.request import Request, Sheet, read
from xllm.evaluation.judging.tally import Tally
from xllm.files import read_jsonl

HOTTEST = 2.0  # temperature that the API takes


def judge(flags: JudgeFlags) -> None:
    """Let a model behind an OpenAI-compatible API judge answers.

    Two models: which answers better, row by row, in both orders (FairEval); an answer in another language than it
    should be, or an empty one, loses without a call. One model: whether answers to reading questions are right.

    Each reply is in a journal at once: the same command resumes after a kill, and makes the calls again that failed.
    Where calls failed, or more than 5 % of replies are no verdict, the exit code is 3.
    """
    request, prices = _request(flags), tally.prices(flags.price_in, flags.price_out)
    tallies = run(request, calls.connect(request.endpoint), read(request, flags.dataset), flags)
    print(tally.table(model_folder.names_apart(flags.models), tallies, prices))
    unread, failed = tally.warning(tallies), [reason for own in tallies for reason in own.failed]
    if failed:
        if unread:
            print(f"warning: {unread}", file=sys.stderr)
        rows = sum(len(own.rows) for own in tallies)
        raise RowsFailed(
            f"{len(failed)} of {rows} rows have no verdict, since calls failed ({failed[0]}); "
            "the same command makes these again"
        )
    if unread:
        raise RowsFailed(unread)
    done(then=f"xllm report {' '.join(flags.models)}")


def _request(flags: JudgeFlags) -> Request:
    if len(flags.models) > 2:
        raise XllmError(f"judge takes two models to compare, or one; here are {len(flags.models)}")
    if not flags.judge_model.strip():
        raise XllmError("--judge_model is empty; it must be a name that the API knows")
    endpoint = Endpoint(
        calls.check_url(flags.judge_url),
        flags.judge_model.strip(),
        _temperature(flags.temperature, flags.samples),
        flags.max_tokens,
        flags.timeout,
        flags.retries,
        flags.concurrency,
    )
    if flags.task is not None and len(flags.models) == 2:
        raise XllmError(f"--task {flags.task} has no effect on a comparison of two models; see: xllm judge --help")
    return Request(flags.models, endpoint, flags.samples, flags.task, flags.lang)


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


def run(request: Request, client, sheets: list[Sheet], flags: JudgeFlags) -> list[Tally]:
    """Judge what hasn't been yet, and write it; what is known in the end of every dataset.

    Raises XllmError where other settings have judged before.
    """
    info = RunInfo("judge", flags)
    if not flags.overwrite:
        for sheet in sheets:
            sheet.check_settings()
    waiting = [sheet for sheet in sheets if flags.overwrite or not sheet.done]
    begun: list[Sheet] = []
    with ExitStack() as locks:
        try:
            for sheet in waiting:
                locks.callback(journal.begin(sheet.journal, sheet.settings, flags.overwrite).release)
                begun.append(sheet)
            found = [_tallied(request, sheet, client if sheet in waiting else None, info) for sheet in sheets]
        except XllmError:
            for sheet in begun:
                journal.abandon(sheet.journal)
            raise
        # only now: else a command that judges several anew, and is killed, would judge the first once more
        for sheet, own in zip(sheets, found, strict=True):
            if sheet in waiting and not any(part.failed for part in own):
                sheet.end()
    return [part for own in found for part in own]


def _tallied(request: Request, sheet: Sheet, client, info: RunInfo) -> list[Tally]:
    """What the verdicts on a dataset come to: those that are there, or, by a `client`, new ones, which are written."""
    rows = read_jsonl(sheet.output) if client is None else _judge(request, client, sheet)
    found = _tallies(request, sheet, rows)
    if client is not None:
        sheet.write(rows, [own.scored for own in found], info)
    return found


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
