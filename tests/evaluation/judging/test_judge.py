"""Judging answers: the real client against a server of this machine, which judges by rules and fails as servers do."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import filelock
import pytest

from tests.conftest import HOME
from xllm.artifacts import scores
from xllm.files import read_jsonl, write_json, write_jsonl

SECRET = "sk-4f1c-never-to-be-seen"
EVIDENCE = "The first is short, the second isn't."
GOOD = "多喝水，早点睡觉，每天散步半个小时，心情就会好起来。"  # long enough for its language to be told
PLAIN = "多喝水，早点睡觉，每天散步。"
ENGLISH = "Drink water, go to bed early and take a walk of half an hour every day."
GREEK = "Πίνε νερό, κοιμήσου νωρίς και περπάτα μισή ώρα κάθε μέρα για να νιώσεις καλύτερα."
SHORT = "是"


def longer(first, second):
    """A judge that likes length."""
    return 1 + min(9, len(first) // 3), 1 + min(9, len(second) // 3)


def always_first(first, second):
    """A judge that doesn't read."""
    return 9, 4


def part(prompt, tag):
    found = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", prompt, re.DOTALL)
    return found and found.group(1)


class Server(ThreadingHTTPServer):
    """An API that judges by `rule`; `trouble` says what it does, instead, to prompts that hold a text."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.rule, self.reply, self.trouble = longer, None, {}
        self.refused, self.wraps = [], True  # fields that it doesn't take; whether it says so as OpenAI does
        self.asked, self.keys, self.bodies = [], set(), []
        self.left = sys.maxsize  # calls that are answered; those after them aren't
        self.lock, self.over = threading.Lock(), threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def text(self, prompt):
        if self.reply is not None:
            return self.reply(prompt)
        first, second = part(prompt, "answer_1"), part(prompt, "answer_2")
        if first is None:
            golds, answer = part(prompt, "accepted_answers"), part(prompt, "reader_answer")
            return "YES" if any(gold[2:] in answer for gold in golds.splitlines()) else "NO."
        return "{}\n\nScore of answer 1: {}\nScore of answer 2: {}".format(EVIDENCE, *self.rule(first, second))

    def handle_error(self, request, client_address):
        pass  # of a client that didn't wait


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt, server = body["messages"][0]["content"], self.server
        with server.lock:
            server.asked.append(prompt)
            server.bodies.append(body)
            server.keys.add(self.headers["Authorization"])
            if refused := next((field for field in server.refused if field in body), None):
                message = f"Unsupported parameter: '{refused}' is not supported with this model, {SECRET}."
                message += " Use 'max_completion_tokens' instead." if refused == "max_tokens" else ""
                self.send(400, json.dumps({"error": {"message": message}} if server.wraps else {"detail": message}))
                return
            todo = next((left for mark, left in server.trouble.items() if mark in prompt and left), None)
            trouble = todo.pop(0) if todo else None if server.left > 0 else "nothing"
            server.left -= 1
        self.answer(prompt, trouble)

    def answer(self, prompt, trouble):
        if trouble == "close":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif trouble == "nothing":
            self.server.over.wait(20)
            self.close_connection = True
        elif isinstance(trouble, int):
            headers = {"Retry-After": "0"} if trouble == 429 else {}
            self.send(trouble, json.dumps({"error": {"message": f"no, {SECRET}\nis bad"}}), headers)
        elif trouble is not None:
            self.send(200, trouble)
        else:
            choice = {"message": {"role": "assistant", "content": self.server.text(prompt)}, "finish_reason": "stop"}
            usage = {"prompt_tokens": len(prompt), "completion_tokens": 7}
            self.send(200, json.dumps({"choices": [choice], "usage": usage}))

    def send(self, status, text, headers=None):
        content = text.encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": len(content),
            **(headers or {}),
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    server = Server()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def model(tmp_path):
    """A folder that passes for a model, with answers to open questions, or to reading questions."""

    def make(name, predictions, dataset="mieval_zh", task=None, language="zh", **columns):
        folder = tmp_path / name
        (folder / "test").mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text("{}")
        rows = [
            {"id": f"q{number}", "instruction": f"问题{number}：怎样过得更好？", "input": "", "output": ""}
            | {column: values[number] for column, values in columns.items()}
            | {"from": dataset, "prediction": prediction}
            for number, prediction in enumerate(predictions)
        ]
        write_jsonl(folder / "test" / f"{dataset}.inference.jsonl", rows)
        terms = [{"from": dataset, "rows": len(rows), "task": task, "language": language}]
        write_json(folder / "test" / f"{dataset}.run.json", {"mixture": {"terms": terms}})
        return folder

    return make


@pytest.fixture
def judge(cli, server):
    """Run the command, with few and short tries."""

    def run(*words, dataset="mieval_zh", **flags):
        flags = {"judge_url": server.url, "judge_model": "rule", "retries": "1", "timeout": "20"} | flags
        return cli("judge", *words, "--dataset", dataset, *(f"--{flag}={value}" for flag, value in flags.items()))

    return run


def output(folder, ending="jsonl", name="mieval_zh.judge.b"):
    return folder / "test" / f"{name}.{ending}"


def verdicts(folder, name="mieval_zh.judge.b"):
    return [row["verdict"] for row in read_jsonl(output(folder, name=name))]


def scores_of(folder, name="mieval_zh.judge.b"):
    _, [scored] = scores.read(output(folder, "metrics.json", name))
    return {score.metric: score for score in [*scored.scores, *scored.shares]}


def cell(outcome, line):
    """What the table says, in its only column."""
    return re.search(rf"^{re.escape(line)}\s+(.*?)\s*$", outcome.out, re.MULTILINE).group(1)


def test_each_pair_is_judged_in_both_orders_and_wins_are_those_of_the_first_model(judge, model, server):
    a = model("a", [GOOD, PLAIN, GOOD, PLAIN + "好", GOOD])
    b = model("b", [PLAIN, GOOD, PLAIN, PLAIN + "吧", GOOD + "真的。很好"])
    outcome = judge(a, b, price_in="1.5", price_out="1000")
    assert outcome.code == 0 and "10 calls to rule" in outcome.err
    assert verdicts(a) == ["A", "B", "A", "tie", "B"]  # 4: just as long
    found = scores_of(a)
    assert [(found[name].value, found[name].count) for name in ("win_rate", "tie_rate", "loss_rate")] == [
        (40, 5),
        (20, 5),
        (40, 5),
    ]
    assert (
        found["win_rate"].low == pytest.approx(11.76, abs=0.01)
        and found["win_rate"].high == pytest.approx(76.93, abs=0.01)
        and found["order_agreement"].value == 100
    )
    assert found["parse_failures"].value == found["gated"].value == found["failed"].value == 0
    for piece in (
        "judge:rule|protocol:FairEval|k:1|temp:0|",
        "|prompt:",
        "|against:b,",
        "|gate:lid.176.ftz:zh,",
        "|xllm:",
    ):
        assert piece in found["win_rate"].signature and piece in outcome.out
    assert cell(outcome, "wins of A (a)") == "2: 40.0 % (11.8 to 76.9) of 5"
    assert cell(outcome, "wins of B (b)") == "2: 40.0 % (11.8 to 76.9) of 5"

    orders = Counter((part(prompt, "answer_1"), part(prompt, "answer_2")) for prompt in server.asked)
    assert orders == Counter(
        {(GOOD, PLAIN): 3, (PLAIN, GOOD): 3} | {order: 1 for order in orders if not {*order} <= {GOOD, PLAIN}}
    )
    assert Counter(part(prompt, "question") for prompt in server.asked) == {
        f"问题{n}：怎样过得更好？": 2 for n in range(5)
    }
    row = read_jsonl(output(a))[0]
    assert [(reply["order"], reply["scores"]) for reply in row["replies"]] == [
        ("AB", [longer(GOOD, PLAIN)[0], longer(GOOD, PLAIN)[1]]),
        ("BA", [longer(GOOD, PLAIN)[0], longer(GOOD, PLAIN)[1]]),
    ]
    assert all(EVIDENCE in reply["text"] for reply in row["replies"])
    read = sum(map(len, server.asked))
    assert cell(outcome, "tokens read, written") == f"{read:,}, 70"
    assert cell(outcome, "cost") == f"{read * 1.5e-6 + 0.07:.4f}"
    assert not output(a, "journal").exists() and output(a, "run.json").exists()


def test_the_other_way_round_wins_are_losses(judge, model):
    a, b = model("a", [GOOD, PLAIN, GOOD]), model("b", [PLAIN, GOOD, PLAIN])
    judge(b, a)
    assert verdicts(b, "mieval_zh.judge.a") == ["B", "A", "B"]


def test_a_judge_that_prefers_what_comes_first_decides_nothing(judge, model, server):
    server.rule = always_first
    a, b = model("a", [GOOD, PLAIN, GOOD]), model("b", [PLAIN, GOOD, PLAIN])
    outcome = judge(a, b)
    assert verdicts(a) == ["tie"] * 3
    assert scores_of(a)["order_agreement"].value == 0 and cell(outcome, "orders agree").startswith("0.0 %")
    assert cell(outcome, "wins against losses, p") == "1.0000"


def test_samples_are_averaged_over_both_orders(judge, model, server):
    drawn = iter([(9, 1), (1, 9), (6, 5), (5, 6), (2, 4), (4, 2)])  # whatever comes when
    server.rule = lambda *answers: next(drawn)
    a, b = model("a", [GOOD]), model("b", [PLAIN])
    outcome = judge(a, b, samples=3, temperature=0.7, concurrency=1)
    # A has 9 1 6 as the first and 6 4 2 as the second, B 1 9 5 and 5 2 4
    [row] = read_jsonl(output(a))
    assert [reply["scores"] for reply in row["replies"]] == [[9, 1], [1, 9], [6, 5], [6, 5], [4, 2], [2, 4]]
    assert outcome.code == 0 and row["verdict"] == "A" and "k:3|temp:0.7" in outcome.out
    assert [body["temperature"] for body in server.bodies] == [0.7] * 6
    assert scores_of(a)["order_agreement"].value == 100


@pytest.mark.parametrize("wins, losses, p", [(8, 2, "0.1094"), (0, 6, "0.0312"), (5, 5, "1.0000")])
def test_wins_and_losses_are_told_from_chance_by_a_sign_test(judge, model, wins, losses, p):
    a, b = (
        model("a", [GOOD] * wins + [PLAIN] * losses + ["好", ""]),
        model("b", [PLAIN] * wins + [GOOD] * losses + ["好", ""]),
    )
    assert cell(judge(a, b), "wins against losses, p") == p


def test_a_wrong_language_or_nothing_at_all_loses_without_a_call(judge, model, server):
    cases = [
        (ENGLISH, GOOD, "B"),
        (GOOD, GREEK, "A"),
        (ENGLISH, GREEK, "tie"),
        ("", GOOD, "B"),
        (GOOD, "\u2060\n", "A"),
        ("", "", "tie"),
        (ENGLISH, "", "tie"),
        (GOOD, GOOD + "\n", "tie"),  # the same
    ]
    called = [(SHORT, GOOD, "B"), (GOOD, "OK", "A")]  # too short to tell
    answers, others, expected = zip(*cases, *called, strict=True)
    a, b = model("a", answers), model("b", others)
    outcome = judge(a, b)
    assert verdicts(a) == list(expected) and len(server.asked) == 2 * len(called)
    rows = read_jsonl(output(a))
    assert [row["gated"] for row in rows] == [
        {"A": "language: en"},
        {"B": "language: el"},
        {"A": "language: en", "B": "language: el"},
        {"A": "empty"},
        {"B": "empty"},
        {"A": "empty", "B": "empty"},
        {"A": "language: en", "B": "empty"},
        {},
        {},
        {},
    ]
    assert cell(outcome, "lost without a call") == "A 5, B 5" and scores_of(a)["gated"].value == 70
    assert scores_of(a)["order_agreement"].count == 2 and scores_of(a)["win_rate"].count == 10


@pytest.mark.slow
def test_failures_of_the_server_change_nothing(judge, model, server):
    troubles = [
        429,
        500,
        "",
        '{"choi',
        "{}",
        '{"choices": []}',
        "[1]",
        '{"choices": [{"message": {"content": 5}}]}',
        "close",
        "nothing",
    ]
    a, b = model("a", [GOOD] * len(troubles)), model("b", [PLAIN] * len(troubles))
    assert judge(a, b).code == 0
    expected = output(a).read_bytes()
    server.trouble = {f"问题{number}：": [trouble] for number, trouble in enumerate(troubles)}
    server.asked.clear()
    outcome = judge(a, b, overwrite=True, concurrency=20, timeout=4)
    assert outcome.code == 0 and output(a).read_bytes() == expected
    assert not any(server.trouble.values())
    assert all(3 <= sum(mark in prompt for prompt in server.asked) <= 4 for mark in server.trouble)


@pytest.mark.slow
def test_what_is_never_answered_is_kept_out_told_and_asked_again(judge, model, server):
    a, b = model("a", [GOOD, GOOD, PLAIN, PLAIN]), model("b", [PLAIN, PLAIN, GOOD, GOOD])
    judge(a, b)
    expected = output(a).read_bytes()
    server.trouble = {"问题1：": [500] * 9, "问题2：": ["nothing"] * 9, "问题3：": [400] * 9}
    outcome = judge(a, b, overwrite=True, timeout=4, retries=0, concurrency=8)
    assert outcome.code == 3 and outcome.err.splitlines()[-1].startswith("xllm: 3 of 4 rows have no verdict")
    assert "the same command makes these again" in outcome.err and SECRET not in outcome.err
    rows = read_jsonl(output(a))
    assert [row["verdict"] for row in rows] == ["A", None, None, None]
    assert [row.get("failed") for row in rows] == [
        None,
        "status 500: no, … is bad",
        "no reply within 4 seconds in 1 tries",
        "status 400: no, … is bad",
    ]
    found = scores_of(a)
    assert (found["win_rate"].value, found["win_rate"].count, found["failed"].value) == (100, 1, 75)
    assert cell(outcome, "no verdict: calls failed") == "3"

    server.trouble["问题1："] = [500]  # one of two
    for mark in ("问题2：", "问题3："):
        server.trouble[mark] = []
    server.asked.clear()
    assert judge(a, b, retries=0, concurrency=1).code == 3
    assert len(server.asked) == 6 and verdicts(a) == ["A", None, "B", "B"]
    server.asked.clear()
    outcome = judge(a, b, retries=0)
    assert outcome.code == 0 and len(server.asked) == 1 and "1 calls to rule (7 were made before)" in outcome.err
    assert output(a).read_bytes() == expected and not output(a, "journal").exists()


def test_a_row_with_one_call_of_several_unanswered_decides_nothing(judge, model, server):
    a, b = model("a", [GOOD]), model("b", [PLAIN])
    server.trouble = {"": [500]}
    assert judge(a, b, samples=2, temperature=1, retries=0, concurrency=1).code == 3
    assert len(read_jsonl(output(a))[0]["replies"]) == 3 and set(scores_of(a)) == {"parse_failures", "gated", "failed"}


def test_replies_without_scores_are_counted_and_paid_but_decide_nothing(judge, model, server):
    replies = {
        "问题0：": "I can't choose.",
        "问题1：": "Score of answer 1: 8",
        "问题2：": "Score of answer 1: 11\nScore of answer 2: 0",
        "问题3：": "Score of answer 1: -3\nScore of answer 2: 4",
        "问题4：": "<think>Score of answer 1: 1</think>**Score of answer 1:** 7.5/10\n\nscore of answer [2]：**7**.",
        "问题5：": "Score of answer 1: 2\nScore of answer 2: 9\nNo, once more:\nScore of answer 1: 5\nScore of answer 2: 5",
        "问题6：": "",
    }
    server.reply = lambda prompt: next(text for mark, text in replies.items() if mark in prompt)
    a, b = model("a", [GOOD] * 7), model("b", [PLAIN] * 7)
    outcome = judge(a, b)
    assert outcome.code == 3 and verdicts(a) == [None, None, None, None, "tie", None, None]
    assert [row["replies"][0].get("unread") for row in read_jsonl(output(a))] == [
        *("no verdict", "no verdict", "not from 1 to 10", "not from 1 to 10", None, "two verdicts", "no verdict")
    ]
    assert "mieval_zh: 12 of 14 replies are no verdict" in outcome.err.splitlines()[-1]
    assert "6 of 7 rows are left out of the scores" in outcome.err and "more than 5% are too many" in outcome.err
    assert read_jsonl(output(a))[4]["replies"][0]["scores"] == [7.5, 7]
    found = scores_of(a)
    assert found["parse_failures"].value == pytest.approx(1200 / 14) and found["parse_failures"].count == 14
    assert found["tie_rate"].count == 1 and cell(outcome, "no verdict: replies not understood") == "6"
    assert cell(outcome, "ties") == "1: 100.0 % of 1, 6 unread"
    reasons = "12 of 14; 6: no verdict; 4: not from 1 to 10; 2: two verdicts"
    assert cell(outcome, "replies not understood") == reasons and len(server.asked) == 14
    assert cell(outcome, "tokens read, written").endswith(", 98")


@pytest.mark.parametrize(
    ("message", "reason", "unread"),
    [
        ({"content": "YES"}, "length", "finish_reason length"),
        ({"content": "YES"}, "content_filter", "finish_reason content_filter"),
        ({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls", "finish_reason tool_calls"),
        ({"content": "<think>It is YES"}, "stop", "it ends in a thought"),
        ({"content": "", "reasoning_content": "YES"}, "stop", "no verdict"),
        ({"content": None, "reasoning_content": "Is it YES? It"}, "length", "finish_reason length"),
        ({"content": "YES", "reasoning_content": "NO, it"}, "stop", None),
        ({"content": "YES"}, None, None),
        ({"content": "YES"}, "eos", None),
        ({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "YES"}]}, "stop", None),
    ],
)
def test_a_reply_that_isn_t_whole_is_kept_with_its_reason_and_is_no_verdict(
    judge, model, server, message, reason, unread
):
    server.trouble = {"": [json.dumps({"choices": [{"message": message, "finish_reason": reason}]})]}
    a = model("a", ["他们丢了 309 分"], "xquad_zh", "qa", input=[CONTEXT], answers=[["308"]])
    outcome = judge(a, dataset="xquad_zh")
    [row] = read_jsonl(output(a, name="xquad_zh.judge"))
    [reply] = row["replies"]
    assert len(server.asked) == 1 and (row["verdict"], reply.get("unread")) == (None if unread else "YES", unread)
    assert outcome.code == (3 if unread else 0) and reply["text"] == ("" if not message["content"] else reply["text"])
    if unread:
        told = f"1 of 1 replies are no verdict ({unread}: 1), 1 of 1 rows are left out of the scores"
        assert told in outcome.err and ("--max_tokens" in outcome.err) == (reason == "length")
        assert judge(a, dataset="xquad_zh").code == 3 and len(server.asked) == 1  # told again, not asked again


def test_few_unread_replies_are_told_and_no_more(judge, model, server):
    a = model(
        "a", [f"他们丢了 {n} 分" for n in range(40)], "xquad_zh", "qa", input=[CONTEXT] * 40, answers=[["x"]] * 40
    )
    server.reply = lambda prompt: "Perhaps." if re.search(r" [12] 分", prompt) else "YES"
    outcome = judge(a, dataset="xquad_zh")
    assert outcome.code == 0 and cell(outcome, "right") == "38: 100.0 % (90.8 to 100.0) of 38, 2 unread"
    server.reply = lambda prompt: "Perhaps." if re.search(r" [123] 分", prompt) else "YES"
    assert judge(a, dataset="xquad_zh", overwrite=True).code == 3


def test_an_order_without_any_score_can_t_be_balanced(judge, model, server):
    server.reply = lambda prompt: (
        "Score of answer 1: 9\nScore of answer 2: 1" if part(prompt, "answer_1") == GOOD else "Well."
    )
    a, b = model("a", [GOOD]), model("b", [PLAIN])
    judge(a, b)
    assert verdicts(a) == [None] and set(scores_of(a)) == {"parse_failures", "gated", "failed"}


CALLS = 40


@pytest.fixture
def killed(server, model):
    """Kill a real process of the command as soon as a condition holds of the first model's folder."""
    a, b = model("a", [GOOD] * (CALLS // 2)), model("b", [PLAIN] * (CALLS // 2))
    flags = ["--dataset=mieval_zh", f"--judge_url={server.url}", "--judge_model=rule", "--retries=1", "--timeout=20"]

    def run(condition):
        process = subprocess.Popen(
            [sys.executable, "-m", "xllm", "judge", str(a), str(b), *flags],
            env=os.environ | {"PYTHONPATH": str(HOME)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and not condition(a) and time.monotonic() < deadline:
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        assert b"Traceback" not in process.communicate()[1]
        return a, b

    return run


def journalled(folder):
    path = output(folder, "journal/rank-0.jsonl")
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line)["row"] for line in lines]


@pytest.mark.slow
def test_killed_and_started_again_no_call_in_the_journal_is_made_again(killed, judge, server):
    for server.left, known in ((9, 9), (16, 25)):
        a, b = killed(lambda folder, known=known: len(journalled(folder)) == known)
        assert not output(a).exists()
    noted, before, server.left = journalled(a), len(server.asked), sys.maxsize
    assert len(set(noted)) == 25 and before <= 25 + 2 * 4  # those under way at a kill aren't known of
    outcome = judge(a, b)
    assert outcome.code == 0 and len(server.asked) == before + CALLS - len(noted)
    assert f"{CALLS - len(noted)} calls to rule ({len(noted)} were made before)" in outcome.err
    interrupted = output(a).read_bytes()
    assert judge(a, b, overwrite=True).code == 0 and output(a).read_bytes() == interrupted
    assert len(server.asked) == before + 2 * CALLS - len(noted)


def test_killed_as_it_writes_all_calls_are_behind_it(killed, judge, server):
    a, b = killed(lambda folder: output(folder).exists())
    assert len(server.asked) == CALLS
    assert judge(a, b).code == 0 and len(server.asked) == CALLS
    assert verdicts(a) == ["A"] * (CALLS // 2) and scores_of(a)["win_rate"].value == 100
    assert not output(a, "journal").exists()


@pytest.mark.slow
def test_other_settings_are_refused_and_named(judge, model, server):
    a, b = model("a", [GOOD, GOOD]), model("b", [PLAIN, PLAIN])
    server.trouble = {"问题1：": [400, 400]}
    assert judge(a, b).code == 3
    for done in (False, True):
        calls = len(server.asked)
        for flags, message in (
            ({"judge_model": "other"}, "judge model was 'rule' and is 'other'"),
            ({"temperature": "0.5"}, "temperature was 0.0 and is 0.5"),
            ({"max_tokens": "100"}, "max_tokens was 1024 and is 100"),
            ({"samples": "2", "temperature": "1"}, "samples was 1 and is 2"),
        ):
            outcome = judge(a, b, **flags)
            assert outcome.code == 2 and message in outcome.err and "--overwrite" in outcome.err and not outcome.out
        text = output(b, "jsonl", "mieval_zh.inference").read_text()
        model("b", [PLAIN, GOOD])
        assert "answers B sha256 was" in judge(a, b).err
        output(b, "jsonl", "mieval_zh.inference").write_text(text)
        assert len(server.asked) == calls
        if not done:
            assert judge(a, b, concurrency="1", price_in="1", price_out="1").code == 0
    shown = judge(a, b)
    assert shown.code == 0 and cell(shown, "wins of A (a)").startswith("2: ") and len(server.asked) == calls
    assert judge(a, b, temperature="0.5", overwrite=True).code == 0 and len(server.asked) == calls + 4


def test_several_datasets_are_judged_by_one_command_which_goes_on(judge, model, server):
    for name, text in (("a", GOOD), ("b", PLAIN)):
        model(name, [text] * 3, dataset="mieval_zh[3:6]")
    a, b = model("a", [GOOD] * 2), model("b", [PLAIN] * 2)
    server.trouble = {"问题2：": [401]}
    both = "mieval_zh,mieval_zh[3:6]"
    outcome = judge(a, b, dataset=both, concurrency=1, overwrite=True)
    assert outcome.code == 2 and len(server.asked) == 4 + 5
    outcome = judge(a, b, dataset=both, concurrency=1, overwrite=True)
    assert outcome.code == 0 and len(server.asked) == 4 + 5 + 2
    assert verdicts(a) == ["A"] * 2 and verdicts(a, "mieval_zh.rows3to6.judge.b") == ["A"] * 3
    assert outcome.out.splitlines()[0].split() == ["mieval_zh", "mieval_zh[3:6]"]


def test_two_runs_don_t_judge_at_once(judge, model, server):
    a, b = model("a", [GOOD]), model("b", [PLAIN])
    output(a, "journal").mkdir()
    with filelock.FileLock(output(a, "journal/lock")):
        outcome = judge(a, b)
    assert outcome.code == 2 and "another process is writing to" in outcome.err and not server.asked


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "doesn't take the key (401); it is read from OPENAI_API_KEY"),
        (403, "forbids asking rule (403)"),
        (404, "knows no model rule"),
    ],
)
def test_an_endpoint_that_lets_nobody_in_ends_it_at_once(judge, model, server, status, message):
    server.trouble = {"": [status] * 99}
    a, b = model("a", [GOOD] * 20), model("b", [PLAIN] * 20)
    outcome = judge(a, b)
    assert outcome.code == 2 and message in outcome.err.splitlines()[-1] and not outcome.out
    assert len(server.asked) < 10 and SECRET not in outcome.err
    assert not list(a.glob("test/*judge*"))


