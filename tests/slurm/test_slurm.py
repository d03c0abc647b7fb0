"""A real Slurm: jobs are requeued, preempted and killed in mid-training, and every cell ends right.

`make slurm-test` starts a one-node Slurm (tests/slurm/up.sh), runs this and stops it.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fmnist.errors import RunError
from fmnist.runs.job import Job
from fmnist.runs.lock import is_locked
from fmnist.runs.run import load_run
from fmnist.train import train
from tests.conftest import CHECKOUT, TINY, command, composed

pytestmark = pytest.mark.skipif(
    os.environ.get("FMNIST_SLURM") != "1", reason="needs a Slurm of its own: make slurm-test"
)
EPOCHS = 80  # some ten seconds
LONG = [
    *(text for text in TINY if not text.startswith("trainer.max_epochs")),
    f"trainer.max_epochs={EPOCHS}", "patience=null",
]  # fmt: skip
SWEEP = [
    "fmnist.train", "-m", "hydra/launcher=submitit_slurm", "hydra.launcher.mem_gb=2",
    "hydra.sweep.dir=sweep",
]  # fmt: skip


def shell(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def wait_for(condition, what, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not in {seconds} s\n{shell('squeue', '-a')}"
        time.sleep(0.1)
    return value


def record(folder, seed):
    """The record of a seed's cell; None before it begins."""
    return run.record if (run := cell_of(folder, seed)) else None


def cell_of(folder, seed):
    """A seed's cell; None before it begins."""
    for path in (folder / "sweep").glob(f"seed={seed}-*"):
        try:
            return load_run(path)
        except RunError:
            continue
    return None


def epochs(folder, seed):
    return len(found.epochs) if (found := record(folder, seed)) else 0


def resumed(folder, seed):
    found = record(folder, seed)
    return [again.epochs for again in found.resumed] if found else []


def trains(folder, seed, array):
    """Whether a cell is past its first epochs, and its job runs (again)."""
    running = shell("squeue", "-h", "--states=RUNNING", "-o", "%F_%K").split()
    trained = epochs(folder, seed) > 3
    return f"{array}_{seed}" in running and trained and is_locked(cell_of(folder, seed).dir)


def trainer_of(run_dir):
    """The process that holds the run's lock."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == run_dir / ".lock":
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError(f"nobody trains {run_dir}")


def test_requeued_preempted_and_killed_jobs(tmp_path):
    arguments = [*SWEEP, *LONG, "seed=0,1,2,3"]
    with (tmp_path / "out").open("w") as out:
        sweep = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=tmp_path, stdout=out, stderr=out,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )  # fmt: skip
    try:
        wait_for(lambda: epochs(tmp_path, 0) > 3 and epochs(tmp_path, 1) > 3, "two cells begin")
        array = shell("squeue", "-h", "-o", "%F").split()[0]
        shell("scontrol", "requeue", f"{array}_0")
        os.kill(trainer_of(cell_of(tmp_path, 1).dir), signal.SIGKILL)
        # Two CPUs at a higher priority: whatever runs must go.
        wait_for(lambda: epochs(tmp_path, 2) > 3, "the third cell begins")
        shell("sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", "--wrap=:")
        wait_for(lambda: resumed(tmp_path, 2), "the preempted cell goes on")
        # What submitit asks Slurm to send before the time is up.
        wait_for(lambda: trains(tmp_path, 3, array), "the fourth cell trains")
        before = len(resumed(tmp_path, 3))
        shell("scancel", "--signal=USR2", f"{array}_3")
        wait_for(lambda: len(resumed(tmp_path, 3)) > before, "the signalled cell goes on")
        code = sweep.wait(timeout=120)
    finally:
        sweep.kill()
        subprocess.run(["scancel", "--user=root"], check=False)
    text = (tmp_path / "out").read_text()
    print(text)
    assert code == 1, text
    assert "3 of 4 cells finished" in text
    assert "failed    seed=1" in text
    assert "killed by SIGKILL" in text
    assert resumed(tmp_path, 0)
    assert min(resumed(tmp_path, 0)) >= 3  # nothing was trained twice

    again = command(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "4, of which 3 finished before, 1 to run" in again.stdout
    assert min(resumed(tmp_path, 1)) >= 3
    for seed in (0, 1):
        train(composed(*LONG, f"seed={seed}"), Job(tmp_path / f"alone{seed}"))
        alone, cell = load_run(tmp_path / f"alone{seed}").record, record(tmp_path, seed)
        assert cell.status == "finished"
        assert cell.metrics == pytest.approx(alone.metrics, rel=1e-5)
        assert [row.step for row in cell.epochs] == [row.step for row in alone.epochs]


def test_ddp_in_a_job(tmp_path):
    arguments = [text for text in TINY if not text.startswith("trainer.")]
    done = command(
        *SWEEP, *arguments, "trainer=ddp", "trainer.max_epochs=1", "seed=0,1",
        "hydra.launcher.cpus_per_task=2", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [record(tmp_path, seed).devices for seed in (0, 1)] == [2, 2]
