"""Closed sets of answers: nothing else is written, and each is as likely as the model says."""

import itertools
import json
import shutil

import pytest
import torch
from tokenizers import normalizers

from tests.conftest import save_llama
from tests.vocabularies import FAMILIES, family
from xllm.artifacts import scores
from xllm.files import read_jsonl
from xllm.inference.constrained import Trie, after_prompts
from xllm.models.load import load_model, load_tokenizer
from xllm.templates import alpaca, encode_prompts


@pytest.fixture
def model(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "model")


@pytest.fixture
def infer(cli, model, sample):
    def run(dataset, *flags):
        outcome = cli("infer", model, dataset, *flags)
        path = model / "test" / f"{dataset}.inference.jsonl"
        return outcome, read_jsonl(path) if path.exists() else []

    return run


SETS = ("xnli_zh", "pawsx_en", "xcopa_zh", "xwinograd_en", "belebele_zh", "mmlu_all", "ceval_all")


@pytest.mark.slow
@pytest.mark.parametrize("dataset", SETS)
def test_nothing_but_a_label_is_written(infer, dataset):
    split = "validation" if dataset == "ceval_all" else "test"
    outcome, rows = infer(dataset, "--labels", "constrain", "--split", split)
    assert outcome.code == 0 and rows
    assert all(row["prediction"] in row["labels"] for row in rows)


def likelihood(model, tokenizer, prompt, label):
    """By hand, without anything shared: of the label's tokens after the prompt's."""
    start = len(tokenizer(prompt).input_ids)
    ids = torch.tensor([tokenizer(prompt + label).input_ids])
    with torch.no_grad():
        said = model(ids).logits[0].log_softmax(-1)
    return sum(float(said[place - 1, ids[0, place]]) for place in range(start, ids.shape[1])), ids.shape[1] - start


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["xcopa_zh", "mmlu_all"])
def test_scores_are_those_of_the_plain_recomputation(infer, model, dataset):
    outcome, rows = infer(dataset, "--labels", "score")
    assert outcome.code == 0
    plain, tokenizer = load_model(str(model), torch.float32), load_tokenizer(str(model))
    for row in rows:
        prompt = alpaca(row["instruction"], row["input"])
        assert list(row["label_scores"]) == row["labels"]
        for label, found in row["label_scores"].items():
            total, tokens = likelihood(plain, tokenizer, prompt, label)
            assert found["sum"] == pytest.approx(total, abs=1e-4)
            assert found["per_token"] == pytest.approx(total / tokens, abs=1e-4)
            assert found["per_byte"] == pytest.approx(total / len(label.encode()), abs=1e-4)
        assert row["prediction"] == max(row["labels"], key=lambda label: row["label_scores"][label]["sum"])


def test_the_labels_of_a_row_share_its_prompt(infer, model, monkeypatch):
    """The tokens that go through the model: each prompt but once, whatever the number of its labels."""
    from xllm.packing import prefix_tree

    read = []
    logits = prefix_tree.logits
    monkeypatch.setattr(
        prefix_tree, "logits", lambda model, asked, *more: read.append(len(asked.ids)) or logits(model, asked, *more)
    )
    _, rows = infer("mmlu_all", "--labels", "score")
    tokenizer = load_tokenizer(str(model))
    prompts = encode_prompts([(row["instruction"], row["input"]) for row in rows], "alpaca", tokenizer)
    assert sum(read[1:]) < sum(map(len, prompts)) / 2  # rows share their examples, too; the first is the trial


def test_accuracy_is_the_share_of_right_labels(infer, cli, model):
    outcome, rows = infer("xcopa_zh", "--labels", "score", "--evaluate")
    [path] = (model / "test").glob("*.metrics.json")
    [scored] = scores.read(path)[1]
    values = {score.metric: score.value for score in scored.scores}
    right = sum(row["prediction"] == row["output"] for row in rows)
    assert values["accuracy"] == pytest.approx(100 * right / len(rows))
    per_byte = sum(
        max(row["labels"], key=lambda text: row["label_scores"][text]["per_byte"]) == row["output"] for row in rows
    )
    assert values["accuracy_per_byte"] == pytest.approx(100 * per_byte / len(rows))
    assert "accuracy_per_token" in outcome.out