def test_an_endpoint_that_isn_t_there_or_answers_nothing_is_given_up(judge, model, server):
    a, b = model("a", [GOOD] * 20), model("b", [PLAIN] * 20)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    outcome = judge(a, b, judge_url=url)
    assert outcome.code == 2 and f"rule at {url} has answered no call: no connection in 2 tries" in outcome.err
    server.trouble = {"": ["<html>"] * 99}
    outcome = judge(a, b, retries=0)
    assert outcome.code == 2 and "no usable reply in 1 tries: its body begins with '<html>'" in outcome.err
    assert len(server.asked) < 20 and not list(a.glob("test/*judge*"))


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(judge, model, server, monkeypatch, tmp_path):
    a, b = model("a", [GOOD, GOOD]), model("b", [PLAIN, PLAIN])
    server.trouble = {"问题1：": [400, 400]}
    outcome = judge(a, b)
    assert server.keys == {f"Bearer {SECRET}"} and outcome.code == 3
    assert SECRET not in outcome.out + outcome.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 10 and not any(SECRET.encode() in path.read_bytes() for path in files)
    monkeypatch.delenv("OPENAI_API_KEY")  # a local server asks for none
    assert judge(a, b).code == 0
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\u2028x")
    outcome = judge(a, b)
    assert outcome.code == 2 and "OPENAI_API_KEY holds characters that no key has" in outcome.err


