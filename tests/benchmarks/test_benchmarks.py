"""Every benchmark runs, and its table follows from its own numbers."""

import csv
import importlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import (
    cells,
    formats,
    load,
    many_runs,
    newcomer,
    overlap,
    pictures,
    reading,
    readme,
    records,
    roofline,
    speedrun,
    startup,
    sweeps,
    throughput,
)
from benchmarks.command import command
from benchmarks.table import Table, origins, ratio, read, shown
from fmnist.data.facts import Look
from fmnist.data.pictures import prepare
from fmnist.data.source import Images
from fmnist.errors import UserError
from fmnist.runs.find import find_runs
from fmnist.runs.rows import row_of
from fmnist.runs.run import load_run
from tests.conftest import CHECKOUT, TINY
from tests.evidence.test_claims import run_dir
from tests.records import a_record, put_record

ORIGIN = ["rounds", "processor", "threads", "torch", "commit", "dirty"]
SMALL = [text for text in TINY if not text.startswith(("logger", "trainer.max_epochs"))]


def measured(monkeypatch, tmp_path: Path, capsys, name: str, *arguments: str) -> list[dict]:
    """The rows that a benchmark writes, which are those that it shows."""
    path = tmp_path / f"{name}.csv"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *SMALL, "--csv", str(path), *arguments])
    importlib.import_module(f"benchmarks.{name}").main()
    rows = read(path)
    assert list(rows[0])[-len(ORIGIN) :] == ORIGIN
    table = shown(rows).partition("\n\n")[0]
    assert table in capsys.readouterr().out
    return rows


def numbers(rows: list[dict], column: str) -> list[float]:
    return [float(row[column]) for row in rows]


