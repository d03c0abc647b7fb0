"""`python -m fmnist.report`: what it writes of one run, of a sweep, and of what is broken."""

import csv
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from markupsafe import escape
from matplotlib import rc_context

from fmnist.report import main
from fmnist.reporting.charts import STYLE
from fmnist.reporting.run_figures import comparison_curves, training_curves
from fmnist.runs.job import Job
from fmnist.runs.run import Run, load_run
from fmnist.train import train
from tests.conftest import TINY, command, composed, without_png

HOSTILE = "<script>document.title='broken'</script>"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of two epochs on drawn garments, with its report in report/."""
    folder = tmp_path_factory.mktemp("one") / "run"
    overrides = ("trainer.max_epochs=2", "optim=adam", "seed=0")
    job = Job(folder, {"optim": "adam", "model": "lenet5"}, overrides)
    train(composed(*TINY, *overrides), job)
    assert main([str(folder)]) == 0
    return load_run(folder)


def put_run(run: Run, folder: Path, levels: dict[str, str], seed: int, accuracy: float) -> Path:
    """A copy of the run as a cell of a sweep, with its settings and its accuracies changed."""
    record = json.loads((run.dir / "result.json").read_text())
    folder.mkdir(parents=True)
    record["choices"] |= levels
    record["overrides"] = [f"{key}={value}" for key, value in levels.items()] + [f"seed={seed}"]
    record["seed"] = record["config"]["seed"] = seed
    for metric in ("test/acc", "val/acc", "val/acc_best"):
        record["metrics"][metric] = accuracy
    (folder / "result.json").write_text(json.dumps(record))
    shutil.copy(run.dir / "predictions.npz", folder)
    shutil.copytree(run.checkpoints, folder / "checkpoints")
    return folder


def put_sweep(run: Run, folder: Path) -> Path:
    """Two factors, three seeds; adam is 2 points better; then what goes wrong in sweeps."""
    noise = np.random.default_rng(0).normal(scale=0.001, size=12)
    cells = [(a, o, s) for a in ("off", HOSTILE) for o in ("sgd", "adam") for s in range(3)]
    for index, (aug, optim, seed) in enumerate(cells):
        accuracy = 0.80 + 0.02 * (optim == "adam") + noise[index]
        levels = {"aug": aug, "optim": optim}
        put_run(run, folder / f"c{index}", levels, seed, float(accuracy))
    failed = put_run(run, folder / "failed", {"aug": "off", "optim": "rmsprop"}, 0, 0.5)
    edit(failed, lambda r: r.update(status="failed", error=f"Diverged: {HOSTILE}"))
    running = put_run(run, folder / "running", {"aug": "off", "optim": "rmsprop"}, 1, 0.5)
    edit(running, lambda r: [r.pop(key) for key in ("metrics", "seconds", "best_epoch")])
    edit(running, lambda r: r.update(status="running"))
    (folder / "half").mkdir()
    (folder / "half" / "result.json").write_text('{"schema": 1, "status": "fin')
    names = [f"c{index}" for index in range(12)] + ["failed", "running", "half", "absent"]
    overrides = ["aug=off", "optim=rmsprop", "seed=2"]
    listed = [{"dir": name, "overrides": overrides} for name in names]
    (folder / "sweep.json").write_text(json.dumps({"cells": listed}))
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    record = json.loads((folder / "result.json").read_text())
    change(record)
    (folder / "result.json").write_text(json.dumps(record))


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.fixture(scope="module")
def sweep(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with its report in report/."""
    folder = put_sweep(trained, tmp_path_factory.mktemp("many") / "study")
    with without_png():
        assert main([str(folder), "--no-latency"]) == 0
    return folder


def test_one_run_has_every_section(trained: Run) -> None:
    out = trained.dir / "report"
    html = (out / "report.html").read_text()
    text = text_of(html)
    accuracy = trained.record.metrics["test/acc"]
    for words in (
        f"{100 * accuracy:.2f} %", "Loss by epoch", "chosen, epoch", "Learning rate", "Confusion",
        "macro average", "AUC", "ECE", "Sample predictions", "Most confident errors",
        "Confused pair", "Class-activation maps", "Inference, batch 1", "Inference, batch 256",
        "images/s", "Peak memory", "MFLOPs", "trainer.max_epochs",
        str(escape(trained.record.command)), trained.record.device,
        trained.record.git_commit or "not recorded",
    ):  # fmt: skip
        assert words in text, words
    assert "Not shown" not in text
    figures = {path.name for path in (out / "figures").iterdir()}
    assert {"loss.png", "loss.svg", "roc.svg", "grad_cam.png", "confident_errors.svg"} <= figures
    for path in (out / "figures").glob("*.svg"):
        ElementTree.parse(path)
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert len(html) < 2_000_000


