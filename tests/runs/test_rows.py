"""New runs and rows from before a setting existed have the same settings, while it is unused."""

from fmnist.runs.rows import flatten, is_value
from fmnist.runs.rows_file import read_rows
from tests.conftest import CHECKOUT, composed


def test_a_new_run_has_the_settings_that_committed_rows_of_its_experiment_have() -> None:
    settings = flatten(composed("experiment=speedrun_95"))
    row = read_rows(CHECKOUT / "results/speedrun_95.csv")[0]
    assert set(settings) == {key for key in row.settings if is_value(key)}
    given = flatten(composed("++trainer.min_epochs=2", "++trainer.benchmark=null"))
    assert given["trainer.min_epochs"] == "2"
    assert "trainer.benchmark" not in given
