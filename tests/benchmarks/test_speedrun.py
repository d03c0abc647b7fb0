"""The speed runs: what is timed, what a file keeps, what the table says; and the recipe's parts."""

import pytest

from benchmarks import speedrun
from benchmarks.table import read
from fmnist.config.schema import CONF_DIR
from fmnist.errors import UserError
from fmnist.evidence.statistics import summarize
from tests.conftest import TINY, composed

SMALL = [text for text in TINY if not text.startswith(("logger", "data.batch"))]
PARTS = {path.stem for path in (CONF_DIR / "without").glob("*.yaml")}
MUONS = {"muon", "alternation"}  # of speedrun_94 alone


@pytest.fixture(scope="module")
def row():
    return speedrun.run("speedrun_92", 0, [*SMALL, "model.widths=[4,4,4,4]"])


def test_both_times_end_with_the_test_and_start_apart(row):
    whole, training = float(row["seconds_from_start"]), float(row["seconds_from_first_step"])
    assert 0 < training < whole - 1  # imports alone take longer than a second
    assert (row["experiment"], row["seed"], row["epochs"]) == ("speedrun_92", "0", "1")
    assert 0 <= float(row["test_acc"]) <= 1


def test_a_run_that_fails_is_one_line():
    with pytest.raises(UserError, match=r"speedrun_92, seed 0: error: optim\.lr=-1: should be"):
        speedrun.run("speedrun_92", 0, ["optim.lr=-1"])


def test_rows_are_kept_and_not_run_again(row, tmp_path, monkeypatch, capsys):
    asked = []

    def run(experiment, seed, overrides):
        asked.append(seed)
        return {**row, "seed": str(seed), "test_acc": str(0.9 + seed / 100)}

    monkeypatch.setattr(speedrun, "run", run)
    file = tmp_path / "rows.csv"
    for seeds in ("0", "1"), ("0", "1", "2"):
        arguments = ["speedrun", "speedrun_92", "--csv", str(file), "--seeds", *seeds]
        monkeypatch.setattr("sys.argv", arguments)
        speedrun.main()
    assert asked == [0, 1, 2]
    assert [r["seed"] for r in read(file)] == ["0", "1", "2"]
    half = summarize([90, 91, 92]).half_width
    assert f"| 91.00 ± {half:.2f} |" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*arguments, "3", "--untimed"])
    speedrun.main()
    assert [bool(r["seconds_from_start"]) for r in read(file)] == [True, True, True, False]
    said = capsys.readouterr()
    assert said.err.endswith("speedrun_92 seed 3: test acc 0.93\n")
    assert "|  |  |" in said.out


def test_the_table_has_a_line_for_every_experiment(row):
    rows = [{**row, "experiment": name, "seed": str(seed)} for name in "ab" for seed in range(2)]
    table = speedrun.table(rows).splitlines()
    assert len(table) == 4
    assert [line.split(" | ")[-1] for line in table[2:]] == ["2 |", "2 |"]


def test_the_last_epoch_has_a_column_of_its_own_where_every_row_knows_it(row):
    rows = [
        {**row, "seed": str(seed), "test_acc": "0.9", "test_acc_last": f"0.9{seed}"}
        for seed in range(3)
    ]
    half = summarize([90, 91, 92]).half_width
    table = speedrun.table(rows)
    assert table.startswith("| experiment | test acc, last epoch, % | chosen epoch |")
    assert f"| 91.00 ± {half:.2f} | 90.00 ± 0.00 |" in table
    rows[1]["test_acc_last"] = ""  # measured before it was kept
    assert "|  | 90.00 ± 0.00 |" in speedrun.table(rows)


def changed(experiment: str, part: str) -> set[str]:
    """What differs in an experiment when a part is left out."""
    whole, variant = composed(experiment), composed(experiment, f"without={part}")
    return {key for key in whole | variant if whole.get(key) != variant.get(key)}


def test_every_part_of_the_recipe_can_be_left_out():
    differences = {part: changed("experiment=speedrun_95", part) for part in PARTS - MUONS}
    assert differences == {
        "nothing": set(),
        "augmentation": {"aug", "tta"},
        "schedule": {"scheduler", "optim"},
        "shifts": {"aug", "tta"},
        "tta": {"tta"},
    }
    without_shifts = composed("experiment=speedrun_95", "without=shifts")
    assert without_shifts["aug"] == composed("experiment=recipe")["aug"]  # flips alone


def test_muon_and_alternating_flips_can_be_left_out():
    assert {part: changed("experiment=speedrun_94", part) for part in MUONS} == {
        "alternation": {"aug"},
        "muon": {"optim", "scheduler"},  # the cycle's peak follows optim.lr
    }
    without_muon = composed("experiment=speedrun_94", "without=muon")
    assert without_muon["optim"] == composed("optim=adamw", "optim.lr=0.015")["optim"]


@pytest.mark.parametrize("name", ["accuracy_100k", "speedrun_95", "accuracy_lenet5"])
def test_accuracies_at_size_have_their_size(name):
    from hydra.utils import instantiate

    from fmnist.training.cost import parameter_count

    limits = {"accuracy_100k": 100_000, "speedrun_95": 300_000, "accuracy_lenet5": 61_706 + 1}
    assert parameter_count(instantiate(composed(f"experiment={name}")["model"])) < limits[name]
