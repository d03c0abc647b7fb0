"""What a run leaves for W&B and TensorBoard, read back offline; and never a prompt or a hang."""

import base64
import functools
import hashlib
import http.server
import json
import logging
import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import wandb
import yaml
from lightning.pytorch import Callback
from omegaconf import OmegaConf

from fmnist.errors import UserError
from fmnist.runs.job import Job
from fmnist.runs.run import Run, load_run
from fmnist.tracking.figures import best_checkpoint
from fmnist.tracking.loggers import HINTED, SERVER, prepare, tags, wandb_logger
from fmnist.tracking.workspace import COURSE, FACTORS, RESULTS
from fmnist.train import train
from tests.conftest import CHECKOUT, TINY, command, composed, once
from tests.records import a_record, an_epoch

# Everything of TINY but its logger.
WITH_WANDB = [text for text in TINY if not text.startswith("logger")]

# A net that dies as by the out-of-memory killer, in its third epoch.
KILLER = """
import os, signal, time
from fmnist.models.lenet5 import LeNet5

class Killer(LeNet5):
    steps = 0

    def forward(self, x):
        self.steps += self.training
        if self.steps > 36:  # of 16 an epoch
            time.sleep(1.5)  # W&B writes every second
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)
"""


@pytest.fixture(autouse=True)
def a_new_process(monkeypatch):
    """W&B keeps its service, the key and what it knows of the server for a whole process."""
    for name in (HINTED, SERVER, "WANDB_SERVICE"):
        monkeypatch.setenv(name, "")  # so that it is restored afterwards
        monkeypatch.delenv(name)
    yield
    wandb.teardown()


