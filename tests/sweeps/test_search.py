"""A search by Optuna: it is stopped, goes on, and counts its trials in all."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from fmnist.runs.find import find_runs
from tests.conftest import CHECKOUT, TINY, command

pytest.importorskip("optuna", reason="the search needs pip install 'fmnist[optuna]'")
SEARCH = ["fmnist.train", "search=lenet5", "hydra.sweep.dir=search", *TINY]


def trials(folder):
    import optuna

    return optuna.load_study("search", f"sqlite:///{folder}/search/study.db").trials


@pytest.mark.long
def test_a_killed_search_goes_on_with_the_trial_that_was_running(tmp_path):
    long = [*SEARCH, "hydra.sweeper.n_trials=1", "trainer.max_epochs=10000", "patience=null"]
    process = subprocess.Popen(
        [sys.executable, "-m", *long], cwd=tmp_path, stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 100
        while not list(tmp_path.glob("search/*/checkpoints/last.ckpt")):
            assert time.monotonic() < deadline, "no epoch passed in time"
            assert process.poll() is None
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (killed,) = trials(tmp_path)
    assert killed.state.name == "RUNNING"

    done = command(*SEARCH, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2, of which 0 ended before" in done.stdout
    ended = [trial for trial in trials(tmp_path) if trial.state.name == "COMPLETE"]
    assert ended[0].params == killed.params
    assert len(ended) == 2
    best = max(ended, key=lambda trial: trial.value)
    accuracies = {
        run.record.metrics["val/acc_best"] for run in find_runs([tmp_path / "search"]).finished
    }
    assert {trial.value for trial in ended} == accuracies
    assert f"the best: val acc {best.value:.4f}" in done.stdout

    again = command(*SEARCH, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    assert again.returncode == 0
    assert "2, of which 2 ended before" in again.stdout
    assert len(trials(tmp_path)) == len(ended) + 1  # and the killed one


def test_failed_trials_count_and_end_no_search(tmp_path):
    failing = [*SEARCH, "optim=sgd", "optim.lr=1e30"]  # a fixed value leaves the space
    done = command(*failing, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    assert done.returncode == 1
    assert "no trial has a result" in done.stdout + done.stderr
    assert [trial.state.name for trial in trials(tmp_path)] == ["FAIL", "FAIL"]
    records = [json.loads(path.read_text()) for path in tmp_path.glob("search/*/result.json")]
    assert {record["status"] for record in records} == {"failed"}
    assert "Traceback" not in done.stderr


def test_without_optuna_one_line_says_what_to_install(tmp_path):
    (tmp_path / "optuna.py").write_text("raise ModuleNotFoundError('optuna')")
    path = f"{tmp_path}{os.pathsep}{CHECKOUT}"
    done = command(*SEARCH, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: hydra/sweeper=optuna: Optuna is not installed: pip install 'fmnist[optuna]'"
    ]
