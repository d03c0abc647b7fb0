"""metrics.csv of a run whose callbacks log: whatever way its steps are taken, killed or not."""

import csv
from pathlib import Path

import pytest
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy

from fmnist.runs.job import Job
from fmnist.runs.run import load_run
from fmnist.train import train
from fmnist.training.build import build
from fmnist.training.metrics_file import KeepRows, MetricsFile
from tests.conftest import TINY, composed

SMALL = ("data.train_size=320", "trainer.max_epochs=3")  # 6 steps an epoch
TIMES = ("seconds", "train/images_per_second", "train/seconds")


class Mine(Callback):
    """Somebody's own, which logs at the ends of epochs."""

    dying: int | None = None  # once so many epochs are over

    def on_train_epoch_start(self, trainer, module):
        if self.dying == trainer.current_epoch:
            raise RuntimeError("power cut")

    def on_validation_epoch_end(self, trainer, module):
        module.log("mine/val", trainer.current_epoch + 0.5)

    def on_train_epoch_end(self, trainer, module):
        module.log("mine/train", trainer.current_epoch + 0.25)


class Steps(Mine):
    """One that watches steps, too, and dies when an epoch has rows already."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        module.log("mine/step", float(trainer.global_step))
        if self.dying == trainer.current_epoch + 1 and batch_idx == 3:  # after rows of this epoch
            raise RuntimeError("power cut")


def with_callback(kind: type = Mine) -> tuple[str, ...]:
    return (*TINY, *SMALL, f"+callbacks.mine._target_={__name__}.{kind.__name__}")


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Without what a clock says, and without empty fields."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if v and k not in TIMES} for row in rows]


def killed(config, job, monkeypatch, epoch: int) -> None:
    """Train so many epochs; with `Steps` up to the fourth step of the last of them."""
    with monkeypatch.context() as patch:
        patch.setattr(Mine, "dying", epoch)
        with pytest.raises(RuntimeError, match="power cut"):
            train(config, job)


def killed_before_a_row(config, job, monkeypatch, name: str) -> None:
    """Train up to the first row with that: the checkpoint before it has been written."""

    def log(self, metrics, step=None):
        if name in metrics:
            raise RuntimeError("power cut")
        return write(self, metrics, step)

    write = MetricsFile.log_metrics
    with monkeypatch.context() as patch:
        patch.setattr(MetricsFile, "log_metrics", log)
        with pytest.raises(RuntimeError, match="power cut"):
            train(config, job)


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


CASES = {
    "grouped": (Mine, ()),
    "steps": (Steps, ("trainer.log_every_n_steps=2",)),
    "within": (Steps, ("trainer.log_every_n_steps=1", "trainer.val_check_interval=2")),
    "seldom": (Mine, ("trainer.check_val_every_n_epoch=2",)),
    "rate": (Mine, ("callbacks=lr_monitor", "trainer.log_every_n_steps=4", "scheduler=cosine")),
    "lbfgs": (
        Mine,
        (
            "optim._target_=torch.optim.LBFGS",
            "~optim.fused",
            "~optim.weight_decay",
            "+optim.max_iter=4",
        ),
    ),
    "accumulated": (Mine, ("trainer.accumulate_grad_batches=2",)),
}


QUICK = ("grouped", "within")


@pytest.mark.parametrize(
    "case",
    [
        *QUICK,
        *(pytest.param(case, marks=pytest.mark.long) for case in CASES if case not in QUICK),
    ],
)
def test_a_run_that_was_killed_has_every_row_as_if_it_had_not_been(case, tmp_path, monkeypatch):
    kind, settings = CASES[case]
    config = composed(*with_callback(kind), *settings)
    whole, torn = Job(tmp_path / "whole"), Job(tmp_path / "torn")
    train(config, whole)
    for epoch in (1, 2):  # with `Steps` the first time before there is a checkpoint
        killed(config, torn, monkeypatch, epoch)
        killed_before_a_row(config, torn, monkeypatch, "mine/train")
    train(config, torn)
    assert load_run(torn.dir).record.resumed
    assert rows_of(torn.dir) == rows_of(whole.dir)
    lines = [(job.dir / "metrics.csv").read_text().partition("\n")[0] for job in (whole, torn)]
    assert lines[0] == lines[1]


def test_a_run_that_is_killed_again_before_it_trains_loses_no_row(tmp_path, monkeypatch):
    config, job = composed(*with_callback()), Job(tmp_path / "run")
    killed(config, job, monkeypatch, 2)
    before = rows_of(job.dir)
    with monkeypatch.context() as patch:
        patch.setattr(Mine, "setup", lambda self, trainer, module, stage: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, job)
    assert rows_of(job.dir) == before
    train(config, job)
    assert rows_of(job.dir)[: len(before)] == before


class Late(SingleDeviceStrategy):
    """It reads a checkpoint after the fit's start, as those do that share out a net's weights."""

    restore_checkpoint_after_setup = True


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*logging interval")
def test_rows_are_kept_also_where_a_checkpoint_is_read_late(tmp_path):
    for epochs, checkpoint in ((1, None), (2, tmp_path / "last.ckpt")):
        module, data = build(composed(*TINY, *SMALL))
        trainer = Trainer(
            max_epochs=epochs, strategy=Late("cpu"), callbacks=[KeepRows(), Mine()],
            logger=MetricsFile(tmp_path / "metrics.csv"), enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        )  # fmt: skip
        trainer.fit(module, data, ckpt_path=checkpoint)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert steps_of(rows_of(tmp_path), "val/acc") == [6, 12]
    assert steps_of(rows_of(tmp_path), "mine/train") == [5, 11]


def test_a_run_that_goes_on_from_another_has_the_rows_of_that_one(tmp_path):
    begun, whole = Job(tmp_path / "begun"), Job(tmp_path / "whole")
    train(composed(*with_callback(), "trainer.max_epochs=2"), begun)
    train(composed(*with_callback()), whole)
    for which in ("last", "best"):  # the best epoch is the last one
        there = begun.dir if which == "last" else begun.dir / "checkpoints" / "best.ckpt"
        onward = Job(tmp_path / f"from {which}")
        train(composed(*with_callback(), f"ckpt_path='{there}'"), onward)
        assert rows_of(onward.dir) == rows_of(whole.dir), which


def test_another_logger_that_begins_anew_gets_all_rows_again(tmp_path, monkeypatch):
    own = (
        "+logger.own._target_=lightning.pytorch.loggers.CSVLogger",
        f"+logger.own.save_dir={tmp_path}",
    )
    config, job = composed(*with_callback(), *own), Job(tmp_path / "run")
    killed(config, job, monkeypatch, 2)
    train(config, job)
    (*_, last) = sorted(tmp_path.glob("lightning_logs/*"))
    assert last.name == "version_1"
    assert rows_of(last)[:-1] == rows_of(job.dir)[:-1]  # then that of the test
    assert steps_of(rows_of(last), "mine/val") == [5, 11, 17]


DAMAGE = {
    "gone": None,
    "short": b"epoch,step,val/acc\r\n0,6,0.5\r\n",
    "strange": b"a\r\n1,2\r\n" * 9,
    "without steps": b"a,b\r\n1,2\r\n" * 9,
    "binary": b"\xff\x00\n" * 9,
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_run_whose_file_is_damaged_has_the_rows_of_its_validations(case, tmp_path, monkeypatch):
    config, job = composed(*with_callback()), Job(tmp_path / "run")
    killed(config, job, monkeypatch, 2)
    file = job.dir / "metrics.csv"
    file.unlink() if DAMAGE[case] is None else file.write_bytes(DAMAGE[case])
    train(config, job)
    rows = rows_of(job.dir)
    assert steps_of(rows, "val/acc") == [6, 12, 18]
    assert steps_of(rows, "mine/val") == [17]


def test_a_run_that_begins_anew_has_none_of_the_rows_that_it_finds(tmp_path):
    found = tmp_path / "metrics.csv"
    found.write_text("step,x\r\n3,1.0\r\n")
    file = MetricsFile(found)
    assert found.exists()  # as long as there is nothing to say
    file.log_metrics({"y": 2.0}, step=1)
    file.log_metrics({"word": "yes"})
    assert rows_of(tmp_path) == [{"step": "1", "y": "2.0"}, {"step": "1", "word": "yes"}]


def test_a_file_that_somebody_takes_away_is_begun_anew(tmp_path):
    found = tmp_path / "metrics.csv"
    file = MetricsFile(found)
    for row, gone in (({"x": 1.0}, True), ({"x": 2.0}, True), ({"y": 3.0}, False)):
        file.log_metrics(row, step=1)
        assert rows_of(tmp_path) == [{"step": "1", **{k: str(v) for k, v in row.items()}}]
        if gone:
            found.unlink()
    assert file.count == 1


def test_a_line_that_a_power_cut_tore_is_no_row(tmp_path):
    found = tmp_path / "metrics.csv"
    found.write_text("step,x\r\n6,1.0\r\n5,2.0\r\n1")
    file = MetricsFile(found)
    assert [row["x"] for row in file.go_on(count=1, step=6)] == ["1.0", "2.0"]
    file.log_metrics({"x": 3.0}, step=12)
    assert steps_of(rows_of(tmp_path), "x") == [6, 5, 12]


def test_a_callback_learns_from_the_logger_where_the_run_lies(tmp_path):
    assert Path(MetricsFile(tmp_path / "metrics.csv").log_dir) == tmp_path