CONTEXT = "上下文：黑豹队的防守只丢了308分，在联赛中排名第六。\n问题：黑豹队丢了多少分？\n答案："


def test_one_model_s_answers_to_questions_are_right_or_wrong(judge, model, server):
    predictions = ["308", "他们丢了 308 分", "六", "", "The Panthers gave up 308 points, ranking sixth.", "mumble"]
    golds = [["308", "308分"]] * 6
    a = model("a", predictions, "xquad_zh", "qa", input=[CONTEXT] * 6, answers=golds)
    rule = server.text
    server.reply = None
    server.text = lambda prompt: "Hard to say." if "mumble" in prompt else rule(prompt)
    outcome = judge(a, dataset="xquad_zh")
    assert outcome.code == 3 and len(server.asked) == 4
    assert verdicts(a, "xquad_zh.judge") == ["YES", "YES", "NO", "NO", "NO", None]
    found = scores_of(a, "xquad_zh.judge")
    assert (found["judge_yes"].value, found["judge_yes"].count, found["parse_failures"].value) == (40, 5, 25)
    assert "protocol:yes-no" in found["judge_yes"].signature and "against" not in outcome.out
    assert cell(outcome, "right").startswith("2: 40.0 %") and cell(outcome, "wrong") == "3"
    [prompt] = [prompt for prompt in server.asked if part(prompt, "reader_answer") == "六"]
    assert CONTEXT in prompt and part(prompt, "accepted_answers") == "- 308\n- 308分" and "Chinese" in prompt