@pytest.fixture
def picks(root):
    """A dataset of rows, each a question and its labels."""

    def make(*rows):
        (root / "picks").mkdir(exist_ok=True)
        (root / "picks" / "picks.py").write_text(SCRIPT.replace("ROWS", repr(list(rows))))
        return "picks_x"

    return make


SCRIPT = """
import datasets
from xllm.loading import multiple_choice

class PicksConfig(datasets.BuilderConfig):
    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.language = "en"

class Picks(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = PicksConfig
    TASK = "label"

    def _info(self):
        return datasets.DatasetInfo(features=multiple_choice.FEATURES)

    def _split_generators(self, dl_manager):
        return [datasets.SplitGenerator(name=datasets.Split.TEST)]

    def _generate_examples(self):
        for number, (question, labels) in enumerate(ROWS):
            yield multiple_choice.record(number, (question, ""), labels[0], labels)
"""


@pytest.mark.parametrize(
    ("labels", "mode", "message"),
    [
        (("yes", "yes "), "constrain", "texts that differ"),
        (("yes", ""), "score", "none empty"),
        (("yes", "yes"), "constrain", "texts that differ"),
    ],
)
def test_labels_that_can_t_be_told_apart_are_refused(cli, model, picks, labels, mode, message):
    outcome = cli("infer", model, picks(("Which?", labels)), "--labels", mode)
    assert outcome.code == 2 and message in outcome.err and not (model / "test").exists()


LABELS = (
    ("Nora", "Anna", "the"),  # Qwen's and Gemma's take the colon with them
    ("Nora", "Nor", "N"),  # each begins another, also in tokens
    ("neutral", "neutrality"),
    ("A", "A and B", "B"),
    ("Yes", "yes", " yes, of course"),
    ('"a"', '"b"', "\u0301c"),
    ("中文", "中", "他的"),
    ("إيجابي", "سلبي", "محايد"),
    ("😀", "🙂", "🙂🙂"),
)
ENDS = ("Which?", "Which? ", "Which?\n\n", "### Response:", "Which?\u3000")


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "unigram"])  # which knows no Arabic
def test_every_label_can_be_chosen_whatever_the_prompt_ends_in(name):
    tokenizer = family(name)
    for labels in LABELS:
        rows = after_prompts(list(ENDS), {end: list(labels) for end in ENDS}, "raw", tokenizer)
        [back] = after_prompts(ENDS[:1], {"": list(labels[::-1])}, "raw", tokenizer)
        assert back == rows[0][::-1]
        for row, end in zip(rows, ENDS, strict=True):
            trie = Trie(row, [tokenizer.eos_token_id, 7])
            for label in row:
                assert [label.ids[: label.start]] == encode_prompts([(end, "")], "raw", tokenizer)
                for place, token in enumerate(label.tokens):
                    assert token in trie.after(label.tokens[:place])
                last = trie.after(label.tokens)
                assert {tokenizer.eos_token_id, 7} <= set(last) if label.begins_another else last == []
                assert trie.text(label.tokens) == trie.text([*label.tokens, 7]) == label.text