def test_the_page_names_no_address(trained: Run) -> None:
    html = (trained.dir / "report" / "report.html").read_text()
    for namespace in ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"):
        html = html.replace(namespace, "")
    assert not re.findall(r"https?://|//[a-z]+\.|@import|url\(['\"]?[^#'\"]", html)
    assert not re.findall(r'(?:src|href)="(?!#|data:|runs\.csv)[^"]*"', html)


def test_a_sweep_says_what_its_factors_do(sweep: Path) -> None:
    html = (sweep / "report" / "report.html").read_text()
    text = text_of(html)
    assert re.search(r"optim: it may be concluded that adam beats sgd by [12]\.\d\d points", text)
    assert re.search(r"aug: no difference may be concluded", text)
    assert "McNemar" in text
    assert "no dependence shown" in text
    # Main effects and interactions of all factors, with the seed as the unit, and P(A > B).
    assert "Mixed model of 4 combinations, each with 3 seeds: factors fixed, the seed" in text
    assert re.search(r"optim sgd -[01]\.\d\d \[-\d.*adam \+[01]\.\d\d", text)
    assert re.search(r"sgd adam -[12]\.\d\d \(.*?\) 0\.00 \[0\.00, 0\.\d\d\] 3 ", text)
    figures = {path.stem for path in (sweep / "report" / "figures").glob("*.svg")}
    assert {"heatmap_aug_optim", "lines_aug_optim", "effect_optim", "parallel_coordinates",
            "pareto_train_seconds", "factorial", "best_confusion_counts", "worst_confusion_counts",
            "best_worst_acc"} <= figures  # fmt: skip


def test_a_sweep_says_how_fast_its_cells_learn(sweep: Path) -> None:
    text = text_of((sweep / "report" / "report.html").read_text())
    section = text.partition("How fast the finished runs of each setting came to")[2].partition(
        "Pairs of factors"
    )[0]
    assert "a point below the median run" in section
    assert section.count(" 3 of 3 ") == 4  # cells, each with all its seeds
    assert (sweep / "report" / "figures" / "convergence.svg").exists()


