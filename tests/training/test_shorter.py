"""A longer run of a finished one goes on from it, within a sweep."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fmnist.config.schema import config_hash
from fmnist.runs.job import Job
from fmnist.runs.manifest import SWEEP, Cell, Manifest, manifest_json
from fmnist.runs.run import Run, load_run, read_checkpoint, write_atomically
from fmnist.sweeps.launch import shorter_first
from fmnist.train import train
from fmnist.training import shorter as module
from fmnist.training.shorter import shorter_run
from tests.conftest import TINY, composed
from tests.sweeps.test_sweep import bitwise


def settings(epochs: int, *overrides: str) -> list[str]:
    return [*TINY, *overrides, f"trainer.max_epochs={epochs}"]


def trained(folder: Path, epochs: int, *overrides: str, group: str | None = "sweep") -> Run:
    run_dir = folder / f"{epochs}"
    train(composed(*settings(epochs, *overrides)), Job(run_dir, group=group))
    return load_run(run_dir)


def listed(folder: Path, *overrides: str, epochs: tuple[int, ...] = (1, 2, 3)) -> Path:
    """The folder of a sweep of these lengths."""
    cells = [
        Cell(f"{n}", [f"trainer.max_epochs={n}"], config_hash(composed(*settings(n, *overrides))))
        for n in epochs
    ]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / SWEEP, manifest_json(Manifest(cells)))
    return folder


def found(config: dict, run_dir: Path) -> Run | None:
    """What a run of the same data files goes on from."""
    facts = load_run(run_dir.parent / "1").record.dataset if run_dir.parent.exists() else None
    return shorter_run(config, run_dir, facts.checksums if facts else {})


def result(run: Run) -> list[object]:
    """All that a run leaves and that no clock is in."""
    last = read_checkpoint(run.checkpoints / "last.ckpt")
    best = read_checkpoint(run.checkpoints / "best.ckpt")
    rows = [
        {k: v for k, v in row.metrics().items() if k not in ("seconds", "train/images_per_second")}
        for row in run.record.epochs
    ]
    states = [last["state_dict"], last["optimizer_states"], last["lr_schedulers"],
              last["random_states"], best["state_dict"]]  # fmt: skip
    arrays = [array.tolist() for array in run.predictions()]
    return [run.record.metrics, run.record.config_hash, rows, bitwise(states), arrays]


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A sweep of which one epoch has been trained."""
    sweep = listed(tmp_path_factory.mktemp("begun") / "sweep")
    trained(sweep, 1)
    return sweep


@pytest.fixture
def sweep(begun, tmp_path) -> Path:
    return shutil.copytree(begun, tmp_path / "sweep")


EVERYTHING = ("aug=on", "model.dropout=0.3", "optim=sgd", "scheduler=plateau", "ema_decay=0.9")


@pytest.mark.parametrize("overrides", [(), EVERYTHING], ids=["plain", "everything"])
def test_it_ends_bit_for_bit_as_if_trained_from_the_start(tmp_path, overrides):
    sweep = listed(tmp_path / "sweep", *overrides)
    if overrides:  # twice
        trained(sweep, 1, *overrides)
    second = trained(sweep, 2, *overrides)
    longer = trained(sweep, 3, *overrides)
    assert longer.record.origin == f"reuse_shorter={second.dir} ({second.record.config_hash})"
    whole = trained(listed(tmp_path / "whole", *overrides), 3, *overrides)
    assert whole.record.origin is None
    assert result(longer) == result(whole)
    assert not longer.record.resumed


def test_its_seconds_are_those_of_all_epochs_and_say_which_were_inherited(sweep):
    shorter, longer = load_run(sweep / "1"), trained(sweep, 3)
    assert longer.record.inherited_seconds == shorter.record.train_seconds
    assert [row.seconds for row in longer.record.epochs][:1] == [
        row.seconds for row in shorter.record.epochs
    ]
    rows = sum(row.seconds for row in longer.record.epochs)
    assert longer.record.train_seconds == pytest.approx(rows)
    assert longer.record.seconds > longer.record.train_seconds > longer.record.inherited_seconds
    assert shorter.record.inherited_seconds is None


def test_the_setting_changes_no_hash_and_ends_it(sweep):
    on, off = composed(*settings(3)), composed(*settings(3, "reuse_shorter=false"))
    assert config_hash(on) == config_hash(off)
    assert found(on, sweep / "3") is not None
    assert found(off, sweep / "3") is None