@pytest.mark.parametrize("name", ["qwen", "gemma", "llama"])
def test_the_order_of_labels_never_matters_and_scores_are_those_of_their_own_tokens(cli, picks, tmp_path, name):
    model = tmp_path / "model"
    save_llama(model, family(name))
    orders = [(ask, order) for ask in ENDS for labels in LABELS[:4] for order in itertools.permutations(labels)]
    dataset, found = picks(*orders), {}
    for mode in ("score", "constrain"):
        words = (model, dataset, "--labels", mode, "--template", "raw", "--overwrite")
        assert cli("infer", *words).code == 0
        found[mode] = read_jsonl(model / "test" / f"{dataset}.inference.jsonl")
        chosen = {(row["instruction"], *sorted(row["labels"]), row["prediction"]) for row in found[mode]}
        assert len(chosen) == len(ENDS) * 4  # one for each set of labels after each prompt
    plain, tokenizer = load_model(str(model), torch.float32), load_tokenizer(str(model))
    for row in {(row["instruction"], *sorted(row["labels"])): row for row in found["constrain"]}.values():
        ways = [by_hand(tokenizer, row["instruction"], label, row["labels"]) for label in row["labels"]]
        assert row["prediction"] == row["labels"][written(plain, *zip(*ways, strict=True))]
    for row in {(row["instruction"], *sorted(row["labels"])): row for row in found["score"]}.values():
        for label in row["labels"]:
            ids, start = by_hand(tokenizer, row["instruction"], label, row["labels"])
            assert row["label_scores"][label]["sum"] == pytest.approx(sum_of(plain, ids, start), abs=1e-4)
            assert row["label_scores"][label]["per_token"] == pytest.approx(
                sum_of(plain, ids, start) / (len(ids) - start), abs=1e-4
            )


def by_hand(tokenizer, ask, label, labels):
    """The prompt's own ids, and the label's as it follows a digit, with eos where it begins another."""
    asked, before = ask.rstrip(), tokenizer("1", add_special_tokens=False).input_ids
    blanks = ask[len(asked) :]

    def after(text):
        ids = tokenizer(f"1{blanks}{text}", add_special_tokens=False).input_ids
        assert ids[: len(before)] == before
        return ids[len(before) :]

    start, own = tokenizer(asked).input_ids, after(label)
    ends = any(after(other)[: len(own)] == own for other in labels if other != label)
    return [*start, *own, *[tokenizer.eos_token_id] * ends], len(start)


def written(model, ways, starts):
    """Token by token, the likeliest that goes on with one of the ways: which one it comes to."""
    begun = ways[0][: starts[0]]
    while begun not in ways:
        allowed = sorted({ids[len(begun)] for ids in ways if ids[: len(begun)] == begun})
        with torch.no_grad():
            said = model(torch.tensor([begun])).logits[0, -1]
        begun = [*begun, allowed[int(said[allowed].argmax())]]
    return ways.index(begun)


def sum_of(model, ids, start):
    with torch.no_grad():
        said = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(float(said[place - 1, ids[place]]) for place in range(start, len(ids)))


@pytest.mark.parametrize("mode", ["score", "constrain"])
def test_whole_sets_whose_labels_share_a_token_with_the_prompt(cli, sample, tmp_path, mode):
    """`:A` is a token: all letters are answered by their own."""
    save_llama(tmp_path / "model", family("qwen"), window=4096)
    for dataset in ("belebele_en", "mmlu_all"):
        outcome = cli("infer", tmp_path / "model", dataset, "--labels", mode)
        assert outcome.code == 0, outcome.err
        rows = read_jsonl(tmp_path / "model" / "test" / f"{dataset}.inference.jsonl")
        assert rows and all(row["prediction"] in row["labels"] for row in rows)


def test_a_label_with_a_token_that_ends_answers_can_only_be_scored(cli, picks, tmp_path):
    save_llama(tmp_path / "model", family("qwen"))
    line = family("qwen")("\n").input_ids
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps({"eos_token_id": line}))
    words = ("infer", tmp_path / "model", picks(("Which?", ("one", "a line\nor two"))), "--labels")
    outcome = cli(*words, "constrain")
    assert outcome.code == 2 and "'a line\\nor two' has a token that ends the model's answers" in outcome.err
    assert not (tmp_path / "model" / "test" / "picks_x.inference.jsonl").exists()
    assert cli(*words, "score").code == 0


