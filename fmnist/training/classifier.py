"""The LightningModule: what a step, an epoch and an evaluation are."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.functional.classification import multiclass_accuracy

from fmnist.errors import Diverged
from fmnist.training.tta import mean_logits

Batches = Iterable[tuple[Tensor, Tensor]]  # images float [B, 1, 28, 28], labels int64 [B]
AUXILIARY_WEIGHT = 0.3  # of the loss of an auxiliary head: GoogLeNet (arXiv 1409.4842), section 5


@dataclass(frozen=True)
class Schedule:
    """A learning-rate policy and how it is driven.

    Args:
        policy: makes a torch scheduler of an optimiser; None: constant learning rate.
        interval: when the policy advances.
        horizon: the policy's argument that receives the length of the run in intervals.
        monitor: the metric that the policy is given, if it wants one.
    """

    policy: Callable[..., Any] | None
    interval: Literal["step", "epoch"]
    horizon: str | None
    monitor: str | None


class Classifier(LightningModule):
    """Trains a net by cross-entropy and keeps one row of metrics an epoch.

    Steps only collect their outputs; losses and accuracies are computed once an epoch from all of
    them. That is exact, and spares every step the cost of metrics and logging.

    A row: epoch (from 0), step (optimiser steps so far), lr (of its first step), train/loss and
    train/acc (while training: augmented, with dropout, before each step; the loss as trained,
    smoothing included), val/loss and val/acc (plain cross-entropy), val/acc_best (so far), seconds
    (training and validation together), train/images_per_second (training alone). Accuracies are in
    [0, 1].

    Args:
        net: images float [B, 1, 28, 28] -> logits [B, 10], or while training a tuple of such
            logits, the first the net's own and the others those of auxiliary heads.
        optimizer: makes an optimiser of the net's parameters.
        schedule: of the learning rate.
        label_smoothing: of the training loss, in [0, 1).
        channels_last: memory format of net and images.
        gradient_clip_val: largest norm of the gradient; None: no clipping.
        tta: of validation, see `fmnist.training.tta.mean_logits`.
        ema_decay: of an exponential moving average of weights and batch-norm statistics over the
            steps, in (0, 1); validated, tested and kept is then the average. None: no average.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        schedule: Schedule,
        label_smoothing: float = 0.0,
        channels_last: bool = False,
        gradient_clip_val: float | None = None,
        tta: str = "none",
        ema_decay: float | None = None,
    ) -> None:
        super().__init__()
        # One call of training_step makes several optimiser steps: what Lightning does around a
        # call costs as much as a step of a small net.
        self.automatic_optimization = False
        self.gradient_clip_val = gradient_clip_val
        self.stop_requested = False
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.net = net.to(memory_format=self.memory_format)
        self.average: AveragedModel | None = None
        if ema_decay is not None:
            update = get_ema_multi_avg_fn(ema_decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.net, multi_avg_fn=update, use_buffers=True)
            self.average.requires_grad_(False)  # DDP waits for gradients of what could have one
        self.optimizer, self.schedule = optimizer, schedule
        self.label_smoothing, self.tta = label_smoothing, tta
        self.history: list[dict[str, float]] = []
        self.rows_logged = 0
        self.restored_states: dict[str, Any] | None = None
        self.train_acc = MulticlassAccuracy(10, average="micro")
        self.val_acc = MulticlassAccuracy(10, average="micro")
        self.train_loss, self.val_loss = MeanMetric(), MeanMetric()
        self.outputs: list[tuple[Tensor, Tensor, Tensor]] = []  # loss [], logits, labels
        self.val_outputs: list[tuple[Tensor, Tensor]] = []

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.net.parameters())
        if self.schedule.policy is None:
            return optimizer
        length = {}
        if self.schedule.horizon:
            epochs = self.trainer.max_epochs or 1
            steps = epochs * self.steps_per_epoch()
            length[self.schedule.horizon] = steps if self.schedule.interval == "step" else epochs
        return [optimizer], [self.schedule.policy(optimizer, **length)]

    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch, of which the trainer may use fewer."""
        self.trainer.fit_loop.setup_data()
        loader: Any = self.trainer.train_dataloader  # ours: `fmnist.data.datamodule.Executions`
        return int(min(len(loader.batches), self.trainer.num_training_batches * loader.steps))

    def _advance_schedule(self, when: Literal["step", "epoch"]) -> None:
        if self.schedule.interval != when:
            return
        scheduler = self.lr_schedulers()
        if scheduler is not None:
            values = [self.history[-1][self.schedule.monitor]] if self.schedule.monitor else []
            scheduler.step(*values)  # type: ignore[union-attr, arg-type]

    def on_train_epoch_end(self) -> None:
        """Before the checkpoints of this epoch are written, so that they hold the result."""
        self._advance_schedule("epoch")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history
        checkpoint["random_states"] = random_states()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]
        self.restored_states = checkpoint["random_states"]

    def on_train_start(self) -> None:
        """After a resumption: new log files and dashboards hold the earlier epochs, too."""
        self.log_rows()

    def on_train_epoch_start(self) -> None:
        if self.restored_states is not None:  # here, where nothing more can draw before a step
            restore_random_states(self.restored_states)
            self.restored_states = None
        self.epoch_began = time.perf_counter()
        self.epoch_lr = float(self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        self.epoch_first_step = self.global_step + 1
        self.outputs.clear()

    def training_step(self, batches: Batches, batch_idx: int) -> None:
        """Several optimiser steps, see `fmnist.data.datamodule.Executions`."""
        with only_callbacks_of_steps(self.trainer):
            self._optimize(batches)

    def _optimize(self, batches: Batches) -> None:
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        for images, labels in batches:
            optimizer.zero_grad()
            loss, logits = self._loss(images, labels)
            self.outputs.append((loss.detach(), logits.detach(), labels))
            # Reading a loss makes a GPU wait for its launches, and costs a CPU nothing.
            every = 1 if loss.device.type == "cpu" else 50
            if len(self.outputs) % every == 0:
                self._stop_if_diverged(every)
            self.manual_backward(loss)
            self._clip_gradient(optimizer)
            optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.net)
            self._advance_schedule("step")
            if self.stop_requested:
                raise KeyboardInterrupt

    def _loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss to minimise, [], and the logits, [B, 10]."""
        result = self.net(images.contiguous(memory_format=self.memory_format))
        logits, *auxiliary = result if isinstance(result, tuple) else (result,)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        for extra in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * F.cross_entropy(
                extra, labels, label_smoothing=self.label_smoothing
            )
        return loss, logits

    def _clip_gradient(self, optimizer: LightningOptimizer) -> None:
        if self.gradient_clip_val is None:
            return
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None:  # fp16: the gradient is scaled
            scaler.unscale_(optimizer.optimizer)
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.gradient_clip_val)

    def on_validation_epoch_start(self) -> None:
        self.train_seconds = time.perf_counter() - self.epoch_began

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        images = images.contiguous(memory_format=self.memory_format)
        net = self.net if self.average is None else self.average.module
        logits = mean_logits(net, images, self.tta)
        self.val_outputs.append((logits.float(), labels))
        if self.stop_requested:
            raise KeyboardInterrupt

    def on_validation_epoch_end(self) -> None:
        """Validation ends an epoch: its row, for the record, the loggers and the callbacks."""
        self._stop_if_diverged(len(self.outputs))
        losses = torch.stack([loss for loss, _, _ in self.outputs]).float()
        sizes = torch.tensor([len(labels) for _, _, labels in self.outputs], device=self.device)
        self.train_loss.update(losses, sizes)
        self.train_acc.update(
            torch.cat([logits for _, logits, _ in self.outputs]).float(),
            torch.cat([labels for _, _, labels in self.outputs]),
        )
        logits, labels = (torch.cat(parts) for parts in zip(*self.val_outputs, strict=True))
        self.val_loss.update(F.cross_entropy(logits, labels), len(labels))
        self.val_acc.update(logits, labels)
        best = max((row["val/acc"] for row in self.history), default=0.0)
        row = {
            "lr": self.epoch_lr,
            "train/loss": float(self.train_loss.compute()),
            "train/acc": round(float(self.train_acc.compute()), 6),  # a share of 55,000 images
            "val/loss": float(self.val_loss.compute()),
            "val/acc": (accuracy := round(float(self.val_acc.compute()), 6)),
            "val/acc_best": max(best, accuracy),
            "seconds": time.perf_counter() - self.epoch_began,
            "train/images_per_second": float(sizes.sum())
            * self.trainer.world_size
            / self.train_seconds,
        }
        # The callbacks' copy; the loggers get the row as it is, with the number of steps done.
        self.log_dict(row, logger=False, sync_dist=True)
        self.history.append({"epoch": self.current_epoch, "step": self.global_step, **row})
        self.log_rows()
        for metric in (self.train_loss, self.train_acc, self.val_loss, self.val_acc):
            metric.reset()
        self.outputs.clear()
        self.val_outputs.clear()

    def log_rows(self) -> None:
        """Give the loggers the rows that they have not had: after a resumption all of them."""
        for row in self.history[self.rows_logged :]:
            values = {key: value for key, value in row.items() if key != "step"}
            for logger in self.loggers:
                logger.log_metrics(values, step=int(row["step"]))
        self.rows_logged = len(self.history)

    def _stop_if_diverged(self, last: int) -> None:
        """Look at the losses of the last so many steps.

        Raises:
            Diverged: naming the first step whose loss is not a finite number.
        """
        losses = [loss for loss, _, _ in self.outputs[-last:]]
        values = [losses[0].item()] if last == 1 else torch.stack(losses).tolist()
        if all(map(math.isfinite, values)):
            return
        first = next(i for i, (loss, _, _) in enumerate(self.outputs) if not math.isfinite(loss))
        raise Diverged(
            f"the loss is {float(self.outputs[first][0])} at epoch {self.current_epoch}, "
            f"step {self.epoch_first_step + first}: training diverged; "
            "a lower optim.lr or gradient_clip_val=1 may help"
        )