@pytest.mark.usefixtures("undrawn")
def test_the_target_can_be_given_and_runs_that_never_come_there_are_told(
    sweep: Path, trained: Run, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    options = ["--no-latency", "--out", str(tmp_path), "--target"]
    assert main([str(sweep), *options, "0.99"]) == 0
    text = text_of((tmp_path / "report.html").read_text())
    section = text.partition("How fast the finished runs of each setting came to")[2].partition(
        "Pairs of factors"
    )[0]
    assert section.startswith(" a validation accuracy of 99 %;")
    assert section.count("≥ 3.00") == 4  # two epochs allowed, never reached
    assert section.count(" 0 of 3 ") == 4
    assert "≥: some runs never reached it." in section
    assert main([str(trained.dir), *options, "0.99"]) == 0
    assert "never reached 99 %" in text_of((tmp_path / "report.html").read_text())
    assert main([str(trained.dir), *options, "0"]) == 0
    assert "after 1 of 2 epochs" in text_of((tmp_path / "report.html").read_text())
    capsys.readouterr()
    assert main([str(sweep), *options, "88"]) == 2
    assert capsys.readouterr().err == "error: --target 88: should be in [0, 1], such as 0.88\n"


@pytest.mark.usefixtures("undrawn")
def test_runs_that_chose_on_the_test_set_are_told_wherever_they_rank(
    trained: Run, tmp_path: Path
) -> None:
    for name, accuracy in (("best", 0.9), ("middle", 0.8), ("worst", 0.7)):
        put_run(trained, tmp_path / name, {"model": name}, 0, accuracy)
    page = tmp_path / "report" / "report.html"
    assert main([str(tmp_path), "--no-latency"]) == 0
    assert "test set</strong>" not in page.read_text()
    edit(tmp_path / "middle", lambda record: record["dataset"].update(select_on="test"))
    assert main([str(tmp_path), "--no-latency"]) == 0
    text = text_of(page.read_text())
    assert "Some epochs were chosen on the test set : data.select_on=test in 1 of 3 runs" in text
    assert "middle finished epoch chosen on the test set" in text
    assert "not finished" not in text
    with (page.parent / "runs.csv").open() as file:
        chosen = {row["run"]: row["select_on"] for row in csv.DictReader(file)}
    assert chosen == {"best": "val", "middle": "test", "worst": "val"}
    assert main([str(tmp_path / "middle"), "--no-latency"]) == 0
    text = text_of((tmp_path / "middle" / "report" / "report.html").read_text())
    assert "The epoch was chosen on the test set" in text
    assert "chosen on validation" not in text
    assert "on 128 images" not in text  # validation was the 200 test images


@pytest.mark.usefixtures("undrawn")
def test_the_list_of_runs_counts_epochs_not_validations(trained: Run, tmp_path: Path) -> None:

    def validated_twice(record: dict[str, Any]) -> None:
        record["epochs"] = [row for row in record["epochs"] for _ in range(2)]
        record["best_epoch"] = 3

    for name in ("a", "b"):
        edit(put_run(trained, tmp_path / name, {"model": name}, 0, 0.5), validated_twice)
    assert main([str(tmp_path), "--no-latency"]) == 0
    html = (tmp_path / "report" / "report.html").read_text()
    assert html.count('data-value="2">2 of 2</td>') == 2


def test_every_cell_is_listed_with_its_state(sweep: Path) -> None:
    with (sweep / "report" / "runs.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert len(rows) == 16
    assert rows["failed"]["status"] == "failed"
    assert "Diverged" in rows["failed"]["reason"]
    assert rows["running"]["status"] == "killed"  # nobody holds its lock
    assert rows["half"]["status"] == "damaged"
    assert rows["absent"]["status"] == "missing"
    assert rows["absent"]["optim"] == "rmsprop"
    assert float(rows["c3"]["test/acc"]) == pytest.approx(0.82, abs=0.01)
    text = text_of((sweep / "report" / "report.html").read_text())
    assert "16 runs: 12 finished" in text
    for words in ("1 failed", "1 killed", "1 damaged", "1 missing", "not finished"):
        assert words in text


def test_text_of_runs_is_escaped(sweep: Path) -> None:
    html = (sweep / "report" / "report.html").read_text()
    assert HOSTILE not in html
    assert "&lt;script&gt;document.title" in html
    assert html.count("<script") == 1


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "predictions cut short": lambda run: truncate(run / "predictions.npz"),
    "predictions missing": lambda run: (run / "predictions.npz").unlink(),
    "predictions of another test set": lambda run: np.savez(
        run / "predictions.npz", logits=np.zeros((50, 10), "f4"), labels=np.arange(50) % 10
    ),
    "checkpoint cut short": lambda run: truncate(run / "checkpoints" / "best.ckpt"),
    "checkpoint missing": lambda run: (run / "checkpoints" / "best.ckpt").unlink(),
    "net unknown": lambda run: edit(
        run, lambda r: r["config"]["model"].update(_target_="nobody.knows")
    ),
    "data files gone": lambda run: edit(
        run, lambda r: r["config"]["data"].update(name="MNIST", root=str(run))
    ),
    "other images": lambda run: edit(run, lambda r: r["dataset"]["checksums"].update(test="0")),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.usefixtures("undrawn")
def test_a_broken_part_leaves_the_rest(
    trained: Run, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FMNIST_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    # The figures are the other tests' matter, and what costs time.
    folder = put_run(trained, tmp_path / "run", {}, 0, trained.record.metrics["test/acc"])
    DAMAGE[damage](folder)
    assert main([str(folder), "--no-latency"]) == 0
    text = text_of((folder / "report" / "report.html").read_text())
    assert "Inference, batch 1" not in text  # --no-latency
    assert "ot shown:" in text
    assert "Loss by epoch" in text
    assert "The command that repeats it" in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r.pop("metrics"), "has no test/acc"),
        (
            lambda r: r["metrics"].update({"val/acc": "high"}),
            "val/acc'] is 'high'",
        ),
        (lambda r: r.update(epochs=[{}]), "epochs[0] has no epoch"),
        (lambda r: r.update(best_epoch=7), "best_epoch is 7"),
        (lambda r: r.update(config=None), "config is null"),
        (lambda r: r.update(status="done"), "status is 'done'"),
        (lambda r: r["dataset"].update(classes=["a"]), "dataset.classes has 1 names"),
    ],
)
def test_a_record_that_cannot_be_shown_is_listed(
    trained: Run, tmp_path: Path, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    edit(put_run(trained, tmp_path / "bad", {}, 0, 0.5), change)
    assert main([str(tmp_path)]) == 2  # nothing else is there
    text = text_of((tmp_path / "report" / "report.html").read_text())
    assert "1 damaged" in text
    assert reason in text.replace("&#39;", "'")


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems refuse such a name")
def test_a_folder_whose_name_is_no_text_is_reported(trained: Run, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"r\xffn")
    edit(put_run(trained, folder / "bad", {}, 0, 0.5), lambda record: record.pop("metrics"))
    assert main([str(folder), "--out", str(tmp_path / "out")]) == 2  # nothing else is there
    assert r"r\udcffn" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_two_named_runs_are_compared(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    arguments = [str(sweep), "--no-latency", "--out", str(tmp_path), "--compare"]
    assert main([*arguments, str(sweep / "c1"), str(sweep / "c4")]) == 0
    text = text_of((tmp_path / "report.html").read_text())
    assert re.search(r"exact test of c1 against c4 on the same 200 test images: 0 are right", text)
    assert main([*arguments, str(sweep / "c1"), str(sweep / "failed")]) == 2
    assert "not one of the finished runs" in capsys.readouterr().err
    broken = tmp_path / "sweep"
    for name in ("a", "b"):
        shutil.copytree(sweep / "c1", broken / name)
    (broken / "a" / "predictions.npz").write_bytes(b"half")
    named = ["--compare", str(broken / "a"), str(broken / "b")]
    assert main([str(broken), "--no-latency", *named]) == 2
    assert "predictions cannot be read" in capsys.readouterr().err


def test_logarithmic_axes_have_plain_numbers(trained: Run, tmp_path: Path) -> None:
    folder = put_run(trained, tmp_path / "run", {}, 0, 0.5)
    edit(folder, lambda record: record["epochs"][0].update(lr=0.3))
    curves = training_curves(load_run(folder).record)
    with rc_context(STYLE):
        svg = curves[-1].svg().decode()
    assert ">0.01<" in svg
    assert "$" not in svg


def test_captions_say_what_only_training_has_to_bear(trained: Run, tmp_path: Path) -> None:
    folder = put_run(trained, tmp_path / "run", {}, 0, 0.5)
    assert "harder" not in training_curves(load_run(folder).record)[0].caption

    def smooth_and_flip(record: dict[str, Any]) -> None:
        record["config"]["label_smoothing"] = 0.1
        record["config"]["aug"]["flip"] = 0.5

    edit(folder, smooth_and_flip)
    loss, accuracy = training_curves(load_run(folder).record)[:2]
    target = torch.full((1, 10), 0.01)
    target[0, 3] = 0.91
    least = F.cross_entropy(target.log(), torch.tensor([3]), label_smoothing=0.1)
    assert "augmented, and label smoothing of 0.1" in loss.caption
    assert loss.caption.endswith(f"keeps its loss above {least:.2f}.")
    assert accuracy.caption.endswith("Training has it harder: its images are augmented.")

    plain = put_run(trained, tmp_path / "plain", {}, 1, 0.5)
    burdened, free = (load_run(path).record for path in (folder, plain))
    names = ("best", "worst")
    accuracy, loss = comparison_curves(burdened, free, names)
    assert accuracy.caption.endswith(
        "Training has it harder in the best run: its images are augmented."
    )
    assert "worst" not in loss.caption
    both = comparison_curves(burdened, burdened, names)[0].caption
    assert both.endswith("Training has it harder: its images are augmented.")
    assert "harder" not in comparison_curves(free, free, names)[1].caption

    edit(plain, lambda record: record["config"]["model"].update(aux_heads=True))
    loss, accuracy = training_curves(load_run(plain).record)[:2]
    said = "Training has it harder: its loss includes 0.3 of each auxiliary head's."
    assert loss.caption.endswith(said)
    assert "harder" not in accuracy.caption


@pytest.mark.usefixtures("undrawn")
def test_claims_that_the_runs_measure_have_verdicts(trained: Run, tmp_path: Path) -> None:
    whole = composed("data=fashion_mnist")["data"]
    for seed in (0, 1):
        folder = put_run(trained, tmp_path / str(seed), {"model": "fashioncnn"}, seed, 0.9)
        edit(folder, lambda record: record.update(params=1_701_578))
        edit(folder, lambda record: record["config"].update(data=whole))
    assert main([str(tmp_path), "--no-latency"]) == 0
    text = text_of((tmp_path / "report" / "report.html").read_text())
    words = r"FashionCNN has about 310 thousand parameters\. S1: s1_parameters 1,701,578"
    assert re.search(words + r" .{0,30}does not hold", text)


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line.startswith("error: ") for line in errors] == [True, True]
    assert "no such directory" in errors[0]
    assert "holds no run" in errors[1]


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, fmnist.report as r\n"
        "try: r.main(['--help'])\n"
        "finally: assert not {'torch', 'matplotlib', 'scipy'} & set(sys.modules)"
    )
    (tmp_path / "helped.py").write_text(code)
    done = command("helped", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--compare" in done.stdout
