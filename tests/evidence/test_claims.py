"""Claims: files and their mistakes, which runs they are about, and the command."""

import csv
import importlib
import io
import json
import shutil
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from fmnist.claims import main
from fmnist.config.published import published
from fmnist.config.schema import CONF_DIR, config_hash, resolve
from fmnist.evidence.claim import ClaimError
from fmnist.evidence.claim_file import CLAIMS_DIR, RESULTS_DIR, load_claims, load_file, looks_of
from fmnist.evidence.matching import matches, per_seed, side
from fmnist.evidence.outcome import evaluate, evaluate_claims, family_sizes, published_difference
from fmnist.evidence.text import (
    effect,
    looks_in_words,
    measured,
    number,
    remarks,
    scope,
    verdict_words,
)
from fmnist.reporting.claims_table import claims_table, explanation, to_csv
from fmnist.reporting.effects import compare_levels
from fmnist.reporting.table import Entry, SweepSetting
from fmnist.runs.find import find_runs
from fmnist.runs.rows import Row, canonical, class_metrics, flatten, newest, row_of, rows_of
from fmnist.runs.rows_file import read_rows
from fmnist.runs.run import Run
from tests.committed import committed_outcomes, committed_rows
from tests.conftest import CHECKOUT, here
from tests.records import FACTS, a_record, an_epoch

GARMENTS = published()["FashionMNIST"].classes

CLAIMS = load_claims(CLAIMS_DIR)


@cache
def configuration(*overrides: str):
    """Resolved configuration and choices, as training has them; sweep parameters of an ablation."""
    with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
    hydra = config.hydra
    return resolve(config), dict(hydra.runtime.choices), dict(hydra.sweeper.params or {})


def settings_of(*overrides: str) -> dict[str, str]:
    """As training has them. Composing takes long: values are put in by hand."""
    values = {text for text in overrides if "." in text.partition("=")[0]}
    config, choices, _ = configuration(*(text for text in overrides if text not in values))
    options = {key: option for key, option in choices.items() if option and "/" not in key}
    for key in ("experiment", "ablation", "trainer", "logger"):
        options.pop(key, None)
    parsed = (text.lstrip("+").partition("=") for text in values)
    return options | flatten(config) | {key: canonical(value) for key, _, value in parsed}


def row(*overrides: str, seed: int = 0, status: str = "finished", started: str = "", **metrics):
    """A row; `test_acc=91.0` is percent."""
    settings = settings_of(*overrides)
    facts = {
        "study": "", "seed": str(seed), "status": status, "started": started, "git_commit": "",
        "config_hash": f"{sorted(settings.items())} {seed}",
    }  # fmt: skip
    values = {name.replace("_", "/", 1): value / 100 for name, value in metrics.items()}
    return Row(facts, settings, values)


def run_dir(folder: Path, *overrides: str, seed: int = 0, accuracy: float = 0.9, **entries) -> Path:
    """A finished run of ten images a class, written as training writes it."""
    config, choices, _ = configuration(*overrides)
    config = config | {"seed": seed}
    labels = np.repeat(np.arange(10), 100)
    wrong = np.arange(1000) % 100 >= round(100 * accuracy)
    logits = np.eye(10, dtype=np.float32)[(labels + wrong) % 10]
    names = [f"{split}/{kind}{which}" for split in ("train", "val", "test")
             for kind in ("loss", "acc") for which in ("", "_last")]  # fmt: skip
    rows = [an_epoch(number, acc, val_loss=1 - acc, seconds=2.0).metrics()
            for number, acc in enumerate((0.7, 0.9, 0.8))]  # fmt: skip
    record = {
        "schema": 1, "status": "finished", "started": "2026-01-01T00:00:00+00:00", "seed": seed,
        "choices": {k: v for k, v in choices.items() if v and "/" not in k},
        "overrides": list(overrides), "group": None, "config": config,
        "config_hash": config_hash(config), "git_commit": "a" * 40, "git_dirty": False,
        "versions": {"python": "3.11.7", "torch": "2.15.0", "lightning": "2.6.6"},
        "dataset": asdict(FACTS) | {"classes": list(GARMENTS), "test_size": 1000},
        "params": 61706, "flops": 833040,
        "device": "cpu (a processor)", "threads": 2, "epochs": rows, "best_epoch": 1,
        "metrics": dict.fromkeys(names, accuracy) | {"val/acc_best": accuracy},
        "train_seconds": 6.0, "seconds": 9.0, "peak_memory_mib": 900.0,
    } | entries  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(record))
    np.savez_compressed(folder / "predictions.npz", logits=logits, labels=labels)
    return folder


def claim_file(folder: Path, text: str, name: str = "mine") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(f"claim: A claim.\nsource: me\nsweep: model=lenet5,fashioncnn\n{text}\n")
    return path


def cells(ablation: str) -> list[tuple[str, ...]]:
    """The overrides of every cell of a sweep, with one seed."""
    combinations: list[tuple[str, ...]] = [(f"ablation={ablation}",)]
    for key, levels in configuration(f"ablation={ablation}")[2].items():
        if key != "seed":
            override = OverridesParser.create().parse_override(f"{key}={levels}")
            values = list(override.sweep_string_iterator())
            combinations = [(*c, f"{key}={value}") for c in combinations for value in values]
    return combinations


SWEEPS = sorted({claim.sweep for claim in CLAIMS})


def test_how_an_update_is_computed_is_no_setting_of_a_row():
    """Rows of before and after optim.fused came can be compared."""
    assert flatten({"optim": {"lr": 0.1, "fused": True}}) == flatten({"optim": {"lr": 0.1}})


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_claim_is_measured_by_its_sweep(sweep):
    first, *others = sweep.split()
    key, _, name = first.partition("=")
    assert key in ("ablation", "experiment")
    overrides = [(*cell, *others) for cell in (cells(name) if key == "ablation" else [(first,)])]
    rows = [row(*cell) for cell in overrides]
    for claim in (claim for claim in CLAIMS if claim.sweep == sweep):
        for selection in claim.selections:
            for term in side(selection, claim.metric).terms:
                assert any(matches(r, term) for r in rows), (claim.name, term)


