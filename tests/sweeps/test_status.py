"""`fmnist.status`: how a sweep stands, from its records alone."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import fmnist
from fmnist.runs.lock import locked
from fmnist.runs.manifest import Cell, listed_cells
from fmnist.runs.record import GIVEN_UP, METRICS, Epoch, Record
from fmnist.runs.run import PRUNED, load_run
from fmnist.runs.text import duration
from fmnist.status import main
from fmnist.sweeps.plan import write_manifest
from fmnist.sweeps.standing import standing
from fmnist.sweeps.watch import Board, report
from tests.records import CONFIG, FACTS, a_record, an_epoch, put_record


def epochs(count: int) -> list[Epoch]:
    return [an_epoch(number, val_acc_best=0.8 + 0.01 * number) for number in range(count)]


def finished(val: float, test: float) -> Record:
    metrics = dict.fromkeys(METRICS, 0.5) | {"val/acc_best": val, "test/acc": test}
    return a_record(seconds=40.0, metrics=metrics)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Cells seed=0 to seed=4: two finished in 40 s each, one failed, one killed, one missing."""
    states = {
        0: finished(0.9, 0.8),
        1: finished(0.7, 0.9),
        2: a_record("failed", epochs(1), error="no data\nsecond line"),
        3: a_record("running", epochs(3)),
    }
    cells = [Cell(f"seed={seed}-x", ["optim=sgd", f"seed={seed}"], "x", "s") for seed in range(5)]
    write_manifest(tmp_path, cells)
    for seed, state in states.items():
        record = replace(state, overrides=cells[seed].overrides, group="s")
        put_record(tmp_path / cells[seed].dir, record)
    return tmp_path


def test_every_state_is_counted_and_every_unfinished_cell_explained(sweep):
    found = standing(sweep)
    assert found.states == {"finished": 2, "failed": 1, "killed": 1, "missing": 1}
    assert found.lines == [
        ("failed", "seed=2", "no data"),
        ("killed", "seed=3", "3 of up to 4 epochs, val acc 0.8200"),
        ("missing", "seed=4", "not begun"),
    ]


def test_what_a_search_has_given_up_is_not_to_be_run(tmp_path, capsys):
    cells = [Cell(f"{n}-x", [f"optim.lr=0.{n}", f"seed={n % 2}"], "x", "s") for n in range(1, 5)]
    write_manifest(tmp_path, cells)
    for cell in cells[:2]:
        put_record(tmp_path / cell.dir, replace(finished(0.9, 0.8), overrides=cell.overrides))
    error = f"{GIVEN_UP} after 1 epoch"
    record = a_record("failed", epochs(1), error=error, overrides=cells[2].overrides)
    put_record(tmp_path / cells[2].dir, record)
    for cell in cells[2:]:  # of one trial, of whose seeds the second had not begun
        (tmp_path / cell.dir).mkdir(exist_ok=True)
        (tmp_path / cell.dir / PRUNED).touch()
    found = standing(tmp_path)
    assert found.states == {"finished": 2, "given up": 2}
    assert found.lines == []
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{tmp_path}: 2 of 4 finished, 2 given up\n")
    assert "left" not in out


