"""New runs and rows from before a setting existed have the same settings, while it is unused."""

from dataclasses import replace
from pathlib import Path

import pytest

from fmnist.runs.record import Resumption
from fmnist.runs.rows import flatten, is_value, row_of
from fmnist.runs.rows_file import durations, read_rows, write_rows
from fmnist.runs.run import load_run
from tests.conftest import CHECKOUT, composed
from tests.records import CONFIG, a_record, an_epoch, put_record


def test_a_new_run_has_the_settings_that_committed_rows_of_its_experiment_have() -> None:
    settings = flatten(composed("experiment=speedrun_95"))
    row = read_rows(CHECKOUT / "results/speedrun_95.csv")[0]
    assert set(settings) == {key for key in row.settings if is_value(key)}
    given = flatten(composed("++trainer.min_epochs=2", "++trainer.benchmark=null"))
    assert given["trainer.min_epochs"] == "2"
    assert "trainer.benchmark" not in given


@pytest.mark.parametrize(
    ("device", "threads", "timed"),
    [
        ("cpu (a processor)", 1, True),
        ("cpu (another)", 1, False),
        ("cuda (a GPU)", 1, False),
        ("cpu (a processor)", 2, False),
        (None, None, True),  # of a record from before that was written down
    ],
)
def test_seconds_of_a_run_that_went_on_elsewhere_are_of_no_machine(
    tmp_path: Path, device: str | None, threads: int | None, timed: bool
) -> None:
    config = CONFIG | {"trainer": {"max_epochs": 2}, "seed": 0}
    again = Resumption("now", 1, None, device, threads)
    record = a_record(epochs=[an_epoch(0), an_epoch(1)], config=config, resumed=[again])
    row = row_of(load_run(put_record(tmp_path, record)))
    assert bool(durations(row)) is timed
    assert row.metrics["test/acc"] == 0.8


def test_an_option_of_a_group_in_a_group_is_no_number_of_a_table(tmp_path: Path) -> None:
    record = a_record(choices={"model": "lenet5", "tricks/lr": "high"})
    row = row_of(load_run(put_record(tmp_path / "run", record)))
    write_rows(tmp_path / "table.csv", [row])
    (found,) = read_rows(tmp_path / "table.csv")
    assert found.settings["model"] == "lenet5"
    assert found.metrics == row.metrics


def test_a_run_that_went_on_from_another_machines_has_no_seconds(tmp_path: Path) -> None:
    here = a_record()
    for machine, moved in ((None, False), (here.machine, False), ("cuda (H200), 8 threads", True)):
        record = replace(here, inherited_seconds=5.0, inherited_on=machine)
        run = load_run(put_record(tmp_path / "run", record))
        assert run.record.moved == moved
        assert ("train_seconds" in row_of(run).metrics) != moved
