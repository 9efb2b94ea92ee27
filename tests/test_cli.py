"""How every command reads its flags and shows its help."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

import pytest

from tests.conftest import HOME
from xllm.__main__ import COMMANDS
from xllm.cli import Flags, flag, options, read, switch, word, words
from xllm.errors import XllmError
from xllm.files import read_json
from xllm.training import recipe
from xllm.training.flags import TrainFlags

SNAPSHOTS = Path(__file__).parent / "help"
HEAVY = {"torch", "transformers", "datasets", "gradio", "sacrebleu", "numpy", "babel"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_as_it_was(cli, command):
    """With XLLM_UPDATE=1 in the environment, the snapshots are written again."""
    outcome, snapshot = cli(command, "--help"), SNAPSHOTS / f"{command}.txt"
    if os.environ.get("XLLM_UPDATE"):
        snapshot.write_text(outcome.out, encoding="utf-8")
    assert outcome.code == 0 and outcome.err == ""
    assert outcome.out == snapshot.read_text(encoding="utf-8")
    assert cli("help", command).out == cli(command, "nowhere", "--help").out == cli(command, "-h").out == outcome.out


def test_all_of_train_s_help_is_as_it_was(cli):
    outcome, snapshot = cli("train", "--help_all"), SNAPSHOTS / "train.all.txt"
    if os.environ.get("XLLM_UPDATE"):
        snapshot.write_text(outcome.out, encoding="utf-8")
    assert outcome.out == snapshot.read_text(encoding="utf-8") == cli("train", "--help-all").out
    assert "unknown flag '--help_all'" in cli("infer", "--help_all").err


def test_snapshots_are_of_commands_that_there_are():
    assert {path.stem for path in SNAPSHOTS.iterdir()} == {*COMMANDS, "train.all"}


def test_the_tasks_of_the_command_line_are_those_that_have_metrics():
    from xllm.evaluation import flags
    from xllm.evaluation.metrics import registry

    assert set(flags.TASKS) == set(registry.TASKS)


def test_help_imports_nothing_heavy():
    code = "import sys; from xllm.__main__ import main, COMMANDS\n"
    code += "for command in COMMANDS: main([command, '--help'])\nmain([]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_every_flag_once_and_in_one_line_of_its_own(cli, command):
    shown = [line.split()[0] for line in cli(command, "--help").out.splitlines() if line.startswith("  -")]
    kind = COMMANDS[command].load_flags()
    own = {f"-{own.name}" if len(own.name) == 1 else f"--{own.name}" for own in options(kind)}
    passed = {f"--{name}" for name in recipe.SHOWN} | {"--help_all"} if kind.passed_on else set()
    assert sorted(shown) == sorted(own | passed | {"--help"})


SAMPLES = {"int": "2", "float": "0.5", "str": "x"}


def sample(own) -> str:
    """A value that a flag takes."""
    if own.metadata["choices"]:
        return own.metadata["choices"][0]
    return next(value for kind, value in SAMPLES.items() if kind in str(own.type))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_that_help_lists_is_read_in_each_of_its_forms(command):
    kind = COMMANDS[command].load_flags()
    needed_words = [sample(own) for own in words(kind) if own.default is MISSING]
    required = [f"--{own.name}={sample(own)}" for own in options(kind) if own.default is MISSING]
    for own in (own for own in options(kind) if own.name != "config"):
        others = {
            name: next(other for other in options(kind) if other.name == name)
            for name in own.metadata.get("needs") or ()
        }
        line = [f"--{name}" + ("" if other.type is bool else f"={sample(other)}") for name, other in others.items()]
        needed = [*needed_words, *line]
        dashed = f"--{own.name.replace('_', '-')}"
        if own.type is bool:
            ways = [[f"--{own.name}"], [dashed, "True"], [f"--{own.name}=true"]]
            assert not getattr(read(command, kind, [*needed, *required, f"--{own.name}", "False"]), own.name)
        else:
            ways = [[f"--{own.name}", sample(own)], [f"{dashed}={sample(own)}"]]
        for way in ways:
            before, after = (
                read(command, kind, line) for line in ([*way, *needed, *required], [*needed, *required, *way])
            )
            assert getattr(before, own.name) == getattr(after, own.name) != MISSING
            assert getattr(after, own.name) == (own.type is bool or type(getattr(after, own.name))(sample(own)))
            assert after.settings[own.name] == getattr(after, own.name)


PASSED = {  # values of the flags that train hands on; switches take none
    "lr_scheduler_type": "linear",
    "lr_scheduler_kwargs": '{"num_cycles": 0.5}',
    "optim": "adamw_torch",
    "optim_args": "momentum=0.9",
    "report_to": "none",
    "max_steps": "1",
    "log_level": "error",
    "log_level_replica": "error",
    "run_name": "mine",
    "project": "ours",
    "activation_checkpointing_kwargs": '{"use_reentrant": false}',
    "seed": "1",
    "data_seed": "1",
    "warmup_steps": "1",
    "dataloader_num_workers": "1",
    "logging_steps": "2",
    "num_train_epochs": "1",
}
BESIDE = {  # flags that have an effect beside others alone
    "optim_args": ["--optim", "sgd"],
    "activation_checkpointing_kwargs": ["--activation_checkpointing"],
    "logging_first_step": ["--logging_steps", "2"],
}
# for machines, processes or packages that a test lacks
ELSEWHERE = ("bf16", "tf32", "fp16", "ddp_backend", "ddp_timeout", "log_level_replica", "run_name", "project")


def test_every_flag_that_train_passes_on_arrives(sample_data, llama):
    from xllm.training.request import read as request

    for name, own in (recipe.SHOWN | recipe.FURTHER).items():
        if name in ELSEWHERE:
            continue
        way = [f"--{name}"] if own.kind == "switch" else [f"--{name}", PASSED.get(name, "0.5")]
        flags = read("train", TrainFlags, [str(llama), "alpaca_en", "--name", "new", *way, *BESIDE.get(name, [])])
        arrived = getattr(request(flags).training, name)
        wanted = True if own.kind == "switch" else PASSED.get(name, "0.5")
        shown = arrived if own.kind == "switch" else getattr(arrived, "value", arrived)
        assert str(shown) in (str(wanted), str(wanted).removesuffix(".0")) or isinstance(shown, dict | list | float), (
            name
        )
        assert flags.settings[name] == ("True" if own.kind == "switch" else wanted)


def test_the_recipe_s_table_is_that_of_the_library():
    """Every flag is one of the library's, and a switch here where it is a boolean there."""
    from transformers import TrainingArguments

    types = {own.name: str(own.type) for own in fields(TrainingArguments)}
    for name, own in (recipe.SHOWN | recipe.FURTHER).items():
        assert (own.kind == "switch") == ("bool" in types[name] and "str" not in types[name]), name
    assert not (recipe.SHOWN | recipe.FURTHER).keys() & {own.name for own in options(TrainFlags)}


