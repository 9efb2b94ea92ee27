"""Which rows are answered by labels, how, and the reference's rule for the likeliest."""

import shutil

import pytest
import torch

from xllm.artifacts import scores
from xllm.cli import read
from xllm.files import read_json, read_jsonl, write_jsonl
from xllm.inference.flags import InferFlags
from xllm.models.load import load_model, load_tokenizer
from xllm.templates import alpaca

SCRIPT = """
import datasets

class Config(datasets.BuilderConfig):
    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.lang = config

class Nli(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = Config

    def _info(self):
        return datasets.DatasetInfo(features=datasets.Features(
            {name: datasets.Value("string") for name in ("id", "instruction", "input", "output")}
        ))

    def _split_generators(self, manager):
        return [datasets.SplitGenerator("test", {"outputs": ["entailment", "neutral", "contradiction", "neutral"]})]

    def _generate_examples(self, outputs):
        for key, output in enumerate(outputs):
            text = "He sleeps. " * (1 + 9 * key)
            yield key, {"id": key, "instruction": "Does it follow?", "input": text, "output": output}
"""
LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture
def model(llama, tmp_path):
    return shutil.copytree(llama, tmp_path / "model")


@pytest.fixture
def infer(cli, model):
    def run(dataset, *flags):
        outcome = cli("infer", model, dataset, *flags)
        path = model / "test" / f"{dataset.replace('[:3]', '.first3')}.inference.jsonl"
        return outcome, read_jsonl(path) if path.exists() else []

    return run


@pytest.fixture
def nli(root):
    """A dataset without labels or a TASK, as the reference's are, beside the sample data."""
    from tests.conftest import SAMPLE

    for name in ("xquad", "xcopa", "pawsx"):
        shutil.copytree(SAMPLE / name, root / name)
    (root / "nli").mkdir()
    (root / "nli" / "nli.py").write_text(SCRIPT)
    return "nli_en"


@pytest.mark.parametrize(
    ("dataset", "flags", "mode", "told"),
    [
        ("xcopa_zh", [], "score", "xcopa_zh: answered by the likeliest label (--labels score); --labels free writes"),
        ("xcopa_zh", ["--labels", "score"], "score", None),
        ("xcopa_zh", ["--labels", "constrain"], "constrain", None),
        ("xcopa_zh", ["--labels", "free", "--max_new_tokens", "2"], None, None),
        ("xquad_zh[:3]", ["--max_new_tokens", "2"], None, None),
        ("xquad_zh[:3]", ["--labels", "free", "--max_new_tokens", "2"], None, None),
    ],
)
def test_rows_with_labels_are_scored_unless_told_otherwise(infer, model, sample, dataset, flags, mode, told):
    outcome, rows = infer(dataset, *flags)
    assert outcome.code == 0 and rows
    assert (told in outcome.err) if told else "likeliest label" not in outcome.err
    assert all(("label_scores" in row) == (mode == "score") for row in rows)
    assert mode is None or all(row["prediction"] in row["labels"] for row in rows)
    [facts] = (model / "test").glob("*.run.json")
    assert read_json(facts)["labels"] == mode and "labels_given" not in read_json(facts)


def test_labels_are_given_to_a_dataset_that_has_none(cli, infer, model, nli):
    outcome, rows = infer(nli, "--labels", *LABELS, "--evaluate", "--lang", "en")
    assert outcome.code == 0 and "accuracy_reference" in outcome.out
    assert [row["labels"] for row in rows] == [list(LABELS)] * 4
    assert all(list(row["label_scores"]) == list(LABELS) for row in rows)
    facts = read_json(model / "test" / f"{nli}.run.json")
    assert (facts["labels"], facts["labels_given"]) == ("score", list(LABELS))
    assert facts["mixture"]["terms"][0]["task"] == "label"
    assert cli("evaluate", model, nli).code == 0


def test_a_mixture_scores_the_rows_that_have_labels_and_answers_the_others(infer, nli):
    outcome, rows = infer("xcopa_zh+xquad_zh[:3]".replace("[:3]", ""), "--max_new_tokens", "2", "--evaluate")
    assert outcome.code == 0 and "xcopa_zh: answered by the likeliest label" in outcome.err
    for row in rows:
        assert ("label_scores" in row) == ("labels" in row) == (row["from"] == "xcopa_zh")
        assert "cut" in row or row["from"] == "xcopa_zh"
    assert "exact_match" in outcome.out and "accuracy_per_byte" in outcome.out
    outcome, given = infer(f"xcopa_zh+{nli}", "--labels", *LABELS)
    assert outcome.code == 0 and {tuple(row["labels"]) for row in given if row["from"] == nli} == {LABELS}
    assert [row["label_scores"] for row in given if row["from"] == "xcopa_zh"] == [
        row["label_scores"] for row in rows if row["from"] == "xcopa_zh"
    ]


def test_a_run_goes_on_with_the_labels_that_it_began_with(cli, model, nli, monkeypatch):
    from xllm.inference import answering

    def stop(*_):
        raise KeyboardInterrupt

    words = ("infer", model, nli, "--batch_size", "1", "--labels")
    with monkeypatch.context() as patch:
        patch.setattr(answering.Journal, "sync", stop)
        assert cli(*words, *LABELS).code == 130
    for flags in (("entailment", "neutral", "contradiction", "none"), ("free",)):
        outcome = cli(*words, *flags)
        assert outcome.code == 2 and "settings" in outcome.err
    assert cli(*words, *LABELS).code == 0


