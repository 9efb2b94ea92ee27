"""Several machines: here, each of SLURM's nodes is one process of this one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import HOME
from xllm.files import read_json

pytestmark = pytest.mark.slow

FLAGS = ("--global_batch_size", "8", "--max_steps", "3", "--learning_rate", "1e-3")

# what a cluster has of SLURM, for two nodes
SCONTROL = "#!/bin/bash\n[ \"$*\" = 'show hostnames pair[1-2]' ] && printf '127.0.0.1\\nelsewhere\\n'\n"
SRUN = """#!/bin/bash
for node in 0 1; do SLURM_NODEID=$node "$@" & nodes+=($!); done
for node in "${nodes[@]}"; do wait "$node" || exit; done
"""


def test_a_slurm_job_of_two_nodes_trains_the_same_model(cli, llama, sample, tmp_path):
    for name, text in (("scontrol", SCONTROL), ("srun", SRUN)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "pair[1-2]",
        "OMP_NUM_THREADS": "1",
    }
    words = ("bash", HOME / "script" / "train.slurm", llama, "alpaca_en[:24]", "--output_dir", tmp_path / "two", *FLAGS)
    done = subprocess.run(list(map(str, words)), cwd=HOME, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / "two")]
    assert read_json(tmp_path / "two" / "run.json")["processes"] == 2

    assert cli("train", llama, "alpaca_en[:24]", "--output_dir", tmp_path / "one", *FLAGS).code == 0
    weights = load_file(tmp_path / "two" / "model.safetensors")
    for name, tensor in load_file(tmp_path / "one" / "model.safetensors").items():
        assert torch.linalg.norm(tensor - weights[name]) <= 1e-5 * torch.linalg.norm(tensor), name