def test_what_help_says_of_the_recipe_is_so(sample_data, llama):
    from xllm.training.request import read as request

    training = request(read("train", TrainFlags, [str(llama), "alpaca_en", "--name", "new"])).training
    for name in (
        "lr_scheduler_type",
        "warmup_steps",
        "weight_decay",
        "max_grad_norm",
        "optim",
        "seed",
        "logging_steps",
    ):
        value = getattr(training, name)
        assert str(getattr(value, "value", value)) in (recipe.SHOWN[name].default, f"{recipe.SHOWN[name].default}.0")
    assert training.num_train_epochs == 3 and training.learning_rate == 2e-5  # of a small model
    large = recipe.defaults(13e9)
    assert large["num_train_epochs"] == 5 and large["learning_rate"] == 1e-5
    for name in ("adam_beta1", "adam_beta2", "adam_epsilon", "ddp_timeout"):
        assert float(recipe.FURTHER[name].default) == getattr(training, name)


@pytest.fixture
def sample_data(sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["trian"], "unknown command 'trian'; did you mean train?"),
        (["fetch", "smollm"], "unknown model 'smollm'; did you mean smollm2-135m?"),
        (["fetch", "smollm2-135m", "--forec"], "unknown flag '--forec'"),
        (["fetch", "smollm2-135m", "-p"], "unknown flag '-p'"),
        (["fetch"], "fetch needs NAME; see: xllm fetch --help"),
        (["fetch", "a/b", "c/d"], "cannot place 'c/d' on the command line"),
        (["judge", "a"], "judge needs --dataset"),
        (["train", "a", "b", "lora"], "METHOD lora: there are no adapters here, every weight is tuned"),
        (["train", "a", "b", "fintune"], "unknown value of METHOD 'fintune'; did you mean finetune"),
        (["train", "a", "b", "quick"], "unknown value of METHOD 'quick'; available: continue, finetune"),
        (["train", "a", "b", "--lora_r", "8"], "--lora_r: there are no adapters here"),
        (["train", "a", "b", "--use_peft"], "--use_peft: there are no adapters here"),
        (["train", "a", "b", "--load_in_4bit"], "--load_in_4bit: weights of few bits are for inference"),
        (["train", "a", "b", "--deepspeed", "x"], "--deepspeed: several processes shard the model by themselves"),
        (["train", "a", "b", "--fsdp-config", "x"], "--fsdp-config: several processes shard the model"),
        (["train", "a", "b", "--packing"], "--packing: rows are laid end to end without padding already"),
        (["train", "a", "b", "--max_seq_length", "9"], "--max_seq_length: the length limit is --model_max_length"),
        (["train", "a", "b", "--warmup_ratio", "0.1"], "--warmup_ratio: --warmup_steps below 1 is a share"),
        (["train", "a", "b", "--save_total_limit", "2"], "--save_total_limit: a checkpoint takes the place"),
        (["train", "a", "b", "--push_to_hub"], "--push_to_hub: a finished model is uploaded with: hf upload"),
        (
            ["train", "a", "b", "--label_smoothing_factor", "0.1"],
            "--label_smoothing_factor: the loss is the cross-entropy",
        ),
        (["train", "a", "b", "--neftune_noise_alpha", "5"], "--neftune_noise_alpha: noise on embeddings would go by"),
        (["train", "a", "b", "--learning_rat", "1"], "unknown flag '--learning_rat'; did you mean --learning_rate"),
        (["infer", "a", "b", "--limit", "0"], "--limit 0: it must be a whole number, 1 or more"),
        (["infer", "a", "b", "--limit", "1e3"], "--limit 1e3: it must be a whole number, 1 or more"),
        (["infer", "a", "b", "--limit", "１"], "--limit １: it must be a whole number, 1 or more"),
        (["infer", "a", "b", "--limit", "1_0"], "--limit 1_0: it must be a whole number, 1 or more"),
        (["infer", "a", "b", "--seed", "1"], "--seed 1 has no effect without --do_sample"),
        (["mixture", "a", "--template", "raw"], "--template raw has no effect without --model"),
        (["train", "a", "b", "--eval_split", "x"], "--eval_split x has no effect without --eval_mixture or --dev"),
        (["infer", "a", "b", "--seed", "-1"], "--seed -1: it must be a whole number, 0 or more, below 4294967296"),
        (["infer", "a", "b", "--top_p", "nan"], "--top_p nan: it must be a number above 0, 1 at most"),
        (["infer", "a", "b", "--limit"], "--limit needs a value"),
        (["infer", "a", "b", "--limit", "--evaluate"], "--limit needs a value"),
        (["infer", "a", "b", "--evaluate=maybe"], "--evaluate maybe: it is a switch"),
        (["infer", "a", "b", "--labels", "scor"], "unknown value of --labels 'scor'; did you mean score?"),
        (["plan", "a", "b", "--mfu", "2"], "--mfu 2: it must be a number above 0, 1 at most"),
        (["chat", "a", "--port", "70000"], "--port 70000: it must be a whole number, 1 or more, 65535 at most"),
        (["completion", "tcsh"], "unknown value of SHELL 'tcsh'; did you mean"),
    ],
)
def test_mistakes_are_one_line(cli, line, message):
    outcome = cli(*line)
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1 and not outcome.out


