"""Compact results: collected without loss, and a page that holds nothing but them."""

import csv
import re

import pytest
from sklearn.metrics import f1_score

from fmnist.analysis.claim import CLAIMS_DIR, load_claims
from fmnist.analysis.rows import merged, read_rows, row_of
from fmnist.analysis.runs import find_runs
from fmnist.claims import evaluate, read_sources
from fmnist.results import main, render, study_rows
from tests.conftest import CHECKOUT
from tests.test_claims import CLAIMS, run_dir


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three seeds of S2's best and worst net, of the study s2_best_worst."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, gain in enumerate((0.0, 0.01, -0.01)):
        for name, accuracy in (("s2_best", 0.9 + gain), ("s2_worst", 0.78)):
            run_dir(folder / f"{name}{seed}", f"experiment={name}", seed=seed, accuracy=accuracy,
                    group="s2_best_worst")  # fmt: skip
    return folder


def collect(folder, *directories):
    return main(["collect", *map(str, directories), "--results", str(folder)])


def test_the_csv_says_all_that_the_runs_say(runs, tmp_path, capsys):
    assert collect(tmp_path, runs) == 0
    path = tmp_path / "s2_best_worst.csv"
    assert capsys.readouterr().out == f"{path}: 6 runs, 6 new\n"
    written = {row.key: row for row in read_rows(path)}
    assert written == {row.key: row for row in map(row_of, find_runs([runs]).runs)}
    with path.open() as file:
        line = next(csv.DictReader(file))
    assert (line["python"], line["threads"], line["params"]) == ("3.11.7", "2", "61706")
    assert {"test/acc_last", "val/acc_best", "train/loss", "test/f1/T-shirt/top"} <= set(line)


def test_claims_are_the_same_from_runs_and_from_the_csv(runs, tmp_path):
    collect(tmp_path, runs)
    (from_csv, _), (from_runs, _) = (
        read_sources([str(path)]) for path in (tmp_path / "s2_best_worst.csv", runs)
    )
    outcomes = evaluate(CLAIMS, from_csv)
    assert outcomes == evaluate(CLAIMS, from_runs)
    assert sum(outcome.statement is not None for outcome in outcomes) == 3


def test_interrupted_work_accumulates(runs, tmp_path, capsys):
    collect(tmp_path, runs / "s2_best0", runs / "s2_best1")
    path = tmp_path / "s2_best_worst.csv"
    before = path.read_bytes()
    collect(tmp_path, runs / "s2_best1")
    assert path.read_bytes() == before
    collect(tmp_path, runs / "s2_worst2")
    assert capsys.readouterr().out.endswith(f"{path}: 3 runs, 1 new\n")
    collect(tmp_path, runs)
    together = path.read_bytes()
    path.unlink()
    collect(tmp_path, runs)
    assert path.read_bytes() == together


def test_a_run_replaces_that_of_its_configuration_and_commit(tmp_path):
    def made(name, **entries):
        run_dir(tmp_path / name, "experiment=s2_best", **entries)
        return row_of(find_runs([tmp_path / name]).runs[0])

    first, again = made("first", accuracy=0.8), made("again", accuracy=0.9)
    other = made("other", git_commit="b" * 40)
    failed = made("failed", status="failed")
    assert merged([first], [again]) == [again]
    assert merged([first], [other]) == [first, other]
    assert merged([first], [failed]) == [first]
    assert merged([failed], [first]) == [first]


def test_the_page_holds_the_rows_numbers(runs, tmp_path):
    collect(tmp_path, runs)
    (tmp_path / "throughput.csv").write_text("net,ms\nlenet5,7\n")  # somebody else's
    assert main(["render", "--results", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    assert "| S2 | s2_best_value | test/acc | 90.94 | 90.00 ± 2.48 | 3 |" in page
    assert "| S2 | s2_worst_value | test/acc | 77.55 | 78.00 ± 0.01 | 3 |" in page
    assert "| +12.00 [9.52, 14.48] points | +13.39 | 3 |" in page
    assert "| s2_best_worst | 6 | 0 | 0.01 | cpu (a processor), 2 threads |" in page
    assert "`python -m fmnist.train ablation=s4_models`: `s4_cnnmodel4_value`" in page
    assert "`s2_best_worst`:" not in page.partition("## Not measured")[2]
    rows = study_rows(tmp_path)
    fewer = render([row for row in rows if row.seed != 2], CLAIMS)
    assert "| S2 | s2_best_value | test/acc | 90.94 | 90.50 ± 6.35 | 2 |" in fewer


def test_the_committed_page_is_what_the_command_makes():
    folder = CHECKOUT / "results"
    page = render(study_rows(folder), load_claims(CLAIMS_DIR))
    assert (folder / "README.md").read_text() == page, "run: python -m fmnist.results render"


def test_without_runs_every_number_is_not_measured():
    page = render([], CLAIMS)
    numbers = sum(len(claim.values) for claim in CLAIMS)
    table = page.partition("## Published against ours")[2].partition("## ")[0]
    assert table.count("| not measured |") == numbers > 30
    assert all(f"`{claim.name}`" in page.partition("## Not measured")[2] for claim in CLAIMS)
    assert not re.search(r"\| (holds|does not hold|undecided)", page)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collect", "nowhere"], "error: nowhere: no such directory"),
        (["render", "--results", "nowhere"], "error: nowhere: no such directory"),
        (["render", "--results", "damaged"], "error: damaged/x.csv: damaged"),
    ],
)
def test_mistakes_are_answered_in_one_line(runs, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    collect("damaged", runs)
    path = tmp_path / "damaged/x.csv"
    path.write_text((tmp_path / "damaged/s2_best_worst.csv").read_text().replace(",0.78,", ",?,"))
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_a_trained_run_is_collected(run_tiny, tmp_path, capsys):
    run = run_tiny("seed=1")
    assert collect(tmp_path / "results", run.dir) == 0
    assert capsys.readouterr().out.endswith("results/runs.csv: 1 run, 1 new\n")
    (row,) = read_rows(tmp_path / "results/runs.csv")
    logits, labels = run.predictions()
    assert row.metrics["test/f1"] == pytest.approx(
        f1_score(labels, logits.argmax(1), average="macro", zero_division=0), abs=1e-6
    )
    assert row.metrics["test/acc"] == pytest.approx(run.record["metrics"]["test/acc"])
    assert (row.seed, row.facts["config_hash"]) == (1, run.record["config_hash"])
