"""Compact results: collected without loss, and a page that holds nothing but them."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest

from fmnist.evidence.claim import is_cost
from fmnist.evidence.claim_file import CLAIMS_DIR, load_claims
from fmnist.evidence.collect import study_rows, without_seconds
from fmnist.evidence.outcome import evaluate
from fmnist.evidence.sources import read_sources
from fmnist.reporting.results_page import cost_table, elapsed, render
from fmnist.results import main
from fmnist.runs.bits import RIGHT, Right, write_right
from fmnist.runs.find import find_runs
from fmnist.runs.rows import INFERENCE, row_of
from fmnist.runs.rows_file import merged, read_rows, right_file
from tests.committed import committed_rows, judged_once
from tests.conftest import CHECKOUT, composed
from tests.evidence.test_claims import CLAIMS, run_dir


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three seeds of S2's best and worst net, of the study s2_best_worst."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, gain in enumerate((0.0, 0.01, -0.01)):
        for name, accuracy in (("s2_best", 0.9 + gain), ("s2_worst", 0.78)):
            run_dir(folder / f"{name}{seed}", "ablation=s2_best_worst", f"experiment={name}",
                    seed=seed, accuracy=accuracy)  # fmt: skip
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
    assert {outcome.claim.name for outcome in outcomes if outcome.statement} == {
        "s2_best_value", "s2_worst_value", "s2_best_worst", "s2_convergence",
        "s2_convergence_epochs",
    }  # fmt: skip


def test_other_tables_beside_them_are_passed_over_with_a_word(runs, tmp_path, capsys, monkeypatch):
    collect(tmp_path / "mine", runs)
    for name in "abcd":
        (tmp_path / f"mine/{name}.csv").write_text("fish,weight\n")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    for path, named in ((tmp_path / "mine", "mine/a.csv, mine/b.csv, mine/c.csv and 1 more"),
                        ("mine/a.csv", "mine/a.csv")):  # fmt: skip
        read_sources([str(path), str(runs)])
        assert capsys.readouterr().err == f"passed over, no table of runs: {named}\n"
    # Of the project's own everybody knows.
    monkeypatch.setattr("fmnist.evidence.sources.RESULTS_DIR", tmp_path / "mine")
    assert len(read_sources(["mine"])[0]) == 6
    assert capsys.readouterr().err == ""


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


def test_the_bits_of_a_studys_runs_lie_beside_its_table_and_are_read_with_it(tmp_path, capsys):
    def made(name, seed, net, **entries):
        run_dir(
            tmp_path / name, "ablation=s2_best_worst", f"experiment={net}", seed=seed, **entries
        )
        (run,) = find_runs([tmp_path / name]).runs
        drawn = np.random.default_rng(seed).random((2, 1000)) < 0.9
        right = Right(drawn[0], drawn[1])
        write_right(run.dir / RIGHT, {run.record.config_hash: right})
        return run.record.config_hash, right

    results, table = tmp_path / "results", tmp_path / "results" / "s2_best_worst.csv"
    run_dir(tmp_path / "without", "ablation=s2_best_worst", "experiment=s2_best", seed=9)
    collect(results, tmp_path / "without")
    assert list(results.iterdir()) == [table]
    written = dict([made("a", 0, "s2_best"), made("b", 1, "s2_best")])
    collect(results, tmp_path / "a")
    collect(results, tmp_path / "b")
    kept = {row.facts["config_hash"]: row.right for row in read_rows(table)}
    assert {name for name, right in kept.items() if right} == set(written)
    for name, right in written.items():
        np.testing.assert_array_equal(kept[name].best, right.best)
        np.testing.assert_array_equal(kept[name].last, right.last)
    again = right_file(table).read_bytes()
    collect(results, tmp_path / "a")
    assert right_file(table).read_bytes() == again
    from_csv, _ = read_sources([str(table)])
    assert all((row.right is None) == (row.seed == 9) for row in from_csv)
    (tmp_path / "b" / RIGHT).write_bytes(b"PK")  # of a run it costs what it would show
    assert [row.right for row in read_sources([str(tmp_path / "b")])[0]] == [None]
    right_file(table).write_bytes(again[:100])  # of committed results it is said
    capsys.readouterr()
    assert collect(results, tmp_path / "a") == 2
    assert "s2_best_worst.right.npz: damaged" in capsys.readouterr().err


def test_runs_of_other_code_of_a_net_are_collected_with_a_warning(tmp_path, capsys):
    for seed, version in enumerate("aab"):
        run_dir(tmp_path / version / str(seed), "ablation=s2_best_worst", "experiment=s2_best",
                seed=seed, code={"mynets.Wide": version})  # fmt: skip
    assert collect(tmp_path / "results", tmp_path / "a") == 0
    assert "WARNING" not in capsys.readouterr().out
    assert collect(tmp_path / "results", tmp_path / "a", tmp_path / "b") == 0
    words = "WARNING mynets.Wide is not the same code in all runs: 2 have one, 1 another"
    assert capsys.readouterr().out.splitlines()[-1] == words


def test_runs_side_by_side_cost_the_clock_once_and_pauses_nothing(tmp_path):
    for name, started, seconds in (
        ("first", "10:00:00", 60.0), ("inside", "10:00:10", 20.0), ("over", "10:00:40", 50.0),
        ("later", "12:00:00", 5.0),
    ):  # fmt: skip
        entries = {"started": f"2026-01-01T{started}+00:00", "seconds": seconds}
        run_dir(tmp_path / name, "experiment=s2_best", **entries)
    rows = [row_of(run) for run in find_runs([tmp_path]).runs]
    assert elapsed(rows) == elapsed(rows[::-1]) == 90 + 5


def test_hours_are_of_the_runs_that_were_timed(tmp_path):
    for number in range(3):
        entries = {"started": f"2026-01-01T1{number}:00:00+00:00", "seconds": 1800.0}
        run_dir(tmp_path / str(number), "experiment=s2_best", **entries)
    rows = [row_of(run) for run in find_runs([tmp_path]).runs]
    untimed = [replace(row, metrics={"test/acc": 0.9}) for row in rows]
    assert "| 3 | 0 | 1.50 | 1.50 |" in cost_table(rows)
    assert "| 3 | 0 | 1.00 of 2 runs | 1.00 of 2 runs |" in cost_table([*rows[:2], untimed[2]])
    assert "| 3 | 0 | not timed |  |" in cost_table(untimed)


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


def test_a_csv_of_before_a_metric_existed_is_read_and_joined(runs, tmp_path):
    collect(tmp_path, runs)
    path = tmp_path / "s2_best_worst.csv"
    complete = path.read_bytes()
    new = ("val/acc_area", "val/acc_first", "epochs_to/", "seconds_to/")
    with path.open(newline="") as file:
        lines = [{k: v for k, v in line.items() if not k.startswith(new)}
                 for line in csv.DictReader(file)]  # fmt: skip
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    assert len(study_rows(tmp_path)) == 6
    page = render(study_rows(tmp_path), CLAIMS)
    assert "`s2_convergence` (its runs lack val/acc_area: collect their directories again)" in page
    collect(tmp_path, runs / "s2_best0")
    assert sum("val/acc_area" in row.metrics for row in read_rows(path)) == 1
    collect(tmp_path, runs)
    assert path.read_bytes() == complete


def of_study(run):
    """A small run whose record says that it is the experiment s2_best."""
    config = composed("experiment=s2_best") | {"seed": run.record.seed}
    choices = {"experiment": "s2_best", "model": "lenet5"}
    run.write(replace(run.record, config=config, choices=choices))
    return run


def test_inference_is_measured_when_asked_for_and_then_kept(tiny_run, tmp_path, capsys):
    run, folder = of_study(tiny_run), tmp_path / "results"

    def speeds():
        return [row.metrics.get(INFERENCE) for row in read_rows(folder / "s2_best.csv")]

    collect(folder, run.dir)
    assert speeds() == [None]
    assert main(["collect", str(run.dir), "--latency", "--results", str(folder)]) == 0
    (measured,) = speeds()
    assert 1 < measured < 1e6  # batches of 64 a second
    collect(folder, run.dir)
    assert speeds() == [measured]
    capsys.readouterr()
    run.write(replace(run.record, device="cpu (another one)"))
    assert main(["collect", str(run.dir), "--latency", "--results", str(folder)]) == 0
    assert "made on cpu (another one), this is cpu (" in capsys.readouterr().err
    assert speeds() == [measured]


def test_seconds_of_a_busy_machine_are_left_out_when_asked_for(tiny_run, tmp_path):
    run, folder = of_study(tiny_run), tmp_path / "results"
    assert main(["collect", str(run.dir), "--untimed", "--results", str(folder)]) == 0
    (row,) = read_rows(folder / "s2_best.csv")
    assert not [name for name in row.metrics if "seconds" in name]
    assert row.metrics["test/acc"] == pytest.approx(run.record.metrics["test/acc"], abs=1e-6)


def test_whether_seconds_count_is_said_once(runs, tmp_path, capsys):
    folder = ["--results", str(tmp_path)]
    path = tmp_path / "s2_best_worst.csv"

    def timed():
        return [row.metrics.get("seconds") for row in read_rows(path)]

    assert main(["collect", str(runs / "s2_best0"), "--untimed", *folder]) == 0
    assert main(["collect", str(runs), *folder]) == 0  # with five new ones
    assert sorted(timed(), key=str) == [9.0] * 5 + [None]
    before = path.read_bytes()
    assert main(["collect", str(runs), "--untimed", *folder]) == 0
    assert path.read_bytes() == before
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: 1 run, 1 new",
        f"{path}: 6 runs, 5 new; 1 stays without seconds, as first collected",
        f"{path}: 6 runs, 0 new; 5 stay with seconds, as first collected",
    ]


def test_a_run_that_is_made_again_is_timed_anew(tmp_path):
    run_dir(tmp_path / "first", "experiment=s2_best")
    run_dir(tmp_path / "again", "experiment=s2_best", started="2026-02-02T00:00:00+00:00")
    first, again = (row_of(find_runs([tmp_path / name]).runs[0]) for name in ("first", "again"))
    assert merged([without_seconds(first)], [again]) == [again]
    assert merged([first], [without_seconds(again)]) == [without_seconds(again)]


def test_the_page_tells_of_runs_that_chose_on_the_test_set(runs, tmp_path):
    clean = render([row_of(run) for run in find_runs([runs]).runs], CLAIMS)
    assert "select_on" not in clean
    for on in ("val", "test"):
        for seed, gain in enumerate((0.0, 0.02)):
            overrides = ("ablation=leak", f"data.select_on={on}")
            run_dir(tmp_path / f"{on}{seed}", *overrides, seed=seed,
                    accuracy=0.88 + gain + 0.01 * (on == "test"))  # fmt: skip
    rows = [row_of(run) for run in find_runs([runs, tmp_path]).runs]
    page = render(rows, CLAIMS)
    head, _, rest = page.partition("## Published against ours")
    assert "**Warning:** data.select_on=test in 2 of 10 runs: the test images choose" in head
    assert "**warning:** data.select_on=test in 2 of 4 runs" in rest
    assert "| leak (**2 chose their epoch on the test set**) | 4 | 0 |" in rest


def test_the_page_holds_the_rows_numbers(runs, tmp_path):
    collect(tmp_path, runs)
    (tmp_path / "throughput.csv").write_text("net,ms\nlenet5,7\n")  # somebody else's
    assert main(["render", "--results", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    assert "| S2 | s2_best_value | test/acc | 90.94 | 90.00, sd 1.41 | 2 |" in page  # not of seed 0
    assert "| S2 | s2_worst_value | test/acc | 77.55 | 78.00, sd 0.00 | 2 |" in page
    assert "| +12.00 points | +13.39 | 2 of 10, 20 |" in page
    assert "| P(A > B) 1.00 [0.39, 1.00]; A above B by more than 0.2 points: 97 %, within" in page
    assert "; worst 89.00 (seed 2) against 78.00 (seed 1) |" in page
    assert "| s2_best_worst | 6 | 0 | 0.01 | 0.00 | cpu (a processor), 2 threads |" in page
    assert "`python -m fmnist.train ablation=s4_models`: `s4_cnnmodel4_value`" in page
    assert "`s2_best_worst`:" not in page.partition("## Not measured")[2]
    rows = study_rows(tmp_path)
    fewer = render([row for row in rows if row.seed != 2], CLAIMS)
    assert "| S2 | s2_best_value | test/acc | 90.94 | 91.00 | 1 |" in fewer


def test_the_committed_page_is_what_the_command_makes(monkeypatch):
    monkeypatch.setattr("fmnist.reporting.results_page.evaluate", judged_once)
    page = render(committed_rows(), load_claims(CLAIMS_DIR))
    there = (CHECKOUT / "results/README.md").read_text()
    assert there == page, "run: python -m fmnist.results render"


def test_without_runs_every_number_is_not_measured():
    page = render([], CLAIMS)
    costs = [claim for claim in CLAIMS if is_cost(claim)]
    others = [claim for claim in CLAIMS if not is_cost(claim)]
    titles = {"Published against ours": others, "What nets and machines need": costs}
    for title, some in titles.items():
        table = page.partition(f"## {title}")[2].partition("## ")[0]
        assert table.count("| not measured |") == sum(len(claim.values) for claim in some) > 3
    assert all(f"`{claim.name}`" in page.partition("## Not measured")[2] for claim in CLAIMS)
    assert not re.search(r"\| (holds|does not hold|undecided)", page)


@pytest.mark.parametrize(
    ("overrides", "entries", "reason"),
    [
        (("ablation=s2_pooling", "trainer.max_epochs=1"), {},
         "of s2_pooling: trainer.max_epochs=1 (there: 10)"),
        (("ablation=s2_pooling", "data=synthetic"), {},
         "of s2_pooling: data.name=synthetic (there: FashionMNIST), "
         "data.train_size=60000 (there: null), data.test_size=10000 (there: null)"),
        (("ablation=s2_optimizer", "optim=adamw"), {},
         "of s2_optimizer: optim=adamw (there: sgd, adam, rmsprop)"),
        (("ablation=s1_learning_rate", "optim.lr=0.5"), {},
         "of s1_learning_rate: optim.lr=0.5 (there: 0.01, 0.001, 0.0001)"),
        (("ablation=s2_pooling", "trainer.precision=bf16-mixed"), {},
         "of s2_pooling: trainer.precision=bf16-mixed (there: auto)"),
        (("ablation=s2_pooling", "+trainer.limit_train_batches=3"), {},
         "of s2_pooling: trainer.limit_train_batches=3 (there: none)"),
        (("ablation=leak", "experiment=s4_googlenet_sgd"), {}, "more settings"),
        (("ablation=s2_pooling", "data.train_size=600", "data.val_size=300", "data.test_size=300",
          "data.batch_size=32"), {}, " and 1 more setting"),
        (("ablation=s2_pooling",), {"cut_short": "max_time"}, "of s2_pooling: cut short"),
        (("experiment=s2_best", "model.dropout=0.1"), {}, "of s2_best: model.dropout=0.1 (there"),
        (("model=lenet5",), {}, "left out: 1 run: no study"),
        (("model=lenet5",), {"group": "s2_pooling"}, "left out: 1 run: no study"),
        ((), {"choices": {"ablation": "mine"}}, "of mine: no ablation or experiment of that name"),
        ((), {"choices": {"ablation": "../../evil"}}, "of ../../evil: no ablation or experiment"),
        ((), {"choices": {"ablation": "../config"}}, "of ../config: no ablation or experiment"),
        ((), {"choices": {"ablation": "/tmp/x"}}, "of /tmp/x: no ablation or experiment"),
        ((), {"choices": {"ablation": "a\x1b[31m\nb"}}, r"of a\x1b[31m\nb: no ablation"),
    ],
)  # fmt: skip
def test_what_belongs_to_no_study_is_left_out_and_named(
    tmp_path, capsys, overrides, entries, reason
):
    run_dir(tmp_path / "in/runs/one", *overrides, **entries)
    before = sorted(tmp_path.rglob("*"))
    assert collect(tmp_path / "in/results", tmp_path / "in/runs") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("left out: 1 run")
    assert reason in line
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "overrides",
    [
        ("ablation=s2_pooling", "model.pooling=max"),
        ("ablation=s1_learning_rate", "optim.lr=0.0001", "steps_per_execution=1", "logger=csv"),
        ("ablation=recipe", "without=tta"),
        ("ablation=s1_models", "experiment=s1_logistic", "trainer.accelerator=cpu"),
        ("ablation=precision", "trainer.precision=32-true", "scheduler=onecycle"),
        ("ablation=ema", "ema_decay=0.998", "data.root=/somewhere"),
        ("ablation=leak", "experiment=s2_base", "data.select_on=test"),  # a claim's sweep
        ("experiment=accuracy_100k",),
    ],
    ids=lambda overrides: " ".join(overrides),
)
def test_a_cell_of_a_study_belongs_to_it_with_any_seed(tmp_path, capsys, overrides):
    run_dir(tmp_path / "run", *overrides, seed=77)
    collect(tmp_path / "results", tmp_path / "run")
    study = overrides[0].partition("=")[2]
    assert capsys.readouterr().out == f"{tmp_path}/results/{study}.csv: 1 run, 1 new\n"


def test_reasons_are_counted(tmp_path, capsys):
    for seed in range(3):
        run_dir(tmp_path / f"a{seed}", "ablation=s2_pooling", "trainer.max_epochs=1", seed=seed)
    run_dir(tmp_path / "b", "model=lenet5")
    collect(tmp_path / "results", tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        "left out: 1 run: no study",
        "left out: 3 runs of s2_pooling: trainer.max_epochs=1 (there: 10)",
    ]


def test_the_page_shows_studies_only(runs, tmp_path, capsys):
    collect(tmp_path, runs)
    text = (tmp_path / "s2_best_worst.csv").read_text()
    (tmp_path / "other.csv").write_text(text.replace("s2_best_worst,", "\x1b[1mmine,"))
    capsys.readouterr()
    assert main(["render", "--results", str(tmp_path)]) == 0
    error = capsys.readouterr().err
    assert (
        error == r"left out: 6 runs of \x1b[1mmine: no ablation or experiment of that name" + "\n"
    )
    assert "mine" not in (tmp_path / "README.md").read_text()


def test_a_page_that_cannot_be_written_is_one_line(runs, tmp_path, capsys):
    collect(tmp_path, runs)
    (tmp_path / "README.md").mkdir()
    assert main(["render", "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"error: .*README\.md: cannot be written: .*\n", error)


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
    from sklearn.metrics import f1_score

    run = of_study(run_tiny("seed=1"))
    assert collect(tmp_path / "results", run.dir) == 0
    assert capsys.readouterr().out.endswith("results/s2_best.csv: 1 run, 1 new\n")
    (row,) = read_rows(tmp_path / "results/s2_best.csv")
    logits, labels = run.predictions()
    assert row.metrics["test/f1"] == pytest.approx(
        f1_score(labels, logits.argmax(1), average="macro", zero_division=0), abs=1e-6
    )
    assert row.metrics["test/acc"] == pytest.approx(run.record.metrics["test/acc"])
    assert (row.seed, row.facts["config_hash"]) == (1, run.record.config_hash)