@pytest.mark.long
def test_startup_stages_follow_each_other(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(startup, "LOGGERS", ("csv",))
    monkeypatch.setenv("PYTHONPATH", str(readme.ROOT))
    rows = measured(monkeypatch, tmp_path, capsys, "startup", "--rounds", "1")
    assert [row["until"] for row in rows] == list(startup.STAGES)
    imports, first, end = numbers(rows, "s")
    assert imports > 0
    assert 0 < first < end
    assert [path.name for path in tmp_path.iterdir()] == ["startup.csv"]


@pytest.mark.long
def test_sweeps_compare_launchers_by_their_own_times(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PYTHONPATH", str(readme.ROOT))
    rows = measured(
        monkeypatch, tmp_path, capsys, "sweeps", "logger=csv",
        "--rounds", "1", "--cells", "2", "--epochs", "1", "--finished", "3",
    )  # fmt: skip
    assert [row["sweep"] for row in rows] == ["basic", "machine", "finished"]
    assert [row["cells"] for row in rows] == ["2", "2", "3"]
    assert rows[1]["threads a cell"] == "1"
    basic, machine, finished = numbers(rows, "s")
    assert finished < min(basic, machine)
    assert float(rows[1]["x basic"]) == pytest.approx(basic / machine, abs=0.02)
    for row in rows:
        seconds, hour = float(row["s"]), 3600 * int(row["cells"])
        least, most = hour / (seconds + 0.005), hour / (seconds - 0.005)  # said to the hundredth
        assert least - 1 <= float(row["cells/hour"]) <= most + 1


def test_a_sweep_that_fails_is_no_measurement(tmp_path):
    with pytest.raises(sweeps.UserError, match="no such setting"):
        sweeps.timed(["nonsense=1"], tmp_path / "sweep")


@pytest.mark.long
def test_a_cell_costs_what_more_cells_take_longer(monkeypatch, tmp_path, capsys):
    def ran(words, sweep):  # really, but as if every cell took 10 s and its epoch 1 s of them
        sweeps.timed(words, sweep)
        return 10.0 * len(cells.records(sweep))

    monkeypatch.setenv("PYTHONPATH", str(readme.ROOT))
    monkeypatch.setattr(cells, "LOGGERS", ("csv",))
    monkeypatch.setattr(cells, "MANY", 4)
    monkeypatch.setattr(cells, "timed", ran)
    monkeypatch.setattr(cells, "trained", lambda finished: 1.0 * len(finished))
    out = str(tmp_path / "cells.csv")
    monkeypatch.setattr(sys, "argv", ["cells", "--rounds", "1", "--csv", out])
    cells.main()
    (row,) = read(tmp_path / "cells.csv")
    assert (row["cells"], row["s"]) == ("4", "40.0")
    assert (row["training, s a cell"], row["beside it, s a cell"]) == ("1.00", "9.00")


def test_a_sweep_that_ran_costs_what_its_records_say(monkeypatch, tmp_path):
    # Two at a time: four cells of 12 s, 10 of them training, in 24 s and 2 s of waiting.
    for number, second in enumerate((0, 0, 14, 14)):
        put_record(
            tmp_path / "some_sweep" / str(number),
            a_record(
                seed=number, choices={"logger": "csv"}, git_commit="a" * 40,
                started=f"2026-01-01T00:00:{second:02}+00:00",
            ),
        )  # fmt: skip
    out = tmp_path / "cells.csv"
    ran = ["--rounds", "0", "--ran", str(tmp_path / "some_sweep"), "--csv", str(out)]
    monkeypatch.setattr(sys, "argv", ["cells", *ran])
    cells.main()
    (row,) = read(out)
    assert row["sweep"] == "some_sweep at aaaaaaaaa"
    assert (row["cells"], row["at a time"], row["s"]) == ("4", "2", "26.0")
    assert row["beside it, s a cell"] == "3.00"


def test_rows_of_two_measurements_each_say_where_they_are_from():
    one = dict(zip(ORIGIN, ["2", "a processor", "2", "2.15.0", "a" * 40, "False"], strict=True))
    other = one | {"commit": "b" * 40}
    assert origins([one, one]).startswith("Medians of 2 interleaved rounds at commit `aaaaaaaaa`")
    assert origins([one, other, one]).startswith("Rows 1, 3: Medians")
    assert origins([one, one, one, other, one]).startswith("Rows 1 to 3, 5: Medians")
    assert "Row 2: Medians of 2 interleaved rounds at commit `bbbbbbbbb`" in origins([one, other])


@pytest.mark.long
def test_reading_says_where_the_time_of_a_report_goes(monkeypatch, tmp_path, capsys, tiny_run):
    path = tmp_path / "reading.csv"
    words = [str(tiny_run.dir), "--rounds", "1", "--csv", str(path)]
    monkeypatch.setenv("PYTHONPATH", str(readme.ROOT))
    monkeypatch.setattr(sys, "argv", ["reading", *words])
    reading.main()
    report, status = read(path)
    assert shown([report, status]).partition("\n\n")[0] in capsys.readouterr().out
    assert [(row["command"], row["runs"]) for row in (report, status)] == [
        ("report", "1"), ("status", "1"),
    ]  # fmt: skip
    assert all(float(report[name]) > 0 for name in ("imports", "latency", "figures", "rest"))
    assert float(status["s"]) < float(report["s"])
    assert not (tiny_run.dir / "report").exists()


def test_made_up_runs_are_read_as_trained_ones_are(monkeypatch, tmp_path, capsys):
    """All of them, or their time would be that of a command which found fewer."""
    many_runs.make_sweep(tmp_path / "runs", 10, images=50)
    found = find_runs([tmp_path / "runs"])
    assert (len(found.finished), found.damaged, found.missing) == (10, [], [])
    monkeypatch.setattr(sys, "argv", ["many_runs", "--runs", "4", "--images", "50", "--commands",
                                      "status", "--csv", str(tmp_path / "made.csv")])  # fmt: skip
    many_runs.main()
    (row,) = read(tmp_path / "made.csv")
    assert (row["command"], row["runs"]) == ("status", "4")
    assert float(row["s"]) > 0


def test_a_stage_counts_without_those_inside_it(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    monkeypatch.setattr(reading.time, "perf_counter", lambda: next(clock))
    stages = reading.Stages()
    inner = stages.timed("latency", lambda value: value + 1)
    assert stages.timed("figures", lambda value: 2 * inner(value))(20) == 42
    assert stages.close() == {
        "imports": 0, "latency": 3, "Grad-CAM": 0, "figures": 2 + 4, "rest": 1 + 5,
    }  # fmt: skip


def test_roofline_counts_the_share_of_the_measured_peak(monkeypatch, tmp_path, capsys):
    rows = measured(
        monkeypatch, tmp_path, capsys, "roofline", "--rounds", "1", "--seconds", "0.001",
        "--sizes", "64", "128", "--models", "logistic", "lenet5",
    )  # fmt: skip
    assert len(rows) == 6 * len({row["device"] for row in rows})
    for peak, *nets in (rows[start : start + 3] for start in range(0, len(rows), 3)):
        assert [row["net"] for row in (peak, *nets)] == ["peak", "logistic", "lenet5"]
        assert {row["format"] for row in nets} == {peak["format"]}
        for row in nets:
            rate = float(row["MFLOPs/step"]) / float(row["ms/step"])  # MFLOP/ms is GFLOP/s
            assert float(row["GFLOP/s"]) == pytest.approx(rate, abs=0.06, rel=0.02)
            share = 100 * float(row["GFLOP/s"]) / float(peak["GFLOP/s"])
            assert float(row["% of peak"]) == pytest.approx(share, abs=0.1, rel=0.02)
    # 784 multiply-adds for each of 10 classes and 64 images, and three passes.
    assert float(rows[1]["MFLOPs/step"]) == pytest.approx(2 * 784 * 10 * 64 * 3 / 1e6, abs=0.06)


def test_formats_are_compared_with_plain_fp32(monkeypatch, tmp_path, capsys):
    rows = measured(
        monkeypatch, tmp_path, capsys, "formats", "--rounds", "1", "--seconds", "0.001",
        "--nets", "logistic", "lenet5",
    )  # fmt: skip
    names = [*formats.FORMATS]
    devices = list(dict.fromkeys(row["device"] for row in rows))
    assert [(row["net"], row["device"], row["format"]) for row in rows] == [
        (net, device, name)
        for net in ("logistic", "lenet5")
        for device in devices
        for name in names
    ]
    for start in range(0, len(rows), len(names)):
        plain, *others = rows[start : start + len(names)]
        assert plain["x fp32"] == "1.00"
        for row in others:
            expected = float(row["ms/step"]) / float(plain["ms/step"])
            assert float(row["x fp32"]) == pytest.approx(expected, abs=0.02)


def test_a_step_of_the_roofline_trains_the_net(monkeypatch):
    made, build = [], roofline.build_node
    monkeypatch.setattr(roofline, "build_node", lambda node: made.append(build(node)) or made[-1])
    config = throughput.compose(["model=googlenet", "optim=sgd"])  # two auxiliary heads
    step = roofline.training_step(config, True, torch.device("cpu"))
    parameters = list(made[0].parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    step()
    assert not any(torch.equal(one, other) for one, other in zip(before, parameters, strict=True))


@pytest.mark.long
def test_throughput_compares_contenders_by_their_own_times(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(throughput, "STEPS", {"lenet5": 4})
    shares = iter([0.0, 0.5, 0.02, 0.0, 0.05])  # to warm up, disturbed, once more
    monkeypatch.setattr(throughput.Others, "share", lambda self: next(shares))
    names = ("sources", "lightning", "bare", "fmnist csv")
    rows = measured(
        monkeypatch, tmp_path, capsys, "throughput", "--rounds", "1", "--models", "lenet5",
        "--threads", "1", "--contenders", *names,
    )  # fmt: skip
    assert [(row["aug"], row["contender"]) for row in rows] == [
        (aug, name) for aug in ("off", "on") for name in names
    ]
    assert [row["others, % of a core"] for row in rows[::4]] == ["2", "5"]
    for part in (rows[:4], rows[4:]):
        sources, _, bare, _ = part
        assert (sources["sources / this"], bare["x bare"]) == ("1.00 [1.00, 1.00]",) * 2
        for row in part:
            times = [float(each["ms/step"]) for each in (row, bare, sources)]
            for key, expected in (("x bare", times[0] / times[1]),
                                  ("sources / this", times[2] / times[0])):  # fmt: skip
                told = float(row[key].partition(" ")[0])
                assert told == pytest.approx(expected, rel=0.01, abs=0.02)


def test_what_others_take_is_all_but_ones_own(monkeypatch, tmp_path):
    me, child = os.getpid(), os.getpid() + 1
    for number, parent, ticks in (
        (me, 1, 100),
        (child, me, 50),
        (child + 1, child, 7),
        (1, 0, 300),
    ):
        (tmp_path / str(number)).mkdir()
        fields = ["S", parent, *[0] * 9, ticks, 0, 0, 0]
        text = f"{number} (a name) of two) {' '.join(map(str, fields))}"
        (tmp_path / str(number) / "stat").write_text(text)
    (tmp_path / "stat").write_text("cpu 500 0 300 9999 9999 100 50 50 0 0\ncpu0 1")
    monkeypatch.setattr(load, "PROC", tmp_path)
    assert load._seconds() * os.sysconf("SC_CLK_TCK") == pytest.approx(1000 - 157)
    assert load.Others().share() == 0


def test_batches_are_brought_to_the_device_of_training():
    batches = [(torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64))] * 2
    moved = list(throughput.Moved(batches, torch.device("meta")))
    assert len(moved) == 2
    assert all(part.device.type == "meta" for batch in moved for part in batch)


def test_a_table_is_the_same_on_the_terminal_and_in_the_readme(tmp_path, capsys):
    table = Table(["net", "ms"], rounds=3, threads=1)
    table.add("a, b", 1.5)
    table.write(tmp_path / "t.csv")
    rows = read(tmp_path / "t.csv")
    assert rows[0]["net"] == "a, b"
    said, _, lines = capsys.readouterr().out.partition("\n\n")
    assert shown(rows) == f"{lines.strip()}\n\n{said}"
    assert "Medians of 3 interleaved rounds" in said
    assert "1 thread," in said
    other = Table(["net", "ms"], rounds=3, threads=1)
    for net in ("a, b", "c"):
        other.rows = []
        other.add(net, 2.5)
        other.write(tmp_path / "t.csv", keep=["net"])
    assert [(row["net"], row["ms"]) for row in read(tmp_path / "t.csv")] == [
        ("a, b", "2.5"), ("c", "2.5")
    ]  # fmt: skip
    assert ratio(3, 2) == "1.50"
    assert ratio(None, 2) == ratio(3, None) == ""
    assert read(tmp_path / "none.csv") == []


def test_the_committed_first_run_names_no_folder_of_the_machine_that_made_it():
    first = readme.read_record(readme.FIRST_RUN)
    assert first.command == "python -m fmnist.train model=lenet5 optim=adam"
    assert "root" not in first.config["data"]


def test_committed_tables_have_the_columns_that_the_readme_needs():
    for path in readme.RESULTS.glob("*.csv"):
        if path.stem in readme.TABLES:
            with path.open(newline="") as file:
                header = next(csv.reader(file))
            whole = {speedrun.shown: speedrun.COLUMNS, records.shown: records.COLUMNS}
            columns = whole.get(readme.TABLES[path.stem])
            assert header == list(columns) if columns else header[-len(ORIGIN) :] == ORIGIN


def test_the_history_of_the_records_is_that_of_their_runs(tmp_path):
    def commit(subject: str, *times: str) -> None:
        head, row = ",".join(speedrun.COLUMNS), dict.fromkeys(speedrun.COLUMNS, "1")
        rows = [row | {"experiment": "speedrun_92", "seconds_from_start": text} for text in times]
        lines = [head, *(",".join(each.values()) for each in rows)]
        (tmp_path / "speedrun.csv").write_text("\n".join([*lines, ""]))
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        for words in (["add", "."], [*who, "commit", "-q", "--allow-empty", "-m", subject]):
            subprocess.run(["git", "-C", str(tmp_path), *words], check=True)

    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit("first", "50")
    commit("a second seed", "50", "40")
    (tmp_path / "other").touch()
    commit("something else", "50", "40")
    commit("a third seed, beside other work", "50", "40", "")
    found = records.records(tmp_path)
    assert [(row["s from process start"], row["seeds"]) for row in found] == [
        ("50.0", "1"), ("45.0", "2")
    ]  # fmt: skip
    assert found[1]["change"] == "a second seed"


def test_the_last_of_the_records_are_the_speed_runs_that_are_shown():
    runs = read(readme.RESULTS / "speedrun.csv")
    last = {row["experiment"]: row for row in read(records.FILE)}
    assert set(last) == {row["experiment"] for row in runs}
    for name, row in last.items():
        mine = [run for run in runs if run["experiment"] == name]
        assert row == records.line(name, row["date"], row["change"], mine)


def test_a_measurement_that_is_stopped_takes_its_process_with_it():
    code = (
        "import subprocess; from benchmarks.command import command;"
        "command(lambda: subprocess.run(['sh', '-c', 'sleep 1; echo $$; exec sleep 60']))"
    )
    started = [sys.executable, "-c", code]
    with subprocess.Popen(started, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_what_went_wrong_in_a_measurement_is_one_line():
    def fails() -> None:
        raise UserError("no data")

    with pytest.raises(SystemExit, match=r"^error: no data$"):
        command(fails)


def test_accuracies_at_size_are_of_any_run_with_the_experiments_settings(tmp_path):
    cell = ("ablation=regularization", "aug=flip")
    rows = [
        row_of(load_run(run_dir(tmp_path / level, *cell, f"label_smoothing={level}", seed=3)))
        for level in ("0.0", "0.1")
    ]
    again = replace(rows[0], facts=rows[0].facts | {"started": "2027-01-01T00:00:00+00:00"})
    (made,) = readme.at_size([*rows, again], [])  # a seed that ran twice is no second one
    assert (made["experiment"], made["seed"], made["test_acc"]) == ("accuracy_100k", "3", "0.9")
    assert list(made) == list(speedrun.COLUMNS)
    assert "| 90.00 | 90.00 |  |  |" in speedrun.table([made])
    assert readme.at_size(rows, [made]) == []  # timed: it has its row already
    assert readme.at_size(rows, [{**made, "seed": "4"}]) == [made]


def test_images_that_training_and_test_share_are_counted():
    images = torch.arange(6 * 784).reshape(6, 28, 28).mul(37).remainder(251).to(torch.uint8)
    training = Images(torch.cat([images[:4], images[:1]]), torch.arange(5))
    brighter = images[1:2] + 3  # by three grey levels each
    test = Images(torch.cat([images[3:4], brighter, images[5:6]]), torch.tensor([3, 9, 5]))
    assert [*overlap.found(training, test)] == [
        ("training images", 5, ""),
        ("test images", 3, ""),
        ("training images that occur more than once", 2, ""),
        ("test images that occur more than once", 0, ""),
        ("test images that are a training image", 1, 1),
        ("test images within 2 grey levels of one", 1, 1),
        ("test images within 5 grey levels of one", 2, 1),
        ("test images within 10 grey levels of one", 2, 1),
    ]


def test_the_overlap_is_that_of_the_data_set_asked_for(monkeypatch, tmp_path, capsys):
    rows = measured(monkeypatch, tmp_path, capsys, "overlap")
    assert [row["images"] for row in rows[:2]] == ["640", "200"]


def test_pictures_are_told_apart_by_what_a_net_has_seen(monkeypatch, capsys, tiny_run):
    monkeypatch.setattr(pictures, "MOST", 20)
    table = Table(pictures.COLUMNS, 1, 1)
    pictures.measure(tiny_run, "tiny", table)
    assert "| tiny | noise | 20 |" in capsys.readouterr().out
    images = {row["pictures"]: row["images"] for row in table.rows}
    assert images.pop("handwritten digits") == "1797"
    assert set(images.values()) == {"20"}
    data = tiny_run.same_data()
    data.load()
    places = torch.arange(20) * len(data.test_images) // 20
    right = tiny_run.predictions()[0].argmax(1) == data.test_images.labels.numpy()
    assert table.rows[0]["accuracy, %"] == f"{100 * right[places.numpy()].mean():.1f}"
    assert [bool(row["accuracy, %"]) for row in table.rows] == [True, True, False, False, False]
    shares = [row[name] for row in table.rows for name in pictures.COLUMNS[4:]]
    assert all(0 <= float(share) <= 100 for share in shares)


def test_an_image_as_a_picture_is_prepared_back_to_itself():
    image = torch.zeros(1, 28, 28, dtype=torch.uint8)
    image[0, 0:28, 6:22] = 200  # all of the frame's height
    picture = pictures.as_picture(image)
    assert picture.size == (28 * 10 + 40, 28 * 10 + 90)
    assert picture.getpixel((0, 0)) == 255
    again = prepare(picture, (1, 28, 28), Look([0.0], 1.0))
    assert np.abs(again.astype(int) - image.numpy()).mean() < 10  # its edges are softer


def test_nets_are_tabled_on_every_kind_of_images(monkeypatch, tmp_path, capsys):
    from benchmarks import nets

    overrides = [text for text in TINY if text.startswith(("data.", "trainer."))]
    monkeypatch.setattr(sys, "argv", ["nets", "--models", "logistic", "--sets", "colour", "--csv",
                                      str(tmp_path / "nets.csv"), *overrides])  # fmt: skip
    nets.main()
    assert "| synthetic 3x32x32 | logistic | 92190 |" in capsys.readouterr().out
    assert "logistic" in (tmp_path / "nets.csv").read_text()


def test_a_newcomer_types_what_the_readme_says_and_the_net_that_it_shows(tmp_path):
    """All of it, environment and all, is the measurement; each of its commands composes here."""
    text = (CHECKOUT / "README.md").read_text()
    newcomer.own_net(tmp_path, text)
    assert "_target_: tinynet.TinyNet" in (tmp_path / "conf/model/tinynet.yaml").read_text()
    assert "class TinyNet" in (tmp_path / "tinynet.py").read_text()
    lines = [line for _, lines in newcomer.COMMANDS for line in lines]
    for line in lines:
        assert line.startswith("make") or line.split("-m ")[1].split()[0] in text, line
        assert all(word in text for word in line.split() if word.startswith("--")), line
    assert len(lines) == 7


def test_a_command_that_fails_ends_the_newcomers_path_in_its_words(tmp_path):
    assert newcomer.typed("echo said", tmp_path, {})[1] == "said\n"
    with pytest.raises(UserError, match="echo why; false: why"):
        newcomer.typed("echo why; false", tmp_path, {})


@pytest.mark.long
def test_another_checkouts_epochs_are_timed_beside_our_own(monkeypatch, tmp_path, capsys):
    rows = measured(
        monkeypatch, tmp_path, capsys, "against", "--rounds", "1", "--models", "lenet5",
        "--checkout", str(CHECKOUT),
    )  # fmt: skip
    assert [(row["net"], row["code"]) for row in rows] == [("lenet5", rows[0]["code"])] * 2
    before, now = numbers(rows, "s/epoch")
    assert float(rows[1]["x before"]) == pytest.approx(now / before, abs=0.02)
