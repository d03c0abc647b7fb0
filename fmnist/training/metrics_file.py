"""metrics.csv: the rows of a run as loggers get them, those before it was stopped included."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import csv
import io
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor

from fmnist.runs.run import write_atomically
from fmnist.training.classifier import Classifier

METRICS_CSV = "metrics.csv"
PLACE = "metrics_file"  # in a checkpoint: how far the file was when it was written


class MetricsFile(Logger):
    """A line a row, written when it is logged.

    Lightning's own deletes the file that it finds. This one leaves it alone up to its first row,
    which begins another file unless `go_on` kept the rows that there were.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.columns: list[str] = []
        self.count = 0  # rows in the file, of this run

    # Where Lightning's callbacks put files of their own: beside it.
    name = version = ""

    @property
    def save_dir(self) -> str:
        return str(self.file.parent)

    @property
    def log_dir(self) -> str:
        """Where callbacks of one's own look, by `trainer.logger.log_dir`."""
        return self.save_dir

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """They are in the record."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        row = {k: v.item() if isinstance(v, Tensor) else v for k, v in metrics.items()}
        row["step"] = self.count if step is None else step
        if row.keys() <= {*self.columns} and self.file.exists():
            with self.file.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns).writerow(row)
        else:
            earlier = self._read()[: self.count]
            self._write([*earlier, row])
            self.count = len(earlier)  # fewer where somebody took the file away
        self.count += 1

    def go_on(
        self, count: int, step: int, due: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Keep the rows from before a checkpoint; training logs anew what came after it.

        Args:
            count: of the rows that there were when it was written.
            step: up to which rows are kept that follow them: Lightning logs what callbacks have of
                an epoch's end when the checkpoint is written, and at the step before.
            due: that row, for a run that was killed before it came to that; None: none is known.

        Returns:
            What is kept: nothing where the file is not what it was.
        """
        rows: list[dict[str, Any]] = [*self._read()]
        if not 0 < count <= len(rows):
            return []
        after = [*takewhile(lambda row: float(row["step"]) < step, rows[count:])]
        kept = [*rows[:count], *(after or ([dict(due)] if due else []))]
        self._write(kept)
        self.count = len(kept)
        return kept

    def _read(self) -> list[dict[str, str]]:
        """The rows that there are: none where the file is lost or damaged."""
        try:
            text = self.file.read_bytes().decode()
            whole = text[: text.rfind("\n") + 1]  # a power cut may have torn the last line
            rows = list(csv.DictReader(io.StringIO(whole, newline="")))
            steps = [float(row["step"]) for row in rows]
            full = all(None not in (*row, *row.values()) for row in rows)
        except (OSError, ValueError, TypeError, KeyError, csv.Error):
            return []
        return rows if full and all(map(math.isfinite, steps)) else []

    def _write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        rows = list(rows)
        self.columns = sorted({*self.columns}.union(*rows))
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, self.columns)
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.file, buffer.getvalue().encode())


class KeepRows(Callback):
    """A run that goes on has all rows of before in metrics.csv; its other loggers get them, too.

    The module knows the rows of its validations. Losses of single steps, epochs without validation
    and what other callbacks log are in the file alone.
    """

    place: dict[str, Any] | None = None

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        for file in _metrics_files(trainer):
            # Of a checkpoint at a validation nothing follows: an epoch's end is still to come.
            step, due = (trainer.global_step, _row_due(trainer)) if trainer.training else (0, None)
            checkpoint[PLACE] = {"count": file.count, "step": step, "due": due}

    def on_load_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.place = checkpoint.get(PLACE)

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._go_on(trainer, module)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.strategy.restore_checkpoint_after_setup:  # it was not read before
            self._go_on(trainer, module)

    def _go_on(self, trainer: Trainer, module: LightningModule) -> None:
        place, self.place = self.place or {}, None
        for file in _metrics_files(trainer) if place else []:
            rows = file.go_on(**place)
            others = [one for one in trainer.loggers if one is not file]
            for row in rows:
                numbers = {key: _number(str(row[key])) for key in row if key != "step"}
                values = {key: value for key, value in numbers.items() if value is not None}
                for logger in others:
                    logger.log_metrics(values, int(float(row["step"])))
            if rows and isinstance(module, Classifier):
                module.rows_logged = len(module.history)


def _metrics_files(trainer: Trainer) -> list[MetricsFile]:
    """The file of a trainer that has one: no other process of a run on several devices."""
    return [one for one in trainer.loggers if isinstance(one, MetricsFile)]


def _row_due(trainer: Trainer) -> dict[str, float] | None:
    """What Lightning logs of an epoch's end after its checkpoints; None: nothing, or not known.

    Its dictionary has what was logged before, too, and is completed whenever it is asked for.
    """
    progress: Any = trainer.fit_loop.epoch_progress.current
    if progress.processed == progress.completed:
        return None  # within an epoch
    if trainer.world_size > 1:
        return None  # the others, which write no file, might have to be asked for their part
    before = dict(logged := trainer.logged_metrics)
    logged.clear()
    row = {key: value.item() for key, value in trainer.logged_metrics.items()}
    logged.update(before)
    last = {"epoch": trainer.current_epoch, "step": trainer.global_step - 1}
    return last | row if row else None


def _number(text: str) -> float | None:
    """None: an empty field, or the word that somebody logged."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return None