# the command line in the reference's script/train.sh, and what is said of each flag that isn't taken as it stands
REFERENCE = [
    "--num_train_epochs",
    "3",
    "--learning_rate",
    "2e-5",
    "--data_path",
    "data/alpaca_en",
    "--model_name_or_path",
    "model/llama-7b-hf",
    "--output_dir",
    "out",
    "--bf16",
    "True",
    "--tf32",
    "True",
    "--per_device_train_batch_size",
    "4",
    "--per_device_eval_batch_size",
    "4",
    "--gradient_accumulation_steps",
    "4",
    "--lr_scheduler_type",
    "cosine",
    "--weight_decay",
    "0.",
    "--warmup_ratio",
    "0.03",
    "--evaluation_strategy",
    "no",
    "--save_strategy",
    "no",
    "--save_steps",
    "2000",
    "--save_total_limit",
    "1",
    "--load_best_model_at_end",
    "True",
    "--logging_steps",
    "1",
    "--report_to",
    "wandb",
    "tensorboard",
    "--logging_dir",
    "log",
    "--model_max_length",
    "512",
    "--optim",
    "adamw_torch",
]
INSTEAD = {
    "data_path": "the second word: xllm train BASE MIXTURE",
    "model_name_or_path": "the BASE is the first word",
    "fsdp": "several processes shard the model by themselves",
    "per_device_eval_batch_size": "leave it out",
    "warmup_ratio": "type --warmup_steps 0.03",
    "evaluation_strategy": "leave it out",
    "save_strategy": "leave it out",
    "save_total_limit": "leave it out",
    "load_best_model_at_end": "leave it out",
    "logging_dir": "TENSORBOARD_LOGGING_DIR=log",
}