def test_of_many_cells_that_have_not_begun_the_next_are_named(sweep, capsys, caplog):
    cells = listed_cells(sweep)
    cells += [Cell(f"seed={seed}-x", ["optim=sgd", f"seed={seed}"], "x", "s")
              for seed in range(5, 21)]  # fmt: skip
    write_manifest(sweep, cells)
    main([str(sweep)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("missing")]
    assert [" ".join(line.split()) for line in lines] == [
        *(f"missing seed={seed} not begun" for seed in range(4, 9)),
        "missing and 12 more",
    ]
    assert report(sweep, cells, {}) == 1
    said = [line.split() for line in "\n".join(caplog.messages).splitlines()]
    assert [line[0] for line in said if line].count("missing") == 6
    assert ["missing", "and", "12", "more"] in said


def test_a_stopped_cell_says_how_far_it_is(sweep):
    cell = a_record("failed", epochs(3), error="terminated", seed=2, group="s")
    put_record(sweep / "seed=2-x", cell)
    found = standing(sweep)
    assert (found.states["failed"], found.states["stopped"]) == (0, 1)
    state, _, detail = found.lines[0]
    assert (state, detail) == ("stopped", "terminated after 3 of up to 4 epochs")
    one = CONFIG | {"trainer": {"max_epochs": 1}}
    put_record(sweep / "seed=2-x", replace(cell, epochs=[], config=one))
    assert standing(sweep).lines[0][2] == "terminated after 0 of up to 1 epoch"


def test_a_stopped_run_of_no_sweep_says_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_record(tmp_path / "outputs/one", a_record("failed", epochs(3), error="interrupted"))
    assert standing("outputs").lines[0][2] == ("interrupted after 3 of up to 4 epochs: outputs/one")


def test_the_best_is_chosen_on_validation(sweep):
    run, name = standing(sweep).best
    assert (name, run.record.metrics["test/acc"]) == ("seed=0", 0.8)


def test_a_run_that_was_cut_short_is_not_the_best(sweep):
    (best,) = (run for run in sweep.glob("seed=0-x"))
    cut = replace(load_run(best).record, cut_short="trainer.limit_val_batches=1")
    put_record(best, cut)
    assert standing(sweep).best[1] == "seed=1"
    assert sorted(fmnist.rows(sweep)["status"]) == ["cut short", "failed", "finished"]


def test_the_time_left_is_what_the_finished_cells_took(sweep):
    assert standing(sweep).seconds_left == 40 + 30 + 10  # missing, failed after 10, killed after 30
    with locked(sweep / "seed=3-x"):
        assert standing(sweep).states["running"] == 1


def test_a_cell_that_takes_longer_than_others_took_has_an_epoch_to_come(sweep):
    slow = a_record("running", [replace(epoch, seconds=25.0) for epoch in epochs(3)])
    put_record(sweep / "seed=3-x", replace(slow, overrides=["optim=sgd", "seed=3"]))
    assert standing(sweep).seconds_left == 40 + 30 + 25


def test_the_command_shows_it_and_its_exit_code_says_whether_all_finished(sweep, capsys):
    assert main([str(sweep)]) == 1
    shown = capsys.readouterr().out
    assert "2 of 5 finished, 1 failed, 1 killed, 1 missing" in shown
    assert "about 1 min 20 s" in shown
    assert main([str(sweep / "seed=0-x")]) == 0
    assert main([str(sweep / "nowhere")]) == 2
    assert capsys.readouterr().err.endswith("nowhere: no such directory\n")


def test_a_long_reason_goes_on_in_the_next_line(sweep, capsys):
    reason = "the loss is inf at epoch 0, step 4: training diverged; a lower optim.lr may help"
    put_record(
        sweep / "seed=2-x", a_record("failed", error=reason, overrides=["seed=2"], group="s")
    )
    main([str(sweep)])
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("failed"))
    assert " ".join(" ".join(lines[place : place + 2]).split()) == f"failed seed=2 {reason}"
    assert lines[place + 1].startswith(" " * 9)
    assert max(len(line) for line in lines if "/" not in line) < 80


def test_the_table_of_a_terminal_shows_what_runs_and_how_long_it_will_take(sweep):
    cells = listed_cells(sweep)
    with locked(sweep / "seed=3-x"):
        board = Board(sweep, cells, {cell.dir: cell.overrides[1] for cell in cells})
        summary, row = board.table(10, 79)
        board.names = dict.fromkeys(board.names, "optim.weight_decay=0.0001 seed=3")
        narrow = board.table(10, 79)[1]
    assert summary.startswith("2 of 5 finished, 1 failed, 1 running, 1 to come, about ")
    assert row == "seed=3  epoch 3/4  [=========---]  val acc 0.8200  10.0 s an epoch"
    assert len(narrow) == 79
    assert narrow.startswith("optim.we...1 seed=3  epoch 3/4 ")
    put_record(sweep / "seed=3-x", finished(0.9, 0.9))
    os.utime(sweep / "seed=3-x" / "result.json", ns=(1, 1))
    assert [cell.dir for cell in board._read()] == ["seed=3-x"]


def test_cells_that_choose_on_the_test_set_are_told(sweep, capsys):
    def choose_on_test(seed: int) -> None:
        run = load_run(sweep / f"seed={seed}-x")
        if seed == 0:
            run.write(replace(run.record, dataset=replace(FACTS, select_on="test")))
        else:  # a running cell may not have read its data yet
            config = CONFIG | {"data": {"select_on": "test"}}
            run.write(replace(run.record, config=config))

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
    assert standing(sweep).states["damaged"] == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.21, "4.2 s"), (40.4, "40 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations_are_read_by_people(seconds, words):
    assert duration(seconds) == words
