"""`fmnist.settle`: studies run look by look until their claims are decided."""

import shutil
from dataclasses import replace

import pytest

from fmnist.claims import main as claims
from fmnist.config.readings import key_of
from fmnist.config.schema import CONF_DIR
from fmnist.evidence.outcome import evaluate
from fmnist.evidence.study import axes
from fmnist.evidence.text import remarks, verdict_words
from fmnist.runs.find import find_runs
from fmnist.runs.rows import rows_of
from fmnist.runs.run import load_run
from fmnist.settle import main
from fmnist.sweeps import look_by_look
from fmnist.sweeps.cells import sweep_of
from fmnist.sweeps.estimate import rows_at_hand
from fmnist.sweeps.settle import claims_of, next_look, next_step, step_to, steps
from tests.evidence.test_claims import CLAIMS, row, run_dir
from tests.evidence.test_own_study import own_study
from tests.evidence.test_readings import measured


class Training:
    """In the place of fmnist.train: writes the runs of a pooling sweep that it is asked for."""

    def __init__(self, folder, gain, limit=99, study="s2_pooling"):
        self.folder, self.gain, self.limit, self.study = folder, gain, limit, study
        self.asked, self.broken = [], False

    def __call__(self, overrides):
        self.asked.append(list(overrides))
        if self.broken:
            return 1
        given = {key_of(text): text.partition("=")[2] for text in overrides}
        for seed in map(int, given["seed"].split(",")):
            for pool in axes(self.study)["model.pooling"]:
                if len(list(self.folder.rglob("result.json"))) >= self.limit:
                    return 130
                shutil.rmtree(self.folder / f"{pool}{seed}", ignore_errors=True)  # run again
                accuracy = round(0.8 + 0.01 * (seed % 3) + self.gain * (pool == "max"), 4)
                run_dir(self.folder / f"{pool}{seed}", f"ablation={self.study}",
                        f"model.pooling={pool}", seed=seed, accuracy=accuracy)  # fmt: skip
        return 0


@pytest.fixture
def training(tmp_path, monkeypatch):
    def made(gain, limit=99, study="s2_pooling"):
        found = Training(tmp_path / "multirun" / study, gain, limit, study)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(look_by_look, "train_as_typed", found)
        return found

    return made


def seeds(first, last):
    return f"seed={','.join(map(str, range(first, last)))}"


def test_it_stops_at_the_look_that_decides(training, capsys):
    train = training(gain=0.05)
    assert main(["s2_pooling", "hydra/launcher=joblib"]) == 0
    assert train.asked == [["ablation=s2_pooling", seeds(0, 10), "hydra/launcher=joblib"]]
    said = capsys.readouterr().out
    assert "claims  0 of 1 decided, 1 to be judged: at most 40 cells, 40 of unknown length" in said
    assert "next    s2_pooling at 10 seeds: 20 cells" in said
    *_, counted, told = said.splitlines()
    assert counted == "claims  1 of 1 decided, 0 to be judged"
    assert told.startswith("s2_pooling  holds, by more than 0.2 points: +5.00 [")
    assert main(["s2_pooling"]) == 0  # nothing is left to do
    assert len(train.asked) == 1


def test_at_the_last_look_a_claim_is_open_with_its_interval(training, capsys):
    train = training(gain=0.0)
    assert main(["s2_pooling"]) == 0
    assert train.asked == [["ablation=s2_pooling", seeds(0, 10)],
                           ["ablation=s2_pooling", seeds(10, 20)]]  # fmt: skip
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("s2_pooling  open after 20 seeds: 0.00 [")


def test_a_stopped_one_goes_on_with_the_seeds_that_are_missing(training):
    train = training(gain=0.05, limit=7)
    assert main(["s2_pooling"]) == 130
    train.limit = 99
    assert len(list(train.folder.iterdir())) == 7  # one of the fourth seed's two
    shutil.rmtree(next(train.folder.glob("*3")))
    assert main(["s2_pooling"]) == 0
    assert train.asked[-1] == ["ablation=s2_pooling", seeds(3, 10)]


def test_cells_that_fail_are_not_run_for_ever(training, monkeypatch, capsys):
    training(gain=0.0)
    asked = []
    monkeypatch.setattr(
        look_by_look, "train_as_typed", lambda overrides: asked.append(overrides) or 1
    )
    assert main(["s2_pooling"]) == 1
    assert len(asked) == 1
    assert "no verdict at 10 seeds: runs failed" in capsys.readouterr().out