def test_the_reference_s_command_line_is_told_what_to_type_instead_all_at_once(cli):
    outcome = cli("train", *REFERENCE, "--fsdp", "full_shard auto_wrap")
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    told = dict(part.split(": ", 1) for part in re.split(r"; (?=--\w+: )", outcome.err.removeprefix("xllm: ")))
    assert {name.removeprefix("--") for name in told} == set(INSTEAD)
    assert all(message in told[f"--{name}"] for name, message in INSTEAD.items()), told


def test_what_is_left_of_it_is_taken(cli, sample_data, llama, tmp_path, monkeypatch):
    from xllm.training.request import read as request

    for name in ("wandb", "tensorboard"):  # which pass for them as long as nothing is logged
        (tmp_path / f"{name}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    left = list(REFERENCE)
    for name in INSTEAD.keys() - {"fsdp"}:
        place = left.index(f"--{name}")
        del left[place : place + 2]
    left = [text for text in left if text not in ("--bf16", "--tf32", "True")]  # of GPUs
    training = request(read("train", TrainFlags, [str(llama), "alpaca_en", *left, "--warmup_steps", "0.03"])).training
    assert (
        training.report_to == ["wandb", "tensorboard"] and training.warmup_steps == 0.03 and training.save_steps == 2000
    )


# all flags of transformers 4.29's TrainingArguments that its release 5 has no longer, or that have no effect here
OLD = [
    "adafactor",
    "auto_find_batch_size",
    "bf16_full_eval",
    "dataloader_drop_last",
    "deepspeed",
    "disable_tqdm",
    "do_eval",
    "do_predict",
    "do_train",
    "eval_accumulation_steps",
    "eval_delay",
    "evaluation_strategy",
    "fp16_backend",
    "fp16_full_eval",
    "fp16_opt_level",
    "fsdp",
    "fsdp_config",
    "fsdp_min_num_params",
    "fsdp_transformer_layer_cls_to_wrap",
    "greater_is_better",
    "group_by_length",
    "half_precision_backend",
    "hub_model_id",
    "hub_private_repo",
    "hub_strategy",
    "hub_token",
    "ignore_data_skip",
    "include_inputs_for_metrics",
    "jit_mode_eval",
    "label_names",
    "label_smoothing_factor",
    "length_column_name",
    "load_best_model_at_end",
    "local_rank",
    "log_on_each_node",
    "logging_dir",
    "logging_nan_inf_filter",
    "logging_strategy",
    "metric_for_best_model",
    "mp_parameters",
    "no_cuda",
    "overwrite_output_dir",
    "past_index",
    "per_device_eval_batch_size",
    "per_gpu_eval_batch_size",
    "per_gpu_train_batch_size",
    "prediction_loss_only",
    "push_to_hub",
    "push_to_hub_model_id",
    "push_to_hub_organization",
    "push_to_hub_token",
    "ray_scope",
    "resume_from_checkpoint",
    "save_on_each_node",
    "save_safetensors",
    "save_strategy",
    "save_total_limit",
    "sharded_ddp",
    "skip_memory_metrics",
    "torch_compile",
    "torch_compile_backend",
    "torch_compile_mode",
    "torchdynamo",
    "tpu_metrics_debug",
    "tpu_num_cores",
    "use_ipex",
    "use_legacy_prediction_loop",
    "use_mps_device",
    "warmup_ratio",
    "xpu_backend",
]


def test_every_old_flag_has_an_answer(cli):
    outcome = cli("train", "a", "b", *(word for name in OLD for word in (f"--{name}", "1")))
    assert outcome.code == 2 and "unknown flag" not in outcome.err and "VALUE" not in outcome.err
    assert all(f"--{name}: " in outcome.err for name in OLD)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["--report_to", "wandb", "tensorboard"], "wandb tensorboard"),
        (["--report_to", "wandb,tensorboard"], "wandb tensorboard"),
        (["--report_to=wandb tensorboard"], "wandb tensorboard"),
        (["--report_to", "none"], "none"),
    ],
)
def test_a_log_goes_to_several_places(line, found, tmp_path):
    for whole in (["base", "mixture", *line], [*line, "base", "mixture"]):
        flags = read("train", TrainFlags, whole)
        assert flags.others == {"report_to": found} and (flags.base, flags.mixture) == ("base", "mixture")
    file = tmp_path / "train.yaml"
    file.write_text(f"base: base\nmixture: mixture\nreport_to: [{', '.join(found.split())}]\n")
    assert read("train", TrainFlags, ["--config", str(file)]).others == {"report_to": found}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("wandbb", "unknown value of --report_to 'wandbb'; did you mean wandb"),
        ("wandb tensorbord", "unknown value of --report_to 'tensorbord'"),
        (",", "--report_to needs a value: "),
        ("none wandb", "--report_to none wandb: none goes alone"),
        ("dvclive", "--report_to dvclive needs dvclive, which isn't installed: pip install dvclive"),
    ],
)
def test_a_log_goes_nowhere_unknown(cli, sample_data, llama, value, message):
    outcome = cli("train", llama, "alpaca_en", "--name", "new", f"--report_to={value}")
    assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1


