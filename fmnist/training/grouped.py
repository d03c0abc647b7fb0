"""Several optimiser steps in one call of Lightning's: a faster way of the same training.

What Lightning does around a step costs a tenth of a step of a small net. A group of batches is to
Lightning one batch, whose training step makes an optimiser step for every batch in it. Weights are
the same, bit for bit, and so are checkpoints: a run may go on from one in either way.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import inspect
from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    StochasticWeightAveraging,
)
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.plugins import MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden

from fmnist.config.trusted import is_below
from fmnist.config.words import show
from fmnist.data.datamodule import ImageData
from fmnist.training.buffers import share_buffers
from fmnist.training.callbacks import Checkpoint, EpochBar, RecordEpochs, StopAfterStep
from fmnist.training.classifier import Batch, Classifier
from fmnist.training.schedule import takes_metric

# Lightning's hooks around one step.
STEP_HOOKS = (
    "on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward",
    "on_after_backward", "on_before_optimizer_step",
)  # fmt: skip
# Lightning's callbacks that steer the loop of steps without any of these.
STEERS = (GradientAccumulationScheduler, StochasticWeightAveraging, LearningRateFinder,
          BatchSizeFinder)  # fmt: skip
SEES_GROUPS = (Checkpoint, EpochBar, RecordEpochs, StopAfterStep)
# The trainer's arguments that count steps, or look at each, and what they are otherwise.
# A whole number counts batches, any other is a share of them: 1 is not 1.0.
COUNTING = {
    "fast_dev_run": (False, 0),
    "overfit_batches": (0, 0.0),
    "limit_train_batches": (1.0, None),
    "max_steps": (-1,),
    "min_steps": (None,),
    "accumulate_grad_batches": (1,),
    "val_check_interval": (1.0, None),
}


class Groups:
    """Batches in groups of `steps`; a group makes its batches while it is iterated."""

    def __init__(self, batches: Iterable[Batch], steps: int) -> None:
        self.batches, self.steps = batches, steps

    def __len__(self) -> int:
        assert isinstance(self.batches, Sized)
        return -(-len(self.batches) // self.steps)

    def __iter__(self) -> Iterator[Iterator[Batch]]:
        batches = iter(self.batches)
        for _ in range(len(self)):
            yield islice(batches, self.steps)


class GroupedData(ImageData):
    """The same data, state and all, that give training batches in groups."""

    def __init__(self, data: ImageData, steps: int) -> None:
        self.__dict__ = data.__dict__  # one state, two ways of reading it
        self.steps = steps

    def train_dataloader(self) -> Any:
        return Groups(super().train_dataloader(), self.steps)

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        return batch  # its batches are made on the device


class GroupedClassifier(Classifier):
    """The same module, state and all, that takes a group of batches for one."""

    automatic_optimization = False

    def __init__(self, classifier: Classifier, clip: float | None, algorithm: str | None) -> None:
        self.__dict__ = classifier.__dict__  # one state, two ways of stepping it
        self.clip = {"gradient_clip_val": clip, "gradient_clip_algorithm": algorithm}

    def training_step(self, batches: Iterable[Batch], batch_idx: int) -> None:  # type: ignore[override]
        """Lightning's autocast, which is of a whole group here, is of each forward pass alone."""
        with torch.autocast(self.device.type, enabled=False):
            self._steps(batches)

    def _steps(self, batches: Iterable[Batch]) -> None:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        plain = self._is_plain()
        before = self.global_step
        for batch in batches:
            share_buffers(self)  # as DDP does before a step that it sees
            optimizer.zero_grad()
            with self.trainer.precision_plugin.train_step_context():
                loss = super().training_step(batch)["loss"]
            if plain:
                loss.backward()  # type: ignore[no-untyped-call]
            else:
                self.manual_backward(loss)
            if self.clip["gradient_clip_val"]:
                self.configure_gradient_clipping(optimizer.optimizer, **self.clip)
            if plain:
                self._step_uncalled(optimizer)
            else:
                optimizer.step()
            self.update_average()
            self._advance_schedule("step")
            if self.stop_requested:
                raise KeyboardInterrupt
        # At this one Lightning logs what callbacks have; itself it counts one step a group.
        epoch_loop = self.trainer.fit_loop.epoch_loop
        epoch_loop._batches_that_stepped += self.global_step - before - 1

    def _is_plain(self) -> bool:
        """Whether Lightning adds nothing to a step but asking every callback for hooks of none.

        That is a twentieth of a step of a small net. Several devices have more to do around a
        backward pass, and fp16 scales its loss.
        """
        strategy, precision = self.trainer.strategy, self.trainer.precision_plugin
        plain = type(precision) in (Precision, MixedPrecision) and not scales(self.trainer)
        return type(strategy) is SingleDeviceStrategy and plain

    def _step_uncalled(self, optimizer: LightningOptimizer) -> None:
        """The optimiser's own step, counted as Lightning counts it."""
        steps: Any = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        steps.increment_ready()
        optimizer.optimizer.step()
        steps.increment_completed()

    def configure_optimizers(self) -> Any:
        """Without what Lightning ignores of a schedule that it does not drive."""
        made = super().configure_optimizers()
        if isinstance(made, dict):
            made["lr_scheduler"] = {
                key: made["lr_scheduler"][key] for key in ("scheduler", "interval")
            }
        return made

    def _advance_schedule(self, when: str) -> None:
        scheduler: Any = self.lr_schedulers()
        if scheduler is not None and self.schedule.interval == when:
            if not (self.schedule.monitor and takes_metric(scheduler)):  # asked every step
                scheduler.step()
            elif when == "step":
                scheduler.step(self.trainer.callback_metrics[str(self.schedule.monitor)])

    def on_train_epoch_end(self) -> None:
        self._advance_schedule("epoch")
        super().on_train_epoch_end()

    def steps_per_epoch(self) -> float:
        self.trainer.fit_loop.setup_data()
        groups: Any = self.trainer.train_dataloader
        return len(groups.batches)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's counters as single steps leave them."""
        super().on_save_checkpoint(checkpoint)
        loop, steps = _epoch_loop(checkpoint), checkpoint["global_step"]
        _count(loop["automatic_optimization.optim_progress"]["optimizer"]["step"]["total"], steps)
        _count(loop["batch_progress"]["total"], steps)
        _count(loop["batch_progress"]["current"], int(self.steps_per_epoch()))
        loop["state_dict"]["_batches_that_stepped"] = steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        progress = _epoch_loop(checkpoint)["manual_optimization.optim_step_progress"]
        _count(progress["total"], checkpoint["global_step"])


