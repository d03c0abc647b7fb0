"""What happens beside training: the bar in the terminal and the record on disk."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from tqdm import tqdm

from fmnist.runs.record import Epoch
from fmnist.runs.run import Run
from fmnist.runs.text import epoch_label, epoch_line
from fmnist.training.classifier import Classifier

log = logging.getLogger(__name__)

# Not tqdm's own lock, one of multiprocessing's, which a killed process would leak.
tqdm.set_lock(threading.RLock())
INTERVAL = 0.2  # seconds between updates of the bar: what makes it cost nothing measurable


class EpochBar(Callback):
    """A bar while an epoch runs, then its line of metrics. Without a terminal only the line."""

    bar: "tqdm[Any] | None" = None

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, Classifier)
        self.shown = time.monotonic()
        self.bar = tqdm(
            total=module.steps_per_epoch(),
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
            assert isinstance(module, Classifier)
            self.bar.update(len(module.outputs) - self.bar.n)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._close()
        assert isinstance(module, Classifier)
        if trainer.is_global_zero:
            log.info(
                "%s", epoch_line(list(map(Epoch.of, module.history)), int(trainer.max_epochs or 0))
            )

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

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, Classifier)
        if module.history:  # a checkpoint may be an epoch behind the record
            *earlier, last = self.run.record.resumed
            resumed = [*earlier, replace(last, epochs=len(module.history))]
            self.run.record = replace(self.run.record, resumed=resumed)
        # Only now: where it starts further processes, Lightning shares the cores among them.
        self.run.record = replace(self.run.record, threads=torch.get_num_threads())

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.run.record.first_step_at is None:
            self.run.record = replace(self.run.record, first_step_at=time.time())

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, Classifier)
        self.run.write(replace(self.run.record, epochs=list(map(Epoch.of, module.history))))


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that, killed between its decision and the run's end, trains no epoch more."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        trainer.should_stop |= self.wait_count >= self.patience


class StopAfterStep(Callback):
    """Ctrl-C takes effect between two steps, never within one; a second one takes effect at once.

    Nothing is lost either way: the run goes on from its last epoch's checkpoint.
    """

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            self.before = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, lambda number, frame: self._request(module))

    def _request(self, module: LightningModule) -> None:
        assert isinstance(module, Classifier)
        module.stop_requested = True
        self._restore()

    def _restore(self) -> None:
        if before := self.__dict__.pop("before", None):
            signal.signal(signal.SIGINT, before)

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._restore()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        self._restore()
