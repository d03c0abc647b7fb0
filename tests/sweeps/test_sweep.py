"""Sweeps finish: cells are skipped, continued, isolated and reported."""

import csv
import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from fmnist.config.schema import config_hash
from fmnist.errors import ConfigError, RunBusy, RunError
from fmnist.runs.job import Job
from fmnist.runs.lock import is_locked, locked
from fmnist.runs.manifest import Cell, listed_cells
from fmnist.runs.record import Record
from fmnist.runs.run import finished_run, load_run
from fmnist.sweeps.names import (
    NAME_BYTES,
    NAME_LENGTH,
    cell_name,
    distinct,
    folder_name,
    sweep_name,
    varied_keys,
)
from fmnist.sweeps.plan import fingerprint, plan, where_finished, write_manifest
from fmnist.sweeps.process import run_cell
from fmnist.sweeps.server import PRELOADED
from fmnist.train import train
from tests.conftest import CHECKOUT, TINY, composed, here, once
from tests.records import a_record, put_record
from tests.stopping import holding, stopping, stopping_early
from tests.sweeps import tasks

TIMES = ("seconds", "train/images_per_second")


def in_sweep(*arguments: str, cwd: Path, **keywords) -> subprocess.CompletedProcess:
    return here("fmnist.train", "-m", *TINY, *arguments, cwd=cwd, **keywords)


def started(*arguments: str, cwd: Path) -> subprocess.Popen:
    """A sweep in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", *once("fmnist.train", "-m", *TINY, *arguments)],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def records(folder: Path) -> list[Record]:
    return [load_run(path.parent).record for path in sorted(folder.rglob("result.json"))]


def timeless(record: Record) -> dict:
    """What two runs of one configuration must agree on."""
    rows = [{k: v for k, v in row.metrics().items() if k not in TIMES} for row in record.epochs]
    kept = ("status", "config_hash", "metrics", "best_epoch", "config", "seed", "dataset")
    return {"epochs": rows, **{key: getattr(record, key) for key in kept}}


def bitwise(value):
    """A checkpoint's part in a form that == compares bit for bit."""
    if isinstance(value, torch.Tensor):
        return value.dtype, value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {key: bitwise(item) for key, item in value.items()}
    return [bitwise(item) for item in value] if isinstance(value, list | tuple) else value


# --- names -------------------------------------------------------------------------------------


def test_a_sweep_keeps_its_folder_when_an_axis_is_widened():
    narrow = ["optim=sgd,adam", "seed=0,1", "model=fashioncnn", "logger=csv", "data.root=x"]
    wide = ["optim=sgd,adam,rmsprop", "seed=range(0,10)", "model=fashioncnn"]
    assert sweep_name(narrow, None) == sweep_name(wide, {}) == "optim,seed,model=fashioncnn"
    assert sweep_name(["optim=sgd,adam", "seed=0,1"], None) != sweep_name(wide, None)


def test_an_ablation_names_its_sweep_and_what_was_changed_about_it():
    params = ["model.activation", "seed"]
    assert sweep_name(["ablation=s2_activation"], params) == "s2_activation"
    assert sweep_name(["ablation=s2_activation", "seed=0,1"], params) == "s2_activation"
    narrowed = ["ablation=s2_activation", "seed=0", "trainer.max_epochs=2", "optim=sgd,adam"]
    assert sweep_name(narrowed, params) == "s2_activation,trainer.max_epochs=2,optim"


def test_what_an_axis_is_says_hydras_own_parser():
    assert sweep_name(["x=[1,2]", "y='a,b'", "seed=0,1"], None).startswith("seed,x=")
    lists = ["x=[1,2],[3,4]", "y='a,b',c", "z={a:1},{a:2}", "w=choice(1e-3)"]
    assert varied_keys(lists, None) == ["x", "y", "z"]
    assert sweep_name(lists, None) == "x,y,z,w=1e-3"
    assert sweep_name(["x=[1,2],[3,4],[5,6]", *lists[1:]], None) == "x,y,z,w=1e-3"


def test_folders_have_names_that_every_shell_takes_and_that_fit():
    assert folder_name("a b/c:${d}'") == "a_b_c_d_"
    for letter in ("x", "é", "語"):  # of one byte, two and three
        long = [folder_name(letter * 500 + end) for end in "ab"]
        assert max(map(len, long)) <= NAME_LENGTH
        assert long[0] != long[1]
        cell = cell_name([f"model.x={letter * 500}"], ["model.x"], "0123456789ab")
        assert len(cell.encode()) <= NAME_BYTES
    assert folder_name("語" * 70) == "語" * 70