def test_a_cell_that_fails_again_counts_as_chance_where_accuracies_are_compared(training, capsys):
    train = training(gain=0.05)
    assert main(["s2_pooling"]) == 0
    run = load_run(train.folder / "max3")
    run.write(replace(run.record, status="failed", error="the loss is nan"))
    train.asked.clear()
    train.broken = True
    assert main(["s2_pooling"]) == 1
    # Run once more; then it counts, and with a seed at 10 % nothing is decided at ten.
    assert train.asked == [["ablation=s2_pooling", "seed=3"],
                           ["ablation=s2_pooling", seeds(10, 20)]]  # fmt: skip
    assert "undecided: judged next at 20 seeds; no verdict at 20" in capsys.readouterr().out


def with_a_failed_run(train):
    """A seed more than the first look needs; one within it has failed."""
    train(["ablation=s2_pooling", seeds(0, 11)])
    run = load_run(train.folder / "max3")
    run.write(replace(run.record, status="failed", error="the loss is nan"))
    train.asked.clear()


def test_a_later_seed_does_not_take_the_place_of_a_failed_one(training, capsys):
    train = training(gain=0.05)
    with_a_failed_run(train)
    train.broken = True
    assert main(["s2_pooling"]) == 1
    assert train.asked == [["ablation=s2_pooling", "seed=3"],
                           ["ablation=s2_pooling", seeds(11, 20)]]  # fmt: skip
    last = capsys.readouterr().out.splitlines()[-1]
    outcome = of("s2_pooling", rows_of(find_runs([train.folder]).runs))
    assert remarks(outcome)[0] == "1 failed run: counts as chance accuracy"
    assert last.startswith(f"s2_pooling  {verdict_words(outcome)}; no verdict at 20 seeds")
    assert last.endswith("; 1 failed run: counts as chance accuracy")


def test_a_failed_run_that_succeeds_at_last_decides(training, capsys):
    train = training(gain=0.05)
    with_a_failed_run(train)
    assert main(["s2_pooling"]) == 0
    assert train.asked == [["ablation=s2_pooling", "seed=3"]]
    assert "next    s2_pooling at 10 seeds: 1 cell," in (said := capsys.readouterr().out)
    assert "claims  0 of 1 decided, 1 to be judged" in said
    assert said.splitlines()[-1].startswith("s2_pooling  holds, by more than 0.2 points: +5.00 [")