def reference(model, tokenizer, prompt, labels):
    """The label that x-LLM's code takes, and the exponent of each: the mean of the cross-entropy of all tokens of
    prompt and label, but for the first, in a batch of one."""
    means = []
    for label in labels:
        ids = torch.tensor([tokenizer(prompt + label).input_ids])
        with torch.no_grad():
            logits = model(input_ids=ids).logits
        losses = torch.nn.CrossEntropyLoss(reduction="none")(logits[:, :-1].transpose(1, 2), ids[:, 1:])
        means.append(float(losses.sum(1) / (ids.shape[1] - 1)))
    return labels[means.index(min(means))], means


def test_the_reference_s_rule_is_that_of_its_loop(infer, model, nli):
    _, rows = infer(nli, "--labels", *LABELS, "--evaluate")
    plain, tokenizer = load_model(str(model), torch.float32), load_tokenizer(str(model))
    chosen = []
    for row in rows:
        best, means = reference(plain, tokenizer, alpaca(row["instruction"], row["input"]), LABELS)
        found = [row["label_scores"][label]["reference"] for label in LABELS]
        assert found == pytest.approx([-mean for mean in means], abs=1e-5)
        chosen.append(best)
    [scored] = scores.read(model / "test" / f"{nli}.metrics.json")[1]
    values = {score.metric: score.value for score in scored.scores}
    right = [best == row["output"] for best, row in zip(chosen, rows, strict=True)]
    assert values["accuracy_reference"] == 100 * sum(right) / len(rows)
    assert {"accuracy", "accuracy_per_token", "accuracy_per_byte"} <= set(values)


def test_answers_of_earlier_versions_have_no_such_score(cli, infer, model, sample):
    _, rows = infer("xcopa_zh")
    for row in rows:
        for score in row["label_scores"].values():
            del score["reference"]
    write_jsonl(model / "test" / "xcopa_zh.inference.jsonl", rows)
    outcome = cli("evaluate", model, "xcopa_zh")
    assert outcome.code == 0 and "accuracy_per_byte" in outcome.out and "accuracy_reference" not in outcome.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["nli_en", "--labels", "entailment"],
            "unknown value of --labels 'entailment'; did you mean constrain? (or several that",
        ),
        (["nli_en", "--labels", "yes", "yes"], "--labels 'yes' 'yes': they must be texts that differ, none empty"),
        (["nli_en", "--labels", "yes", "yes "], "--labels 'yes' 'yes ': they must be texts that differ, none empty"),
        (["nli_en", "--labels", "yes", ""], "--labels 'yes' '': they must be texts that differ, none empty"),
        (["nli_en", "--labels", "yes", "\u200b"], "they must be texts that differ, none empty"),
        (["nli_en", "--labels", "yes", "no"], "row 0 of nli_en has the output 'entailment', none of them"),
        (["nli_en", "--labels", "score"], "nli_en has none; its loading script gives no column 'labels'; give them"),
        (["xcopa_zh+nli_en", "--labels", "score"], "nli_en has none; its loading script gives no column 'labels'"),
        (["pawsx_en", "--labels", "yes", "no"], "--labels yes no: the rows of pawsx_en have labels of their own"),
        (["pawsx_en", "--max_new_tokens", "2"], "no label is cut; --labels free writes answers"),
        (
            ["pawsx_en", "--num_beams", "2"],
            "--labels score writes nothing: --do_sample and --num_beams have no effect; ",
        ),
        (["pawsx_en", "--do_sample"], "--do_sample and --num_beams have no effect; --labels free writes answers"),
        (["pawsx_en", "--labels", "free", "yes", "no"], "cannot place 'yes'"),
        (["pawsx_en", "--labels"], "--labels needs a value"),
        (["pawsx_en", "--evaluate", "perplexity"], "cannot place 'perplexity' on the command line; rows with labels"),
        (["pawsx_en", "--output_file", "x"], "--output_file: answers are in test/ of the model's folder"),
    ],
)
def test_mistakes_are_one_line(cli, model, nli, words, message):
    outcome = cli("infer", model, *words)
    assert outcome.code == 2 and message in outcome.err.splitlines()[-1] and not (model / "test").exists()


def test_vllm_answers_freely_and_says_so(model, nli):
    from xllm.inference.labels import chosen
    from xllm.mixture.load import load_mixture

    for words, labels, told in (
        (
            ["--engine", "vllm"],
            None,
            "pawsx_en: answered freely, since --engine vllm scores no labels; --engine hf does",
        ),
        (
            [],
            "score",
            "pawsx_en: answered by the likeliest label (--labels score); --labels free writes answers instead",
        ),
    ):
        flags = read("infer", InferFlags, [str(model), "pawsx_en", *words])
        mode, _ = chosen(flags, load_mixture("pawsx_en", "test"))
        assert (mode.labels, mode.told) == (labels, told)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["--labels", "score", "m", "d"], "score"),
        (["m", "d", "--labels", "a", "b", "--split", "train"], ("a", "b")),
        (["m", "d", "--labels", "not at all", "a, b", "-1"], ("not at all", "a, b", "-1")),
        (["m", "d", "--labels", "paid", "free"], ("paid", "free")),
        (["m", "d", "--labels=free"], "free"),
        (["m", "d", "--labels", "a", "b", "--labels", "free"], "free"),
        (["m", "d"], None),
    ],
)
def test_labels_are_what_follows_the_flag(line, found, tmp_path):
    flags = read("infer", InferFlags, line)
    assert flags.labels == found and (flags.model, flags.dataset) == ("m", "d")
    if isinstance(found, tuple):
        (tmp_path / "flags.yaml").write_text(f"model: m\ndataset: d\nlabels: {list(found)!r}\n")
        assert read("infer", InferFlags, ["--config", str(tmp_path / "flags.yaml")]).labels == found
