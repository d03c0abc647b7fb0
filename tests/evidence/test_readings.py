"""What a source left open: the readings that experiments list, and verdicts under all of them."""

import json
from dataclasses import replace

import pytest

from fmnist.config.readings import OURS, readings
from fmnist.config.schema import CONF_DIR, config_hash, look_up
from fmnist.errors import ConfigError
from fmnist.evidence.claim_file import CLAIMS_DIR, load_claims, looks_of
from fmnist.evidence.outcome import evaluate
from fmnist.evidence.readings import experiments, readings_of, runs_readings, under_readings
from fmnist.evidence.study import first_seed, misfit, sweep_of_readings
from fmnist.evidence.text import (
    alike_in_words,
    effect,
    readings_in_words,
    remarks,
    verdict_words,
)
from fmnist.reporting.readings_table import readings_lines
from fmnist.runs.find import find_runs
from fmnist.sweeps.cells import sweep_of
from tests.conftest import TINY, composed, here
from tests.evidence.test_claims import CLAIMS, configuration, row

EXPERIMENTS = sorted(path.stem for path in (CONF_DIR / "experiment").glob("*.yaml"))
# By name: to compose all would take seconds wherever this file is collected only. A test holds it.
READ = [
    "s0_twoconv", "s2_best", "s2_worst", "s3_baseline", "s3_better", "s4_cnnmodel4",
    "s4_cnnmodel5", "s4_googlenet_adam", "s4_googlenet_sgd",
]  # fmt: skip
BY_NAME = {claim.name: claim for claim in load_claims(CLAIMS_DIR)}


def test_the_experiments_that_leave_something_open_are_these():
    assert [name for name in EXPERIMENTS if len(readings_of(name)) > 1] == READ


def test_ours_is_first_and_levels_are_not_crossed():
    node = {"aug": ["on", "flip"], "optim.lr": [0.01, 0.05, 0.1], "patience": [5, None],
            "together": [{"aug": "flip", "optim.lr": 0.1}]}  # fmt: skip
    assert readings(node) == [
        OURS, ("aug=flip",), ("optim.lr=0.05",), ("optim.lr=0.1",), ("patience=null",),
        ("aug=flip", "optim.lr=0.1"),
    ]  # fmt: skip
    assert readings(None) == readings({}) == [OURS]


SETTINGS = "should be a list of settings, such as [{aug: flip, optim.lr: 0.05}]"


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (["aug"], "readings=['aug']: should be settings with lists of levels, ours first"),
        ({"aug": "on"}, "readings.aug=on: should be a list of levels, ours first"),
        ({"aug": []}, "readings.aug=[]: should be a list of levels, ours first"),
        ({"together": ["aug=on"]}, f"readings.together=['aug=on']: {SETTINGS}"),
        ({"together": {"aug": "on"}}, f"readings.together={{'aug': 'on'}}: {SETTINGS}"),
    ],
)
def test_other_lists_are_refused(node, words):
    with pytest.raises(ConfigError) as caught:
        readings(node)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("optim.lrr: [0.1, 0.2]", "readings.optim.lrr: no such setting; did you mean optim.lr?"),
        ("optim.lr: 0.2", "readings.optim.lr=0.2: should be a list of levels, ours first"),
    ],
)
def test_a_wrong_reading_names_the_file_that_lists_it(listed, words, tmp_path):
    file = tmp_path / "conf/ablation/mine.yaml"
    file.parent.mkdir(parents=True)
    sweeper = "hydra: {mode: MULTIRUN, sweeper: {readings: true, params: {seed: '0,1'}}}"
    file.write_text(f"# @package _global_\nreadings:\n  {listed}\n{sweeper}\n")
    done = here("fmnist.train", "--config-dir=conf", "ablation=mine", cwd=tmp_path)
    assert done.stderr == f"error: {words} (in ablation=mine)\n"


@pytest.mark.parametrize("experiment", READ)
def test_an_experiment_does_what_its_first_reading_says(experiment):
    config, choices, _ = configuration(f"experiment={experiment}")
    for key, levels in config["readings"].items():
        if key != "together":
            assert choices.get(key, look_up(config, key)) == levels[0]


