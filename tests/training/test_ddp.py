"""Two real processes (gloo): the result of one, in a single run and inside a sweep."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fmnist.errors import RunError
from fmnist.runs.find import find_runs
from fmnist.runs.run import load_run
from fmnist.training import classifier, grouped
from fmnist.training.buffers import share_buffers
from fmnist.training.predict import loss_and_accuracy, predict
from tests.conftest import CHECKOUT, TINY, command

# SGD and a tail: 520 training images leave 8 for the last batch, 4 a process.
SETTINGS = [
    *(text for text in TINY if not text.startswith(("trainer.", "data.train_size"))),
    "data.train_size=648", "optim=sgd", "aug=on",
]  # fmt: skip
ARGUMENTS = [*SETTINGS, "trainer.max_epochs=2"]


# What a shell, Hydra's grammar or an interpolation would take for its own.
ODD = "Anna's \"runs\", a=b $HOME {x} [1] \\'größe'"


def weights(run):
    return torch.cat([p.flatten() for p in run.net("last").state_dict().values()])


def single(tmp_path, name, *overrides):
    from fmnist.runs.job import Job
    from fmnist.train import train
    from tests.conftest import composed

    train(composed(*ARGUMENTS, "trainer.accelerator=cpu", *overrides), Job(tmp_path / name))
    return load_run(tmp_path / name)


def test_a_net_has_the_first_processs_buffers_in_every_step_and_evaluation(monkeypatch, run_tiny):
    """Else each validates with batch-norm statistics of its own, which no checkpoint has."""
    net = nn.Sequential(nn.BatchNorm2d(2))
    net.trainer = SimpleNamespace(world_size=2)

    def from_the_first(flat, source):
        assert source == 0
        flat.copy_(torch.arange(1, len(flat) + 1))

    with monkeypatch.context() as patched:
        patched.setattr(torch.distributed, "is_initialized", lambda: True)
        patched.setattr(torch.distributed, "broadcast", from_the_first)
        share_buffers(net)
    assert [each.tolist() for each in net.buffers()] == [[1.0, 2.0], [3.0, 4.0], 1]
    asked = []
    for module in (classifier, grouped):
        monkeypatch.setattr(module, "share_buffers", asked.append)
    run_tiny()
    assert len(asked) == 16 + 1


@pytest.mark.long
def test_two_processes_train_the_same_net_as_one(tmp_path):
    average = "ema_decay=0.9"
    folder = tmp_path / ODD
    folder.mkdir()
    done = command(
        "fmnist.train", "trainer=ddp", *ARGUMENTS, average, "hydra.run.dir=ddp",
        "hydra.output_subdir=null", cwd=folder, OMP_NUM_THREADS=None,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    both, alone = load_run(folder / "ddp"), single(tmp_path, "single", average)
    assert both.record.devices == 2
    assert both.record.threads == max(1, len(os.sched_getaffinity(0)) // 2)  # of each
    assert both.record.status == "finished"
    torch.testing.assert_close(weights(both), weights(alone), rtol=1e-3, atol=1e-5)
    for row, expected in zip(both.record.epochs, alone.record.epochs, strict=True):
        assert row.step == expected.step
        assert row.train_loss == pytest.approx(expected.train_loss, rel=1e-4)
        assert row.val_acc == pytest.approx(expected.val_acc, abs=0.02)
    # One process speaks, and only the files of a run are there.
    assert done.stdout.count("epoch 1/2") == 1
    assert sorted(path.name for path in (folder / "ddp").iterdir()) == [
        ".lock", "checkpoints", "metrics.csv", "predictions.npz", "result.json",
        "right.npz", "train.log",
    ]  # fmt: skip


@pytest.mark.long
def test_two_processes_validate_the_net_that_is_kept(tmp_path):
    """Its batch norm, too, of which each counts the statistics of its own images."""
    done = command(
        "fmnist.train", "trainer=ddp", *ARGUMENTS, "model=alternativecnn", "hydra.run.dir=ddp",
        "trainer.precision=32-true", cwd=tmp_path, OMP_NUM_THREADS=None,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = load_run(tmp_path / "ddp")
    validation = run.same_data().val_dataloader()
    answers = predict(run.net("last"), validation, torch.device("cpu"), "32-true", False)
    loss, accuracy = loss_and_accuracy(*answers)
    last = run.record.epochs[-1]
    assert (last.val_loss, last.val_acc) == pytest.approx((loss, accuracy), abs=1e-5)


# A net whose main process fails in mid-training, while the other one trains on.
BROKEN = """
import os
from fmnist.models.lenet5 import LeNet5

class Net(LeNet5):
    fails, steps = False, 0
    def forward(self, images):
        self.steps += self.training
        if self.fails and self.steps > 20 and os.environ.get("LOCAL_RANK", "0") == "0":
            raise RuntimeError("only the main process")
        return super().forward(images)