def test_a_cell_is_named_by_its_levels_and_its_hash():
    overrides = ["data=synthetic", "optim=sgd", "seed=1", "logger=csv"]
    assert cell_name(overrides, ["optim", "seed", "logger"], "abc") == "optim=sgd,seed=1-abc"
    assert cell_name([], [], "abc") == "cell-abc"


def test_cells_are_called_by_what_distinguishes_them():
    assert distinct([["a=1", "b=1"], ["a=1", "b=2"]]) == ["b=1", "b=2"]
    assert distinct([["a=1", "hydra.x=1"]]) == ["a=1"]
    assert distinct([["++a.b=1", "+c=1"], ["++a.b=2", "+c=1"]]) == ["a.b=1", "a.b=2"]


# --- the plan ----------------------------------------------------------------------------------


def planned(wanted, known=(), sources="s", seen=None):
    def compose(overrides):
        if seen is not None:
            seen.append(overrides)
        from hydra import compose, initialize_config_dir

        from fmnist.config.schema import CONF_DIR

        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            return compose("config", overrides=overrides)

    return plan(wanted, compose, ["optim"], known, sources)


def test_every_cell_is_checked_before_the_first_is_trained():
    with pytest.raises(ConfigError, match=r"optim.lr=-1: .*\(in the cell optim=sgd optim.lr=-1\)"):
        planned([["optim=adam"], ["optim=sgd", "optim.lr=-1"]])


def test_cells_with_one_configuration_are_one_cell():
    first, *others = planned([["optim=adam"], ["optim=adam", "optim.lr=0.001"], ["logger=csv"]])
    assert first.overrides == ["optim=adam"]
    assert others == []


def test_known_cells_are_not_composed_again_until_a_source_changes(tmp_path):
    known = planned([["optim=adam"]])
    seen = []
    assert planned([["optim=adam"], ["optim=sgd"]], known, seen=seen)[0] == known[0]
    assert seen == [["optim=sgd"]]
    assert planned([["optim=adam"]], known, sources="edited", seen=seen)[0].sources == "edited"
    assert seen == [["optim=sgd"], ["optim=adam"]]

    (tmp_path / "x.yaml").write_text("a: ${oc.env:A_VARIABLE,1}")
    before = fingerprint([tmp_path])
    assert fingerprint([tmp_path]) == before
    os.environ["A_VARIABLE"] = "2"
    try:
        assert fingerprint([tmp_path]) != before
    finally:
        del os.environ["A_VARIABLE"]
    (tmp_path / "x.yaml").write_text("a: 2")
    assert fingerprint([tmp_path]) != before


def test_the_sources_of_a_sweep_hold_the_base_of_a_class_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "x.yaml").write_text("_target_: derived_net.Net")
    (tmp_path / "derived_net.py").write_text("from base_net import Base\nclass Net(Base): pass\n")
    prints = set()
    for width in (8, 16):  # a default, which a configuration leaves out
        (tmp_path / "base_net.py").write_text(
            f"class Base:\n    def __init__(self, width={width}): ...\n"
        )
        prints.add(fingerprint([tmp_path]))
    assert len(prints) == 2


def test_a_known_cell_that_refers_to_something_is_composed_again(monkeypatch):
    wanted = [["optim.lr='${oc.decode:${oc.env:A_RATE}}'"]]
    monkeypatch.setenv("A_RATE", "0.1")
    (before,) = known = planned(wanted)
    monkeypatch.setenv("A_RATE", "0.2")
    assert planned(wanted, known)[0].config_hash != before.config_hash


def test_two_data_roots_of_one_name_are_not_taken_for_one(tmp_path):
    cells = [["data=npz", f"data.root={tmp_path}/{place}/a.npz"] for place in "xy"]
    with pytest.raises(ConfigError, match=r"/x/a\.npz and .*/y/a\.npz: would be one run, "):
        planned(cells)
    assert len(planned([[*cell, f"data.name={cell[1][-7]}"] for cell in cells])) == 2
    assert len(planned([["data.root=x"], ["data.root=x", "optim=adam"]])) == 1


