"""What a W&B run is told that was stopped and goes on: as if it had never been stopped."""

from types import SimpleNamespace

import pytest

from fmnist.runs.job import Job
from fmnist.tracking.loggers import wandb_logger
from tests.conftest import TINY, composed

STEP = "trainer/global_step"
ROWS = {16: {"epoch": 0, "val/acc": 0.5}, 32: {"epoch": 1, "val/acc": 0.6}}


class FakeRun(SimpleNamespace):
    """As far as `wandb_logger` looks: a server's run, which has its summary back."""

    def __init__(self, resumed, **summary):
        super().__init__(
            resumed=resumed, summary={"error": "KeyboardInterrupt: ", **summary}, rows=[],
            disabled=False, offline=False, url="", log=lambda row: self.rows.append(row),
            define_metric=lambda *names, **settings: None, finish=lambda **settings: None,
        )  # fmt: skip


@pytest.fixture
def tell(tmp_path, monkeypatch):
    """Open a fake run and log these rows by step; the steps that it is told."""
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))

    def told(run, rows):
        monkeypatch.setattr("fmnist.tracking.loggers._open", lambda mode, arguments: run)
        with wandb_logger(Job(tmp_path / "run"), composed(*TINY)) as logger:
            for step, row in rows.items():
                logger.log_metrics(row, step)
        return [row[STEP] for row in run.rows]

    return told


def test_a_resumed_run_is_told_no_row_twice(tell):
    run = FakeRun(True, **ROWS[32], **{STEP: 32})
    assert tell(run, ROWS | {48: {"epoch": 2, "val/acc": 0.5}}) == [48]


def test_a_validation_that_the_stop_cut_off_is_told(tell):
    trained = FakeRun(True, **{"epoch": 1, "val/acc": 0.5, STEP: 32})  # of its last step no more
    assert tell(trained, ROWS) == [32]


def test_a_run_that_begins_anew_is_told_everything(tell):
    assert tell(FakeRun(False), ROWS) == [16, 32]


def test_a_run_that_goes_on_no_longer_says_why_it_was_stopped(tell):
    run = FakeRun(True, **{STEP: 16})
    tell(run, {})
    assert "error" not in run.summary


def test_what_a_callback_logged_after_a_row_does_not_repeat_the_row(tell):
    """Lightning's step of it is one less."""
    beside = {"epoch": 1, "mine": 0.7}
    run = FakeRun(True, **ROWS[32] | beside | {STEP: 31})
    assert tell(run, ROWS | {31: beside, 48: {"epoch": 2, "val/acc": 0.5}}) == [48]