def test_every_source_and_kind_of_comparison_is_there():
    sources = {path.stem: {claim.source for claim in load_file(path)}
               for path in CLAIMS_DIR.glob("*.yaml")}  # fmt: skip
    assert sources == {"own": {"fmnist"}} | {f"s{n}": {f"S{n}"} for n in range(5)}
    kinds = ("higher", "same", "about", "at_least", "costs", "best_classes", "worst_classes")
    assert all(any(getattr(claim, kind) for claim in CLAIMS) for kind in kinds)
    assert all(path.read_text().startswith("# ") for path in CLAIMS_DIR.glob("*.yaml"))
    lines = [line for path in CLAIMS_DIR.glob("*.yaml") for line in path.read_text().splitlines()]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heigher: {aug: 'on'}", "heigher: no such key; did you mean higher?"),
        ("higher: {aug: 'on'}", "higher and lower: give both"),
        ("where: {model: lenet5}", "should have one comparison of higher, same, about"),
        ("same: [{aug: 'on'}, {aug: 'off'}]\nabout: {test/acc: 90}", "not same and about"),
        ("same: [{aug: 'on'}]", "same: should be a list of two selections"),
        ("same: [{tta: flip}, {tta: flip}]", "both sides are the same selection: nothing is"),
        ("higher: [{tta: flip}, {aug: small}]\nlower: {tta: flip}", "both sides are the same sel"),
        ("higher: {aug: on}\nlower: {aug: off}", 'aug: true: should be an option\'s name; quote'),
        ("about: {test/acc: 0.91}", "test/acc: 0.91: should be in percent"),
        ("about: {test/ac: 91}", "test/ac: should be a metric; did you mean test/acc?"),
        ("about: {test/acc: high}", "test/acc: high: should be a number"),
        ("about: {test/loss: 0.5}", "margin: is missing, and there is no default for test/loss"),
        ("about: {test/acc: 91}\nmargin: -1", "margin: -1: should be a number, 0 or more"),
        ("at_least: {test/acc: 91}\nmargin: 1", "margin: at_least has none"),
        ("about: {test/acc: 91}\nmetric: test/acc", "metric: about names the metrics itself"),
        ("higher: {modle: a}\nlower: {model: b}", "modle: no such setting; did you mean model?"),
        ("about: {test/acc: 91}\nwhere: {seed: 1}", "seed: runs are matched by it"),
        ("best_classes: Bag", "best_classes: should be a list of classes"),
        ("higher: []\nlower: {aug: 'on'}", "higher: should be settings"),
        ("about: [", "expected the nod"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_answered_in_one_line(tmp_path, text, message):
    path = claim_file(tmp_path, text)
    with pytest.raises(ClaimError) as error:
        load_file(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_missing_key_is_named(tmp_path):
    (tmp_path / "x.yaml").write_text("claim: Words.\nsweep: ablation=leak\nabout: {test/acc: 91}\n")
    with pytest.raises(ClaimError, match="source: is missing"):
        load_file(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").unlink()
    with pytest.raises(ClaimError, match="holds no claim"):
        load_claims(tmp_path)


def test_a_file_holds_many_claims_and_a_mistake_names_the_one(tmp_path):
    keys = "{claim: Words., source: me, sweep: ablation=leak, about: {test/acc: 91}}"
    path = tmp_path / "mine.yaml"
    path.write_text(f"second: {keys}\nfirst: {keys}\n")
    assert [claim.name for claim in load_claims(tmp_path)] == ["second", "first"]
    (tmp_path / "more.yaml").write_text(f"first: {keys}\n")
    with pytest.raises(ClaimError, match=r"more\.yaml: first: .*mine\.yaml has this name, too"):
        load_claims(tmp_path)
    path.write_text(f"second: {keys}\nfirst: {keys.replace('sweep', 'swep')}\n")
    with pytest.raises(ClaimError, match=r"mine\.yaml: first: swep: no such key; did you mean swe"):
        load_file(path)
    path.write_text("first: 3\n")
    with pytest.raises(ClaimError, match="first: should be a mapping of keys to values"):
        load_file(path)


def lenet(tmp_path, text):
    folder = tmp_path / "c"
    folder.parent.mkdir(exist_ok=True)
    return load_file(claim_file(folder, text))[0]


AUG = 'where: {model: lenet5}\nhigher: {aug: "on"}\nlower: {aug: "off"}'


def differences(claim, rows, metric="test/acc"):
    sides = [side(selection, metric) for selection in claim.selections]
    found = per_seed([r for r in newest(rows) if r.finished], sides)
    signed = {s: v[0] - v[1] if len(v) > 1 else v[0] for s, v in found.items()}
    return {seed: round(100 * value, 6) for seed, value in signed.items()}


def test_runs_are_paired_by_seed(tmp_path):
    on, off = ("model=lenet5", "aug=on"), ("model=lenet5", "aug=off")
    rows = [row(*on, seed=s, test_acc=90 + s) for s in (0, 1, 2)]
    rows += [row(*off, seed=s, test_acc=89 + 2 * s) for s in (1, 2, 3)]
    assert differences(lenet(tmp_path, AUG), rows) == {1: 0.0, 2: -1.0}


def test_one_seed_with_other_settings_does_not_count_for_all_the_others(tmp_path):
    rows = [row("model=lenet5", f"aug={aug}", f"optim.lr={0.5 if seed == 0 else 0.1}", seed=seed,
                test_acc=90 + seed) for seed in range(4) for aug in ("on", "off")]  # fmt: skip
    assert sorted(differences(lenet(tmp_path, AUG), rows)) == [1, 2, 3]
    (outcome,) = evaluate([lenet(tmp_path, AUG)], rows)
    assert "1 seed left out: not all that the others average" in remarks(outcome)


def test_seeds_count_together_whatever_formats_their_machines_chose(tmp_path):
    claim = lenet(tmp_path, "where: {model: lenet5}\nabout: {test/acc: 90}")
    rows = [row("model=lenet5", f"trainer.precision={formats}", seed=seed, test_acc=90 + seed)
            for seed, formats in enumerate(["32-true", "bf16-mixed", "bf16-mixed"])]  # fmt: skip
    assert sorted(differences(claim, rows)) == [0, 1, 2]
    by_hand = [replace(one, settings=one.settings | {"formats": "set"}) for one in rows]
    assert sorted(differences(claim, by_hand)) == [1, 2]


def test_what_else_was_run_changes_no_verdict(tmp_path):
    """Whoever has run the sides of a claim with other settings, too, has other units of it."""
    claim = replace(lenet(tmp_path, AUG), sweep="ablation=s2_augmentation")
    own = [replace(one, facts=one.facts | {"study": "s2_augmentation"}) for one in (
        row("model=lenet5", f"aug={aug}", seed=seed, test_acc=90 + seed + (aug == "on"))
        for seed in range(5) for aug in ("on", "off"))]  # fmt: skip
    others = [row("model=lenet5", f"aug={aug}", f"optim.lr={lr}", seed=seed, test_acc=80 + seed)
              for seed in range(3) for aug in ("on", "off") for lr in (0.3, 0.4, 0.5)]  # fmt: skip
    alone, beside = (evaluate([claim], rows)[0] for rows in (own, own + others))
    assert alone.part.seeds == (0, 1, 2, 3, 4)
    assert beside.judgement == alone.judgement
    # Where the study itself has no run of them, they are all there is.
    (without,) = evaluate([claim], others)
    assert without.part.seeds == (0, 1, 2)


def test_only_runs_that_differ_in_nothing_else_are_paired(tmp_path):
    on = row("model=lenet5", "aug=on", "optim.lr=0.01", test_acc=90)
    assert differences(lenet(tmp_path, AUG), [on, row("model=lenet5", test_acc=89)]) == {}
    matched = row("model=lenet5", "optim.lr=0.01", test_acc=88)
    assert differences(lenet(tmp_path, AUG), [on, matched]) == {0: 2.0}


def test_nets_are_paired_in_the_formats_chosen_for_each_and_not_in_those_set_by_hand(tmp_path):
    claim = lenet(tmp_path, "higher: {model: fashioncnn}\nlower: {model: lenet5}")
    rows = [row("model=lenet5", "trainer.precision=32-true", test_acc=89),
            row("model=fashioncnn", "trainer.precision=bf16-mixed", test_acc=91)]  # fmt: skip
    assert differences(claim, rows) == {0: 2.0}
    by_hand = [replace(one, settings=one.settings | {"formats": "set"}) for one in rows]
    assert differences(claim, by_hand) == {}


def test_the_memory_format_keeps_no_runs_apart(tmp_path):
    """Rows of before LeNet-5 was trained in channels-last, beside later ones."""
    claim = lenet(tmp_path, AUG)
    pairs = [
        [row("model=lenet5", f"aug={aug}", f"channels_last={last}", seed=s, test_acc=90 + s + gain)
         for aug, last, gain in (("on", mixed, 1), ("off", other, 0))]
        for s, mixed, other in ((0, "false", "false"), (1, "true", "true"), (2, "true", "false"))
    ]  # fmt: skip
    rows = [one for pair in pairs for one in pair]
    assert differences(claim, rows) == {0: 1.0, 1: 1.0, 2: 1.0}
    by_hand = [replace(one, settings=one.settings | {"formats": "set"}) for one in rows]
    assert differences(claim, [rows[0], by_hand[1], rows[4], by_hand[5]]) == {0: 1.0, 2: 1.0}
    numbers = [replace(one, settings=one.settings | {"formats": "memory"}) for one in rows]
    again = replace(numbers[0], settings=numbers[0].settings | {"channels_last": "true"})
    assert newest([numbers[0], again]) == [again]  # the same run, later


def test_other_factors_are_averaged_within_a_seed(tmp_path):
    rows = []
    for seed in (0, 1, 2):
        for lr, gain in (("0.01", 1.0), ("0.001", 3.0)):
            base = ("model=lenet5", f"optim.lr={lr}")
            rows.append(row(*base, "aug=on", seed=seed, test_acc=90 + gain + seed))
            rows.append(row(*base, "aug=off", seed=seed, test_acc=90))
    averaged = {0: 2.0, 1: 3.0, 2: 4.0}
    assert differences(lenet(tmp_path, AUG), rows) == averaged
    # A seed that lacks one of the two rates is not mixed with those that have both.
    rows.append(row("model=lenet5", "optim.lr=0.01", "aug=on", seed=3, test_acc=99))
    rows.append(row("model=lenet5", "optim.lr=0.01", "aug=off", seed=3, test_acc=90))
    assert differences(lenet(tmp_path, AUG), rows) == averaged


def test_half_a_sweep_gives_report_and_claim_the_same_numbers(tmp_path):
    """Seed 2 lacks a rate, seed 3 a side, and seed 0 has a rate more."""
    made = {(aug, lr, seed): 90 + (aug == "on") * (1 + seed) + 2 * (lr == "0.01")
            for aug in ("on", "off") for lr in ("0.01", "0.001") for seed in (0, 1)}  # fmt: skip
    made |= {(aug, "0.01", 2): 80 for aug in ("on", "off")} | {("on", "0.01", 3): 99}
    made |= {(aug, "0.1", 0): 10 + 9 * (aug == "on") for aug in ("on", "off")}
    rows = [row("model=lenet5", f"aug={aug}", f"optim.lr={lr}", seed=seed, test_acc=acc)
            for (aug, lr, seed), acc in made.items()]  # fmt: skip
    settings = []
    for aug, lr in dict.fromkeys((aug, lr) for aug, lr, _ in made):
        records = {
            seed: a_record(metrics={"test/acc": made[aug, lr, seed] / 100})
            for seed in range(4)
            if (aug, lr, seed) in made
        }
        runs = {s: Entry("", "finished", run=Run(tmp_path, r)) for s, r in records.items()}
        settings.append(SweepSetting({"aug": aug, "lr": lr}, runs))
    (compared,) = compare_levels(settings, {"aug": ["on", "off"]})["aug"]
    (outcome,) = evaluate([lenet(tmp_path, AUG)], rows)
    summary = outcome.part.summary()
    assert summary.mean == pytest.approx(compared.difference.mean)
    assert compared.difference.mean == pytest.approx(1.0)  # of one rate: 1, 2 and 0
    assert summary.n == compared.difference.n == 3
    assert summary.half_width == pytest.approx(compared.difference.half_width)


def test_rows_of_before_a_group_existed_and_of_another_machine_count_with_later_ones(tmp_path):
    def older(item):
        settings = {key: value for key, value in item.settings.items() if key != "callbacks"}
        return replace(item, settings=settings | {"trainer.precision": "bf16-mixed"})

    nets = ("model=lenet5", "model=fashioncnn")
    rows = [row(net, seed=seed, test_acc=80 + seed + 5 * (net == nets[1]))
            for seed in range(5) for net in nets]  # fmt: skip
    rows = [older(item) if item.seed < 3 else item for item in rows]
    claim = lenet(tmp_path, "higher: {model: fashioncnn}\nlower: {model: lenet5}")
    (outcome,) = evaluate([claim], rows)
    assert outcome.statement.parts[0].seeds == (0, 1, 2, 3, 4)
    again = replace(older(rows[6]), facts=rows[6].facts | {"config_hash": "b", "started": "2"})
    assert len(newest([*rows, again])) == len(rows)


def test_what_another_study_runs_again_changes_no_verdict(tmp_path):
    rows = [row("model=lenet5", f"aug={aug}", seed=s, test_acc=90 + s + (aug == "on"))
            for s in range(5) for aug in ("on", "off")]  # fmt: skip
    claim = replace(lenet(tmp_path, AUG), sweep="ablation=own_study")
    rows = [replace(item, facts=item.facts | {"study": "own_study"}) for item in rows]
    later = replace(
        rows[0],
        facts=rows[0].facts | {"study": "another", "started": "2099-01-01"},
        metrics=dict.fromkeys(rows[0].metrics, 0.5),
    )
    (alone,), (beside,) = evaluate([claim], rows), evaluate([claim], [*rows, later])
    assert beside.judgement == alone.judgement
    assert newest([*rows, later])[0].facts["study"] == "another"  # where nobody's study is asked
    asks_others = [replace(claim, sweep="ablation=a_third_study")]  # which has no runs of its own
    (alone,), (beside,) = evaluate(asks_others, rows), evaluate(asks_others, [*rows, later])
    assert beside.judgement == alone.judgement


def test_runs_that_are_trained_again_without_a_clock_leave_the_seconds_that_there_are(tmp_path):
    """A claim about seconds asks those that have them, any other one the latest."""
    rows, again = [], []
    for seed in range(5):
        for aug in ("on", "off"):
            one = row("model=lenet5", f"aug={aug}", seed=seed, started="1", test_acc=90 + seed)
            seconds = 9.0 + seed / 9 + 5 * (aug == "on")
            rows.append(replace(one, metrics=one.metrics | {"train_seconds": seconds}))
            later = {"test/acc": 0.8 + seed / 100 + 0.05 * (aug == "on")}
            again.append(replace(one, facts=one.facts | {"started": "2"}, metrics=later))
    claims = [
        lenet(tmp_path / "a", AUG),
        lenet(tmp_path / "b", AUG + "\nmetric: train_seconds\nmargin: 1"),
    ]
    accuracy, seconds = evaluate(claims, [*rows, *again])
    assert accuracy.judgement == evaluate(claims, again)[0].judgement
    assert seconds.judgement == evaluate(claims, rows)[1].judgement
    assert [each.judgement.verdict for each in (accuracy, seconds)] == ["holds", "holds"]


def test_a_stray_run_of_one_seed_costs_no_other_seed(tmp_path):
    rows = [row("model=lenet5", f"aug={aug}", seed=s, test_acc=90 + (aug == "on"))
            for s in (0, 1, 2) for aug in ("on", "off")]  # fmt: skip
    rows += [
        row("model=lenet5", "optim.lr=0.1", f"aug={aug}", test_acc=10) for aug in ("on", "off")
    ]
    assert differences(lenet(tmp_path, AUG), rows) == {0: 1.0, 1: 1.0, 2: 1.0}


def test_a_list_of_values_is_their_mean_and_needs_all_of_them(tmp_path):
    claim = lenet(
        tmp_path, "higher: {trainer.max_epochs: 10}\nlower: {trainer.max_epochs: [1, 20]}"
    )
    rows = [row("model=lenet5", f"trainer.max_epochs={n}", test_acc=acc)
            for n, acc in ((1, 80), (10, 90), (20, 92))]  # fmt: skip
    assert differences(claim, rows) == {0: 4.0}
    assert differences(claim, rows[:2]) == {}


def test_an_experiment_is_its_configuration_however_it_was_started(tmp_path):
    (term,) = side({"experiment": ("s1_no_augmentation",)}, "test/acc").terms
    assert matches(row("experiment=s1_no_augmentation"), term)
    assert matches(row("experiment=s1_main", "aug=off"), term)
    assert matches(row("ablation=s1_augmentation", "aug=off"), term)
    # How it is computed is the machine's affair; anything else makes another run of it.
    assert matches(row("experiment=s1_no_augmentation", "trainer.precision=bf16-mixed"), term)
    for other in (
        "trainer.max_epochs=2",
        "data.train_size=1000",
        "data.select_on=test",
        "data=kmnist",
        "label_smoothing=0.1",
        "+trainer.limit_train_batches=5",
    ):
        assert not matches(row("experiment=s1_no_augmentation", other), term)
    old = row("experiment=s1_no_augmentation")
    without = {k: v for k, v in old.settings.items() if k not in ("patience", "data.select_on")}
    assert matches(replace(old, settings=without), term)


def test_only_the_whole_data_set_counts_unless_the_claim_says_otherwise(tmp_path):
    rows = [row("model=lenet5", "data=synthetic", test_acc=99), row("model=lenet5", test_acc=90)]
    plain = lenet(tmp_path, "where: {model: lenet5}\nabout: {test/acc: 90}")
    drawn = lenet(tmp_path, "where: {model: lenet5, data: synthetic}\nabout: {test/acc: 90}")
    assert differences(plain, rows) == {0: 90.0}
    assert differences(drawn, rows) == {0: 99.0}
    part = row("model=lenet5", "data=synthetic", "data.train_size=640", seed=1, test_acc=95)
    assert differences(drawn, [part]) == {}
    named = lenet(tmp_path, "where: {data: synthetic, data.train_size: 640}\nabout: {test/acc: 90}")
    assert differences(named, [part]) == {1: 95.0}


def test_of_one_configuration_the_latest_finished_run_counts(tmp_path):
    claim = lenet(tmp_path, "where: {model: lenet5}\nabout: {test/acc: 90}")
    rows = [
        row("model=lenet5", started="2026-02", test_acc=91),
        row("model=lenet5", started="2026-01", test_acc=90),
        row("model=lenet5", started="2026-03", status="failed"),
    ]
    assert differences(claim, rows) == {0: 91.0}
    failed = row("model=lenet5", seed=1, status="failed")
    (outcome,) = evaluate([claim], [*rows, failed])
    assert (outcome.runs, outcome.failed) == (1, 1)


def rows_of_two(gains, key="aug", levels=("on", "off"), **metrics):
    made = []
    for seed, gain in enumerate(gains):
        for level, extra in zip(levels, (gain, 0.0), strict=True):
            made.append(row("model=lenet5", f"{key}={level}", seed=seed, test_acc=90 + extra))
    return made


@pytest.mark.parametrize(
    ("text", "gains", "verdict"),
    [
        (AUG, [1.0, 1.2, 0.9], "holds"),
        (AUG, [-0.1, 0.0, -0.1, 0.05, 0.0], "does not hold"),
        (AUG, [0.5, -0.1, 0.4], "undecided"),
        (AUG, [3.0], "undecided"),
        (AUG, [], "not measured"),
        (AUG + "\nmargin: 2.0", [1.0, 1.2, 0.9], "holds"),  # by less than 2
        (AUG + "\nmargin: 2.0", [0.5, -0.1, 0.4], "does not hold"),
        ('same: [{aug: "on"}, {aug: "off"}]', [0.02, -0.03, 0.01, 0.0], "holds"),
        ('same: [{aug: "on"}, {aug: "off"}]', [1.0, 1.2, 0.9], "does not hold"),
        ('where: {aug: "on"}\nabout: {test/acc: 91}\nmargin: 0.5', [1.0, 1.1, 0.9], "holds"),
        ('where: {aug: "on"}\nabout: {test/acc: 95}\nmargin: 0.5', [1.0, 1.1, 0.9],
         "does not hold"),
        ('where: {aug: "on"}\nat_least: {test/acc: 90.5}', [1.0, 1.1, 0.9], "holds"),
        ('where: {aug: "on"}\nat_least: {test/acc: 91.5}', [1.0, 1.1, 0.9], "does not hold"),
        ('where: {aug: "on"}\nat_most: {test/acc: 91.5}', [1.0, 1.1, 0.9], "holds"),
        ('where: {aug: "on"}\nabout: {test/acc: 91, val/acc: 91}', [1.0, 1.1, 0.9],
         "not measured"),
    ],
)  # fmt: skip
def test_verdicts(tmp_path, text, gains, verdict):
    (outcome,) = evaluate([lenet(tmp_path, text)], rows_of_two(gains))
    assert outcome.judgement.verdict == verdict


def test_the_best_level_must_beat_each_other_one(tmp_path):
    claim = lenet(tmp_path, "higher: {optim.lr: 0.1}\nlower: [{optim.lr: 0.01}, {optim.lr: 0.001}]")
    noise = (0.0, 0.1, -0.1)

    def verdict(second):
        accuracies = {"0.1": 90, "0.01": second, "0.001": 80}
        rows = [row("model=lenet5", f"optim.lr={lr}", seed=s, test_acc=acc + noise[(s + i) % 3])
                for i, (lr, acc) in enumerate(accuracies.items()) for s in range(3)]  # fmt: skip
        (outcome,) = evaluate([claim], rows)
        return outcome.judgement.verdict, outcome.part.label

    assert verdict(85) == ("holds", "0.1 - 0.01")
    assert verdict(95) == ("does not hold", "0.1 - 0.01")
    assert verdict(90) == ("undecided", "0.1 - 0.01")


def test_classes_are_ranked(tmp_path):
    def verdicts(*texts):
        made = []
        for seed in range(3):
            base = row("model=lenet5", seed=seed)
            f1 = {name: (80 + 2 * i + 0.1 * seed) / 100 for i, name in enumerate(GARMENTS)}
            f1["Coat"] += 0.001 * seed
            made.append(replace(base, metrics={f"test/f1/{k}": v for k, v in f1.items()}))
        claims = [lenet(tmp_path, text) for text in texts]
        return [outcome.judgement.verdict for outcome in evaluate(claims, made)]

    # The same difference in all seeds: no spread but that of rounding.
    assert verdicts("best_classes: [Ankle boot, Bag]") == ["holds"]
    assert verdicts("worst_classes: [T-shirt/top, Trouser]") == ["holds"]
    assert verdicts("best_classes: [Ankle boot, Coat]") == ["does not hold"]
    with pytest.raises(ClaimError, match="Baag: no such class; did you mean Bag"):
        verdicts("best_classes: [Baag]")


def test_published_differences_come_from_the_claims_about_the_sides():
    (claim,) = [claim for claim in CLAIMS if claim.name == "s1_augmentation"]
    values = {c.name: c.about for c in CLAIMS}
    expected = values["s1_no_augmentation_value"]["test/acc"] - values["s1_main_value"]["test/acc"]
    assert published_difference(claim, CLAIMS) == pytest.approx(expected)
    assert published_difference(claim, [claim]) is None


@pytest.mark.parametrize("predicted", [True, False])
def test_class_metrics_are_those_of_scikit_learn_and_of_a_report(predicted):
    """One class has no image: it has no recall, and where it is not predicted either no F1."""
    from sklearn.metrics import f1_score, recall_score

    from fmnist.runs.evaluation import evaluate_predictions

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 9, 500)
    logits = rng.normal(size=(500, 10)).astype(np.float32) + 2 * np.eye(10)[labels]
    logits[:, 9] -= 0 if predicted else 100
    logits = logits.astype(np.float32)
    found = class_metrics(logits, labels, GARMENTS)
    arguments = {"labels": range(10), "average": None, "zero_division": 0}
    f1 = f1_score(labels, logits.argmax(1), **arguments)
    recall = recall_score(labels, logits.argmax(1), **arguments)
    assert found["test/f1"] == pytest.approx(f1_score(labels, logits.argmax(1), average="macro"))
    macro = evaluate_predictions(logits, labels, GARMENTS).macro[2]
    assert found["test/f1"] == pytest.approx(macro, abs=1e-6)
    scores = [found[f"test/f1/{name}"] for name in GARMENTS[: 9 + predicted]]
    assert scores == pytest.approx(f1[: 9 + predicted].tolist())
    assert (f"test/f1/{GARMENTS[9]}" in found) == predicted
    recalls = [found[f"test/recall/{name}"] for name in GARMENTS[:9]]
    assert recalls == pytest.approx(recall[:9].tolist())
    assert f"test/recall/{GARMENTS[9]}" not in found


def test_a_run_becomes_a_row(tmp_path):
    run_dir(tmp_path / "run", "experiment=s2_best", seed=3, accuracy=0.87)
    (found,) = find_runs([tmp_path]).runs
    made = row_of(found)
    assert (made.seed, made.finished, made.facts["experiment"]) == (3, True, "s2_best")
    assert made.settings["model.activation"] == "relu"
    assert not any(key.startswith(("logger", "data.root", "seed")) for key in made.settings)
    assert made.metrics["test/acc"] == made.metrics["test/recall/Shirt"] == 0.87
    assert made.settings["formats"] == "auto"
    assert made.metrics["epoch_seconds"] == 2.0
    assert made.metrics["val/acc_setback"] == pytest.approx(0.05)  # 0 and 0.1
    assert made.metrics["val/loss_setback"] == pytest.approx(0.05)
    # Of 10 epochs allowed it trained 3; the others count with its best.
    assert made.metrics["val/acc_area"] == pytest.approx((0.7 + 0.9 + 0.8 + 7 * 0.9) / 10)
    assert made.metrics["epochs_to/0.90"] == 2
    assert made.metrics["seconds_to/0.90"] == 4.0
    trainer = found.config["trainer"] | {"precision": "32-true"}
    by_hand = replace(found.record, config=found.config | {"trainer": trainer})
    assert row_of(replace(found, record=by_hand)).settings["formats"] == "memory"
    by_hand = replace(by_hand, config=by_hand.config | {"channels_last": False})
    assert row_of(replace(found, record=by_hand)).settings["formats"] == "set"
    failed = row_of(replace(found, record=replace(found.record, status="failed")))
    assert not {"val/acc_area", "epochs_to/0.80"} & set(failed.metrics)
    (found.dir / "predictions.npz").write_bytes(b"damaged")
    assert "test/f1" not in row_of(found).metrics
    assert rows_of([replace(found, record=replace(found.record, status="running"))]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (False, "false"), (64, "64"), (64.0, "64"), (1e-3, "0.001"), ("1e-3", "0.001"),
     ("relu", "relu"), ([0.9, 1], "[0.9, 1]")],
)  # fmt: skip
def test_settings_have_one_text(value, text):
    assert canonical(value) == text


TIME = 'where: {model: lenet5}\nhigher: {aug: "on"}\nlower: {aug: "off"}\nmargin: 0.5\n'


def timed(aug, seed, epochs_to, trained=10):
    metrics = {"epochs_to/0.85": float(epochs_to), "epochs": float(trained)}
    return replace(row("model=lenet5", f"aug={aug}", seed=seed), metrics=metrics)


def test_a_run_that_never_came_so_far_counts_and_is_told(tmp_path):
    claim = lenet(tmp_path, TIME + "metric: epochs_to/0.85")
    rows = [timed("off", seed, 2 + seed) for seed in range(4)]
    rows += [
        timed("on", 0, 9),
        timed("on", 1, 11),
        timed("on", 2, 11, trained=7),
        timed("on", 3, 9),
    ]
    (outcome,) = evaluate([claim], rows)
    assert (outcome.never, outcome.runs) == (2, 8)
    assert outcome.statement.seeds == 4  # those two are among them
    assert outcome.part.summary().mean == pytest.approx((7 + 8 + 7 + 4) / 4)
    assert outcome.judgement.verdict == "holds"
    assert "2 runs of 8 never reached it: counted as" in explanation(outcome, [])
    assert effect(outcome).endswith(" epochs")


def test_the_same_number_of_epochs_with_every_seed_can_be_decided(tmp_path):
    rows = [timed(aug, seed, n) for aug, n in (("on", 6), ("off", 2)) for seed in range(4)]
    (outcome,) = evaluate([lenet(tmp_path, TIME + "metric: epochs_to/0.85")], rows)
    assert outcome.judgement.verdict == "holds"
    assert outcome.never == 0
    assert remarks(outcome)[1:] == ["worst 6 (seed 3) against 2 (seed 3)"]


def test_where_no_run_came_so_far_nothing_is_measured(tmp_path):
    rows = [timed(aug, seed, 11) for aug in ("on", "off") for seed in range(3)]
    (outcome,) = evaluate([lenet(tmp_path, TIME + "metric: epochs_to/0.85")], rows)
    assert outcome.judgement.verdict == "not measured"
    assert outcome.note == "none of its runs came so far"


def test_rows_of_before_a_metric_existed_are_told(tmp_path):
    claim = lenet(tmp_path, TIME + "metric: epochs_to/0.85")
    old = [row("model=lenet5", f"aug={aug}", test_acc=90) for aug in ("on", "off")]
    (outcome,) = evaluate([claim], old)
    assert outcome.statement is None
    assert outcome.note == "its runs lack epochs_to/0.85: collect their directories again"
    new = [timed(aug, seed, 3) for aug in ("on", "off") for seed in (1, 2)]
    (outcome,) = evaluate([claim], old + new)
    assert outcome.statement.seeds == 2
    assert remarks(outcome)[0] == "2 runs without the metric left out"


def test_runs_that_chose_on_the_test_set_are_told_where_they_count(tmp_path):
    text = "higher: {data.select_on: test}\nlower: {data.select_on: val}"
    asked = [lenet(tmp_path / name, words) for name, words in (("a", text), ("b", AUG))]
    rows = [row("model=lenet5", f"data.select_on={on}", seed=seed, test_acc=acc + seed)
            for on, acc in (("test", 91), ("val", 90)) for seed in range(2)]  # fmt: skip
    rows += [row("model=lenet5", "aug=on", seed=seed, test_acc=92) for seed in range(2)]
    leak, clean = evaluate(asked, rows)
    assert (leak.leaking, leak.runs, clean.leaking) == (2, 6, 0)
    shown = claims_table([leak, clean], asked, "")
    assert shown.count("WARNING data.select_on=test in 2 of 6 runs: the test images choose") == 1
    table = list(csv.DictReader(io.StringIO(to_csv([leak, clean]))))
    assert [line["leaking"] for line in table] == ["2", "0"]


def test_runs_of_other_code_of_a_net_are_told_where_they_count(tmp_path):
    rows = [row("model=lenet5", f"aug={aug}", seed=seed, test_acc=90 + seed)
            for aug in ("on", "off") for seed in range(2)]  # fmt: skip
    coded = [replace(item, code={"mynets.Wide": "0" if item.seed else "1"}) for item in rows]
    words = "mynets.Wide is not the same code in all runs: 2 have one, 2 another"
    for given, said in ((rows, False), (coded, True), (coded[::2], False)):
        (outcome,) = evaluate([lenet(tmp_path, AUG)], given)
        assert (words in remarks(outcome)) == said


def test_a_cost_of_another_machine_is_shown_and_not_judged(tmp_path):
    text = "where: {model: lenet5}\ncosts: {epoch_seconds: 180}"
    cost = lenet(tmp_path / "cost", text)
    judged = lenet(tmp_path / "judged", "where: {model: lenet5}\nat_least: {test/acc: 89}")
    rows = [row("model=lenet5", seed=seed, test_acc=90 + seed / 9) for seed in range(4)]
    rows = [replace(r, metrics=r.metrics | {"epoch_seconds": 29.0 + r.seed}) for r in rows]
    alone, (first, second) = evaluate([judged], rows)[0], evaluate([cost, judged], rows)
    assert first.judgement.verdict == "not judged"
    assert first.part.summary().mean == 30.5
    assert second.judgement == alone.judgement  # a cost does not count among the claims asked
    shown = claims_table([first, second], [cost, judged], "")
    assert "30.5 " in shown
    assert "published 180" in shown
    assert "not judged" in shown


def test_what_verdicts_are_about_is_counted_in_the_data_sets_of_the_runs():
    def tested(*overrides):
        return row("model=lenet5", *overrides, seed=0, test_acc=90).tested

    ours, letters = tested(), tested("data=emnist", "data.name=EMNIST-letters")
    assert scope([ours, ours]) == "About other seeds, on these 10,000 test images and this split"
    assert "on these 20,800 test images" in scope([letters])
    assert "on these 200 test images" in scope([tested("data.test_size=200")])
    own = tested("data=folder", "data.root=mine")
    for sets in ([ours, letters], [own], []):  # several, one of unknown size, and a foreign table
        assert scope(sets) == "About other seeds, on the test images and the split of these runs"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Ten seeds of S2's best and worst net, from 1 on, one failed, one killed."""
    folder = tmp_path_factory.mktemp("sweep")
    for seed, gain in enumerate((0.0, *(0.01, -0.01, 0.0) * 3), 1):
        run_dir(folder / f"b{seed}", "experiment=s2_best", seed=seed, accuracy=0.9 + gain)
        run_dir(folder / f"w{seed}", "experiment=s2_worst", seed=seed, accuracy=0.78)
    run_dir(folder / "failed", "experiment=s2_worst", seed=11, status="failed")
    run_dir(folder / "running", "experiment=s2_best", seed=11, status="running")
    return folder


def test_the_command_says_which_claims_hold(sweep, tmp_path):
    done = here("fmnist.claims", str(sweep), "--csv", "claims.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "20 runs finished, 1 failed, 1 killed"
    assert max(map(len, lines)) <= 120
    (line,) = [line for line in lines if line.startswith("s2_best_worst ")]
    assert "+12.00 [11." in line
    assert "10 of 10, 20" in line
    assert line.endswith("holds, by more than 0.2 points")
    words = " ".join(done.stdout.split())
    assert "published +13.39; 1 failed run: counts as chance accuracy; P(A > B)" in words
    assert "worst 89.00 (seed 3)" in words
    assert "on these 10,000 test images and this split" in words
    measured = sum(line.startswith(tuple(f"{claim.name} " for claim in CLAIMS)) for line in lines)
    assert f"not measured: {len(CLAIMS) - measured} of {len(CLAIMS)} claims" in lines
    with (tmp_path / "claims.csv").open() as file:
        table = {line["claim"]: line for line in csv.DictReader(file)}
    assert len(table) == len(CLAIMS)
    assert table["s2_best_worst"]["verdict"] == "holds"
    assert float(table["s2_best_worst"]["mean"]) == pytest.approx(12.0)
    assert table["s2_worst_value"]["failed"] == "1"


def test_asking_less_changes_no_verdict(sweep, tmp_path, capsys):
    runs = find_runs([sweep]).runs
    everything = {o.claim.name: o for o in evaluate_claims(runs)}
    (alone,) = evaluate(CLAIMS, rows_of(runs), ["s2_best_worst"])
    assert alone == everything["s2_best_worst"]
    assert alone.statement.family == sum(claim.source == "S2" for claim in CLAIMS)
    assert main([str(sweep), "--only", "s2_best_worst"]) == 0
    assert "s2_best_value" not in capsys.readouterr().out
    # One's own claims count with those of their source, in either order.
    text = "where: {model: lenet5}\nat_least: {test/acc: 90}"
    mine = replace(lenet(tmp_path, text), source="S2")
    assert evaluate([mine], [])[0].claim is mine
    assert family_sizes([mine])["S2"] == family_sizes(CLAIMS)["S2"] + 1
    assert family_sizes([mine])["S1"] == family_sizes(CLAIMS)["S1"]
    exact_or_costs = {c.name for c in CLAIMS if c.source == "S1"} & {
        "s1_parameters", "s1_parameters_alternative", "s1_epoch_time", "s1_memory", "s1_inference",
        "s1_total_time",
    }  # fmt: skip
    members = [claim for claim in CLAIMS if claim.source == "S1"]
    assert family_sizes(CLAIMS)["S1"] == len(members) - len(exact_or_costs) == len(members) - 6


@pytest.fixture(scope="module")
def committed():
    """What the rows in results/ say of the claims, by name."""
    return {outcome.claim.name: outcome for outcome in committed_outcomes()}


def test_the_committed_results_give_one_verdict_wherever_they_are_read(
    committed, capsys, monkeypatch
):
    """Without arguments, as tables of a study and its readings, and in the page of results."""
    assert RESULTS_DIR == CHECKOUT / "results"
    asked = []
    monkeypatch.setattr(
        importlib.import_module("fmnist.claims"),
        "evaluate",
        lambda claims, rows, only: asked.append((claims, rows)) or committed_outcomes(),
    )
    assert main([]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert asked == [(CLAIMS, committed_rows())]
    assert f"{len(committed_rows())} runs finished" in shown.out
    page = (CHECKOUT / "results/README.md").read_text()
    for study, *readings in (("s2_best_worst", "s2_readings"), ("s1_models",)):
        names = [claim.name for claim in CLAIMS if claim.sweep == f"ablation={study}"]
        tables = [read_rows(CHECKOUT / f"results/{name}.csv") for name in (study, *readings)]
        for outcome in evaluate(CLAIMS, tables[0], names):
            # A value under readings needs their table.
            if not (outcome.claim.about and outcome.readings[1:]):
                alone, whole = outcome.judgement, committed[outcome.claim.name].judgement
                assert alone == replace(whole, seeds=alone.seeds)  # others are of no look yet
        some = evaluate(CLAIMS, [row for table in tables for row in table], names)
        measured = [outcome for outcome in some if outcome.statement]
        assert len(measured) > 4
        for outcome in measured:
            assert outcome.judgement == committed[outcome.claim.name].judgement
            if not outcome.claim.costs:
                (line,) = [x for x in page.splitlines() if f"(`{outcome.claim.name}`," in x]
                assert f"**{verdict_words(outcome)}**" in line


def test_a_failed_run_counts_as_chance_or_forbids_a_verdict(tmp_path):
    def rows(status):
        made = [row("model=lenet5", f"aug={aug}", seed=s, test_acc=90 + s / 9 + (aug == "on"))
                for aug in ("on", "off") for s in range(4)]  # fmt: skip
        lost = made[0]
        metrics = lost.metrics if status == "finished" else {}
        return [replace(lost, facts=lost.facts | {"status": status}, metrics=metrics), *made[1:]]

    claims = [lenet(tmp_path / "a", AUG), lenet(tmp_path / "b", AUG + "\nmetric: test/acc_last"),
              lenet(tmp_path / "c", 'where: {aug: "on"}\nat_least: {test/acc: 80}')]  # fmt: skip
    first, _, goal = evaluate(claims, rows("finished"))
    assert (first.judgement.verdict, goal.judgement.verdict) == ("holds", "holds")
    first, _, goal = evaluate(claims, rows("failed"))
    assert first.part.sides[0][0] == 10.0
    assert first.judgement.verdict == "undecided"
    assert "1 failed run: counts as chance accuracy" in remarks(first)
    assert "worst 10.00 (seed 0) against 90.00 (seed 0)" in remarks(first)
    assert verdict_words(goal) == "not judged: 1 of its runs failed"


def test_a_run_that_failed_before_its_formats_were_known_counts_as_well(tmp_path):
    """Its side has no other run of that seed, and none of them has its formats."""
    ran, formats = {"device": "cpu (A)"}, {"trainer.precision": "bf16-mixed"}
    whole = [
        replace(one, facts=one.facts | ran, settings=one.settings | formats)
        for one in rows_of_two([1.0, 1.1, 0.9, 1.0])
    ]
    rows = list(whole)
    unknown = {"trainer.precision": "auto"}
    rows[4] = replace(rows[4], facts=rows[4].facts | {"status": "failed", "device": ""},
                      settings=rows[4].settings | unknown, metrics={})  # fmt: skip
    (outcome,) = evaluate([lenet(tmp_path, AUG)], rows)
    assert outcome.part.seeds == (0, 1, 2, 3)
    assert outcome.part.sides[0][2] == 10.0
    assert outcome.judgement.verdict == "undecided"
    # Where formats are set it has its own, and is no run of the cell with others.
    both = [
        replace(one, settings=one.settings | {"trainer.precision": text, "formats": "set"})
        for text, some in (("32-true", rows), ("bf16-mixed", whole))
        for one in some
    ]
    (outcome,) = evaluate([lenet(tmp_path, AUG)], both)
    assert outcome.part.sides[0][2] == pytest.approx((10.0 + 90.9) / 2)


def test_seconds_are_compared_on_one_machine_and_accuracies_on_any(tmp_path):
    """The same rows, one side of seed 0 from a faster machine."""
    rows = [
        replace(one, facts=one.facts | {"device": "cpu (A)", "threads": "1"},
                metrics=one.metrics | {"train_seconds": 9.0 + one.seed})
        for one in rows_of_two([1.0, 1.1, 0.9, 1.0])
    ]  # fmt: skip
    rows[0] = replace(rows[0], facts=rows[0].facts | {"device": "cuda (B)"})
    timed = lenet(tmp_path / "b", AUG + "\nmetric: train_seconds\nmargin: 1")
    accurate, seconds = evaluate([lenet(tmp_path / "a", AUG), timed], rows)
    assert accurate.part.seeds == (0, 1, 2, 3)
    assert seconds.part.seeds == (1, 2, 3)
    assert "1 seed left out: timed on different machines" in remarks(seconds)


def test_pairs_of_one_training_that_two_machines_made_are_told(tmp_path):
    rows = [
        replace(one, facts=one.facts | {"device": "cpu (A)", "torch": "2"})
        for one in rows_of_two([0.1, 0.2, 0.1, 0.2], "data.select_on", ("test", "val"))
    ]
    text = "where: {model: lenet5}\nhigher: {data.select_on: test}\nlower: {data.select_on: val}"
    claim = lenet(tmp_path, text)
    (alike,) = evaluate([claim], rows)
    rows[0] = replace(rows[0], facts=rows[0].facts | {"device": "cpu (B)"})
    (other,) = evaluate([claim], rows)
    assert (alike.part.paired, alike.mixed, other.mixed) == (True, 0, 1)
    assert other.judgement == alike.judgement
    assert "of 1 seed the sides ran on different machines" in remarks(other)


def test_seeds_are_named_where_some_between_are_not_there(tmp_path):
    gains = dict(enumerate([1.0, 1.1, 0.9, 1.0, 1.2]))
    rows = [one for one in rows_of_two(gains.values()) if one.seed != 2]
    (outcome,) = evaluate([lenet(tmp_path, AUG)], rows)
    assert "judged with the seeds 0, 1, 3, 4" in remarks(outcome)


def test_chance_is_that_of_the_data_set():
    def chance(*overrides):
        return row(*overrides, seed=0, test_acc=90).chance

    assert chance() == 0.1
    assert chance("data=cifar100") == 0.01
    assert chance("data=synthetic", "data.classes=4") == 0.25
    assert chance("data=npz", "data.root=mine.npz") is None


def test_looks_are_those_of_the_sweeps_file_or_the_claims_own(tmp_path):
    looks = {claim.name: looks_of(claim) for claim in CLAIMS}
    assert looks["s2_best_worst"] == (10, 20)
    assert looks["s1_main_value"] == looks["s1_leak_lenet5"] == (5, 10, 20)
    assert looks["s4_goals"] == looks["s2_activation_overall"] == (3, 5)
    assert looks["recipe_shift_long"] == (7, 10, 20)
    undeclared = {name for name, found in looks.items() if not found}
    assert undeclared == {"s1_parameters"}
    assert looks_of(lenet(tmp_path, AUG)) == ()
    for text in ("looks: [5, 3]", "looks: [2, 5]", "looks: 5"):
        with pytest.raises(ClaimError, match="should be rising numbers of seeds, 3 or more"):
            lenet(tmp_path, f"{AUG}\n{text}")


def test_a_sweep_is_its_ablations_however_its_words_stand(tmp_path):
    text = f"claim: A.\nsource: me\nsweep: experiment=s2_base ablation=leak\n{AUG}\n"
    (tmp_path / "mine.yaml").write_text(text)
    (claim,) = load_claims(tmp_path)
    assert (claim.sweep, claim.study) == ("ablation=leak experiment=s2_base", "leak")
    assert looks_of(claim) == (5, 10, 20)
    (tmp_path / "more.yml").write_text(text)
    with pytest.raises(ClaimError, match=r"more\.yml: is not read: call it more\.yaml"):
        load_claims(tmp_path)


def test_a_side_may_ask_what_rows_leave_out_and_what_its_study_adds(tmp_path):
    """Lightning's own defaults, and a setting that no file has."""
    key = "trainer.accumulate_grad_batches"
    text = "where: {experiment: s2_base, trainer.benchmark: true}\n"
    claim = lenet(tmp_path, f"{text}higher: {{{key}: 1}}\nlower: {{{key}: 2}}")
    base = ("experiment=s2_base", "+trainer.benchmark=true")
    rows = [row(*base, *more, seed=seed, test_acc=accuracy + seed / 10) for seed in range(3)
            for more, accuracy in (((), 91), ((f"{key}=2",), 90))]  # fmt: skip
    assert key not in rows[0].settings
    (outcome,) = evaluate([claim], rows)
    assert outcome.judgement.verdict == "holds"


def test_a_run_knows_its_looks_and_does_not_depend_on_them():
    config, _, _ = configuration("ablation=s2_best_worst")
    assert config["looks"] == [10, 20]
    assert config_hash(config) == config_hash(config | {"looks": None})


@pytest.mark.parametrize(
    ("mean", "ends", "metric", "text"),
    [
        (0.003962, (0.002412, 0.005423), "val/loss_setback", "+0.0040 [0.0024, 0.0054]"),
        (141.2, (15.68, 266.7), "seconds", "+141 [16, 267]"),
        (1412.3, (1286.7, 1538.1), "seconds", "+1,412 [1,287, 1,538]"),
        (-0.00001, (-1.2, 1.2), "val/loss", "0.0 [-1.2, 1.2]"),
        (3.0, (3.0, 3.0), "epochs", "+3 [3, 3]"),
        (0.5, (-0.1234, 1.1234), "test/acc", "+0.50 [-0.12, 1.12]"),
    ],
)
def test_a_number_has_the_digits_that_its_interval_tells(mean, ends, metric, text):
    assert measured(mean, ends, metric, sign=True) == text
    assert measured(mean, ends, metric, sign=False) == text.removeprefix("+")


def test_seeds_beyond_the_last_look_are_shown_and_do_not_count(tmp_path):
    claim = lenet(tmp_path, AUG + "\nlooks: [3, 10]")
    gains = [1.0, 1.1, 0.9, 5.0, 5.1]
    (outcome,) = evaluate([claim], rows_of_two(gains))
    assert outcome.part.summary(3).mean == pytest.approx(1.0)
    assert effect(outcome).startswith("+1.00 [")
    assert looks_in_words(outcome) == "3 of 3, 10"
    assert "2 more seeds do not count yet: 2.62 with all" in remarks(outcome)
    (fewer,) = evaluate([claim], rows_of_two(gains[:2]))
    assert verdict_words(fewer) == "undecided: 2 seeds, judged at 3"


def test_sides_of_one_training_are_paired(committed):
    parts = {name: outcome.part for name, outcome in committed.items() if outcome.part}
    paired = {name for name, part in parts.items() if part.paired and len(part.sides) > 1}
    assert paired == {
        "formats_lenet5", "precision_bf16", "precision_bf16_onecycle", "recipe_ema", "recipe_tta",
        "s1_leak", "s1_leak_lenet5", "s1_classes_best", "s1_classes_worst",
        "s3_baseline_worst_class", "s3_better_worst_class",
    }  # fmt: skip


def test_a_users_own_claim_is_one_file(sweep, tmp_path, capsys):
    claim_file(tmp_path, "higher: {model.activation: relu}\nlower: {model.activation: tanh}")
    assert main([str(sweep), "--claims", str(tmp_path)]) == 0
    assert "holds" in capsys.readouterr().out
    claim_file(tmp_path, "higher: {model.activaton: relu}\nlower: {model.activaton: tanh}")
    assert main([str(sweep), "--claims", str(tmp_path)]) == 0
    assert "no run has a setting model.activaton; did you mean model.act" in capsys.readouterr().out


def test_of_claims_of_studies_that_did_not_run_no_setting_is_called_unknown(sweep, capsys):
    assert main([str(sweep), "--only", "recipe_alternation"]) == 0
    said = capsys.readouterr().out
    assert "not measured: recipe_alternation" in said
    assert "aug.alternate" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "error: nowhere: no such directory"),
        (["nowhere.csv"], "error: nowhere.csv: cannot be read"),
        (["--rows", "nowhere.csv"], "nowhere.csv: cannot be read: No such file or directory"),
        (["SWEEP", "--claims", "nowhere"], "error: nowhere: no such folder of claims"),
        (["SWEEP", "--only", "s2_bestworst"], "no such claim; did you mean s2_best_worst?"),
        (["SWEEP", "--csv", "no/where.csv"], "error: no/where.csv: cannot be written"),
        (["SWEEP", "--claims", "CLAIMS"], "experiment=s2_bset: no such option; did you mean s2_b"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    sweep, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    claim_file(tmp_path / "mine", "where: {experiment: s2_bset}\nabout: {test/acc: 90}")
    replaced = {"SWEEP": str(sweep), "CLAIMS": "mine"}
    assert main([replaced.get(text, text) for text in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_runs_that_do_not_count_are_explained(tmp_path, capsys):
    for seed in (0, 1):
        for name in ("s2_best", "s2_worst"):
            overrides = (f"experiment={name}", "trainer.max_epochs=2", "data.val_size=1000")
            choices = {"ablation": "s2_best_worst", "model": "lenet5"}
            run_dir(tmp_path / f"{name}{seed}", *overrides, seed=seed, choices=choices)
    assert main([str(tmp_path), "--only", "s2_best_worst", "--only", "s1_dropout"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert max(map(len, lines)) <= 100
    assert " ".join(" ".join(lines).split()) == (
        "not measured: s1_dropout, s2_best_worst "
        "s2_best_worst: the runs of its sweep have data.val_size=1000, not 5000; "
        "trainer.max_epochs=2, not 10: run ablation=s2_best_worst without changes"
    )


def test_sides_that_are_never_alike_are_explained(tmp_path):
    claim = lenet(tmp_path, AUG)

    def note(*rows):
        (outcome,) = evaluate([claim], rows)
        assert outcome.judgement.verdict == "not measured"
        return outcome.note

    on = row("model=lenet5", "aug=on", "optim.lr=0.01", test_acc=90)
    assert note(on, row("model=lenet5", seed=1, test_acc=89)).startswith(
        "no runs of its sides are alike: optim.lr=0.01 and 0.001; seed=0 and 1; run model=lenet5"
    )
    assert note(on) == ""  # of a sweep's part nothing needs saying


def test_a_value_that_no_run_of_the_sweep_can_have_is_named(tmp_path):
    text = "where: {model: lenet5}\nhigher: {model.pooling: mx}\nlower: {model.pooling: avg}"
    asked = replace(lenet(tmp_path, text), sweep="ablation=s2_pooling")
    avg = row("experiment=s2_base", "model.pooling=avg", test_acc=90)
    avg.facts["study"] = "s2_pooling"
    wrong = replace(asked, where={"model": ("lenet",)})
    right = replace(asked, higher=({"model.pooling": ("max",)},))  # which has not run yet
    said = [evaluate([claim], [avg])[0].note for claim in (asked, wrong, right)]
    avg.metrics["test/f1/Shirt"] = 0.8
    (outcome,) = evaluate([replace(right, metric="test/f1/Shirts")], [avg])
    assert outcome.note == "no run has a class Shirts; did you mean Shirt?"
    assert said[:2] == [
        "no run of its sweep has model.pooling=mx; did you mean max?",
        "no run of its sweep has model=lenet; did you mean lenet5?",
    ]
    assert not said[2]


def test_a_damaged_run_is_left_out(sweep, tmp_path, capsys):
    copy = shutil.copytree(sweep, tmp_path / "copy")
    (copy / "b1/result.json").write_text("{")
    assert main([str(copy), "--only", "s2_best_worst"]) == 0
    output = capsys.readouterr()
    assert "left out" in output.err
    assert output.out.startswith("19 runs finished")


def test_no_text_of_a_claim_is_a_formula_in_the_csv():
    claim = replace(CLAIMS[0], claim="=HYPERLINK(1)")
    (line,) = csv.DictReader(io.StringIO(to_csv(evaluate([claim], []))))
    assert line["words"] == "'=HYPERLINK(1)"


def test_csv_of_an_undecided_claim_is_a_table():
    outcomes = evaluate(CLAIMS, [])
    text = to_csv(outcomes)
    assert {line["verdict"] for line in csv.DictReader(io.StringIO(text))} == {"not measured"}
    said = claims_table(outcomes, CLAIMS, "")  # whose runs are of other studies is told where to go
    assert said.endswith("settings of your own are compared by fmnist compare DIR.")


def test_an_interval_ends_where_what_it_speaks_of_ends(tmp_path):
    claim = lenet(tmp_path, AUG + "\nlooks: [3]")
    (outcome,) = evaluate([claim], rows_of_two([-90.0, 5.0, 90.0]))
    low, high = outcome.judgement.interval
    assert (low < -100, high > 100) == (True, True)
    assert effect(outcome) == "+1.67 [-100.00, 100.00] points"


def test_what_rounds_to_nothing_has_no_sign():
    assert [number(value, "test/acc") for value in (-0.004, 0.004, -0.006)] == [
        "0.00", "0.00", "-0.01",
    ]  # fmt: skip