def test_what_equals_a_right_answer_is_judged_in_whatever_language_it_seems_to_be(judge, model, server):
    gold = "gone with the wind"
    answers = [gold, "Gone with the Wind.", "scattered by all those careless winds", "die Antwort ist also: " + gold]
    a = model("a", answers, "xquad_zh", "qa", input=[CONTEXT] * 4, answers=[[gold]] * 4)
    judge(a, dataset="xquad_zh")
    rows = read_jsonl(output(a, name="xquad_zh.judge"))
    assert [bool(row["gated"]) for row in rows] == [False, False, True, True]
    # of the second by the server's rule, which looks for the letters of a gold answer
    assert [row["verdict"] for row in rows] == ["YES", "NO", "NO", "NO"]
    b = model("b", ["", "", "", ""], "xquad_zh", "qa", input=[CONTEXT] * 4, answers=[[gold]] * 4)
    judge(a, b, dataset="xquad_zh")
    assert verdicts(a, "xquad_zh.judge.b") == ["A", "A", "tie", "tie"]


def test_samples_of_right_and_wrong_are_voted_on(judge, model, server):
    drawn = iter(["YES", "NO", "yes,", "**No**", "Yes", "NO doubt", "no: it isn't", "YES", "NO"])
    server.reply = lambda prompt: next(drawn)
    a = model("a", ["1", "2", "3"], "mlqa_zh", "mlqa", input=[CONTEXT] * 3, answers=[["308"]] * 3)
    judge(a, dataset="mlqa_zh", samples=3, temperature=1, concurrency=1)
    assert verdicts(a, "mlqa_zh.judge") == ["YES", "NO", "NO"]  # of the second, one says neither


