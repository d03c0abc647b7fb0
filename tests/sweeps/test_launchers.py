"""Sweeps on every launcher that works on one machine; Slurm's has its own test (tests/slurm)."""

import dataclasses
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from hydra.utils import get_class
from hydra_plugins.hydra_submitit_launcher.config import LocalQueueConf, SlurmQueueConf
from omegaconf import OmegaConf

from fmnist.config.schema import CONF_DIR
from fmnist.errors import CellFailed
from fmnist.runs.find import find_runs
from fmnist.runs.job import Job
from fmnist.sweeps import watch
from fmnist.sweeps.process import CellProcess
from hydra_plugins import fmnist_sweeper
from hydra_plugins.fmnist_launchers.machine import MachineLauncher
from tests.conftest import CHECKOUT, TINY, command, here, once
from tests.stopping import stopping

RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'fmnist[ray]'"
)


@pytest.mark.parametrize(
    ("name", "plugin"),
    [
        ("submitit_local", LocalQueueConf),
        ("submitit_slurm", SlurmQueueConf),
    ],
)
def test_files_take_the_place_of_the_plugins_settings_completely(name, plugin):
    with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
        config = compose("config", [f"hydra/launcher={name}"], return_hydra_config=True)
    expected = {field.name for field in dataclasses.fields(plugin)}
    assert set(config.hydra.launcher) == expected | {"timeout"}
    # Ours, or a class of ours that inherits from the plugin's.
    ancestors = get_class(config.hydra.launcher._target_).__mro__
    base = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.BaseSubmititLauncher"
    assert base in {f"{cls.__module__}.{cls.__name__}" for cls in ancestors}
    assert config.hydra.job.env_set.OMP_NUM_THREADS == "1"


def on_screen(text):
    """What is left to read in a terminal that knows how to go up, and to clear what is below."""
    lines = [""]
    for up, said in re.findall(r"(?:\x1b\[(\d+)F\x1b\[J)?([^\x1b]*)", text):
        if up:
            lines[len(lines) - int(up) - 1 :] = [""]
        first, *rest = said.split("\n")
        lines = [*lines[:-1], lines[-1] + first, *rest]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "launcher",
    [
        "machine",
        pytest.param("submitit_local", marks=pytest.mark.long),
        pytest.param("ray", marks=[RAY, pytest.mark.long]),
    ],
)
def test_cells_run_side_by_side_and_a_failure_is_its_own(tmp_path, monkeypatch, launcher):
    monkeypatch.setattr(watch, "is_terminal", lambda: launcher == "machine")
    arguments = [
        "fmnist.train", "-m", f"hydra/launcher={launcher}", *TINY, "optim=sgd",
        "model.activation=relu", "optim.lr=0.01,1e30", "hydra.sweep.dir=sweep",
    ]  # fmt: skip
    done = (here if launcher == "machine" else command)(*arguments, cwd=tmp_path)
    text = done.stdout + done.stderr
    assert done.returncode == 1, text
    assert "Traceback" not in text
    assert "UserWarning" not in text
    assert "finished optim.lr=0.01  val acc" in text
    assert "failed   optim.lr=1e+30  " in text
    assert "training diverged" in " ".join(text.split())
    assert "1 of 2 cells finished" in text
    if launcher == "machine":  # what has ended stands there still; of the table nothing is left
        screen = on_screen(done.stdout)
        assert screen.count("[") == 2
        assert " running" not in screen
        assert max(len(line) for line in screen.splitlines() if "sweep/" not in line) < 80
    runs = find_runs([tmp_path / "sweep"]).runs
    assert sorted(run.status for run in runs) == ["failed", "finished"]
    assert [run.record.threads for run in runs] == [1, 1]
    assert all((run.dir / "train.log").stat().st_size for run in runs)


