"""The LightningModule: what a step, an epoch and an evaluation are."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torchmetrics import MeanMetric

from fmnist.config.build import as_plain, build_node, maker
from fmnist.config.groups import split_grouping
from fmnist.training.average import moving_average
from fmnist.training.buffers import share_buffers
from fmnist.training.checkpoint import begin_next_epoch, lay_out_states, refuse_other_order
from fmnist.training.clipping import clip
from fmnist.training.clock import seconds_since
from fmnist.training.compiled import CompiledNet
from fmnist.training.divergence import refuse_divergence, refuse_steps
from fmnist.training.groups import parameter_groups, without_frozen
from fmnist.training.random_state import random_states, restore_random_states
from fmnist.training.schedule import (
    CONSTANT,
    Schedule,
    follow_what_was_found,
    lower_if_stalled,
    scheduled,
    takes_metric,
)
from fmnist.training.tta import mean_logits

Batch = tuple[Tensor, Tensor]  # images float [B, C, S, S], labels int64 [B]
# Of the module, in a checkpoint: the rows, and what a validation would make one of.
KEPT = ("history", "open_row", "open_seconds", "images_trained", "train_seconds")
AUXILIARY_WEIGHT = 0.3  # of the loss of an auxiliary head: GoogLeNet (arXiv 1409.4842), section 5


class Classifier(LightningModule):
    """Trains a net by cross-entropy, a batch a step, in any Trainer; keeps a row a validation.

    Steps only collect their outputs; losses and accuracies are computed once an epoch from all of
    them. That is exact, and spares every step the cost of metrics and logging.

    A row: epoch (from 0), step (optimiser steps so far), lr (of its first step), train/loss and
    train/acc (while training: augmented, with dropout, before each step; the loss as trained,
    smoothing included), val/loss and val/acc (plain cross-entropy), val/acc_best (so far), seconds
    (training and validation together), train/images_per_second (training alone). Accuracies are in
    [0, 1]. Training stands for the epoch up to the validation, or from one validation to the next
    where an epoch has several.

    `net`, `optimizer` and `schedule` are nodes of a configuration (a `_target_` and its arguments),
    or what such nodes describe. Of nodes, a checkpoint alone makes the module again:
    `Classifier.load_from_checkpoint(path, weights_only=True)`; objects are to be given again.

    Args:
        net: images float [B, C, S, S] -> logits [B, K], or while training a tuple of such
            logits, the first the net's own and the others those of auxiliary heads.
        optimizer: makes an optimiser of the net's parameters.
        schedule: of the learning rate; None: constant.
        label_smoothing: of the training loss, in [0, 1).
        channels_last: memory format of net and images.
        tta: of validation, see `fmnist.training.tta.mean_logits`.
        ema_decay: of an exponential moving average of weights and batch-norm statistics over the
            steps, in (0, 1); validated, tested and kept is then the average. None: no average.
        compile: whether steps are compiled, see `fmnist.training.compiled`.
    """

    def __init__(
        self,
        net: nn.Module | Mapping[str, Any],
        optimizer: Callable[..., torch.optim.Optimizer] | Mapping[str, Any],
        schedule: Schedule | Mapping[str, Any] | None = None,
        label_smoothing: float = 0.0,
        channels_last: bool = False,
        tta: str = "none",
        ema_decay: float | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        parts = {"net": net, "optimizer": optimizer, "schedule": schedule}
        plain = {
            "label_smoothing": label_smoothing, "channels_last": channels_last, "tta": tta,
            "ema_decay": ema_decay, "compile": compile,
            **{name: node for name, node in parts.items() if isinstance(node, Mapping)},
        }  # fmt: skip
        plain = {key: as_plain(value) for key, value in plain.items()}
        self.save_hyperparameters(plain, logger=False)  # loggers have the whole configuration
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        made: nn.Module = build_node(net) if isinstance(net, Mapping) else net
        self.net = made.to(memory_format=self.memory_format)
        self.average = None if ema_decay is None else moving_average(self.net, ema_decay)
        self.compiled = CompiledNet(self.net) if compile else None
        self.grouping: dict[str, Any] = {}
        if isinstance(optimizer, Mapping):
            node, self.grouping = split_grouping(optimizer)
            optimizer = maker(node)
        self.optimizer = optimizer
        self.schedule: Schedule = (
            build_node(schedule) if isinstance(schedule, Mapping) else (schedule or CONSTANT)
        )
        # Where Lightning's learning-rate finder looks for one, and puts what it found.
        self.lr: float | None = getattr(self.optimizer, "keywords", {}).get("lr")
        self.label_smoothing, self.tta = label_smoothing, tta
        self.flops: int | None = None  # of one image's forward pass, where whoever built it knows
        self.stop_requested = False
        self.history: list[dict[str, float]] = []
        self.rows_logged = 0
        self.restored_states: dict[str, Any] | None = None
        self.mean = MeanMetric()  # over all processes; of one thing after another
        # Of every batch since the last row: its step, loss [], logits, labels.
        self.outputs: list[tuple[int, Tensor, Tensor, Tensor]] = []
        self.eval_outputs: list[tuple[Tensor, Tensor]] = []  # logits, labels
        self.open_row: dict[str, float] | None = None  # trained, not yet validated
        self.open_seconds = 0.0  # of earlier epochs that were not validated
        self.images_trained = self.train_seconds = 0.0  # of the stretch that ended last

    # What is trained, and how

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, K] of images float [B, C, S, S]; in eval mode of the net that is kept."""
        net = self.net if self.training else self.kept
        result = net(images.contiguous(memory_format=self.memory_format))
        return cast("Tensor", result[0] if isinstance(result, tuple) else result)

    @property
    def kept(self) -> nn.Module:
        """What is validated, tested and kept: the net, or the average of its weights."""
        return self.net if self.average is None else self.average.module

    def configure_optimizers(self) -> Any:
        groups = without_frozen(self, parameter_groups(self.net, **self.grouping))
        optimizer = self.optimizer(groups, **({} if self.lr is None else {"lr": self.lr}))
        if self.schedule.policy is None:
            return optimizer
        usual = getattr(self.optimizer, "keywords", {}).get("lr")
        scheduler = scheduled(self.schedule, optimizer, self.trainer, self.steps_per_epoch, usual)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def steps_per_epoch(self) -> float:
        """Optimiser steps of an epoch; infinite where the data have no length."""
        self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
        return math.ceil(batches) if math.isfinite(batches) else math.inf

    def training_step(self, batch: Batch, batch_idx: int = 0) -> dict[str, Tensor]:
        """`loss` [] to minimise, and for callbacks `logits` [B, K]."""
        images, labels = batch
        loss, logits = self._loss(images, labels)
        self.outputs.append((self.global_step + 1, loss.detach(), logits.detach(), labels))
        # Reading a loss makes a GPU wait for its launches, and costs a CPU nothing.
        every = 1 if loss.device.type == "cpu" else 50
        if len(self.outputs) % every == 0:
            self._stop_if_diverged(every)
        return {"loss": loss, "logits": logits.detach()}

    def _loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss to minimise, [], and the logits, [B, K]."""
        net = self.compiled or self.net
        result = net(images.contiguous(memory_format=self.memory_format))
        heads = result if isinstance(result, tuple) else (result,)
        smoothing = self.label_smoothing
        loss, *auxiliary = (F.cross_entropy(x, labels, label_smoothing=smoothing) for x in heads)
        for extra in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * extra
        return loss, heads[0]

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        super().optimizer_step(*arguments, **named)
        self.update_average()

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        clip(self, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def update_average(self) -> None:
        """After every step of the optimiser."""
        if self.average is not None:
            self.average.update_parameters(self.net)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Lightning's hook; a plateau by the epoch is left to `on_train_epoch_end`."""
        if not (self.schedule.interval == "epoch" and takes_metric(scheduler)):
            super().lr_scheduler_step(scheduler, metric)

    # Epochs

    def on_fit_start(self) -> None:
        follow_what_was_found(self)

    def on_train_start(self) -> None:
        """After a resumption: new log files and dashboards hold the earlier epochs, too."""
        self.log_rows()
        self._begin_stretch()

    def on_train_epoch_start(self) -> None:
        self._restore_random_states()
        self.outputs.clear()
        self._begin_stretch()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        self._restore_random_states()  # begun in the middle of an epoch

    def _restore_random_states(self) -> None:
        """Where nothing more can draw before a step."""
        if self.restored_states is not None:
            restore_random_states(self.restored_states)
            self.restored_states = None

    def _begin_stretch(self) -> None:
        """Of training, up to the next validation or the end of the epoch."""
        self.open_row = None
        self.first_step, self.began = self.global_step + 1, time.perf_counter()
        # Of the optimiser's first group of parameters.
        self.first_lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])

    def _end_stretch(self) -> None:
        """What it comes to: a row that a validation may close."""
        self._stop_if_diverged(len(self.outputs))
        steps, every_loss, every_logits, every_labels = zip(*self.outputs, strict=True)
        losses = torch.stack(every_loss).float()
        self._log_steps(steps, losses)
        sizes = torch.tensor([len(labels) for labels in every_labels], device=self.device)
        logits, labels = torch.cat(every_logits).float(), torch.cat(every_labels)
        self.outputs.clear()
        loss = self._mean_of(losses, sizes)
        accuracy = self._mean_of((logits.argmax(1) == labels).float())
        refuse_divergence("training", loss, logits, f" at epoch {self.current_epoch}")
        self.images_trained = float(sizes.sum()) * self.trainer.world_size
        self.open_row = {
            "epoch": self.current_epoch,
            "step": self.global_step,
            "lr": self.first_lr,
            "train/loss": loss,
            "train/acc": round(accuracy, 6),  # a share of 55,000 images
        }

    def _log_steps(self, steps: Iterable[int], losses: Tensor) -> None:
        """Give the loggers the loss of every n-th step, all of a stretch at once: it costs none.

        Of a step of several batches, or that evaluates one several times, it is the last loss.
        """
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or not self.loggers:
            return
        for step, loss in dict(zip(steps, losses.tolist(), strict=True)).items():
            for logger in self.loggers if step % every == 0 else []:
                logger.log_metrics({"train/loss_step": loss}, step=step)

    def _close_row(self, validation: dict[str, float]) -> None:
        """The row that a validation ends: for the record, the loggers and the callbacks."""
        assert self.open_row is not None
        best = max((row["val/acc"] for row in self.history), default=0.0)
        row = {
            **self.open_row,
            **validation,
            "val/acc_best": max(best, validation["val/acc"]),
            "seconds": self.open_seconds + time.perf_counter() - self.began,
            "train/images_per_second": self.images_trained / self.train_seconds,
        }
        self.history.append(row)
        self._tell_callbacks(row)
        self.log_rows()
        self.open_seconds = 0.0
        self._begin_stretch()

    def _tell_callbacks(self, row: dict[str, float]) -> None:
        """Their copy; the loggers get the row as it is, with the number of steps done."""
        values = {key: value for key, value in row.items() if key not in ("epoch", "step")}
        self.log_dict(values, logger=False, sync_dist=True)

    def log_rows(self) -> None:
        """Give the loggers the rows that they have not had: after a resumption all of them."""
        for row in self.history[self.rows_logged :]:
            self._log(row)
        self.rows_logged = len(self.history)

    def _log(self, row: dict[str, float]) -> None:
        values = {key: value for key, value in row.items() if key != "step"}
        for logger in self.loggers:
            logger.log_metrics(values, step=int(row["step"]))

    def on_train_epoch_end(self) -> None:
        """Before the checkpoints of this epoch are written, so that they hold the result."""
        if self.outputs:  # not validated: what there is
            self._end_stretch()
            assert self.open_row is not None
            self.train_seconds = seconds_since(self.began, self.device)
            self._tell_callbacks(self.open_row)
            self._log(self.open_row)
            self.open_seconds += self.train_seconds
            self.began += self.train_seconds  # a last validation may follow, of max_steps
        validated = bool(self.history) and self.history[-1]["epoch"] == self.current_epoch
        row = self.history[-1] if validated else self.open_row or {}
        logged = validated and self.schedule.monitor  # else it is of an earlier epoch
        beside = self.trainer.callback_metrics if logged else {}
        lower_if_stalled(self.schedule, self.lr_schedulers(), {**beside, **row})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint.update({name: getattr(self, name) for name in KEPT})
        checkpoint["random_states"] = random_states()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Where training goes on; whoever takes the weights alone keeps rows and generators.

        Raises:
            RunError: the net's layers stood in another order.
        """
        if self._trains():
            refuse_other_order(checkpoint["state_dict"], self.state_dict())
            begin_next_epoch(checkpoint, self.trainer.max_steps)
            lay_out_states(checkpoint, self.memory_format)
            for name in KEPT:
                setattr(self, name, checkpoint.get(name, getattr(self, name)))
            self.began = time.perf_counter()
            self.restored_states = checkpoint.get("random_states")

    def _trains(self) -> bool:
        """Whether it is in a Trainer that fits it."""
        try:
            return self.trainer.state.fn == TrainerFn.FITTING
        except RuntimeError:  # in none
            return False

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        if self.outputs:
            self.train_seconds = seconds_since(self.began, self.device)
        self.eval_outputs.clear()
        share_buffers(self)

    on_test_epoch_start = on_validation_epoch_start

    def validation_step(self, batch: Batch, batch_idx: int = 0) -> dict[str, Tensor]:
        """For callbacks: `logits` [B, K]."""
        images, labels = batch
        logits = self.predict_step(images)
        self.eval_outputs.append((logits, labels))
        if self.stop_requested:
            raise KeyboardInterrupt
        return {"logits": logits}

    test_step = validation_step

    def predict_step(self, batch: Batch | Tensor, batch_idx: int = 0) -> Tensor:
        """Logits float32 [B, K] of images, or of a batch whose labels are not looked at."""
        images = batch if isinstance(batch, Tensor) else batch[0]
        images = images.contiguous(memory_format=self.memory_format)
        return mean_logits(self.kept, images, self.tta).float()

    def on_validation_epoch_end(self) -> None:
        metrics = self._evaluation_metrics("val")
        if self.trainer.sanity_checking:
            return
        trains = bool(self.trainer.optimizers)  # not a Trainer that has only come to validate
        if trains and self.outputs:
            self._end_stretch()
        if trains and self.open_row is not None:
            self._close_row(metrics)
        else:
            self.log_dict(metrics, sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.log_dict(self._evaluation_metrics("test"), sync_dist=True)

    def _evaluation_metrics(self, split: str) -> dict[str, float]:
        """Plain cross-entropy and accuracy of the batches since this evaluation began."""
        logits, labels = (torch.cat(parts) for parts in zip(*self.eval_outputs, strict=True))
        self.eval_outputs.clear()
        loss = F.cross_entropy(logits, labels)
        refuse_divergence(split, float(loss), logits, f" at epoch {self.current_epoch}")
        accuracy = self._mean_of((logits.argmax(1) == labels).float())
        return {
            f"{split}/loss": self._mean_of(loss, len(labels)),
            f"{split}/acc": round(accuracy, 6),
        }

    def _mean_of(self, values: Tensor, weights: Tensor | float = 1.0) -> float:
        """Over all processes. Hits are 0 or 1."""
        self.mean.reset()  # first: spawned processes share the memory of what it was given
        self.mean.set_dtype(torch.float32)  # a Trainer in bf16-true has converted it
        self.mean.update(values, weights)
        return float(self.mean.compute())

    def _stop_if_diverged(self, last: int) -> None:
        """Look at the losses of the last so many steps.

        Raises:
            Diverged: naming the first step whose loss is not a finite number.
        """
        steps, losses, _, _ = zip(*self.outputs[-last:], strict=True)
        refuse_steps(losses, steps, self.current_epoch)