@pytest.mark.parametrize(
    ("words", "flags", "message"),
    [
        (["a"], {}, "has the task None; one model's answers are judged where they are right or wrong"),
        (["a", "b", "c"], {}, "judge takes two models to compare, or one; here are 3"),
        ([], {}, "judge needs MODELS"),
        (["a", "a"], {}, "a and a are the same model"),
        (["a", "./a"], {}, "a and ./a are the same model"),
        (["a", "nowhere"], {}, "unknown model 'nowhere'"),
        (["a", "b"], {"dataset": "mieval_el"}, "unknown answered dataset of a 'mieval_el'; did you mean mieval_zh?"),
        (["a", "b"], {"dataset": "mieval_zh,"}, "unknown answered dataset of a ''"),
        (["a", "c"], {}, "a and c have answered different rows of mieval_zh; answer them again"),
        (
            ["a", "b"],
            {"judge_url": "127.0.0.1:8000"},
            "--judge_url 127.0.0.1:8000: it must be an address such as http://",
        ),
        (["a", "b"], {"judge_url": "ftp://x/v1"}, "--judge_url ftp://x/v1: it must be"),
        (["a", "b"], {"judge_url": "http://"}, "it must be an address"),
        (["a", "b"], {"judge_url": "http://x:99999/v1"}, "it must be an address"),
        (["a", "b"], {"judge_url": "http://[::1/v1"}, "it must be an address"),
        (["a", "b"], {"judge_url": "http://x y/v1"}, "it must be an address"),
        (
            ["a", "b"],
            {"judge_url": f"http://me:{SECRET}@x/v1"},
            "a key belongs into the environment, as OPENAI_API_KEY",
        ),
        (["a", "b"], {"judge_url": f"http://x/v1?key={SECRET}"}, "holds more than an address"),
        (["a", "b"], {"judge_model": " "}, "--judge_model is empty"),
        (["a", "b"], {"samples": "0"}, "--samples 0: it must be a whole number, 1 or more"),
        (["a", "b"], {"samples": "3"}, "--samples 3 would all be the same at temperature 0; as: --temperature 1"),
        (["a", "b"], {"temperature": "warm"}, "--temperature warm: it must be a number from 0 to 2"),
        (["a", "b"], {"temperature": "nan"}, "--temperature nan: it must be"),
        (["a", "b"], {"temperature": "2.5"}, "--temperature 2.5: it must be"),
        (["a", "b"], {"max_tokens": "many"}, "--max_tokens many: it must be"),
        (["a", "b"], {"concurrency": "0"}, "--concurrency 0: it must be"),
        (["a", "b"], {"timeout": "0"}, "--timeout 0: it must be a number above 0"),
        (["a", "b"], {"retries": "-1"}, "--retries -1: it must be a whole number, 0 or more"),
        (["a", "b"], {"price_in": "1"}, "--price_out is missing"),
        (["a", "b"], {"price_in": "free", "price_out": "1"}, "--price_in free: it must be"),
        (["a", "b" * 240], {}, "bytes, 255 at most"),
        (["a", "torn"], {}, "torn/test/mieval_zh.inference.jsonl, line 1: "),
    ],
)
def test_mistakes_are_one_line_before_any_call(judge, model, server, tmp_path, monkeypatch, words, flags, message):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "torn", "b" * 240):
        model(name, [GOOD, PLAIN])
    model("c", [PLAIN])
    path = output(tmp_path / "torn", "jsonl", "mieval_zh.inference")
    path.write_text(path.read_text()[:30])
    outcome = judge(*words, **flags)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1 and not outcome.out
    assert not server.asked and SECRET not in outcome.err and not list(tmp_path.rglob("*judge*"))