@pytest.mark.parametrize(
    "override",
    ["scheduler=cosine", "scheduler=onecycle", "callbacks=lr_monitor", "init_from=somewhere",
     "trainer.check_val_every_n_epoch=2", "+trainer.max_time=00:01:00:00"],
)  # fmt: skip
def test_what_may_depend_on_the_length_begins_anew(tmp_path, override, monkeypatch):
    """Though the shorter run looks finished."""
    sweep = listed(tmp_path / "sweep", override, epochs=(1,))
    monkeypatch.setattr("fmnist.training.shorter.finished_run", lambda *_: pytest.fail("asked"))
    assert shorter_run(composed(*settings(3, override)), sweep / "3", {}) is None


def test_a_run_that_is_not_the_beginning_of_the_longer_one_is_left_alone(sweep, tmp_path):
    shorter = load_run(sweep / "1")
    wanted = composed(*settings(3))
    record = shorter.record
    assert record.code
    for other in (
        replace(record, cut_short="trainer.limit_train_batches=1"),
        replace(record, git_commit="another"),
        replace(record, versions=record.versions | {"torch": "0"}),
        replace(record, code=dict.fromkeys(record.code, "another")),
        replace(record, device="cpu (another)"),
        replace(record, status="failed"),
        replace(record, config_hash="another"),
    ):
        shorter.write(other)
        assert found(wanted, sweep / "3") is None
    shorter.write(record)
    assert found(wanted, sweep / "3").dir == shorter.dir
    assert found(wanted, tmp_path / "elsewhere/3") is None
    assert found(composed(*settings(3, "optim.lr=0.002")), sweep / "3") is None
    assert shorter_run(wanted, sweep / "3", {"train": "another"}) is None
    (shorter.checkpoints / "last.ckpt").unlink()
    assert found(wanted, sweep / "3") is None


def test_code_that_was_changed_since_is_other_code(sweep, tmp_path, monkeypatch):
    """Where the tree differs from its commit; its files may be older than the run."""
    run, wanted = load_run(sweep / "1"), composed(*settings(3))
    package = tmp_path / "package"
    package.mkdir()
    (package / "net.py").touch()
    os.utime(package / "net.py", (0, 0))
    monkeypatch.setattr(module, "PACKAGE", package)
    for dirty, then, touched, same in (
        (False, False, True, True), (True, False, False, True), (True, True, True, False),
        (False, True, True, False),
    ):  # fmt: skip
        monkeypatch.setattr(module, "code_version", lambda now=dirty: ("commit", now))
        run.write(replace(run.record, git_commit="commit", git_dirty=then))
        os.utime(package / "net.py", None if touched else (0, 0))
        assert (found(wanted, sweep / "3") is not None) == same


def test_patience_that_runs_out_at_the_shorter_runs_end_leaves_nothing_to_train(tmp_path):
    overrides = ("optim.lr=1e-9", "patience=1")
    sweep = listed(tmp_path / "sweep", *overrides)
    shorter = trained(sweep, 2, *overrides)
    assert len(shorter.record.epochs) == 2
    longer = trained(sweep, 3, *overrides)
    assert longer.record.origin is not None
    assert longer.record.status == "finished"
    assert longer.record.metrics == shorter.record.metrics
    assert longer.record.epochs == shorter.record.epochs


def test_a_sweep_runs_shorter_cells_first_within_a_seed():
    def cell(seed: int, size: int, epochs: int) -> Cell:
        text = [f"seed={seed}", f"data.batch_size={size}", f"trainer.max_epochs={epochs}"]
        return Cell(f"{seed}-{size}-{epochs}", text)

    cells = [cell(s, b, e) for s in (0, 1) for b in (32, 64) for e in (1, 10, 2)]
    assert [one.dir for one in shorter_first(cells)] == [
        "0-32-1", "0-64-1", "0-32-2", "0-64-2", "0-32-10", "0-64-10",
        "1-32-1", "1-64-1", "1-32-2", "1-64-2", "1-32-10", "1-64-10",
    ]  # fmt: skip
    others = [Cell("b", ["seed=1", "optim=sgd"]), Cell("a", ["seed=0", "optim=adam"])]
    assert shorter_first(others) == others


def test_a_single_run_begins_at_the_beginning(sweep):
    assert trained(sweep, 2, group=None).record.origin is None
