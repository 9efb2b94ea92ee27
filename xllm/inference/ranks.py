"""The processes of one run, as torchrun starts them; alone, a process is the first of one."""

import os
from datetime import timedelta

import torch
import torch.distributed as dist

LONGEST = timedelta(days=30)  # that a rank waits for the others


class Ranks:
    def __init__(self) -> None:
        self.count, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        self.first = self.rank == 0

    def join(self) -> None:
        """Meet the others; each takes a GPU of its machine."""
        if self.count > 1:
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            dist.init_process_group("gloo", timeout=LONGEST)

    def agree(self, value: int) -> int:
        """The first rank's value."""
        values = [value]
        if self.count > 1:
            dist.broadcast_object_list(values)
        return values[0]

    def wait(self) -> None:
        """Until every rank is here."""
        if self.count > 1:
            dist.barrier()