def test_the_manifest_grows_and_replaces_cells_whose_configuration_changed(tmp_path):
    old = [Cell("a-1", ["a"], "1", "s"), Cell("b-2", ["b"], "2", "s")]
    write_manifest(tmp_path, old)
    write_manifest(tmp_path, [Cell("b-3", ["b"], "3", "s"), Cell("c-4", ["c"], "4", "s")])
    assert [cell.dir for cell in listed_cells(tmp_path)] == ["a-1", "b-3", "c-4"]
    write_manifest(tmp_path, [Cell("a,x-1", ["a", "x"], "1", "s")])  # the same run elsewhere
    assert [cell.dir for cell in listed_cells(tmp_path)] == ["b-3", "c-4", "a,x-1"]
    (tmp_path / "sweep.json").write_text("{")
    assert listed_cells(tmp_path) == []


def test_a_finished_cell_is_used_under_the_name_that_a_new_factor_gives_it(tmp_path):
    earlier = [Cell(f"seed={seed}-{seed}", [f"seed={seed}"], str(seed), "s") for seed in "01"]
    put_record(tmp_path / "seed=0-0", a_record(config_hash="0"))
    put_record(tmp_path / "seed=1-1", a_record("failed", config_hash="1"))
    cells = [
        Cell(f"aug=off,seed={seed}-{seed}", ["aug=off", f"seed={seed}"], seed) for seed in "012"
    ]
    found = where_finished(tmp_path, cells, earlier)
    assert [cell.dir for cell in found] == ["seed=0-0", "aug=off,seed=1-1", "aug=off,seed=2-2"]
    assert [cell.overrides for cell in found] == [cell.overrides for cell in cells]
    put_record(tmp_path / "aug=off,seed=0-0", a_record(config_hash="0"))  # of an earlier version
    assert where_finished(tmp_path, cells, earlier) == cells


# --- one run, continued ------------------------------------------------------------------------


class Stopped(Exception):
    pass


def stop_after(monkeypatch, steps: int) -> None:
    """The run dies in its step number `steps`, counted from 1."""
    from fmnist.training.classifier import Classifier

    original, count = Classifier._loss, 0

    def loss(self, images, labels):
        nonlocal count
        count += 1
        if count == steps:
            raise Stopped
        return original(self, images, labels)

    monkeypatch.setattr(Classifier, "_loss", loss)


CONTINUED = {
    "dropout": ("model.dropout=0.5", "aug=on"),
    "plateau": ("optim=sgd", "scheduler=plateau", "scheduler.policy.patience=0", "optim.lr=1e-4"),
    "onecycle": ("optim=adam", "scheduler=onecycle", "steps_per_execution=3"),
    "batchnorm": ("model=fashioncnn", "channels_last=true", "optim=rmsprop", "patience=2"),
    "average": ("model=alternativecnn", "optim=sgd", "ema_decay=0.9"),
}


