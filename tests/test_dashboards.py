"""What a run leaves for W&B and TensorBoard, read back offline; and never a prompt or a hang."""

import json
import os
import pty
import subprocess
import sys

import pytest

from fmnist.errors import UserError
from fmnist.run import load_run
from tests.conftest import CHECKOUT, TINY, command

# Everything of TINY but its logger.
WITH_WANDB = [text for text in TINY if not text.startswith("logger")]


def records(folder):
    """All records of an offline run, as `wandb leet inspect` reads them."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(lines, kind):
    return [line for line in lines if line.get("type") == kind]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A run, and a sweep whose first job fails, started from one folder without a key."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "home").mkdir()
    env = {"HOME": str(folder / "home"), "NETRC": str(folder / "netrc"), "WANDB_API_KEY": ""}
    single = command(
        "fmnist.train", *WITH_WANDB, "trainer.max_epochs=3", "hydra.run.dir=single",
        cwd=folder, **env,
    )  # fmt: skip
    sweep = command(
        "fmnist.train", "-m", *WITH_WANDB, "optim=sgd", "model.activation=relu",
        "optim.lr=1e30,0.01", "hydra.sweep.dir=rates", cwd=folder, **env,
    )  # fmt: skip
    return folder, single, sweep


def runs(folder):
    """Records of every W&B run below a project, by its tags."""
    found = {}
    for path in sorted((folder / "wandb").glob("offline-run-*")):
        lines = records(path)
        run = of_type(lines, "run")[0]["run"]
        assert 0 < len(run["display_name"]) <= 128  # W&B refuses longer ones
        found[",".join(run["tags"])] = lines
    return found


def test_without_a_key_the_run_is_offline_and_says_once_how_to_see_it(project):
    folder, single, _ = project
    assert single.returncode == 0, single.stderr
    assert single.stdout.count("wandb leet") == 1
    assert "wandb/offline-run-" in single.stdout
    assert single.stderr == ""
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 3


def test_a_run_carries_its_factors_and_its_resolved_configuration(project):
    folder, _, _ = project
    lines = next(lines for name, lines in runs(folder).items() if "max_epochs=3" in name)
    described = of_type(lines, "run")[0]["run"]
    config = described["config"]["update"]
    assert config["model"] == "lenet5"
    assert config["data"] == "synthetic"
    assert config["seed"] == 0
    # JSON from here on knows no difference between 1 and 1.0.
    assert config["cfg"] == load_run(folder / "single").config
    assert set(described["tags"]) == {*WITH_WANDB, "trainer.max_epochs=3"}
    assert described["project"] == "fmnist"


def test_metrics_are_drawn_over_optimiser_steps_and_the_best_is_the_maximum(project):
    folder, _, _ = project
    lines = next(lines for name, lines in runs(folder).items() if "max_epochs=3" in name)
    rows = [line["history"]["item"] for line in of_type(lines, "history")]
    assert [row["trainer/global_step"] for row in rows] == [16, 32, 48, 48]
    assert [row.get("val/acc") for row in rows[:3]] == [
        row["val/acc"] for row in load_run(folder / "single").record["epochs"]
    ]
    assert rows[-1]["val/acc_best"] == max(row["val/acc"] for row in rows[:3])
    assert "val/acc" not in rows[-1]
    assert rows[-1]["test/acc"] == load_run(folder / "single").record["metrics"]["test/acc"]
    assert rows[-1]["model/params"] == 61_706
    metric = [line["metric"] for line in of_type(lines, "metric")]
    assert any(m.get("step_metric") == "trainer/global_step" for m in metric)


def test_a_failed_job_of_a_sweep_is_failed_and_the_next_one_is_its_own_run(project):
    folder, _, sweep = project
    assert sweep.returncode == 1
    assert "diverged" in sweep.stderr
    jobs = [lines for name, lines in runs(folder).items() if "optim=sgd" in name]
    described = [of_type(lines, "run")[0]["run"] for lines in jobs]
    rates = [run["config"]["update"]["cfg"]["optim"]["lr"] for run in described]
    codes = [of_type(lines, "exit")[0]["exit"].get("exit_code", 0) for lines in jobs]
    assert dict(zip(rates, codes, strict=True)) == {1e30: 1, 0.01: 0}
    assert len({run["run_id"] for run in described}) == 2
    assert {run["run_group"] for run in described} == {"rates"}
    assert load_run(folder / "rates" / "0").record["status"] == "failed"
    assert load_run(folder / "rates" / "1").record["status"] == "finished"


def test_nothing_is_staged_under_the_home_directory(project):
    folder, _, _ = project
    left = [path for path in (folder / "home").rglob("*") if path.is_file()]
    assert [path for path in left if "settings" not in path.name] == []


def test_a_terminal_is_never_prompted(tmp_path):
    """Without a key and with a terminal W&B would ask and wait for ever."""
    terminal, child = pty.openpty()
    try:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        done = subprocess.run(
            [sys.executable, "-m", "fmnist.train", *WITH_WANDB, "hydra.run.dir=run"],
            cwd=tmp_path, env=environment, stdin=child, stdout=child, stderr=child,
            timeout=100, check=False,
        )  # fmt: skip
    finally:
        os.close(child)
        os.close(terminal)
    assert done.returncode == 0
    assert load_run(tmp_path / "run").record["status"] == "finished"


def test_a_key_without_a_network_costs_one_wait_a_process(tmp_path):
    done = command(
        "fmnist.train", "-m", *WITH_WANDB, "seed=0,1", "hydra.sweep.dir=sweep", cwd=tmp_path,
        WANDB_API_KEY="0" * 40, WANDB_BASE_URL="http://127.0.0.1:9", timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("unreachable") == 1
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2


def test_wandb_mode_wins_over_auto(run_tiny, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert run_tiny("logger=wandb").record["status"] == "finished"
    assert not list(tmp_path.glob("wandb/*run*"))


def test_online_without_a_key_is_refused_and_not_asked_for(run_tiny):
    with pytest.raises(UserError, match=r"logger\.mode=online: W&B has no API key"):
        run_tiny("logger=wandb", "logger.mode=online")


@pytest.mark.parametrize("logger", ["csv", "none"])
def test_csv_alone_writes_nothing_outside_the_run(run_tiny, logger, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run = run_tiny(f"logger={logger}")
    assert (run.dir / "metrics.csv").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [run.dir.name]


def test_tensorboard_reads_what_was_logged(run_tiny):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = run_tiny("logger=tensorboard", "trainer.max_epochs=2")
    events = EventAccumulator(str(run.dir / "tensorboard")).Reload()
    points = [(event.step, event.value) for event in events.Scalars("val/acc")]
    assert points == [
        (row["step"], pytest.approx(row["val/acc"], abs=1e-6)) for row in run.record["epochs"]
    ]