def test_the_places_of_a_log_are_those_of_the_library():
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert set(recipe.REPORTERS) == set(INTEGRATION_TO_CALLBACK)


@dataclass(frozen=True)
class Example(Flags):
    names: tuple[str, ...] = word("Names.", many=True)
    text: str = flag("A text.", "x")
    number: float | None = flag("A number.")
    on: bool = switch("A switch.")


@pytest.mark.parametrize(
    ("line", "names", "text", "on"),
    [
        (
            ["1.10", "a,b", "None", "a_x[:10%]+b_y*2", "--text=1e3"],
            ("1.10", "a,b", "None", "a_x[:10%]+b_y*2"),
            "1e3",
            False,
        ),
        (["2023", "--text", "[1]"], ("2023",), "[1]", False),
        (["--on", "a", "b"], ("a", "b"), "x", True),
        (["a", "--on", "true", "b"], ("a", "b"), "x", True),
        (["a", "--on=False", "b", "--text="], ("a", "b"), "", False),
        (["a", "--text", "one", "--text", "two"], ("a",), "two", False),
        (["a", "--text", "-5"], ("a",), "-5", False),
        (["-", "--text", "a=b=c"], ("-",), "a=b=c", False),
    ],
)
def test_words_stay_text_wherever_they_stand(line, names, text, on):
    flags = read("example", Example, line)
    assert (flags.names, flags.text, flags.on) == (names, text, on)
    assert flags.typed == tuple(line)


YAML = """
# a comment
names: [no, "1.10"]
text: no
number: 1e-5
on: true
"""


