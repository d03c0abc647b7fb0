"""`python -m fmnist.compare`: settings beside each other, in a terminal and as a page."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmnist.compare import main
from fmnist.errors import RunError
from fmnist.evidence.claim import Claim
from fmnist.evidence.effects import resolution_of
from fmnist.evidence.images import mcnemar
from fmnist.evidence.outcome import evaluate
from fmnist.evidence.settings import compare, difference, differing, read_settings
from fmnist.evidence.text import remarks
from fmnist.report import main as report
from fmnist.reporting.compare_text import columns
from fmnist.reporting.effects import compare_settings
from fmnist.reporting.same_images import read_labels
from fmnist.reporting.side_by_side import Line, side_by_side
from fmnist.reporting.table import read_table
from fmnist.runs.bits import RIGHT, Right, write_right
from fmnist.runs.find import find_runs
from fmnist.runs.record import known
from fmnist.runs.rows import FACTS as FACTS_OF_ROWS
from fmnist.runs.rows import Row, class_metrics, rows_of
from fmnist.runs.rows_file import write_rows
from fmnist.runs.run import Run, load_run
from tests.records import CONFIG, FACTS, a_record, an_epoch, put_record

ACCURACIES = {"avg": (0.70, 0.71, 0.72), "max": (0.80, 0.81, 0.82)}


def put_seeds(folder: Path, pooling: str, accuracies: tuple[float, ...]) -> Path:
    """A run for every accuracy; of 20 test images the first are right, as many as it says."""
    data = {"name": "synthetic", "train_size": 100, "test_size": 20}
    for seed, accuracy in enumerate(accuracies):
        metrics = dict.fromkeys(a_record().metrics, accuracy)
        config = CONFIG | {"model": {"pooling": pooling}, "data": data, "seed": seed}
        epochs = [an_epoch(number, accuracy - 0.1 + number / 20) for number in range(3)]
        run = put_record(
            folder / f"{pooling}{seed}",
            a_record(config=config, seed=seed, metrics=metrics, epochs=epochs, best_epoch=2,
                     config_hash=f"{pooling}{seed}", overrides=[f"model.pooling={pooling}"]),
        )  # fmt: skip
        labels = np.arange(FACTS.test_size) % 10
        said = np.where(np.arange(20) < round(20 * accuracy), labels, (labels + 1) % 10)
        np.savez(run / "predictions.npz", logits=np.eye(10, dtype=np.float32)[said], labels=labels)
        write_right(run / RIGHT, {f"{pooling}{seed}": Right(said == labels, said == labels)})
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for pooling, accuracies in ACCURACIES.items():
        put_seeds(tmp_path / "study", pooling, accuracies)
    return tmp_path / "study"


def test_a_sweep_is_compared_by_its_settings_in_eighty_columns(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(sweep)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[3:])) <= 80
    table = [" ".join(line.split()) for line in lines]
    assert "model.pooling avg max" in table
    assert "test accuracy (%) 71.00 ± 3.59 81.00 ± 3.59 +10.00" in table
    # One image of 20 is 5 points, and one of a class 50: three equal seeds are no proof of less.
    assert "class 4 50.00 ± 35.86 100.00 [64.14, 100.00] +50.00" in table
    assert lines[-1].startswith("B - A: +10.00 points [+6.73, +13.27], 3 seeds, p 0.0011")
    assert lines[-1].endswith("B is higher")
    assert any(line.strip().startswith("seed 0: B - A: +10.00 points") for line in lines)
    assert not [line for line in table if line.endswith((" -0", " -0.0", " -0.00"))]
    assert any("right in B alone 2, in A alone 0, in both 14, in neither 4" in t for t in lines)


def put_six(sweep: Path) -> Path:
    """Two settings more than half a page, or eighty columns, have room for; and two more."""
    for number in range(4):
        put_seeds(sweep, f"mix{number}", (0.1, 0.5, 0.9))
    return sweep


def test_no_number_of_six_settings_is_cut(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(put_six(sweep))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[7:])) <= 80
    assert not [line for line in lines[7:] if "..." in line]
    shown = [line.split() for line in lines if line.startswith("test accuracy (%)")]
    heads = [line.split() for line in lines if line.startswith("accuracy ")]
    assert [letter for line in heads for letter in line[1:]] == list("ABCDEF")
    assert sum(line.count("50.00") for line in shown) == 4


def test_settings_that_are_compared_with_one_are_corrected_for_their_number(sweep: Path) -> None:
    """As in a report of them: else one of five equals seems higher in every fifth comparison."""
    two = side_by_side(read_settings([sweep])).against[0]
    found = side_by_side(read_settings([put_six(sweep)]))
    assert [item.together for item in found.against] == [5] * 5
    assert found.against[0].p == pytest.approx(5 * two.p)
    assert found.remarks[0] == "p and intervals are corrected for 5 comparisons"
    for item, images in zip(found.against, found.images, strict=True):
        assert images is not None
        assert images.half >= item.half_width


def test_the_numbers_of_many_settings_have_the_whole_page(sweep: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main([str(sweep), "--html", str(page)]) == 0
    assert 'class="sides"' in page.read_text()
    assert "Largest difference: class 4, A 50.00 %; B 100.00 %." in page.read_text()
    assert page.read_text().count(f"In {sweep}.") == 1
    assert main([str(put_six(sweep)), "--html", str(page)]) == 0
    html = page.read_text()
    assert 'class="sides"' not in html
    assert html.count("recall (%)</th>") == 1


def test_a_difference_is_over_the_seeds_that_both_have_as_the_verdict_is(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(sweep / "max0")
    assert main([str(sweep)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    shown = next(line for line in lines if line.startswith("test accuracy (%)"))
    assert shown.endswith(" +10.00")  # 81.5 - 71.5, and not - 71.0
    assert lines[-1].startswith("B - A: +10.00 points")


def test_runs_that_chose_on_the_test_images_are_compared_with_a_warning(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in sweep.iterdir():
        record = load_run(run).record
        data = {**record.config["data"], "select_on": "test"}
        put_record(run, replace(record, config={**record.config, "data": data}))
    assert main([str(sweep)]) == 0
    warning = "WARNING data.select_on=test in 6 of 6 runs: the test images choose the epoch"
    assert any(line.startswith(warning) for line in capsys.readouterr().out.splitlines())


@pytest.mark.usefixtures("undrawn")
def test_settings_of_other_code_are_compared_and_a_line_says_so(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "mynets.Wide is not the same code in all runs: 4 have one, 1 another"
    for number, run in enumerate(sorted(sweep.iterdir())):
        code = {"mynets.Wide": "new" if number == 2 else "old"}
        put_record(run, replace(load_run(run).record, code=code if number else {}))
    assert main([str(sweep)]) == 0
    assert f"WARNING {words}" in capsys.readouterr().out.splitlines()
    assert report([str(sweep), "--out", str(tmp_path / "report")]) == 0
    assert words in (tmp_path / "report" / "report.html").read_text()
    put_record(run := sweep / "avg2", replace(load_run(run).record, code={"mynets.Wide": "old"}))
    assert main([str(sweep)]) == 0
    assert "WARNING" not in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_runs_of_other_data_under_one_name_are_not_compared_image_by_image(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "synthetic is not the same data in all runs: 3 have one, 3 another"
    for run in sweep.iterdir():
        record = load_run(run).record
        if record.config["model"]["pooling"] == "max":
            facts = replace(known(record.dataset), checksums={"train": "0", "test": "other"})
            put_record(run, replace(record, dataset=facts))
    assert main([str(sweep)]) == 0
    out = capsys.readouterr().out
    assert f"WARNING {words}" in out.splitlines()
    assert "tested on other images" in out
    assert "right in B alone" not in out
    assert report([str(sweep), "--out", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert words in page
    assert "McNemar" not in page
    pair = [str(sweep / "avg0"), str(sweep / "max0")]
    capsys.readouterr()
    assert report([str(sweep), "--compare", *pair, "--out", str(tmp_path / "report")]) == 2
    assert "tested on different images" in capsys.readouterr().err


def test_a_table_has_a_cell_under_every_head_also_where_only_some_lines_are_subtracted(
    sweep: Path, tmp_path: Path
) -> None:
    for number, run in enumerate(sorted(sweep.iterdir())):
        put_record(run, replace(load_run(run).record, threads=1 + number // 3))
    assert main([str(sweep), "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    cost = page[page.index('id="cost"') :]
    heads = re.findall(r"<tr>(<th.*?)</tr>", cost)[0].count("<th")
    rows = re.findall(r"<tr>(<td.*?)</tr>", cost[: cost.index("</table>")])
    assert heads == 4
    assert {row.count("<td") for row in rows} == {4}


def test_a_gallery_is_of_one_seed(sweep: Path, tmp_path: Path) -> None:
    """Where all sides have none in common, each is shown by another."""
    shutil.rmtree(sweep / "avg2")
    shutil.rmtree(sweep / "max0")
    put_seeds(sweep, "third", (0.9,))
    assert main([str(sweep), "--html", str(tmp_path / "page.html")]) == 0
    assert "the settings have no seed in common" in (tmp_path / "page.html").read_text()


def test_an_image_of_the_validation_set_or_of_a_class_is_what_equal_seeds_may_differ_by() -> None:
    classes = {f"test/f1/{name}": 0.5 for name in "abcd"}
    settings = {"data.name": "npz", "data.test_size": "200", "data.val_size": "50"}
    (one,) = [Row(dict.fromkeys(FACTS_OF_ROWS, ""), settings, classes)]
    metrics = ("test/acc", "val/acc", "test/recall/a", "test/f1/a", "train/acc", "test/loss")
    found = [resolution_of(metric, [one]) for metric in metrics]
    assert found == [0.5, 2.0, 2.0, 2.0, 0.01, 0.0]
    (leaking,) = [replace(one, settings=settings | {"data.select_on": "test"})]
    assert resolution_of("val/acc", [leaking]) == 0.5  # its validation is on the test images


@pytest.mark.usefixtures("undrawn")
def test_seconds_of_two_machines_are_shown_with_a_warning_and_not_subtracted(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def training_line() -> list[str]:
        assert main([str(sweep)]) == 0
        out = capsys.readouterr().out
        assert ("WARNING seconds and memory are not of one machine" in out) == (words in out)
        return next(line for line in out.splitlines() if line.startswith("training (s)")).split()

    words = (
        "seconds and memory are not of one machine: 5 runs of cpu, 2 threads; 1 of cpu, 1 thread"
    )
    for number, run in enumerate(sorted(sweep.iterdir())):
        record = replace(load_run(run).record, device="cpu", threads=2 if number else 1)
        record.metrics["train_seconds"] = 10.0 + number
        put_record(run, record)
    assert training_line()[2:] == ["11.0", "±", "2.5", "14.0", "±", "2.5"]
    assert report([str(sweep), "--out", str(tmp_path / "report")]) == 0
    assert words in (tmp_path / "report" / "report.html").read_text()
    for run in sweep.iterdir():
        put_record(run, replace(load_run(run).record, threads=2))
    words = "not of one machine"
    assert training_line()[-1] == "+3.0"


@pytest.fixture
def table(sweep: Path, tmp_path: Path) -> Path:
    """Of the sweep's runs; that of a seed more of avg failed."""
    put_seeds(sweep, "avg", (*ACCURACIES["avg"], 0.5))
    rows = rows_of(find_runs([sweep]).runs)
    failed = [replace(row, facts=row.facts | {"status": "failed"}) for row in rows if row.seed == 3]
    write_rows(tmp_path / "table.csv", [row for row in rows if row.seed < 3] + failed)
    return tmp_path / "table.csv"