def test_runs_that_were_cut_short_are_not_at_hand_and_decide_nothing(training, capsys):
    train = training(gain=0.05)
    train(["ablation=s2_pooling", seeds(0, 10)])
    for folder in train.folder.iterdir():
        run = load_run(folder)
        run.write(replace(run.record, cut_short="trainer.max_time=00:00:00:10 after 1 epoch"))
    assert rows_at_hand() == []
    assert claims(["multirun", "--only", "s2_pooling"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].endswith(" finished, 20 cut short")
    assert "not measured" in said


def test_a_stopped_run_counts_neither_way(training):
    train = training(gain=0.05)
    assert main(["s2_pooling"]) == 0
    run = load_run(train.folder / "max3")
    run.write(replace(run.record, status="failed", error="interrupted"))
    assert len(rows_of(find_runs([train.folder]).runs)) == 19


def test_a_study_in_ones_own_folder_is_settled_by_sweeps_that_look_there(
    training, tmp_path, capsys
):
    train = training(gain=0.05, study="settled_own")
    own_study(tmp_path, "settled_own")
    flags = ["--claims", "mine", "--config-dir", "conf"]
    assert main(["settled_own", *flags, "logger=none"]) == 0
    assert train.asked == [
        ["ablation=settled_own", "seed=0,1,2", "logger=none", "--config-dir", "conf"]
    ]
    said = capsys.readouterr().out.splitlines()
    assert said[2].endswith("ablation=settled_own seed=0,1,2 logger=none --config-dir conf")
    assert said[-1].startswith("settled_own  holds, by more than 0.2 points: +5.00 [")
    assert main(["settled_own", "--claims", "mine"]) == 2
    assert "error: settled_own: no such study" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["s2_poolin"], "s2_poolin: no such study; did you mean s2_pooling?"),
        (["s2_pooling", "optim.lr=0.1"], "optim.lr=0.1: the claims' runs have their own settings"),
        (
            ["s2_pooling", "hydra.sweep.dir=/scratch/x"],
            "hydra.sweep.dir=/scratch/x: the runs are looked for in multirun/ and outputs/",
        ),
    ],
)
def test_a_mistake_is_one_line(words, message, capsys):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_folder_for_sweeps_that_a_file_of_this_machine_names_is_refused(
    tmp_path, monkeypatch, capsys
):
    conf = shutil.copytree(CONF_DIR, tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (conf / "local").mkdir()
    text = "# @package _global_\nhydra: {sweep: {dir: /scratch/x}}\n"
    (conf / "local/default.yaml").write_text(text)
    monkeypatch.setattr("fmnist.config.compose.CONF_DIR", conf)
    assert main(["s2_pooling"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "error: hydra.sweep.dir=/scratch/x: the runs are looked for in multirun/"
    )
    assert said.count("\n") == 1


# Steps


def of(name, rows):
    (outcome,) = evaluate(CLAIMS, rows, [name])
    return outcome


def test_a_step_asks_for_the_levels_and_seeds_that_the_claim_lacks():
    def value(seed):
        return row("experiment=s1_logistic", seed=seed, test_acc=90 + seed % 3, test_f1=90)

    outcome = of("s1_logistic_value", [value(seed) for seed in range(7)])
    step = step_to(outcome, "s1_models", 10, [])
    assert step.overrides == ("ablation=s1_models", "experiment=s1_logistic", "seed=7,8,9")
    assert {seed for _, seed in step.cells} == {7, 8, 9}
    two = of("s1_learning_rate_fast", [])
    step = step_to(two, "s1_learning_rate", next_look(two), [])
    assert step.overrides[1:] == ("optim.lr=0.01,0.001", "seed=0,1,2,3,4")
    leak = step_to(of("s1_leak_lenet5", []), "leak", 5, [])
    assert leak.overrides == ("ablation=leak", "experiment=s2_base", "seed=0,1,2,3,4")


def test_failed_runs_of_a_value_are_run_again_and_no_more_than_that():
    rows = [row("experiment=s1_logistic", seed=seed, test_acc=90 + seed % 3, test_f1=90,
                status="failed" if seed == 2 else "finished") for seed in range(6)]  # fmt: skip
    outcome = of("s1_logistic_value", rows)
    step = next_step(outcome, "s1_models", rows)
    assert (step.look, [seed for _, seed in step.cells]) == (5, [2])
    assert next_step(outcome, "s1_models", rows, tried=step.keys) is None
    assert verdict_words(outcome) == "not judged: 1 of its runs failed"
    few = rows[:3]
    step = next_step(of("s1_logistic_value", few), "s1_models", few)
    assert (step.look, {seed for _, seed in step.cells}) == (5, {2, 3, 4})


def test_a_cell_that_failed_is_run_again_once_for_all_claims_that_have_it():
    rows = [row("ablation=s4_models", f"experiment={name}", seed=seed, test_acc=90 + seed,
                val_acc_best=91, status="failed" if (name, seed) == ("s4_cnnmodel5", 1)
                else "finished")
            for name in ("s4_cnnmodel5", "s4_cnnmodel4") for seed in range(3)]  # fmt: skip
    goals, models = of("s4_goals", rows), of("s4_cnnmodels", rows)
    again = next_step(goals, "s4_models", rows)
    assert [seed for _, seed in again.cells] == [1]
    assert next_step(models, "s4_models", rows).keys == again.keys
    then = next_step(models, "s4_models", rows, tried=again.keys)
    assert {seed for _, seed in then.cells} == {3, 4}


def test_nothing_is_run_for_a_claim_that_no_numbers_can_decide():
    assert next_step(of("s4_learns_faster", []), "s4_models", []) is None


def test_runs_without_what_a_claim_asks_are_not_at_hand():
    untimed = [row("ablation=s4_models", f"experiment={name}", seed=seed, test_acc=90 + seed)
               for name in ("s4_cnnmodel5", "s4_googlenet_adam") for seed in range(3)]  # fmt: skip
    step = step_to(of("s4_training_time", untimed), "s4_models", 3, untimed)
    assert step.overrides[-1] == "seed=0,1,2"
    assert len(step.cells) == 6
    fp32 = [row("ablation=precision", "scheduler=none", "trainer.precision=32-true", seed=seed,
                test_acc=90 + seed) for seed in range(5)]  # fmt: skip
    cells = step_to(of("precision_bf16", fp32), "precision", 5, fp32).cells
    assert [settings["trainer.precision"] for settings, _ in cells] == ["bf16-mixed"] * 5


def test_a_value_under_readings_is_decided_by_their_sweep_alone():
    names = {study: {claim.name for claim in claims_of(study, CLAIMS)}
             for study in ("s3_baseline_better", "s3_readings", "s0_readings")}  # fmt: skip
    assert "s3_baseline_value" in names["s3_readings"] - names["s3_baseline_better"]
    assert "s3_baseline_better" in names["s3_baseline_better"] - names["s3_readings"]
    assert names["s0_readings"] == set()
    rows = measured([75, 60, 88], seeds=range(5))  # the fourth reading has no run
    outcome = of("s3_baseline_value", rows)
    step = step_to(outcome, "s3_readings", next_look(outcome), rows)
    assert step.overrides == (
        "ablation=s3_readings", "experiment=s3_baseline", "seed=0,1,2,3,4",
        'hydra.sweeper.readings=["data.batch_size=128"]',
    )  # fmt: skip
    cells = sweep_of(step.overrides).cells
    assert [cell.overrides[-1] for cell in cells] == ["data.batch_size=128"] * 5
    assert {settings["data.batch_size"] for settings, _ in step.cells} == {"128"}
    assert len(step.cells) == 5


def test_readings_that_are_refuted_get_no_more_seeds():
    """The three that are, at five seeds, were enough; with ten the open one is at its last look."""
    rows = measured([75, 60, 88, 69.5], seeds=range(5))
    outcome = of("s3_baseline_value", rows)
    refuted, other = remarks(outcome)[:2]
    assert refuted == "does not hold in 3 of 4 readings"
    assert other.startswith("under data.batch_size=128: 69.58 [")
    assert verdict_words(outcome) == "undecided: judged next at 10 seeds under data.batch_size=128"
    step = step_to(outcome, "s3_readings", next_look(outcome), rows)
    assert step.overrides[2:] == (
        "seed=5,6,7,8,9", 'hydra.sweeper.readings=["data.batch_size=128"]'
    )  # fmt: skip
    assert len(step.cells) == 5
    more = measured([75, 60, 88, 69.5], seeds=range(5, 10))
    more = [r for r in more if r.settings["data.batch_size"] == "128"]
    last = of("s3_baseline_value", [*rows, *more])
    assert next_look(last) is None
    assert verdict_words(last) == "open after 10 seeds under data.batch_size=128"


def timed(experiment, seconds, seeds=4):
    """Rows of an experiment, of cells that took so many seconds."""
    some = [row(f"experiment={experiment}", seed=s, test_acc=90 + s % 3, test_f1=90 + s % 3)
            for s in range(seeds)]  # fmt: skip
    for item in some:
        item.metrics["seconds"] = seconds
        item.facts["device"] = ""
    return some


def test_the_cheapest_open_claim_comes_first_and_decided_ones_do_not_come():
    rows = [*timed("s1_no_dropout", 10.0), *timed("s1_alternative", 3.0)]
    asked = [of(name, rows) for name in
             ("s1_main_value", "s1_no_dropout_value", "s1_alternative_value")]  # fmt: skip
    names = [step.outcome.claim.name for step in steps({"s1_models": asked}, rows, {})]
    assert names == ["s1_alternative_value", "s1_no_dropout_value", "s1_main_value"]


def test_a_first_look_comes_before_a_cheaper_second_one():
    rows = [*timed("s1_no_dropout", 10.0), *timed("s1_alternative", 0.1, seeds=5)]
    names = ("s1_alternative_value", "s1_no_dropout_value")
    found = steps({"s1_models": [of(name, rows) for name in names]}, rows, {})
    assert [(s.outcome.claim.name, s.look) for s in found] == [
        ("s1_no_dropout_value", 5), ("s1_alternative_value", 10),
    ]  # fmt: skip
    assert found[0].cost(rows).seconds > found[1].cost(rows).seconds > 0