@contextmanager
def only_callbacks_of_steps(trainer: Trainer) -> Iterator[None]:
    """Within it, the trainer calls the callbacks that want to see a step, and no other.

    Lightning calls every callback several times a step, those that do nothing then, too: for a net
    as small as LeNet-5 that is two hundredths of a step.
    """
    everyone: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    hooks = ("on_before_zero_grad", "on_before_backward", "on_after_backward",
             "on_before_optimizer_step")  # fmt: skip
    trainer.callbacks = [  # type: ignore[attr-defined]
        one for one in everyone if any(is_overridden(hook, one, Callback) for hook in hooks)
    ]
    try:
        yield
    finally:
        trainer.callbacks = everyone  # type: ignore[attr-defined]


def random_states() -> dict[str, Any]:
    """The states of all generators that a net may draw from, as tensors and plain values."""
    version, state, gauss = random.getstate()
    numpy: Any = np.random.get_state()  # noqa: NPY002 (the global generator, as some nets use it)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
        "python": [version, list(state), gauss],
        "numpy": [value.tolist() if isinstance(value, np.ndarray) else value for value in numpy],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """The inverse of `random_states`, on a machine with as many GPUs."""
    torch.set_rng_state(states["torch"])
    torch.cuda.set_rng_state_all(states["cuda"])
    version, state, gauss = states["python"]
    random.setstate((version, tuple(state), gauss))
    np.random.set_state(tuple(states["numpy"]))  # noqa: NPY002