def net(activation: str, pooling: str, dropout: float, fails: bool):
    made = Net(activation, pooling, dropout)
    made.fails = fails
    return made
"""


@pytest.mark.parametrize("launcher", ["basic", "machine"])
@pytest.mark.long
def test_a_failure_of_one_process_leaves_the_next_cell_alone(tmp_path, launcher):
    (tmp_path / "broken.py").write_text(BROKEN)
    done = command(
        "fmnist.train", "-m", f"hydra/launcher={launcher}", "trainer=ddp", *ARGUMENTS,
        "model._target_=broken.net", "+model.fails=true,false", "hydra.sweep.dir=sweep",
        cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{CHECKOUT}",
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 of 2 cells finished" in done.stdout
    bad, good = sorted(find_runs([tmp_path / "sweep"]).runs, key=lambda run: run.record.status)
    assert bad.record.error == "RuntimeError: only the main process"
    assert good.record.devices == 2
    state = torch.load(good.checkpoints / "last.ckpt", weights_only=True)["state_dict"]
    trained = torch.cat([values.flatten() for values in state.values()])
    expected = weights(single(tmp_path, "single"))
    torch.testing.assert_close(trained, expected, rtol=1e-3, atol=1e-5)


# A net of which only the other process's fails.
LOPSIDED = """
import os
from fmnist.models.lenet5 import LeNet5

class Net(LeNet5):
    steps = 0
    def __init__(self, activation: str, pooling: str, dropout: float, when: str):
        super().__init__(activation, pooling, dropout)
        self.fails = when if os.environ.get("LOCAL_RANK") == "1" else "never"
        if self.fails == "before":
            raise LookupError("only the other one")

    def forward(self, images):
        self.steps += self.training
        if self.steps > 20 and self.fails == "raise":
            raise LookupError("only the other one")
        if self.steps > 20 and self.fails == "kill":
            os.kill(os.getpid(), 9)
        return super().forward(images)
"""


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("before", "process 2: LookupError: only the other one"),  # the first one waits for it
        ("raise", "process 2: LookupError: only the other one"),
        ("kill", "process 2: killed by SIGKILL: out of memory, or by hand"),
    ],
)
@pytest.mark.long
def test_a_failure_of_the_other_process_stands_in_the_record(tmp_path, when, reason):
    (tmp_path / "lopsided.py").write_text(LOPSIDED)
    done = command(
        "fmnist.train", "trainer=ddp", *ARGUMENTS, "model._target_=lopsided.Net",
        f"+model.when={when}", "hydra.run.dir=run", cwd=tmp_path,
        PYTHONPATH=f"{tmp_path}{os.pathsep}{CHECKOUT}",
    )  # fmt: skip
    record = load_run(tmp_path / "run").record
    assert (record.status, record.error) == ("failed", reason), done.stderr
    assert (done.returncode, done.stderr) == (1, f"error: {reason}\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.long
def test_it_is_stopped_as_a_run_of_one_process_is(tmp_path, number, code):
    long = [*SETTINGS, "trainer.max_epochs=10000", "patience=null", "hydra.run.dir=run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fmnist.train", "trainer=ddp", *long], cwd=tmp_path, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 100
        while epochs_of(tmp_path / "run") < 2:
            assert time.monotonic() < deadline, "two epochs did not pass in time"
            time.sleep(0.05)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    record = load_run(tmp_path / "run").record
    assert (process.returncode, record.status) == (code, "failed"), errors
    assert record.error == ("interrupted" if number == signal.SIGINT else "terminated")
    assert "Traceback" not in errors


def epochs_of(run_dir):
    try:
        return len(load_run(run_dir).record.epochs)
    except RunError:
        return 0


def processes_with(word):
    """Command lines of living processes that contain the word."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if word in line:
            lines.append(line)
    return lines


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks at /proc")
@pytest.mark.long
def test_killed_and_resumed_it_is_the_run_of_one_process(tmp_path):
    run_dir, long = tmp_path / "ddp", [*SETTINGS, "trainer.max_epochs=12", "patience=null"]
    arguments = ["fmnist.train", "trainer=ddp", *long, f"hydra.run.dir={run_dir}"]
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=tmp_path, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 100
        while epochs_of(run_dir) < 2:
            assert time.monotonic() < deadline, "two epochs did not pass in time"
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert load_run(run_dir).status == "killed"
    deadline = time.monotonic() + 60
    while left := processes_with(str(run_dir)):
        assert time.monotonic() < deadline, f"the other process lives on: {left}"
        time.sleep(0.2)
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    resumed = load_run(run_dir)
    assert resumed.record.resumed[0].epochs >= 1
    alone = single(tmp_path, "single", "trainer.max_epochs=12", "patience=null")
    torch.testing.assert_close(weights(resumed), weights(alone), rtol=1e-3, atol=1e-4)