def test_a_file_gives_flags_and_the_command_line_wins(tmp_path):
    (tmp_path / "flags.yaml").write_text(YAML)
    given = ["--config", str(tmp_path / "flags.yaml")]
    flags = read("example", Example, given)
    assert (flags.names, flags.text, flags.number, flags.on) == (("no", "1.10"), "no", 1e-5, True)
    flags = read("example", Example, ["mine", *given, "--on", "False", "--text", "typed"])
    assert (flags.names, flags.text, flags.number, flags.on) == (("mine",), "typed", 1e-5, False)
    assert flags.settings == {
        "names": ("mine",),
        "text": "typed",
        "number": 1e-5,
        "on": False,
        "config": str(tmp_path / "flags.yaml"),
    }


def test_words_of_a_file_go_by_their_names(tmp_path):
    (tmp_path / "flags.yaml").write_text("method: continue\nmixture: text_news_zh\nmax-steps: 3\n")
    flags = read("train", TrainFlags, ["mine", "--config", str(tmp_path / "flags.yaml")])
    assert (flags.base, flags.mixture, flags.method) == ("mine", "text_news_zh", "continue")
    assert flags.others == {"max_steps": "3"}
    with pytest.raises(XllmError, match="train needs BASE"):
        read("train", TrainFlags, ["--config", str(tmp_path / "flags.yaml")])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: {a: b}", "names must be text or a list of texts"),
        ("names: [[a]]", "names must be text or a list of texts"),
        ("? [a, b]\n: c", "it is not valid YAML"),
        ("txt: x", "unknown flag '--txt'; did you mean --text"),
        ("number: many", "--number many: it must be a number"),
        ("on: maybe", "--on maybe: it is a switch"),
        ("- text", "it must hold flags and their values, a line each, as seed: 42"),
        ("", "it must hold flags and their values"),
        ("text: {a: b}", "text must be text or a number"),
        ("text: [a, b]", "text must be text or a number"),
        ("config: other.yaml", "it can't name another file"),
        ("text: 'x", "it is not valid YAML"),
        ("\x00", "it is not valid YAML"),
        (b"text: \xff", "can't decode"),
    ],
)
def test_mistakes_in_a_file_are_told_as_those_of_the_command_line(tmp_path, content, message):
    path = tmp_path / "flags.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(XllmError, match=r".") as error:
        read("example", Example, ["a", "--config", str(path)])
    assert message in str(error.value)


@pytest.mark.slow
def test_a_run_says_what_the_command_line_and_the_file_came_to(cli, sample, llama, tmp_path, monkeypatch):
    (tmp_path / "run.yaml").write_text(f"base: {llama}\nmixture: alpaca_en[:16]\nmax_steps: 2\nglobal_batch_size: 8\n")
    out = tmp_path / "new"
    outcome = cli("train", "--config", tmp_path / "run.yaml", "--output_dir", out, "--max_steps", 1)
    assert outcome.code == 0, outcome.err
    run = read_json(out / "run.json")
    assert run["arguments"] == {
        "base": str(llama),
        "mixture": "alpaca_en[:16]",
        "max_steps": "1",
        "global_batch_size": 8,
        "config": str(tmp_path / "run.yaml"),
        "output_dir": str(out),
    }
    assert len(read_json(out / "trainer_state.json")["log_history"]) == 2  # a step, and the summary


def test_quiet_leaves_results_and_errors(cli, sample, tmp_path):
    loud = cli("mixture", "alpaca_en", "--json", tmp_path / "a.json")
    quiet = cli("mixture", "alpaca_en", "--json", tmp_path / "b.json", "--quiet")
    assert quiet.out == loud.out and "wrote" in loud.err and quiet.err == ""
    assert "unknown dataset 'alpca'" in cli("mixture", "alpca_en", "--quiet").err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_take_the_completion(cli, shell, tmp_path):
    script = cli("completion", shell).out
    assert "max_new_tokens" in script and "weight_diff" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} isn't here")
    (tmp_path / "completion").write_text(script)
    subprocess.run([shell, "-n", tmp_path / "completion"], check=True)


def completed(line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    code = f"""
eval "$({sys.executable} -m xllm completion bash)"
COMP_WORDS=({line} '') COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_shtab_xllm; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", code], cwd=HOME, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_tab_completes_commands_and_values():
    assert {"train", "infer", "evaluate"} <= set(completed("xllm"))
    assert completed("xllm infer a b --engine") == ["hf", "vllm"]
