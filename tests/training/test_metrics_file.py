"""metrics.csv of a run whose callbacks log: whatever way its steps are taken."""

import csv
from pathlib import Path

import pytest
from lightning.pytorch import Callback

from fmnist.runs.job import Job
from fmnist.train import train
from tests.conftest import TINY, composed

SMALL = ("data.train_size=320", "trainer.max_epochs=3")  # 6 steps an epoch
TIMES = ("seconds", "train/images_per_second", "train/seconds")


class Mine(Callback):
    """Somebody's own, which logs at the ends of epochs."""

    def on_validation_epoch_end(self, trainer, module):
        module.log("mine/val", trainer.current_epoch + 0.5)

    def on_train_epoch_end(self, trainer, module):
        module.log("mine/train", trainer.current_epoch + 0.25)


def with_callback(kind: type = Mine) -> tuple[str, ...]:
    return (*TINY, *SMALL, f"+callbacks.mine._target_={__name__}.{kind.__name__}")


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Without what a clock says, and without empty fields."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if v and k not in TIMES} for row in rows]


def steps_of(rows: list[dict[str, str]], name: str) -> list[int]:
    return [int(row["step"]) for row in rows if name in row]


@pytest.mark.parametrize("steps", [1, 4, 16])
def test_what_a_callback_logs_stands_at_the_step_that_it_was_logged_at(tmp_path, steps):
    train(composed(*with_callback(), f"steps_per_execution={steps}"), Job(tmp_path / "run"))
    rows = rows_of(tmp_path / "run")
    assert steps_of(rows, "val/acc") == [6, 12, 18]
    for name in ("mine/val", "mine/train"):  # as Lightning counts: from 0
        assert steps_of(rows, name) == [5, 11, 17], name
        assert [int(float(row[name])) for row in rows if name in row] == [0, 1, 2]
