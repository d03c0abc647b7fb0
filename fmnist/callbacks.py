"""What happens beside training: the bar in the terminal and the record on disk."""

import logging
import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

from fmnist.classifier import Classifier
from fmnist.run import Run
from fmnist.terminal import epoch_label, epoch_line

log = logging.getLogger(__name__)

INTERVAL = 0.2  # seconds between updates of the bar: what makes it cost nothing measurable


class EpochBar(Callback):
    """A bar while an epoch runs, then its line of metrics. Without a terminal only the line."""

    bar: "tqdm[Any] | None" = None

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.shown = time.monotonic()
        self.bar = tqdm(
            total=int(trainer.num_training_batches),
            desc=epoch_label(trainer.current_epoch, int(trainer.max_epochs or 0)),
            bar_format="{desc} {percentage:3.0f}% |{bar:24}| {n}/{total} steps, {rate_fmt}",
            unit=" steps",
            leave=False,
            disable=not (trainer.is_global_zero and sys.stderr.isatty()),
        )

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self.shown > INTERVAL and self.bar is not None:
            self.shown = now
            self.bar.update(batch_idx + 1 - self.bar.n)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._close()
        assert isinstance(module, Classifier)
        if trainer.is_global_zero:
            log.info("%s", epoch_line(module.history, int(trainer.max_epochs or 0)))

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class RecordEpochs(Callback):
    """After every epoch its row stands in the record, so that a run can be watched from outside."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, Classifier)
        self.run.update(epochs=module.history)