def test_a_table_is_compared_as_the_folders_that_it_was_collected_from(
    table: Path, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(table)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A  model.pooling=avg   seeds 0, 1, 2, 3 (1 failed)"
    assert lines[2] == f"in {table}"  # once
    chosen = ["--where", "seed=0,1,2"]
    assert main([str(table), *chosen]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main([str(sweep), *chosen]) == 0
    folders = capsys.readouterr().out.splitlines()
    start = folders.index(next(line for line in folders if line.startswith("settings")))
    shared = [line for line in folders[start:] if "calibration" not in line]
    missing = [line for line in shared if line not in lines]
    assert all(line.startswith(("ECE", "confidence", "right alone", "class ")) for line in missing)
    assert any("right in B alone 2, in A alone 0, in both 14, in neither 4" in t for t in lines)
    assert "not by class: the test images found here are not those of the table" in lines


def put_failed(
    folder: Path, pooling: str, seed: int, error: str = "Diverged", **data: object
) -> None:
    """A run that ended in its first epoch, beside those of `put_seeds`."""
    drawn = {"name": "synthetic", "train_size": 100, "test_size": 20}
    config = CONFIG | {"model": {"pooling": pooling}, "data": drawn | data, "seed": seed}
    failed = replace(
        a_record(config=config, seed=seed, overrides=[f"model.pooling={pooling}"]),
        status="failed", error=error, config_hash="f", epochs=[], metrics={}, best_epoch=None,
    )  # fmt: skip
    put_record(folder / f"failed {pooling} {seed}", failed)


def test_a_failed_run_counts_as_chance_as_it_does_in_a_claim(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_seeds(sweep, "avg", (*ACCURACIES["avg"], 0.73))
    put_failed(sweep, "max", 3)
    put_failed(sweep, "max", 2)  # it has finished since
    assert main([str(sweep), "--html", str(tmp_path / "page.html")]) == 0
    out = capsys.readouterr().out
    said = "B: 1 failed run: counts as chance accuracy; other numbers are of finished runs"
    assert "B  model.pooling=max   seeds 0, 1, 2, 3 (1 failed)\n" in out
    assert f"\n{said}\n" in out
    assert said in (tmp_path / "page.html").read_text()
    assert "4 seeds: B - A: -8.25 points" in out  # (10 + 10 + 10 - 63) / 4
    assert "on other seeds and images, by the images of 3" in " ".join(out.split())
    assert max(map(len, out.splitlines()[3:-1])) <= 80

    rows = rows_of(find_runs([sweep]).runs)
    sides = ({"model.pooling": ("max",)},), ({"model.pooling": ("avg",)},)
    claim = Claim("max", "Max is higher.", "own", "", {"data.name": ("synthetic",),
                  "data.train_size": ("100",), "data.test_size": ("20",)},
                  higher=sides[0], lower=sides[1])  # fmt: skip
    (outcome,) = evaluate([claim], rows)
    found = compare(*([run for run in find_runs([sweep]).runs
                       if run.record.config["model"]["pooling"] == pooling]
                      for pooling in ("max", "avg")))  # fmt: skip
    assert outcome.part is not None
    assert outcome.part.summary().mean == pytest.approx(-8.25) == found.difference.mean
    assert outcome.judgement.verdict == found.verdict == "undecided"
    assert remarks(outcome)[0] in said


def test_a_setting_whose_runs_all_failed_is_a_side_at_chance(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        put_failed(sweep, "none", seed)
    assert main([str(sweep), "--html", str(tmp_path / "page.html")]) == 0
    out = capsys.readouterr().out
    assert "seeds 0, 1, 2 (3 failed)" in out
    assert "B - A: -61.00 points" in out
    assert "B: 3 failed runs: count as chance accuracy; other numbers are of finished" in out


@pytest.mark.usefixtures("undrawn")
def test_the_report_of_a_sweep_counts_failed_runs_as_compare_does(sweep: Path) -> None:
    put_seeds(sweep, "avg", (*ACCURACIES["avg"], 0.73))
    put_failed(sweep, "max", 3)
    put_failed(sweep, "none", 0)
    put_failed(sweep, "stride", 0, error="terminated")  # which says nothing of what it does
    table = read_table([sweep])
    (found,) = compare_settings(table.settings)
    sides = read_settings([sweep], ["model.pooling=avg,max"])
    expected = difference(*sides)
    assert found.difference.mean == pytest.approx(8.25) == expected.difference.mean
    assert found.verdict == expected.verdict == "undecided"
    assert table.settings[1].values("test/loss").keys() == {0, 1, 2}
    assert report([str(sweep), "--no-latency"]) == 0
    page = (sweep / "report" / "report.html").read_text()
    assert "1 failed run: counts as chance accuracy; other numbers are of finished runs." in page
    assert "1 setting without a finished run: in no comparison here" in page
    assert "1 failed" in page
    assert "1 stopped" in page


def test_where_chance_is_not_known_a_failed_run_forbids_a_verdict(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in sweep.glob("*/result.json"):
        run.write_text(run.read_text().replace('"name": "synthetic"', '"name": "my own"'))
    put_failed(sweep, "max", 3, name="my own")
    assert main([str(sweep)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "B - A: +10.00 points, 3 seeds: not judged: 1 of its runs failed" in lines
    assert lines[-1].startswith("B: 1 failed run: counts against any verdict;")


def test_of_a_loss_there_is_no_verdict_with_failed_runs(sweep: Path) -> None:
    put_failed(sweep, "max", 3)
    sides = [[run for run in find_runs([sweep]).runs
              if run.record.config["model"]["pooling"] == pooling]
             for pooling in ("max", "avg")]  # fmt: skip
    assert compare(*sides, metric="test/loss").verdict == "not judged: 1 of its runs failed"


def cut_short(sweep: Path, pooling: str, seed: int, accuracy: float) -> Path:
    """A run beside those of `put_seeds` that ran out of time; its folder."""
    made = put_seeds(sweep.parent / "made", pooling, (accuracy,) * (seed + 1))
    record = load_run(made / f"{pooling}{seed}").record
    return put_record(sweep / f"cut {seed}", replace(record, cut_short="trainer.max_time=1"))


def test_a_run_that_was_cut_short_is_in_no_comparison_and_a_line_says_so(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = cut_short(sweep, "max", 3, 0.1)
    put_seeds(sweep, "avg", (*ACCURACIES["avg"], 0.73))
    assert main([str(sweep)]) == 0
    out = capsys.readouterr().out
    assert "\nB - A: +10.00 points" in out
    said = f"left out: {sweep}: a run that was cut short: no measurement"
    assert said in " ".join(out.split())
    assert main([str(sweep / "max0"), str(cut)]) == 2
    said = "no run here has finished whole: a run that was cut short: no measurement"
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_a_report_lists_what_was_cut_short_and_counts_it_nowhere(sweep: Path) -> None:
    cut = cut_short(sweep, "max", 3, 0.1)
    failed = cut_short(sweep, "max", 4, 0.1)
    change = {"status": "failed", "error": "Diverged", "metrics": {}}
    put_record(failed, replace(load_run(failed).record, **change))
    table = read_table([sweep])
    assert [list(one.rows) for one in table.settings] == [[0, 1, 2], [0, 1, 2]]
    assert [one.failed for one in table.settings] == [{}, {}]
    assert report([str(sweep), "--no-latency"]) == 0
    page = (sweep / "report" / "report.html").read_text()
    assert '<td class="cut short">cut short<small>trainer.max_time=1</small>' in page
    assert "cut short<small>trainer.max_time=1; Diverged</small>" in page
    assert "6 finished, 2 cut short" in page
    assert report([str(sweep / "max0"), "--no-latency"]) == 0
    assert " on 20 images" in (sweep / "max0" / "report" / "report.html").read_text()
    assert report([str(cut), "--no-latency"]) == 0
    alone = (cut / "report" / "report.html").read_text()
    assert "<strong>The run was cut short</strong> (trainer.max_time=1)" in alone
    assert " on 20 images" not in alone  # it may have been tested on fewer


@pytest.mark.usefixtures("undrawn")
def test_two_seeds_conclude_nothing_in_a_report(tmp_path: Path) -> None:
    for net in ("small", "large"):
        for pooling in ("avg", "max"):
            for seed in (0, 1):
                accuracy = 0.7 + 0.2 * (net == "large") * (pooling == "max") + seed / 1000
                record = a_record(
                    config=CONFIG | {"model": {"net": net, "pooling": pooling}}, seed=seed,
                    overrides=[f"model.net={net}", f"model.pooling={pooling}"],
                    metrics=dict.fromkeys(a_record().metrics, accuracy),
                )  # fmt: skip
                put_record(tmp_path / f"{net} {pooling} {seed}", record)
    assert report([str(tmp_path), "--no-latency"]) == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert "model.net: 2 seeds only, so nothing may be concluded; the largest" in page
    assert "it may be concluded" not in page
    assert "no dependence shown" in page
    assert "the effect depends on it" not in page


def test_of_a_table_some_settings_and_seeds_are_chosen(
    table: Path, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(table), str(sweep), "--where", "model.pooling=max", "seed=1,2"]) == 0
    out = capsys.readouterr().out
    assert f"seeds 1, 2, {table}" in out
    assert f"seeds 1, 2, {sweep}" in out
    assert "+0.00 points" in out
    for order in ("max,avg", "avg,max"):
        assert main([str(sweep), "--where", f"model.pooling={order}"]) == 0
        first = capsys.readouterr().out.splitlines()[0]
        assert first.startswith(f"A  model.pooling={order[:3]} ")
    assert main([str(table.parent), "--where", "seed=2"]) == 0  # a folder of tables
    assert f"A  model.pooling=avg   seed 2\nB  model.pooling=max   seed 2\nin {table.parent}\n" in (
        capsys.readouterr().out
    )
    for where, says in {
        "model.poolin=max": "no run has a setting model.poolin; did you mean model.pooling?",
        "model.pooling=maxx": "no run has model.pooling=maxx; did you mean max?",
    }.items():
        assert main([str(table), "--where", where]) == 2
        assert says in capsys.readouterr().err
    assert main([str(table), "--where", "seed=3"]) == 2
    assert "no run here has finished" in capsys.readouterr().err


def test_of_a_table_the_data_set_says_the_classes(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [next(iter(side.rows.values())) for side in read_settings([table])]
    labels, names = read_labels(rows[0])
    made = []
    for row, right in zip(rows, (labels != 6, labels != 9), strict=True):
        logits = np.eye(10)[np.where(right, labels, (labels + 1) % 10)]
        kept = {k: v for k, v in row.metrics.items() if "class" not in k}
        metrics = kept | class_metrics(logits, labels, names)
        made.append(replace(row, metrics=metrics, right=Right(right, right)))
    write_rows(tmp_path / "made.csv", made)
    assert main([str(tmp_path / "made.csv"), "--html", str(tmp_path / "page.html")]) == 0
    table = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    start = table.index("right alone, seed 0 B A p")
    assert table[start + 1 : start + 4] == [
        f"{names[6]} 2 0 1.00", f"{names[9]} 0 2 1.00", f"{names[0]} 0 0 1.00"
    ]  # fmt: skip
    html = (tmp_path / "page.html").read_text()
    assert "No curves: a table has none" in html
    assert html.count("<svg") == 1
    assert f'<td class="label">{names[6]}</td><td class="number">2</td>' in html


def test_the_page_shows_curves_classes_and_what_one_side_alone_gets_right(
    sweep: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    assert main([str(sweep), "--html", str(page)]) == 0
    html = page.read_text()
    for words in ("B is higher", "Validation accuracy", "Recall by class", "Images not shown"):
        assert words in html
    assert html.count("<svg") == 4
    assert "http:" not in html.replace("http://www.w3.org", "")


def test_a_reader_of_ones_own_that_fails_costs_the_page_its_pictures_alone(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise KeyError("x")

    monkeypatch.setattr(Run, "data", lambda _: SimpleNamespace(load=fail))
    assert main([str(sweep), "--html", str(tmp_path / "page.html")]) == 0
    assert "its data cannot be read: KeyError" in (tmp_path / "page.html").read_text()


def test_the_page_shows_colour_images(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = torch.zeros(FACTS.test_size, 3, 28, 28, dtype=torch.uint8)
    monkeypatch.setattr("fmnist.reporting.compare_page.test_images", lambda *_: pixels)
    assert main([str(sweep), "--html", str(tmp_path / "page.html")]) == 0
    html = (tmp_path / "page.html").read_text()
    assert "Right in B, wrong in A" in html
    assert "data:image/png" in html


@pytest.mark.usefixtures("undrawn")
def test_the_report_of_a_sweep_has_compares_table_of_who_is_right_alone(
    sweep: Path, tmp_path: Path
) -> None:
    pair = [str(sweep / "max0"), str(sweep / "avg0")]
    assert main([*pair[::-1], "--html", str(tmp_path / "page.html")]) == 0
    assert report([str(sweep), "--no-latency", "--compare", *pair]) == 0
    pages = [tmp_path / "page.html", sweep / "report" / "report.html"]
    tables = [
        re.findall(r"<th>right alone.*?<tbody>(.*?)</tbody>", path.read_text(), re.DOTALL)
        for path in pages
    ]
    assert tables[0] == tables[1]
    assert '<td class="label">class 4</td><td class="number">1</td>' in tables[1][0]


def test_from_python_a_verdict_and_an_interval_of_two_folders_of_seeds(tmp_path: Path) -> None:
    sides = [put_seeds(tmp_path / p, p, ACCURACIES[p]) for p in ("max", "avg")]
    found = compare(*sides)
    assert found.difference.mean == pytest.approx(10)
    assert found.verdict == "model.pooling=max is higher"
    assert str(found).startswith("model.pooling=max - model.pooling=avg: +10.00 [+6.73, +13.27]")
    assert compare(sides[0], sides[0]).verdict == "undecided"


def test_two_seeds_decide_nothing_and_seeds_that_differ_are_not_compared(tmp_path: Path) -> None:
    sides = [put_seeds(tmp_path / p, p, ACCURACIES[p][:2]) for p in ("max", "avg")]
    found = compare(*sides)
    assert found.significant
    assert found.verdict == "undecided"
    with pytest.raises(RunError, match="no seed in common: seeds 0 and 1"):
        compare(sides[0] / "max0", sides[1] / "avg1")


def test_a_metric_that_no_run_has_is_said_with_those_that_there_are(tmp_path: Path) -> None:
    sides = [put_seeds(tmp_path / p, p, ACCURACIES[p]) for p in ("max", "avg")]
    with pytest.raises(RunError, match=r"^test/f2: no run has such a metric; did you mean test/f1"):
        compare(*sides, metric="test/f2")
    words = r"^zzz: no run has such a metric; there are test/acc, test/f1, test/loss, train/"
    with pytest.raises(RunError, match=words):
        compare(*sides, metric="zzz")


def test_what_cannot_be_compared_is_said_in_a_line(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(sweep / "avg0"), str(sweep / "avg1")]) == 0  # two runs, no matched seed
    assert "no seed in common" in capsys.readouterr().out
    with pytest.raises(RunError, match=r"2 settings, which differ in model\.pooling"):
        compare(sweep, sweep)
    assert main([str(sweep / "avg0")]) == 2
    assert "one setting; should be two or more" in capsys.readouterr().err
    for number in range(7):
        put_seeds(tmp_path / "many", f"pool{number}", (0.5,))
    assert main([str(tmp_path / "many")]) == 2
    assert "7 settings: should be at most 6" in capsys.readouterr().err
    unfinished = put_record(tmp_path / "half", a_record("running"))
    assert main([str(sweep), str(unfinished)]) == 2
    assert "no run here has finished" in capsys.readouterr().err


def test_runs_are_chosen_by_a_list_as_it_is_shown_and_as_it_is_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, widths in enumerate(([1, 2], [3, 4], [5, 6])):
        config = CONFIG | {"model": {"widths": widths}}
        put_record(tmp_path / str(number), a_record(config=config))
    found = read_settings([tmp_path], ["model.widths=[5,6],[1, 2]"])
    assert [side.name for side in found] == ["model.widths=[5, 6]", "model.widths=[1, 2]"]
    assert main([str(tmp_path), "--where", "model.widths=[7,8]"]) == 2
    said = "no run has model.widths=[7, 8]; did you mean [5, 6]?"
    assert said in capsys.readouterr().err
    assert main([str(tmp_path), "--where", "seed"]) == 2
    assert "--where seed: should be KEY=VALUE,..." in capsys.readouterr().err


def test_a_report_without_a_finished_run_says_that_it_cannot_compare_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = [str(put_record(tmp_path / name, a_record("failed", error="x"))) for name in "ab"]
    assert report([str(tmp_path), "--compare", *pair]) == 2
    assert f"--compare {pair[0]}: not one of the finished runs" in capsys.readouterr().err


def test_long_values_are_cut_alike_and_stay_apart() -> None:
    values = [f"[{'16, ' * 30}{last}]" for last in (32, 64, 128)]
    head, line = columns("settings that differ", "ABC", [Line("model.widths", values)])
    assert len(head) == len(line) == 80
    cut = re.split(r"  +", line)[1:]
    assert len({*cut}) == 3
    assert max(map(len, cut)) - min(map(len, cut)) <= 1


def test_sides_are_called_by_what_differs(sweep: Path) -> None:
    sides = read_settings([sweep])
    assert [side.name for side in sides] == ["model.pooling=avg", "model.pooling=max"]
    assert differing(sides) == {"model.pooling": ["avg", "max"]}


def test_sides_are_called_by_an_option_whatever_differs_below_it(tmp_path: Path) -> None:
    for name, policy in {"step": {"size": 5, "gamma": 0.1}, "cosine": {"eta_min": 0.0}}.items():
        config = CONFIG | {"scheduler": {"policy": policy}}
        put_record(
            tmp_path / name,
            a_record(config=config, config_hash=name, choices={"scheduler": name}),
        )
    names = {side.name for side in read_settings([tmp_path])}
    assert names == {"scheduler=step", "scheduler=cosine"}


def test_the_interval_of_two_runs_covers_other_images_and_never_leaves_what_is_possible() -> None:
    """1,000 draws of 500 images from a known pair of nets, of which 95 % should cover."""
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        kinds = generator.choice(4, size=500, p=(0.06, 0.02, 0.82, 0.10))
        first, second = np.isin(kinds, (0, 2)), np.isin(kinds, (1, 2))
        found = mcnemar(first, second)
        covered += found.low <= 4.0 <= found.high
    assert 930 <= covered <= 970
    everything, nothing = np.ones(3, bool), np.zeros(3, bool)
    assert mcnemar(everything, nothing).high <= 100