@functools.cache
def records(folder):
    """All records of an offline run, as `wandb leet inspect` reads them: by the same program."""
    wandb.teardown()  # its service writes the last ones a moment after a run of ours is finished
    (file,) = folder.glob("*.wandb")
    done = subprocess.run(
        [wandb.util.get_core_path(), "leet", "inspect", "--no-observability", "--json",
         "--run-file", str(file), str(folder.parent)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(folder, kind):
    return [line[kind] for line in records(folder) if line.get("type") == kind]


def offline_runs(folder):
    """W&B run directories below a project."""
    return sorted((folder / "wandb").glob("offline-run-*"))


def history(folder):
    return [row["item"] for row in of_type(folder, "history")]


def summary(folder):
    """What the table of runs shows, of a run that is done."""
    updates = [record["update"] for record in of_type(folder, "summary")]
    return {key: value for update in updates for key, value in update.items()}


def exit_code(folder):
    """Of the process; None when it did not live to say."""
    codes = [record.get("exit_code", 0) for record in of_type(folder, "exit")]
    return codes[0] if codes else None


def config_of(folder):
    return of_type(folder, "run")[0]["config"]["update"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A 2 x 2 sweep without a key: one cell finishes, two diverge, one is killed."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "home").mkdir()
    (folder / "killer.py").write_text(KILLER)
    done = command(
        "fmnist.train", "-m", *WITH_WANDB, "trainer.max_epochs=4", "optim=sgd",
        "model._target_=fmnist.models.lenet5.LeNet5,killer.Killer", "optim.lr=0.01,1e30",
        "model.activation=relu", "hydra.sweep.dir=sweep", cwd=folder,
        PYTHONPATH=f"{CHECKOUT}:{folder}", HOME=str(folder / "home"),
        NETRC=str(folder / "netrc"), WANDB_API_KEY="",
    )  # fmt: skip
    return folder, done


def cell(folder, net, rate):
    """The W&B run of a cell, and its run directory."""
    for path in offline_runs(folder):
        config = config_of(path)["cfg"]
        if config["model"]["_target_"].endswith(net) and config["optim"]["lr"] == rate:
            return path, folder / "sweep" / of_type(path, "run")[0]["display_name"]
    raise AssertionError(f"no run of {net} with {rate}")


@pytest.fixture(scope="module")
def finished(project):
    return cell(project[0], "LeNet5", 0.01)


def test_a_sweep_without_a_key_is_offline_and_says_once_how_to_see_it(project):
    folder, done = project
    assert done.returncode == 1, done.stdout + done.stderr  # three cells fail
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout.count("wandb leet") == 1
    logs = [path.read_text() for path in folder.glob("sweep/*/train.log")]
    assert sum("wandb/offline-run-" in text for text in logs) == 1  # of the one that finished
    assert len(offline_runs(folder)) == 4


def test_every_cell_is_a_run_of_its_own_in_the_group_of_the_sweep(project):
    described = [of_type(path, "run")[0] for path in offline_runs(project[0])]
    assert len({run["run_id"] for run in described}) == 4
    assert {run["run_group"] for run in described} == {"sweep"}
    assert {run["project"] for run in described} == {"fmnist"}
    assert len({run["display_name"] for run in described}) == 4
    assert all(0 < len(run["display_name"]) <= 128 for run in described)  # W&B's limit


def test_tags_are_the_overrides_and_the_configuration_is_hydras(project):
    folder, _ = project
    for path in offline_runs(folder):
        directory = folder / "sweep" / of_type(path, "run")[0]["display_name"]
        overrides = OmegaConf.load(directory / ".hydra/overrides.yaml")
        assert of_type(path, "run")[0]["tags"] == [text[:64] for text in overrides]
        hydra = OmegaConf.load(directory / ".hydra/config.yaml")
        # JSON knows no difference between 1 and 1.0.
        assert config_of(path)["cfg"] == OmegaConf.to_container(hydra, resolve=True)
        assert config_of(path)["model"] == "lenet5"
        assert config_of(path)["optim"] == "sgd"
        assert config_of(path)["seed"] == 0


def test_a_cell_that_fails_is_failed_and_leaves_the_others_alone(project, finished):
    folder, _ = project
    assert exit_code(finished[0]) == 0
    for net in ("LeNet5", "Killer"):
        path, directory = cell(folder, net, 1e30)
        assert exit_code(path) == 1
        assert "diverged" in load_run(directory).record.error
        assert "diverged" in summary(path)["error"]
        assert "test/acc" not in summary(path)


def test_a_killed_cell_is_not_finished_and_keeps_its_epochs(project):
    path, directory = cell(project[0], "Killer", 0.01)
    assert load_run(directory).record.status == "failed"
    assert exit_code(path) is None  # W&B shows it as crashed
    assert [row["trainer/global_step"] for row in history(path)] == [16, 32]


def test_rows_have_the_optimiser_step_and_the_best_is_the_maximum(finished):
    path, directory = finished
    rows, record = history(path), load_run(directory).record
    epochs = [row for row in rows if "val/acc" in row]
    assert [row["trainer/global_step"] for row in epochs] == [16, 32, 48, 64]
    assert [row["val/acc"] for row in epochs] == [row.val_acc for row in record.epochs]
    assert all(row["lr"] == 0.01 for row in epochs)
    assert all(row["train/images_per_second"] > 0 for row in epochs)
    assert all(row["trainer/global_step"] == 64 for row in rows[4:])
    assert summary(path)["val/acc_best"] == max(row["val/acc"] for row in epochs)
    metrics = of_type(path, "metric")
    assert any(metric.get("step_metric") == "trainer/global_step" for metric in metrics)


def test_a_single_number_is_no_curve_of_one_point(finished):
    path, directory = finished
    numbers, record = summary(path), load_run(directory).record
    assert numbers["test/acc"] == record.metrics["test/acc"]
    assert numbers["model/params"] == 61_706
    assert numbers["train/seconds"] == record.train_seconds
    assert 0 <= numbers["test/ece"] <= 1
    assert not ({*RESULTS, "test/ece"} - {"val/acc_best"}) & set().union(*history(path))


def test_the_workspace_asks_for_what_runs_log(finished):
    path, _ = finished
    assert set(RESULTS) <= set(summary(path))
    assert set(COURSE) <= set().union(*history(path))
    assert set(FACTORS) - {"experiment", "ablation"} <= set(config_of(path))


def table(folder, key):
    """A logged table: columns and rows."""
    (file,) = (folder / "files/media/table/test").glob(f"{key}_*.table.json")
    content = json.loads(file.read_text())
    return content["columns"], content["data"]


def test_figures_of_the_test_set_are_logged(finished):
    path, directory = finished
    logits, labels = load_run(directory).predictions()
    predicted = logits.argmax(1)
    _, counts = table(path, "confusion_matrix_table")
    assert len(counts) == 100
    right = sum(count for label, guess, count in counts if label == guess)
    assert right == (predicted == labels).sum()
    _, scores = table(path, "f1_by_class_table")
    assert len(scores) == 10
    mean = np.mean([score for _, score in scores])
    assert summary(path)["test/f1_macro"] == pytest.approx(mean, abs=1e-6)
    for name in ("roc_table", "pr_table"):
        _, points = table(path, name)
        assert len({line for _, line, _ in points}) == 10
        assert all(0 <= x <= 1 and 0 <= y <= 1 for x, _, y in points)
    _, points = table(path, "calibration_table")
    assert {line.partition(" ")[0] for _, line, _ in points} == {"accuracy", "calibrated"}
    columns, errors = table(path, "errors")
    assert columns[:5] == ["image", "index", "class", "predicted", "confidence"]
    assert len(errors) == min(50, (predicted != labels).sum())
    confidences = [row[4] for row in errors]
    assert confidences == sorted(confidences, reverse=True)
    for row in errors:
        assert row[2] != row[3]
        assert predicted[row[1]] == np.argmax(row[5:])
        assert sum(row[5:]) == pytest.approx(1, abs=1e-3)
    assert len(list((path / "files/media/images/test").glob("samples_*.png"))) == 20


def test_the_best_checkpoint_is_an_artifact_of_its_run(finished):
    path, directory = finished
    (model,) = [item for item in of_type(path, "artifact") if item["type"] == "model"]
    assert "best" in model["aliases"]
    assert model["run_id"] == of_type(path, "run")[0]["run_id"]
    (file,) = model["manifest"]["contents"]
    content = (directory / "checkpoints/best.ckpt").read_bytes()
    md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    assert file["digest"] == md5
    facts = json.loads(model["metadata"])
    assert facts["test/acc"] == load_run(directory).record.metrics["test/acc"]


def test_the_artifact_names_the_epoch_and_not_the_validation(tmp_path):
    rows = [an_epoch(0), an_epoch(0, step=20), an_epoch(1, step=30)]  # two in the first epoch
    run = Run(tmp_path, a_record(epochs=rows, best_epoch=2))
    run.checkpoints.mkdir()
    (run.checkpoints / "best.ckpt").write_bytes(b"weights")
    assert best_checkpoint(run, "x").metadata["best_epoch"] == 1


def test_everything_lies_inside_the_projects_folder(project, finished):
    folder, _ = project
    left = [path for path in (folder / "home").rglob("*") if path.is_file()]
    assert [path for path in left if "wandb" in path.parts and path.name != "settings"] == []
    for item in of_type(finished[0], "artifact"):
        for file in item["manifest"]["contents"]:
            assert Path(file["local_path"]).is_relative_to(folder)
            assert Path(file["local_path"]).is_file()


def test_wandb_sync_needs_no_arguments(project):
    folder, _ = project
    done = command("wandb", "sync", "--dry-run", cwd=folder, HOME=str(folder / "home"))
    assert done.returncode == 0
    assert "Would sync 4 run(s)" in done.stdout + done.stderr


def test_a_key_without_a_network_is_found_out_once(tmp_path, monkeypatch, caplog):
    """By the process of the sweep; those of its cells inherit the answer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    caplog.set_level(logging.INFO, "fmnist")
    config = composed(*WITH_WANDB)
    assert "wandb" in prepare(config["logger"])
    assert caplog.text.count("unreachable") == 1
    assert os.environ[SERVER] == "unreachable"
    for number in (1, 2):
        with wandb_logger(Job(tmp_path / str(number)), config):
            pass
    assert caplog.text.count("unreachable") == 1
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2
    assert prepare({}) == ["lightning.pytorch.loggers"]
    caplog.clear()
    prepare({"own": {"_target_": config["logger"]["wandb"]["_target_"]}})  # and its defaults
    assert not caplog.text


def test_any_answer_of_a_server_is_an_answer(monkeypatch):
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
    ) as it:
        threading.Thread(target=it.serve_forever, daemon=True).start()  # answers 501 to all
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{it.server_port}")
        prepare(composed(*WITH_WANDB)["logger"])
        it.shutdown()
    assert os.environ[SERVER] == "answers"


@pytest.mark.long
def test_runs_side_by_side_are_apart_also_with_a_key_and_no_network(tmp_path):
    done = command(
        "fmnist.train", "-m", *WITH_WANDB, "seed=0,1", "hydra/launcher=machine",
        "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep", cwd=tmp_path,
        WANDB_API_KEY="0" * 40, WANDB_BASE_URL="http://127.0.0.1:9",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    paths = offline_runs(tmp_path)
    assert sorted(config_of(path)["cfg"]["seed"] for path in paths) == [0, 1]
    assert [exit_code(path) for path in paths] == [0, 0]
    for path in paths:
        seed = config_of(path)["cfg"]["seed"]
        assert f"seed={seed}" in of_type(path, "run")[0]["tags"]
        assert "test/acc" in summary(path)


def test_runs_in_threads_are_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    both_open = threading.Barrier(2)
    config = composed(*WITH_WANDB)

    def job(seed):
        job = Job(tmp_path / str(seed), {"model": "lenet5"}, (f"seed={seed}",), "threads")
        with wandb_logger(job, {**config, "seed": seed}) as logger:
            both_open.wait(timeout=60)
            for step in range(5):
                logger.log_metrics({"val/acc": float(seed)}, step=step)
            if seed == 1:
                raise ValueError("the job's own mistake")

    def ignoring_its_mistake(seed):
        with pytest.raises(ValueError, match="own") if seed else threading.Lock():
            job(seed)

    threads = [threading.Thread(target=ignoring_its_mistake, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    found = {config_of(path)["seed"]: path for path in offline_runs(tmp_path)}
    assert set(found) == {0, 1}
    for seed, path in found.items():
        assert of_type(path, "run")[0]["tags"] == [f"seed={seed}"]
        assert exit_code(path) == seed
        assert config_of(path)["seed"] == seed
        assert [row["val/acc"] for row in history(path)] == [seed] * 5


@pytest.mark.timing
def test_the_second_run_of_a_process_opens_quickly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, seconds = composed(*WITH_WANDB), []
    for number in range(4):
        began = time.perf_counter()
        with wandb_logger(Job(tmp_path / str(number)), config):
            seconds.append(time.perf_counter() - began)
    assert min(seconds[1:]) < 0.3


@pytest.mark.parametrize(("media", "checkpoint"), [(True, False), (False, True)])
def test_media_and_checkpoint_can_be_left_out(run_tiny, monkeypatch, tmp_path, media, checkpoint):
    monkeypatch.chdir(tmp_path)
    few = ["data.eval_batch_size=8", "trainer.limit_test_batches=1"]  # fewer than are shown
    given = [f"logger.wandb.media={media}", f"logger.wandb.checkpoint={checkpoint}"]
    assert run_tiny("logger=wandb", *given, *few).record.dashboard_error is None
    (path,) = offline_runs(tmp_path)
    kinds = {item["type"] for item in of_type(path, "artifact")}
    assert ("model" in kinds) == checkpoint
    assert ("run_table" in kinds) == media
    assert (path / "files/media").exists() == media


SWEEPS = sorted((CHECKOUT / "docs/wandb_sweep").glob("*.yaml"))


def rendered(path, level):
    """The command that W&B's agent makes of a sweep's file.

    Args:
        level: index of the value of every factor; of a range its ends.
    """
    from wandb.sdk.launch.sweeps import utils

    sweep, arguments = yaml.safe_load(path.read_text()), {}
    for key, node in sweep["parameters"].items():
        values = [node["min"], node["max"]] if "min" in node else node.get("values")
        values = values or [node["value"]]
        arguments[key] = {"value": values[level % len(values)]}
    macros = utils.create_sweep_command_args({"args": arguments})
    macros |= {"env": ["/usr/bin/env"]}
    words = [macros.get(str(word)[2:-1], [word]) for word in sweep["command"]]
    return [str(word) for group in words for word in group]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_commands_of_a_wandb_sweep_compose_and_run(path, run_tiny):
    for level in range(5):
        words = rendered(path, level)
        assert words[:4] == ["/usr/bin/env", "python", "-m", "fmnist.train"]
        config = composed(*words[4:])
        assert config["model"]["_target_"].endswith("LeNet5")
    run = run_tiny(*words[4:], "trainer.max_epochs=1")
    sweep = yaml.safe_load(path.read_text())
    assert sweep["metric"] == {"name": "val/acc_best", "goal": "maximize"}
    assert "val/acc_best" in run.record.epochs[0].metrics()  # hyperband compares epochs
    assert (CHECKOUT / sweep["program"]).is_file()


def test_a_rendered_command_runs_and_a_terminal_is_never_prompted(tmp_path):
    """Without a key and with a terminal W&B would ask and wait for ever."""
    terminal, child = pty.openpty()
    overrides = once(*rendered(SWEEPS[-1], 1), *WITH_WANDB, "hydra.run.dir=run")
    try:
        environment = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "WANDB_RUN_ID": "chosen42",  # as W&B's agent does
        }
        done = subprocess.run(
            overrides, cwd=tmp_path, env=environment, stdin=child, stdout=child, stderr=child,
            timeout=100, check=False,
        )  # fmt: skip
    finally:
        os.close(child)
        os.close(terminal)
    assert done.returncode == 0
    assert load_run(tmp_path / "run").record.status == "finished"
    (path,) = offline_runs(tmp_path)
    assert of_type(path, "run")[0]["run_id"] == "chosen42"


def test_source_and_claims_of_a_study_are_tags():
    job = Job(Path("x"), {"ablation": "s2_pooling", "experiment": "s2_base"}, ("seed=1",))
    found = tags(job)
    assert found[:4] == ["seed=1", "s2_base", "s2_pooling", "S2"]
    assert "claim:s2_pooling" in found
    assert not any("s4" in tag for tag in found)
    for experiment, claims in (
        ("s1_main", ["claim:s1_leak"]), ("s2_base", ["claim:s1_leak_lenet5"]), ("s3_baseline", []),
    ):  # fmt: skip
        job = Job(Path("x"), {"ablation": "leak", "experiment": experiment})
        assert [tag for tag in tags(job) if tag.startswith("claim")] == claims
    assert tags(Job(Path("x"), {"model": "lenet5"}, ("model=lenet5",))) == ["model=lenet5"]


def test_wandb_mode_wins_over_auto(run_tiny, monkeypatch, tmp_path, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with caplog.at_level(logging.INFO):
        assert run_tiny("logger=wandb").record.status == "finished"
    assert not list(tmp_path.glob("wandb/*run*"))
    assert "W&B" not in caplog.text  # which is nowhere


def test_a_run_is_one_run_of_the_dashboard_over_all_resumptions(tmp_path, monkeypatch):
    variables = {"ID": "theirs", "NAME": "mine", "TAGS": "a, b"}
    for name, value in variables.items():
        monkeypatch.setenv(f"WANDB_{name}" if name != "ID" else "WANDB_RUN_ID", value)
    monkeypatch.setenv("WANDB_RUN_GROUP", "ours")
    monkeypatch.setenv("WANDB_PROJECT", "another")
    monkeypatch.chdir(tmp_path)
    asked = []

    def opened(mode, arguments):
        asked.append(arguments)
        return wandb.init(mode="disabled")

    monkeypatch.setattr("fmnist.tracking.loggers._open", opened)
    config = composed(*WITH_WANDB, "logger=wandb")
    cells = [Job(tmp_path / name, group="sweep") for name in ("x", "y")]
    with monkeypatch.context() as patch:
        patch.setattr("fmnist.train.test", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config, cells[0])
    for job in (*cells, Job(tmp_path / "alone")):
        train(config, job)
    first, again, other, alone = [arguments["id"] for arguments in asked]
    assert first == again == load_run(cells[0].dir).record.dashboard_id
    assert len({first, other, "theirs"}) == 3
    assert alone == "theirs"
    assert [arguments["name"] for arguments in asked] == ["mine x", "mine x", "mine y", "mine"]
    for arguments in asked:
        assert (arguments["resume"], arguments["group"]) == ("allow", "ours")
        assert arguments["project"] == "another"
        assert {"a", "b"} <= {*arguments["tags"]}


def test_a_run_that_selects_on_the_test_set_says_so(run_tiny, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    small = ("logger=wandb", "logger.wandb.media=false", "logger.wandb.checkpoint=false")
    run_tiny(*small, "data.select_on=test")
    wandb.teardown()
    (folder,) = offline_runs(tmp_path)
    assert any("data.select_on=test" in str(row) for row in of_type(folder, "summary"))


def test_online_without_a_key_is_refused_and_not_asked_for(run_tiny):
    with pytest.raises(UserError, match=r"logger\.wandb\.mode=online: W&B has no API key"):
        run_tiny("logger=wandb", "logger.wandb.mode=online")
    with pytest.raises(UserError, match=r"logger\.wandb\.mode=online: W&B has no API key"):
        prepare(composed("logger.wandb.mode=online")["logger"])


@pytest.mark.parametrize("logger", ["csv", "none"])
def test_csv_alone_writes_nothing_outside_the_run(run_tiny, logger, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run = run_tiny(f"logger={logger}")
    assert (run.dir / "metrics.csv").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [run.dir.name]


class Die(Callback):
    """Once an epoch is over, the first time."""

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 1 and module.restored_states is None:
            raise RuntimeError("power cut")


def test_tensorboard_reads_what_was_logged_once_also_of_a_run_that_went_on(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    own = f"+callbacks.die._target_={__name__}.Die"
    given, job = (*TINY, "logger=tensorboard", "trainer.max_epochs=2", own), Job(tmp_path / "run")
    with pytest.raises(RuntimeError, match="power cut"):
        train(composed(*given), job)
    train(composed(*given), job)
    run = load_run(job.dir)
    events = EventAccumulator(str(run.dir / "tensorboard")).Reload()
    points = [(event.step, event.value) for event in events.Scalars("val/acc")]
    assert points == [(row.step, pytest.approx(row.val_acc, abs=1e-6)) for row in run.record.epochs]
    (figure,) = events.Images("test/confusion_matrix")
    assert figure.width > 300
    assert figure.step == events.Scalars("test/acc")[0].step == run.record.epochs[-1].step