def test_without_the_client_it_says_what_to_install(judge, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    outcome = judge(model("a", [GOOD]), model("b", [PLAIN]))
    assert (
        outcome.code == 2 and outcome.err == "xllm: judge needs the package openai: pip install 'xllm-toolkit[judge]'\n"
    )


@pytest.mark.parametrize("wraps", [True, False])
def test_a_reasoning_model_is_asked_as_it_wants_to_be(judge, model, server, wraps):
    server.wraps = wraps
    a, b = model("a", [GOOD, PLAIN]), model("b", [PLAIN, GOOD])
    server.refused = ["max_tokens", "temperature"]
    outcome = judge(a, b)
    assert outcome.code == 2 and outcome.err.count("--temperature default leaves it to the judge") == 1
    assert "Unsupported parameter: 'temperature'" in outcome.err and SECRET not in outcome.err
    server.bodies.clear()
    outcome = judge(a, b, samples=2, temperature="default", concurrency=1)
    assert outcome.code == 0, outcome.err
    first, *others = server.bodies
    assert "max_tokens" in first and {"max_completion_tokens": 1024}.items() <= others[0].items()
    assert not any("max_tokens" in body or "temperature" in body for body in others)
    assert judge(a, b, samples=2, temperature="default").code == 0 and len(server.bodies) == len(others) + 1
    assert "|temp:default|" in scores_of(a)["win_rate"].signature and verdicts(a) == ["A", "B"]