def test_a_tie_doesn_t_go_by_the_order(cli, picks, tmp_path):
    save_llama(tmp_path / "model", family("qwen"))
    model = load_model(str(tmp_path / "model"), torch.float32)
    model.lm_head.weight.data.zero_()  # all words are alike
    model.save_pretrained(tmp_path / "model")
    dataset = picks(*[("Which?", order) for order in itertools.permutations("ABC")])
    for mode in ("score", "constrain"):
        assert cli("infer", tmp_path / "model", dataset, "--labels", mode, "--overwrite", "--evaluate").code == 0
        rows = read_jsonl(tmp_path / "model" / "test" / f"{dataset}.inference.jsonl")
        assert len({row["prediction"] for row in rows}) == 1
        scored = json.loads((tmp_path / "model" / "test" / f"{dataset}.metrics.json").read_text())
        shares = [row["value"] for row in scored if row["metric"].startswith("accuracy")]
        assert shares == pytest.approx([100 / 3] * len(shares), abs=0.01)


def test_a_row_that_asks_nothing_fails_alone(cli, picks, tmp_path):
    save_llama(tmp_path / "model", family("qwen"))  # which puts no bos in front
    words = (tmp_path / "model", picks(("", ("A", "B")), ("Which?", ("A", "B"))), "--labels", "score")
    assert cli("infer", *words, "--template", "raw").code == 3
    first, second = read_jsonl(tmp_path / "model" / "test" / "picks_x.inference.jsonl")
    assert "failed" in first and second["prediction"] in ("A", "B")


@pytest.mark.parametrize(
    ("normalizer", "labels"),
    [
        (normalizers.NFKC(), ("Ａ", "A")),
        (normalizers.Lowercase(), ("yes", "no", "Yes")),
        (None, ("猫", "鳥")),
    ],
)
@pytest.mark.parametrize("mode", ["constrain", "score"])
def test_labels_that_are_the_same_tokens_are_refused_by_name(cli, picks, tmp_path, mode, normalizer, labels):
    tokenizer = family("unigram")
    if normalizer is not None:
        tokenizer.backend_tokenizer.normalizer = normalizer
    save_llama(tmp_path / "model", tokenizer)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"not read")  # it is told before
    outcome = cli("infer", tmp_path / "model", picks(("Which?", labels)), "--labels", mode)
    told = outcome.err.splitlines()[-1]
    assert outcome.code == 2 and told.startswith("xllm: row 0 of picks_x (id 0)") and "Traceback" not in outcome.err
    assert f"the labels {labels[0]!r} and {labels[-1]!r} are the same tokens" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["xquad_en", "--labels", "score"], "has none; its loading script gives no column 'labels'"),
        (["xcopa_zh", "--labels", "guess"], "unknown value of --labels 'guess'"),
        (["xcopa_zh", "--labels", "score", "--num_beams", "2"], "--labels score writes nothing"),
    ],
)
def test_mistakes_are_one_line(infer, model, words, message):
    outcome, _ = infer(*words)
    assert outcome.code == 2 and message in outcome.err and not (model / "test").exists()


@pytest.mark.slow
def test_scores_agree_with_lm_evaluation_harness(infer, model, monkeypatch):
    """The same requests, put to its log-likelihoods of Hugging Face models."""
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    pytest.importorskip("lm_eval")  # which has left Python 3.10
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    rows = [row for dataset in ("xcopa_zh", "belebele_en") for row in infer(dataset, "--labels", "score")[1]]
    tokenizer = load_tokenizer(str(model))
    harness = HFLM(
        pretrained=load_model(str(model), torch.float32),
        tokenizer=tokenizer,
        batch_size=1,
        device="cpu",
        add_bos_token=bool(tokenizer("").input_ids),
    )
    asked = [(alpaca(row["instruction"], row["input"]), label) for row in rows for label in row["labels"]]
    requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(asked)]
    expected = iter(harness.loglikelihood(requests, disable_tqdm=True))
    for row in rows:
        for label in row["labels"]:
            assert row["label_scores"][label]["sum"] == pytest.approx(next(expected)[0], abs=1e-4)