def _epoch_loop(checkpoint: dict[str, Any]) -> dict[str, Any]:
    loop = checkpoint["loops"]["fit_loop"]
    prefix = "epoch_loop."
    return {key.removeprefix(prefix): loop[key] for key in loop if key.startswith(prefix)}


def _count(tracker: dict[str, int], number: int) -> None:
    tracker.update(dict.fromkeys(tracker, number))


def scales(trainer: Trainer) -> bool:
    """Whether the loss is scaled, and with it every gradient, as fp16 needs it."""
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def single_steps_because(
    trainer: Trainer,
    classifier: Classifier,
    arguments: dict[str, Any],
) -> str | None:
    """What needs to see each step alone; None: nothing.

    Args:
        arguments: that the trainer was made with.
    """
    for name, harmless in COUNTING.items():
        value = arguments.get(name, harmless[0])
        if not any(value == one and type(value) is type(one) for one in harmless):
            return f"trainer.{name}={show(value)}"
    if arguments.get("max_time") is not None:
        return f"trainer.max_time={arguments['max_time']}"
    if arguments.get("check_val_every_n_epoch", 1) is None:
        return "trainer.check_val_every_n_epoch=null"
    if arguments.get("detect_anomaly"):
        return "trainer.detect_anomaly=true"
    profiler = trainer.profiler  # type: ignore[attr-defined]
    if not isinstance(profiler, PassThroughProfiler):
        return f"trainer.profiler={type(profiler).__name__}"
    if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        return f"trainer.strategy={type(trainer.strategy).__name__}"
    if trainer.gradient_clip_val and scales(trainer):  # unscaled once, within Lightning's step
        return f"gradient_clip_val={trainer.gradient_clip_val} in fp16"
    for one in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(one, STEERS):
            return type(one).__name__
        watched = [hook for hook in STEP_HOOKS if is_overridden(hook, one, Callback)]
        if watched and not isinstance(one, SEES_GROUPS):
            return f"{type(one).__name__}.{watched[0]}"
    target = getattr(classifier.optimizer, "func", classifier.optimizer)
    closure = inspect.signature(getattr(target, "step", lambda closure=None: None)).parameters
    # One that must have it evaluates the loss several times a step; one's own may, as SAM does.
    own = not any(is_below(str(target.__module__), name) for name in ("torch.optim", "fmnist"))
    if any(n == "closure" and (own or one.default is one.empty) for n, one in closure.items()):
        return f"optim={target.__name__}"
    return None
