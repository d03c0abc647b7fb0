"""What happens beside training: the bar in the terminal and the record on disk."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
import math
import signal
import sys
import threading
import time
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from fmnist.errors import Pruned
from fmnist.process.bars import tqdm
from fmnist.runs.record import GIVEN_UP, Epoch
from fmnist.runs.run import PRUNED, Run
from fmnist.runs.text import epoch_label, epoch_line, plural
from fmnist.training.checkpoint import back_to_rows
from fmnist.training.classifier import Classifier

log = logging.getLogger(__name__)

INTERVAL = 0.2  # seconds between updates of the bar: what makes it cost nothing measurable


class Checkpoint(ModelCheckpoint):
    """Lightning's, written at validations and ends of epochs only: no step of it looks at."""

    @property
    def _last_global_step_saved(self) -> int:
        """None, or Lightning would leave out the second one within a step.

        An evaluation may cut the batches of a step in two, and its row needs a checkpoint: those
        in between have moved batch norm's statistics.
        """
        return -1

    @_last_global_step_saved.setter
    def _last_global_step_saved(self, step: int) -> None:
        pass

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What was written before lies here, also when the folder was moved or copied."""

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        super().load_state_dict(
            state_dict
            | {name: here(state_dict[name]) for name in paths}
            | {"best_k_models": {here(k): v for k, v in state_dict["best_k_models"].items()}}
            | {"dirpath": self.dirpath}
        )

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """The best so far is that of the rows: a closing validation is no callback's.

        Nor is that of an epoch which is trained again.
        """
        super().on_train_start(trainer, module)
        rows = module.history if isinstance(module, Classifier) else []
        if self.monitor is None or not rows:
            return
        first = max(rows, key=itemgetter(self.monitor))  # of equals
        if trainer.is_global_zero:
            back_to_rows(Path(str(self.dirpath)), first)
        best = torch.tensor(first[self.monitor])
        if self.best_model_score is None or self.best_model_score < best:
            path = str(Path(str(self.dirpath)) / f"{self.filename}.ckpt")
            self.best_model_path = self.kth_best_model_path = path
            self.best_model_score = self.kth_value = best
            self.best_k_models = {path: best}


class EpochBar(Callback):
    """A bar while an epoch runs, and a line of metrics after its validation.

    Args:
        shown: False, or a terminal that is none: only the line.
    """

    bar: "tqdm[Any] | None" = None

    def __init__(self, shown: bool = True) -> None:
        self.shown = shown

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, Classifier)
        now = time.monotonic()
        if self.bar is None:
            self.bar = self._opened(trainer, module)
            self.updated, self.done = now, module.first_step - 1
        elif now - self.updated > INTERVAL:
            self.updated = now
            self.bar.update(module.global_step - self.done - self.bar.n)

    def _opened(self, trainer: Trainer, module: Classifier) -> "tqdm[Any]":
        steps = module.steps_per_epoch()
        return tqdm(
            total=steps if math.isfinite(steps) else None,
            desc=epoch_label(trainer.current_epoch, trainer.max_epochs),
            bar_format="{desc} {percentage:3.0f}% |{bar:24}| {n}/{total} steps, {rate_fmt}",
            unit=" steps",
            leave=False,
            disable=not (self.shown and trainer.is_global_zero and _draws()),
        )

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._close()
        assert isinstance(module, Classifier)
        if trainer.is_global_zero and not trainer.sanity_checking:
            rows = list(map(Epoch.of, module.history))
            log.info("%s", epoch_line(rows, trainer.max_epochs))

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._close()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        self.bar = None


def _draws() -> bool:
    """Whether a bar is seen: in a terminal, or in a notebook, whose stream is no terminal."""
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")


class RecordEpochs(Callback):
    """After every validation its row stands in the record: a run can be watched from outside."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, Classifier)
        if module.history and self.run.record.resumed:  # a checkpoint may be an epoch behind
            *earlier, last = self.run.record.resumed
            resumed = [*earlier, replace(last, epochs=int(module.history[-1]["epoch"]) + 1)]
            self.run.record = replace(self.run.record, resumed=resumed)
        if len(module.history) > len(self.run.record.epochs):  # of another run: none may follow
            self._write(module)
        # Only now: where it starts further processes, Lightning shares the cores among them.
        self.run.record = replace(self.run.record, threads=torch.get_num_threads())

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.run.record.first_step_at is None:
            self.run.record = replace(self.run.record, first_step_at=time.time())

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, Classifier)
        if not trainer.sanity_checking:
            self._write(module)
            if (self.run.dir / PRUNED).exists():
                raise Pruned(f"{GIVEN_UP} after {plural(len(module.history), 'epoch')}")

    def _write(self, module: Classifier) -> None:
        self.run.write(replace(self.run.record, epochs=list(map(Epoch.of, module.history))))


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that, killed between its decision and the run's end, trains no epoch more.

    Before `trainer.min_epochs` and `trainer.min_steps` it counts and decides nothing: Lightning
    would remember a decision of then, and stop there even if the last epoch was the best.
    """

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.wait_count >= self.patience and _may_stop(trainer, trainer.current_epoch):
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        before = trainer.should_stop
        super().on_validation_end(trainer, module)
        ends = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch  # the epoch, with it
        if not _may_stop(trainer, trainer.current_epoch + ends):
            trainer.should_stop = before

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """All but the patience, which is a setting of the run that goes on."""
        super().load_state_dict({**state_dict, "patience": self.patience})


def _may_stop(trainer: Trainer, epochs: int) -> bool:
    """Whether so many epochs, and the steps so far, are as many as there have to be."""
    steps = trainer.min_steps or 0
    return epochs >= (trainer.min_epochs or 0) and trainer.global_step >= steps


class StopAfterStep(Callback):
    """Ctrl-C takes effect between two steps, never within one; a second one takes effect at once.

    Nothing is lost either way: the run goes on from its last epoch's checkpoint.
    """

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            self.before = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, lambda number, frame: self._request(module))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, Classifier)
        if module.stop_requested:
            raise KeyboardInterrupt

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