@pytest.mark.long
def test_imports_are_paid_once_for_all_cells(tmp_path):
    """One process imports what cells need, and the cells are forked from it.

    Hydra's callbacks see their jobs as with any launcher.
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nwith open('interpreters', 'a') as file: print(sys.orig_argv, file=file)\n"
    )
    done = command(
        "fmnist.train", "-m", "hydra.launcher.n_jobs=2", *TINY,
        "seed=0,1", "optim.lr=0.01", "hydra.sweep.dir=sweep",
        "+hydra.callbacks.returns._target_=hydra.experimental.callbacks.LogJobReturnCallback",
        cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{CHECKOUT}",
    )  # fmt: skip
    assert "2 of 2 cells finished" in done.stdout, done.stdout + done.stderr
    began = (tmp_path / "interpreters").read_text().splitlines()
    imports_torch = [line for line in began if "resource_tracker" not in line]
    assert ["forkserver" in line for line in imports_torch] == [False, True], began
    returned = re.findall(r"Succeeded with return value: ([\d.]+)", done.stdout)
    runs = find_runs([tmp_path / "sweep"]).runs
    best = [run.record.metrics["val/acc_best"] for run in runs]
    assert sorted(map(float, returned)) == sorted(best)


SIDE_BY_SIDE = [
    "fmnist.train", "-m", "hydra.launcher.n_jobs=2", *TINY, "seed=0,1,2", "hydra.sweep.dir=sweep",
]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "everybody", "code", "error"),
    [(signal.SIGTERM, False, 143, "terminated"), (signal.SIGINT, True, 130, "interrupted")],
)
def test_what_stops_the_command_stops_the_cells_that_run_side_by_side(
    tmp_path, number, everybody, code, error
):
    pids = [os.getpid(), *([0] if everybody else [])]
    stopped = stopping(number, *pids, folder=tmp_path, cells=2)
    done = here(*SIDE_BY_SIDE, *stopped, cwd=tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "the same command continues" in done.stdout
    ended = [(run.status, run.record.error) for run in find_runs([tmp_path / "sweep"]).runs]
    assert ended == [("stopped", error)] * 2  # never more than n_jobs


@pytest.mark.parametrize(
    ("number", "code", "status", "error"),
    [
        (signal.SIGINT, 130, "stopped", "interrupted"),
        # Of a killed sweep tests/faults/test_kills.py says what it leaves.
        (signal.SIGKILL, -signal.SIGKILL, "killed", None),
    ],
)
@pytest.mark.long
def test_what_stops_all_processes_or_only_the_first_stops_the_cells(
    tmp_path, number, code, status, error
):
    arguments = [*SIDE_BY_SIDE, "trainer.max_epochs=10000", "patience=null"]
    process = subprocess.Popen(
        [sys.executable, "-m", *once(*arguments)], cwd=tmp_path, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    try:
        while len(list(tmp_path.glob("sweep/*/checkpoints/last.ckpt"))) < 2:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        text, _ = process.communicate()
    finally:
        process.kill()
    assert process.returncode == code, text
    assert "Traceback" not in text
    if number != signal.SIGKILL:
        assert "the same command continues" in text
    while any(run.status == "running" for run in find_runs([tmp_path / "sweep"]).runs):
        time.sleep(0.1)
    ended = [(run.status, run.record.error) for run in find_runs([tmp_path / "sweep"]).runs]
    assert ended == [(status, error)] * 2


def test_a_number_of_jobs_that_cannot_be(tmp_path):
    arguments = ["fmnist.train", "-m", *TINY, "hydra.launcher.n_jobs=0"]
    done = here(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: hydra.launcher.n_jobs=0: should be a number of cells")


def test_after_a_failure_no_other_cell_begins_where_that_is_asked(tmp_path):
    done = here(
        "fmnist.train", "-m", "hydra/launcher=basic", *TINY, "optim=sgd",
        "model.activation=relu", "optim.lr=1e30,0.01,0.02",
        "hydra.sweeper.stop_on_failure=true", "hydra.sweep.dir=sweep", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "0 of 3 cells finished" in done.stdout
    assert "missing   optim.lr=0.01" in done.stdout + done.stderr
    assert len(list(tmp_path.glob("sweep/*/result.json"))) == 1


def test_submitit_here_is_given_a_cell_for_each_core_that_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)  # of which a container has three
    monkeypatch.setattr(fmnist_sweeper, "usable_cores", lambda: 3, raising=False)
    sweeper = fmnist_sweeper.ResumeSweeper()
    for name, size in (("Local", 3), ("Slurm", 1000), ("Ray", None)):
        target = f"hydra_plugins.fmnist_launchers.{name}Launcher"
        sweeper.config = OmegaConf.create({"hydra": {"launcher": {"_target_": target}}})
        assert sweeper.at_once() == size


def test_a_launcher_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = here("fmnist.train", "-m", "hydra/launcher=ray", *TINY, "seed=0,1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: hydra/launcher=ray: Ray is not installed: pip install 'fmnist[ray]'"
    ]
    assert not (tmp_path / "multirun").exists()


def test_a_cell_that_cannot_be_begun_again_costs_itself(tmp_path):
    cell = Mock(CellProcess, job=Job(tmp_path), config_hash="a")
    cell.result_or_again = lambda: CellProcess.result_or_again(cell)
    cell.result.side_effect = CellFailed("crashed")
    cell.again.side_effect = CellFailed("no process for it")
    launcher, job = MachineLauncher(), JobReturn(status=JobStatus.COMPLETED)
    launcher.context = Mock()
    launcher._wait_for_one(running := {cell: ({}, job)}, Mock())
    assert not running
    assert job.status == JobStatus.FAILED
    with pytest.raises(CellFailed, match="no process for it"):
        print(job.return_value)
