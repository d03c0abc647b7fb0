"""A dashboard that fails costs its own pictures, and nothing of the run."""

import os

import pytest
import wandb
from lightning.pytorch.loggers import WandbLogger

from fmnist.errors import ConfigError, UserError
from fmnist.runs.job import Job
from fmnist.runs.run import load_run
from fmnist.tracking import dashboard, figures
from fmnist.tracking.loggers import HINTED, SERVER
from tests.conftest import composed


@pytest.fixture(autouse=True)
def a_new_process(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in (HINTED, SERVER, "WANDB_SERVICE"):
        monkeypatch.setenv(name, "")  # so that it is restored afterwards
        monkeypatch.delenv(name)
    yield
    wandb.teardown()


def fails(*arguments, **keywords):
    raise OSError(28, "No space left on device")


def finish_and_fail(run, *arguments, **keywords):
    finish(run, *arguments, **keywords)
    fails()


finish = wandb.Run.finish
PLACES = {
    "open": (wandb, "init", fails),
    "epoch": (WandbLogger, "log_metrics", fails),
    "figures": (figures, "figures", fails),
    "close": (wandb.Run, "finish", finish_and_fail),
}


@pytest.mark.parametrize("place", PLACES)
def test_its_failure_is_one_line_and_a_field_of_a_finished_run(place, run_tiny, monkeypatch):
    said = []  # not by caplog: an earlier test may have left the process's logging configured
    monkeypatch.setattr(dashboard.log, "warning", lambda text, *words: said.append(text % words))
    monkeypatch.setattr(*PLACES[place])
    run = run_tiny("logger=wandb", "trainer.max_epochs=2")
    assert run.record.status == "finished"
    assert run.record.dashboard_error.endswith("No space left on device")
    assert len(run.record.epochs) == 2
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert "\n" not in said[0]


def test_a_folder_that_cannot_be_is_no_obstacle(run_tiny, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "file" / "folder"))
    run = run_tiny("logger=wandb")
    assert run.record.status == "finished"
    assert "NotADirectoryError" in run.record.dashboard_error


def test_an_interrupt_while_it_uploads_leaves_the_run_finished(run_tiny, monkeypatch, tmp_path):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(figures, "figures", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_tiny("logger=wandb")
    assert load_run(tmp_path / "run1").record.status == "finished"


def test_a_mode_that_wandb_does_not_know_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    message = r"^WANDB_MODE=ofline: should be one of online, offline, disabled.*offline"
    with pytest.raises(UserError, match=message):
        composed("logger=[csv,wandb]", "logger.wandb.mode=offline")  # before there is a folder
    composed("logger=csv")


def test_an_empty_mode_is_none(run_tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "")
    run = run_tiny("logger=wandb")
    assert run.record.status == "finished"
    assert run.record.dashboard_error is None
    assert list(tmp_path.glob("wandb/offline-run-*"))
    assert "WANDB_MODE" not in os.environ


class Plain:
    """What somebody may take for a logger."""

    def __init__(self, file: str = "log.txt") -> None:
        self.file = file


def test_what_is_no_logger_is_refused_in_one_line(tmp_path):
    node = {"_target_": f"{__name__}.Plain", "file": "a.txt"}
    with (
        pytest.raises(ConfigError, match=r"^logger: .*Plain: should be a Logger of Lightning's, "),
        dashboard.opened(node, Job(tmp_path), {}),
    ):
        pass
