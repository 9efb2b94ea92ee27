"""What a person sees of a run."""

import re

import pytest

from xllm.training.step_lines import line


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        (
            {
                "loss": 2.5,
                "grad_norm": 1.25,
                "learning_rate": 2e-5,
                "tokens_per_second": 1234.5,
                "mfu": 0.41,
                "padding": 0,
            },
            "step  3/20  loss   2.5000  grad norm    1.250  lr     2e-05  tokens/s     1,234  MFU  41.0%",
        ),
        ({"loss": 2.5, "seconds_left": 3661.4}, "step  3/20  loss   2.5000  left 1:01:01"),
        ({"loss": float("nan")}, "step  3/20  loss      nan"),
        ({"eval_loss": 1.5, "xquad_zh f1": 12.34567, "epoch": 1.0}, "step  3/20  eval_loss 1.5  xquad_zh f1 12.35"),
        ({"train_runtime": 90.6, "train_loss": 2.0, "epoch": 3.0}, "step  3/20  trained in 0:01:31  mean loss 2.0000"),
    ],
)
def test_an_entry_of_the_log_is_a_line(entry, shown):
    assert line(entry, 3, 20) == shown


@pytest.mark.slow
def test_steps_are_aligned_lines_on_stderr(cli, sample, llama, tmp_path):
    flags = ["--max_steps", 12, "--global_batch_size", 2, "--output_dir", tmp_path / "new"]
    outcome = cli("train", llama, "alpaca_en[:8]", *flags)
    steps = [line for line in outcome.err.splitlines() if re.match(r"step +\d+/12  loss", line)]
    assert len(steps) == 12 and len({re.sub(r"[\d.,]", "0", line).index("lr") for line in steps}) == 1
    assert "{'loss'" not in outcome.out + outcome.err and outcome.out == f"{tmp_path / 'new'}\n"
    assert "step 12/12  trained in 0:00:" in outcome.err
    assert cli("train", llama, "alpaca_en[:8]", *flags[:-1], tmp_path / "quiet", "--quiet").err == ""