@pytest.mark.parametrize(
    "experiment", [READ[0], *(pytest.param(name, marks=pytest.mark.long) for name in READ[1:])]
)
def test_a_sweep_runs_every_experiment_under_its_readings_at_the_looks_of_its_claims(experiment):
    sweep = sweep_of_readings(experiment)
    assert sweep
    cells = sweep_of([f"ablation={sweep}", "seed=1", *narrowed(sweep, experiment)]).cells
    hashes = [
        config_hash(composed(f"experiment={experiment}", "seed=1", *grid(sweep), *reading))
        for reading in readings_of(experiment)
    ]
    assert {cell.config_hash for cell in cells} == {*hashes}
    assert len({*hashes}) == len(hashes)  # every reading is another configuration
    looks = tuple(configuration(f"ablation={sweep}")[0]["looks"])
    asked = [c for c in CLAIMS if experiment in experiments(c) and under_readings(c) and c.about]
    assert all(looks_of(claim) == looks for claim in asked)


def grid(sweep):
    return ("data.batch_size=32", "trainer.max_epochs=1") if sweep == "s0_readings" else ()


def narrowed(sweep, experiment):
    return grid(sweep) or (f"experiment={experiment}",)


def test_the_command_line_narrows_the_readings_and_folders_tell_them(tmp_path):
    fixed = ("ablation=s2_readings", "seed=1", "experiment=s2_best", "optim.lr=0.01",
             "optim.momentum=0.9", "aug=on", "~readings.together")  # fmt: skip
    assert len(sweep_of(fixed[:-1]).cells) == 3  # ours, and two lengths of training
    two = ("ablation=s3_readings", "seed=1", "experiment=s3_better", "model.width=0.02")
    tiny = [text for text in TINY if not text.startswith("data.batch_size")]
    done = here("fmnist.train", *two, *tiny, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = find_runs([tmp_path / "multirun"]).runs
    assert [run.dir.name.rpartition("-")[0] for run in runs] == [
        "seed=1,experiment=s3_better,data.batch_size=128", "seed=1,experiment=s3_better",
    ]  # fmt: skip
    (manifest,) = tmp_path.rglob("sweep.json")
    cells = json.loads(manifest.read_text())["cells"]
    assert {cell["dir"] for cell in cells} == {run.dir.name for run in runs}
    assert {run.record.choices["ablation"] for run in runs} == {"s3_readings"}


def test_a_sweep_runs_the_readings_that_are_asked_for_and_refuses_others(tmp_path):
    asked = ("ablation=s2_readings", "seed=1", "experiment=s2_best")
    some = "hydra.sweeper.readings=[ours,'aug=flip trainer.max_epochs=20']"
    cells = sweep_of([*asked, some]).cells
    assert [cell.overrides[3:] for cell in cells] == [[], ["aug=flip", "trainer.max_epochs=20"]]
    assert len(sweep_of([*asked, "hydra.sweeper.readings=false"]).cells) == 1
    for value in ("maybe", "[]", "[1]"):
        with pytest.raises(ConfigError, match="should be true, false or a list of readings"):
            sweep_of([*asked, f"hydra.sweeper.readings={value}"])
    unknown = "hydra.sweeper.readings=['aug=flop']"
    with pytest.raises(ConfigError, match=r"aug=flop: no such reading; did you mean aug=flip\?"):
        sweep_of([*asked, unknown])
    done = here("fmnist.train", *asked, *TINY, unknown, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "error: hydra.sweeper.readings=aug=flop: no such reading" in done.stderr
    assert not list(tmp_path.rglob("sweep.json"))


def test_runs_under_a_reading_belong_to_their_sweep_and_to_no_other():
    def why(study, *overrides):
        config, choices, _ = configuration(*overrides)
        return misfit(study, config, choices, [])

    read = ("experiment=s2_best", "aug=flip", "trainer.max_epochs=20")
    assert why("s2_readings", "experiment=s2_best") == why("s2_readings", *read) == ""
    assert "aug.degrees=0 (there: 10)" in why("s2_best_worst", *read)
    assert why("s2_readings", *read, "optim.momentum=0.5")
    assert runs_readings("s2_readings")
    assert not runs_readings("s2_best_worst")


# Verdicts


def measured(accuracies, seeds=range(1, 11), experiment="s3_baseline"):
    """Ten seeds of every reading of an experiment, at these mean accuracies."""
    return [
        row(f"experiment={experiment}", *reading, seed=seed, test_acc_last=mean + 0.1 * (seed % 3))
        for reading, mean in zip(readings_of(experiment), accuracies, strict=False)
        for seed in seeds
    ]


def judged(name, rows):
    (outcome,) = evaluate(CLAIMS, rows, [name])
    return outcome


def test_a_value_holds_under_a_reading_with_p_times_their_number():
    outcome = judged("s3_baseline_value", measured([75, 69.1, 88, 73]))
    assert (outcome.judgement.verdict, outcome.reading) == ("holds", "our reading")
    assert verdict_words(outcome) == "holds under model.width=0.125"
    assert any(text.startswith("under model.width=0.125: 69.") for text in remarks(outcome))
    statement = outcome.holds_under.statement
    uncorrected = min(statement.test(look).shown for look in (5, 10)) * statement.factor
    assert outcome.judgement.p == pytest.approx(4 * uncorrected)
    assert [line[1:2] + line[-1:] for line in readings_lines([outcome])] == [
        ["our reading", "does not hold"], ["model.width=0.125", "holds"],
        ["optim.momentum=0.9", "does not hold"], ["data.batch_size=128", "does not hold"],
    ]  # fmt: skip


def test_a_value_does_not_hold_only_under_none_of_them():
    rows = measured([75, 60, 88, 73])
    outcome = judged("s3_baseline_value", rows)
    assert verdict_words(outcome) == "does not hold in any of 4 readings"
    assert outcome.judgement.p == max(item.judgement.p for item in outcome.readings)
    without = judged("s3_baseline_value", measured([75, 60, 88]))
    assert without.judgement.verdict == "undecided"
    assert verdict_words(without) == "undecided: 1 of 4 readings to run"
    ours = judged("s3_baseline_value", measured([75]))
    assert verdict_words(ours) == "undecided: 3 of 4 readings to run"
    assert readings_lines([ours]) == []


def test_a_value_that_holds_under_a_reading_is_shown_where_ours_has_not_run():
    rows = [r for r in measured([75, 69.1, 88, 73]) if r.settings["model.width"] == "0.125"]
    outcome = judged("s3_baseline_value", rows)
    assert verdict_words(outcome) == "holds under model.width=0.125"
    assert outcome.claim.name == "s3_baseline_value"
    assert effect(outcome).startswith("69.")


def test_readings_that_runs_that_failed_leave_without_a_verdict_are_not_to_run():
    rows = [
        replace(r, facts=r.facts | {"status": "failed"}, metrics={})
        if r.settings["data.batch_size"] == "128" and r.seed == 1 else r
        for r in measured([75, 60, 88, 73])
    ]  # fmt: skip
    outcome = judged("s3_baseline_value", rows)
    assert verdict_words(outcome) == "undecided: 1 of 4 readings not judged, runs failed"
    better = measured([90, 88, 89], experiment="s3_better")
    compared = judged("s3_baseline_better", [*rows, *better])
    shown = {line[1]: line[2] for line in readings_lines([compared])}
    assert shown["data.batch_size=128"].endswith("; 1 failed run: counts as chance accuracy")


def test_where_the_looks_disagree_a_line_has_the_mean_of_the_one_that_decided():
    """And those of the others beside it: an interval that lacks its mean explains nothing."""
    early = measured([75, 60, 88, 73], range(1, 6))
    late = [replace(r, metrics={"test/acc_last": r.metrics["test/acc_last"] - 0.05 * (r.seed > 7)})
            for r in measured([75, 60, 88, 73], range(6, 11))]  # fmt: skip
    outcome = judged("s3_baseline_value", [*early, *late])
    (said,) = [text for text in remarks(outcome) if "disagree" in text]
    assert effect(outcome).startswith("75.1")
    assert said.startswith("shown at 5 seeds, as the looks disagree: 73.6")
    assert said.endswith("] at 10")
    assert all("as the looks disagree" in line[2] for line in readings_lines([outcome]))


def test_a_comparisons_verdict_is_that_of_our_reading():
    baseline, better = measured([75, 60, 95, 73]), measured([90, 88, 89], experiment="s3_better")
    outcome = judged("s3_baseline_better", [*baseline, *better])
    # With momentum the baseline beats the better net, which has no such reading.
    assert verdict_words(outcome) == "holds, by more than 0.2 points"
    assert "in 3 of 4 readings, does not hold in 1" in remarks(outcome)
    momentum = next(item for item in outcome.readings if item.reading == "optim.momentum=0.9")
    assert momentum.judgement.verdict == "does not hold"
    alone = judged("s3_baseline_better", [r for r in [*baseline, *better]
                                          if r.settings["model.width"] == "0.25"])  # fmt: skip
    assert alone.judgement == outcome.judgement
    assert "in 2 of 3 readings, does not hold in 1, 1 to run" in remarks(alone)
    few = judged("s3_baseline_better", [*measured([75], range(1, 3)), *better])
    assert alike_in_words(few) == "none of 4 readings judged"
    waiting = [replace(item, judgement=few.judgement) for item in outcome.readings[:3]]
    waiting = [replace(i, judgement=replace(i.judgement, look=5)) for i in waiting]
    still_open = replace(few, readings=(*waiting, momentum))
    assert alike_in_words(still_open) == "in 3 of 4 readings, does not hold in 1"
    assert readings_in_words(still_open) == ["does not hold in 1 of 4 readings"]
    shown = {line[1]: line[2] for line in readings_lines([outcome])}
    assert shown["optim.momentum=0.9"].startswith("-5.00 [")


def test_a_line_of_a_reading_says_which_part_of_the_claim_it_shows():
    """Which of two losses speaks least for a claim differs from reading to reading."""
    losses = (
        ((), {"train_loss_last": 5, "test_loss_last": 25}),
        (("model.width=0.125",), {"train_loss_last": 20, "test_loss_last": 60}),
    )
    rows = [
        row("experiment=s3_better", *reading, seed=seed, **{k: v + seed % 3 for k, v in at.items()})
        for reading, at in losses
        for seed in range(1, 11)
    ]
    shown = {line[1]: line[2] for line in readings_lines([judged("s3_better_loss", rows)])}
    assert shown["our reading"].endswith("(train/loss_last)")
    assert shown["model.width=0.125"].endswith("(test/loss_last)")


def test_a_reading_under_which_no_run_came_so_far_is_not_one_to_run():
    """Its runs are made; of how long they would take only a bound is known."""
    readings = {(): (3, 2), ("optim.momentum=0.0",): (9, 9), ("optim.lr=0.05",): (9, 4)}
    rows = [
        replace(
            row(f"experiment={name}", *reading, seed=seed),
            metrics={"epochs": 8, "epochs_to/0.80": epochs + (seed % 4 == 0 and epochs < 8)},
        )
        for reading, both in readings.items()
        for name, epochs in zip(("s2_worst", "s2_best"), both, strict=True)
        for seed in range(1, 21)
    ]
    outcome = judged("s2_convergence_epochs", rows)
    assert outcome.judgement.verdict == "holds"
    lines = {line[1]: line[2:] for line in readings_lines([outcome])}
    assert lines["optim.momentum=0.0"] == ["none of its runs came so far", "0", "", "not measured"]
    assert "; 20 runs of 40 never reached it" in lines["optim.lr=0.05"][0]
    assert "in 2 of 2 readings, in 1 more no run came so far, " in alike_in_words(outcome)


def test_seeds_known_before_the_readings_were_listed_count_in_none_of_them():
    assert first_seed(["s2_best", "s2_worst"]) == 1
    assert first_seed(["s3_baseline"]) == first_seed(["s1_main"]) == 0
    rows = [row("experiment=s2_best", seed=seed, test_acc=86 + seed % 3, train_acc=84 + seed % 3,
                **{"val_acc_best": 85 + seed % 3}) for seed in range(10)]  # fmt: skip
    outcome = judged("s2_best_value", rows)
    assert outcome.statement.parts[0].seeds == tuple(range(1, 10))
    both = [*rows, *(row("experiment=s2_worst", seed=s, test_acc=80 + s % 3) for s in range(10))]
    assert judged("s2_best_worst", both).statement.parts[0].seeds == tuple(range(1, 10))


def test_a_claim_that_fixes_a_setting_is_not_asked_under_readings_of_it():
    for name in ("s0_epochs_help", "s0_batch_size_stable"):
        assert len(under_readings(BY_NAME[name])) == 3
    assert under_readings(BY_NAME["s1_main_value"]) == []
    assert under_readings(BY_NAME["s2_optimizer"]) == []