def predict(
    net: nn.Module,
    batches: Batches,
    device: torch.device,
    precision: str,
    channels_last: bool,
    tta: str = "none",
) -> tuple[Tensor, Tensor]:
    """Logits float32 [N, 10] and labels int64 [N] on the CPU, of a net in eval mode.

    Args:
        net: images float [B, 1, 28, 28] -> logits [B, 10]. It is moved to the device.
        batches: on the device.
        device: where to compute.
        precision: Lightning's name of it; "bf16-mixed" and "16-mixed" run under autocast.
        channels_last: memory format of net and images.
        tta: see `fmnist.training.tta.mean_logits`.
    """
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(device).to(memory_format=memory_format).eval()
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    autocast: AbstractContextManager[Any] = (
        torch.autocast(device.type, half) if half else nullcontext()
    )
    with torch.inference_mode(), autocast:
        parts = []
        for images, labels in batches:
            images = images.contiguous(memory_format=memory_format)
            parts.append((mean_logits(net, images, tta).float().cpu(), labels.cpu()))
    logits, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return logits, labels


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy and accuracy in [0, 1], of logits float [N, 10], labels int64 [N]."""
    accuracy = multiclass_accuracy(logits, labels, num_classes=10, average="micro")
    return float(F.cross_entropy(logits, labels)), round(float(accuracy), 6)


def parameter_count(net: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def flops(net: nn.Module) -> int:
    """Floating-point operations of one image's forward pass; a multiply-add counts as two."""
    from torch.utils.flop_counter import FlopCounterMode

    training = net.training
    net.eval()  # auxiliary heads are no part of it, and batch norm must not see the zeros
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 1, 28, 28))
    net.train(training)
    return int(counter.get_total_flops())