@pytest.mark.parametrize("case", CONTINUED)
def test_a_run_killed_at_any_step_ends_bit_for_bit_as_if_it_had_not(case, tmp_path, monkeypatch):
    config = composed(*TINY, "trainer.max_epochs=3", *CONTINUED[case])  # 16 steps an epoch
    whole = Job(tmp_path / "whole")
    train(config, whole)
    # Early in an epoch; with batch norm's statistics late in the last one, too.
    for step in (18, 47) if case == "average" else (18,):
        torn = Job(tmp_path / f"torn{step}")
        with monkeypatch.context() as patch:
            stop_after(patch, step)
            with pytest.raises(Stopped):
                train(config, torn)
        assert load_run(torn.dir).record.status == "failed"
        torch.manual_seed(99)  # whatever the next process draws
        train(config, torn)
        assert_same(whole, torn)
        assert [again.epochs for again in load_run(torn.dir).record.resumed] == [(step - 1) // 16]


def assert_same(whole, torn):
    """Two runs have the same weights, states, record and metrics, to the bit."""
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (
            torch.load(job.dir / "checkpoints" / name, weights_only=True) for job in (whole, torn)
        )
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "random_states"):
            assert bitwise(one[part]) == bitwise(other[part]), part
    assert timeless(load_run(whole.dir).record) == timeless(load_run(torn.dir).record)
    rows = [(run / "metrics.csv").read_text().count("\n") for run in (whole.dir, torn.dir)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("ended", [("trainer.max_epochs=20", "patience=1"), ("patience=null",)])
def test_a_run_killed_after_its_last_epoch_trains_no_epoch_more(ended, tmp_path, monkeypatch):
    config = composed(*TINY, *ended, "optim.lr=1e-9")
    job = Job(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr("fmnist.train.test", lambda *arguments: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            train(config, job)
    epochs = load_run(job.dir).record.epochs
    train(config, job)
    record = load_run(job.dir).record
    assert [row.epoch for row in record.epochs] == [row.epoch for row in epochs]
    with (job.dir / "metrics.csv").open() as file:
        *rows, last = csv.DictReader(file)
    assert [float(row["val/acc"]) for row in rows] == [row.val_acc for row in epochs]
    assert float(last["test/acc"]) == record.metrics["test/acc"]


def test_a_run_of_another_configuration_is_not_continued(tmp_path, monkeypatch):
    job = Job(tmp_path / "run")
    with monkeypatch.context() as patch:
        stop_after(patch, 20)
        with pytest.raises(Stopped):
            train(composed(*TINY, "trainer.max_epochs=2"), job)
    with pytest.raises(RunError, match="another configuration"):
        train(composed(*TINY, "trainer.max_epochs=3"), job)


def test_two_processes_never_train_one_run(tmp_path):
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(RunBusy, match="another process is training"):
            train(composed(*TINY), Job(tmp_path))
    assert not is_locked(tmp_path)


def test_a_record_without_a_living_process_is_of_a_killed_run(tmp_path):
    put_record(tmp_path, a_record("running"))
    run = load_run(tmp_path)
    assert run.status == "killed"
    with locked(tmp_path):
        assert run.status == "running"
    put_record(tmp_path, a_record())  # it has ended since it was read
    assert run.status == "finished"
    assert run.record.metrics


def test_only_a_finished_run_of_the_same_configuration_counts_as_done(tmp_path):
    put_record(tmp_path, a_record(config_hash="a"))
    assert finished_run(tmp_path, "a")
    assert finished_run(tmp_path, "b") is None
    put_record(tmp_path, a_record("running", config_hash="a"))
    assert finished_run(tmp_path, "a") is None
    (tmp_path / "result.json").write_text("")
    assert finished_run(tmp_path, "a") is None


# --- whole sweeps ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A sweep whose cells end in every way there is, run twice."""
    folder = tmp_path_factory.mktemp("bad")
    options = folder / "options" / "model"
    options.mkdir(parents=True)
    (options / "bad.yaml").write_text("_target_: tests.bad_nets.BadNet\nhow: 'no'\n")
    arguments = (
        f"hydra.searchpath=[file://{folder}/options]", "hydra.sweep.dir=sweep",
        "model=bad", "model.how=raise,exit,kill,memory,diverge,no",
    )  # fmt: skip
    return folder, in_sweep(*arguments, cwd=folder), in_sweep(*arguments, cwd=folder)


REASONS = {
    "raise": "LookupError: the third step",
    "exit": "SystemExit: 0",
    "kill": "killed by SIGKILL: out of memory, or by hand",
    "memory": "RuntimeError: ",
    "diverge": "the loss is nan at epoch 0, step 3: training diverged",
}


@pytest.mark.parametrize("how", REASONS)
def test_a_bad_cell_costs_itself_and_says_why(how, bad):
    folder, first, _ = bad
    (cell,) = (folder / "sweep").glob(f"model.how={how}-*")
    record = load_run(cell).record
    assert record.status == "failed"
    assert record.error.startswith(REASONS[how])
    if how != "kill":
        assert "Traceback" in record.traceback
    assert f"{how}  " in first.stderr + first.stdout


def test_the_other_cells_run_and_the_command_ends_with_a_table(bad):
    folder, first, _ = bad
    statuses = {r.config["model"]["how"]: r.status for r in records(folder / "sweep")}
    assert statuses == {**dict.fromkeys(REASONS, "failed"), "no": "finished"}
    assert first.returncode == 1
    assert "1 of 6 cells finished" in first.stdout
    assert first.stdout.rstrip().endswith("the same command runs the unfinished cells again")
    assert "Traceback" not in first.stdout + first.stderr


def test_the_same_command_runs_the_failed_cells_again_and_only_them(bad):
    _, _, second = bad
    assert "cells  6, of which 1 finished before, 5 to run" in second.stdout
    assert second.returncode == 1


def test_finished_cells_are_skipped_and_a_wider_axis_runs_only_the_new_ones(tmp_path):
    first = in_sweep("seed=0", "optim=sgd,adam", cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    assert len(before) == 2
    wider = in_sweep("seed=0", "optim=sgd,adam,rmsprop", cwd=tmp_path)
    assert "cells  3, of which 2 finished before, 1 to run" in wider.stdout
    assert wider.returncode == 0
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    assert len(after) == 3
    assert before.items() <= after.items()
    names = {path.parent.name.partition("-")[0] for path in after}
    assert names == {"optim=sgd", "optim=adam", "optim=rmsprop"}
    for record in records(tmp_path):
        assert record.config_hash == config_hash(record.config)


def test_finished_cells_are_looked_through_without_composing_them(tmp_path, monkeypatch):
    arguments = ("optim=sgd,adam", "seed=range(0,4)", "hydra.sweep.dir=sweep")
    composing, calls = ConfigLoaderImpl.load_configuration, []

    def counted(*arguments, **keywords):
        calls.append(arguments)
        return composing(*arguments, **keywords)

    with monkeypatch.context() as patch:
        none_is_left = SimpleNamespace(record=a_record())
        patch.setattr("fmnist.sweeps.launch.finished_run", lambda *arguments: none_is_left)
        patch.setattr(ConfigLoaderImpl, "load_configuration", counted)
        in_sweep(*arguments, cwd=tmp_path)
    assert len(calls) > 8
    for cell in listed_cells(tmp_path / "sweep"):
        put_record(tmp_path / "sweep" / cell.dir, a_record(config_hash=cell.config_hash))
    calls.clear()
    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    done = in_sweep(*arguments, cwd=tmp_path)
    assert len(calls) < 4
    assert "8 finished before, 0 to run" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("number", "everybody", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGINT, False, 130), (signal.SIGTERM, False, 143)],
)
def test_a_stopped_sweep_says_how_to_continue(number, everybody, code, tmp_path):
    pids = [os.getpid(), *([0] if everybody else [])]  # all of them, as a terminal does
    stopped = stopping(number, *pids, folder=tmp_path)
    done = in_sweep(*stopped, "seed=0,1", "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert "the same command continues where it stopped" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    error = "interrupted" if code == 130 else "terminated"
    assert {(record.status, record.error) for record in records(tmp_path)} == {("failed", error)}


@pytest.mark.parametrize("deaf", [False, True])
def test_a_sweep_that_is_stopped_before_its_cells_train_leaves_none_running(deaf, tmp_path):
    stopped = stopping_early(os.getpid(), deaf=deaf)
    done = in_sweep(*stopped, "seed=0,1", "hydra.sweep.dir=sweep", cwd=tmp_path)
    assert done.returncode == 143, done.stdout + done.stderr
    found = {(record.status, record.error) for record in records(tmp_path)}
    assert found == {("failed", "terminated")}


def descendants(pid: int) -> list[int]:
    """Of a process, itself not included."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {int(line.split()[0]): int(line.split()[1]) for line in listed.stdout.splitlines()}
    found, edge = [], {pid}
    while edge := {child for child, parent in parents.items() if parent in edge}:
        found += edge
    return found


@pytest.mark.long
def test_two_launchers_at_once_train_every_cell_once(tmp_path):
    """The first cell of each is held until the other has one, too."""
    arguments = (
        "seed=0,1,2,3", "hydra/launcher=basic", "hydra.sweep.dir=sweep", "trainer.max_epochs=2",
        *holding("sweep/*/result.json", 2),
    )  # fmt: skip
    other = started(*arguments, cwd=tmp_path)
    done = in_sweep(*arguments, cwd=tmp_path)
    output, _ = other.communicate()
    found = records(tmp_path)
    assert [record.status for record in found] == ["finished"] * 4, done.stdout + output
    logs = [path.read_text() for path in tmp_path.rglob("train.log")]
    assert [text.count("epoch 1/2") for text in logs] == [1] * 4


def test_a_cell_has_the_variables_of_its_job(tmp_path):
    run_cell(
        tasks.says_its_variables,
        {"logger": {}},
        Job(tmp_path, env={"A": "b", "OMP_NUM_THREADS": "3"}),
    )
    assert tasks.read(tmp_path / "said") == "b 3"


def test_what_cells_import_is_preloaded(tmp_path):
    """Otherwise every cell pays for it; a name that no longer exists would be skipped silently."""
    assert all(importlib.import_module(name) for name in PRELOADED)
    run_cell(tasks.says_its_imports, composed(*TINY), Job(tmp_path))
    said = [name for name in tasks.read(tmp_path / "said").split() if name.startswith("fmnist.")]
    assert {name for name in said if not name.startswith("fmnist.models")} == set()
    assert "fmnist.models.lenet5" in said
