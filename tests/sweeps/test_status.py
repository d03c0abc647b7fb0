"""`fmnist.status`: how a sweep stands, from its records alone."""

import json
from pathlib import Path

import pytest

from fmnist.runs.run import claimed
from fmnist.runs.text import duration
from fmnist.status import main, status
from fmnist.sweeps.plan import Cell, write_manifest

CONFIG = {"trainer": {"max_epochs": 4}}


def epochs(count: int) -> list[dict[str, float]]:
    return [{"seconds": 10.0, "val/acc_best": 0.8 + 0.01 * number} for number in range(count)]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Cells seed=0 to seed=4: two finished in 40 s each, one failed, one killed, one missing."""
    states = {
        0: {"status": "finished", "seconds": 40, "metrics": {"val/acc_best": 0.9, "test/acc": 0.8}},
        1: {"status": "finished", "seconds": 40, "metrics": {"val/acc_best": 0.7, "test/acc": 0.9}},
        2: {"status": "failed", "error": "no data\nsecond line", "epochs": epochs(1)},
        3: {"status": "running", "epochs": epochs(3)},
    }
    cells = [Cell(f"seed={seed}-x", ["optim=sgd", f"seed={seed}"], "x", "s") for seed in range(5)]
    write_manifest(tmp_path, cells)
    for seed, state in states.items():
        folder = tmp_path / cells[seed].dir
        folder.mkdir()
        record = {"schema": 1, "config": CONFIG, "overrides": cells[seed].overrides, **state}
        (folder / "result.json").write_text(json.dumps(record))
    return tmp_path


def test_every_state_is_counted_and_every_unfinished_cell_explained(sweep):
    found = status(sweep)
    assert found.states == {"finished": 2, "failed": 1, "killed": 1, "missing": 1}
    assert found.lines == [
        ("failed", "seed=2", "no data"),
        ("killed", "seed=3", "3 of up to 4 epochs, val acc 0.8200"),
        ("missing", "seed=4", "not begun"),
    ]


def test_the_best_is_chosen_on_validation(sweep):
    run, name = status(sweep).best
    assert (name, run.record["metrics"]["test/acc"]) == ("seed=0", 0.8)


def test_the_time_left_is_what_the_finished_cells_took(sweep):
    assert status(sweep).seconds_left == 40 + 30 + 10  # missing, failed after 10, killed after 30
    with claimed(sweep / "seed=3-x"):
        assert status(sweep).states["running"] == 1


def test_the_command_shows_it_and_its_exit_code_says_whether_all_finished(sweep, capsys):
    assert main([str(sweep)]) == 1
    shown = capsys.readouterr().out
    assert "2 of 5 finished, 1 failed, 1 killed, 1 missing" in shown
    assert "about 1 min 20 s" in shown
    assert main([str(sweep / "seed=0-x")]) == 0
    assert main([str(sweep / "nowhere")]) == 2
    assert capsys.readouterr().err.endswith("nowhere: no such directory\n")


def test_cells_that_choose_on_the_test_set_are_told(sweep, capsys):
    def choose_on_test(seed: int) -> None:
        path = sweep / f"seed={seed}-x" / "result.json"
        record = json.loads(path.read_text())
        # A running cell may not have read its data yet.
        key = {"dataset": {"select_on": "test"}} if seed == 0 else {
            "config": {**CONFIG, "data": {"select_on": "test"}}
        }  # fmt: skip
        path.write_text(json.dumps(record | key))

    main([str(sweep)])
    assert "select_on" not in capsys.readouterr().out
    choose_on_test(3)
    main([str(sweep)])
    shown = capsys.readouterr().out
    assert "WARNING  data.select_on=test in 1 of 4 runs: the test images choose the epoch" in shown
    assert "no match for clean runs" not in shown
    choose_on_test(0)  # the best
    main([str(sweep)])
    shown = capsys.readouterr().out
    assert "data.select_on=test in 2 of 4 runs" in shown
    assert "its epoch was chosen on the test set" in shown


def test_a_damaged_record_is_listed_and_stops_nothing(sweep):
    (sweep / "seed=1-x" / "result.json").write_text("{")
    assert status(sweep).states["damaged"] == 1


@pytest.mark.parametrize(
    ("seconds", "words"), [(40.4, "40 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations_are_read_by_people(seconds, words):
    assert duration(seconds) == words
