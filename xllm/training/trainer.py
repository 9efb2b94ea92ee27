"""transformers' Trainer with optimizer steps of whole rows: no padding, and the loss of the whole step."""

import math
from pathlib import Path

import torch
from accelerate.utils import send_to_device
from torch.distributed.tensor import DTensor
from transformers import Trainer, TrainerCallback

from xllm.training import checkpoint
from xllm.training.layout import Steps, loader
from xllm.training.monitor import Watch


class StepTrainer(Trainer):
    """A Trainer whose batch is an optimizer step: the micro-batches of this rank, one after the other.

    The model returns the sum of its targets' losses and the loss of each row (`xllm.packing.packed`); where there are
    several ranks it has been sharded before.

    All that is not public of Trainer and accelerate is reached from here. Callbacks are told neither the norm of a
    step's gradient before it is used, nor where a checkpoint is to be read from or written to, and accelerate, which
    refuses sharded weights where it would wrap a model for several processes, can't be told to leave one as it is.
    """

    def __init__(self, *args, steps: Steps, watch: Watch, **kwargs) -> None:
        super().__init__(*args, train_dataset=steps, **kwargs)
        self.steps, self.watch = steps, watch
        if self.args.world_size > 1:
            self.accelerator.prepare_model = lambda model, *_, **__: model  # it is sharded; there is nothing to wrap

    def get_train_dataloader(self):
        self.steps.epoch = 0
        self.add_callback(_Steps(self.steps))
        return loader(self.steps, self.args.dataloader_num_workers)

    def num_examples(self, dataloader) -> int:
        return len(self.steps.rows)

    def get_total_train_batch_size(self, args) -> int:
        return self.steps.rows_a_step

    def floating_point_ops(self, inputs: dict) -> int:
        return self.watch.operations(inputs) // self.args.world_size

    def training_step(self, model, step: dict, num_items_in_batch=None) -> torch.Tensor:
        """Run a step's micro-batches forward and backward. Returns this rank's part of the mean loss, times the number
        of ranks: what Trainer logs is the mean over them. Without any target the gradient is zero."""
        model.train()
        total = torch.zeros((), device=self.args.device)
        self.watch.begin(step)
        if not step["targets"]:
            for weight in model.parameters():
                weight.grad = torch.zeros_like(weight)
            return total
        scale = self.args.world_size / step["targets"]  # gradients are averaged over the ranks
        for batch, names in zip(step["micro_batches"], step["names"], strict=True):
            loss, rows = model(**send_to_device(batch, self.args.device))
            self.watch.rows(names, rows)
            self.accelerator.backward(loss * scale)
            total += loss.detach() * scale
        return total

    def log(self, logs: dict, start_time: float | None = None) -> None:
        """Log what Trainer knows, and what was measured. Trainer's closing summary is no step."""
        state = self.state
        if "loss" in logs:
            logs["loss"] = self.watch.mean_loss(logs["loss"])
            logs |= self.watch.measured(state.global_step, state.max_steps)
            if self.args.process_index == 0 and not math.isnan(logs["loss"]):
                self.watch.spike(state.global_step, logs["loss"])
        super().log(logs, start_time)
        if self.args.process_index == 0 and "train_runtime" not in logs:
            self.watch.write(state.log_history[-1])

    def _get_grad_norm(self, model, grad_norm=None) -> torch.Tensor:
        norm = super()._get_grad_norm(model, grad_norm)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        self.watch.gradient(norm)
        return norm

    def _save_checkpoint(self, model, trial) -> None:
        # the sum of the losses since the last line of the log, the step of that line, and what was counted since
        unlogged = {"loss": self._tr_loss.item(), "logged": self._globalstep_last_logged, "since": self.watch.since()}
        checkpoint.save(self, self.watch.folder, unlogged)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None) -> None:
        """Nothing yet: weights are read with the rest, once the optimizer is there."""

    def _load_optimizer_and_scheduler(self, path) -> None:
        if path is not None:
            checkpoint.restore(self, Path(path))

    def _load_rng_state(self, path) -> None:
        """Restore what is random, and what has been summed up since the last line of the log: Trainer sets that to
        nothing once the rest has been restored, and calls this right before the first step."""
        if path is not None:
            checkpoint.restore_random(self, Path(path))
            found = checkpoint.unlogged(self, Path(path))
            self._tr_loss.fill_(found["loss"])
            self._total_loss_scalar -= found["loss"]  # Trainer's mean at the end is of the steps that it does itself
            self._globalstep_last_logged = found["logged"]
            self.watch.go_on(**found["since"])


class _Steps(TrainerCallback):
    """Tells the steps which epoch begins, after a resume too, and has the last one logged, whatever --logging_steps."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        self.steps.epoch = state.global_step // len(self.steps)

    def on_step_end(self, args, state, control, **kwargs) -> None:
        control.should_log = control.should_log or state.global_step == state.max_steps
