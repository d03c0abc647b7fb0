"""`fmnist.plan`: what would run and how long, by the records at hand, without training."""

from dataclasses import replace
from pathlib import Path

import pytest

from fmnist.config.schema import config_hash
from fmnist.dataset import main as dataset
from fmnist.errors import ConfigError
from fmnist.evidence.matching import settings_of
from fmnist.evidence.outcome import family_sizes
from fmnist.evidence.power import detectable
from fmnist.plan import main
from fmnist.process.machine import processor_name
from fmnist.runs.manifest import Cell
from fmnist.runs.rows import Row
from fmnist.sweeps.cells import sweep_of
from fmnist.sweeps.estimate import alike, estimate, rows_at_hand, seconds_of, time_in_words
from fmnist.sweeps.forecast import power, power_of_two
from fmnist.sweeps.plan import plan
from tests.conftest import TINY, composed
from tests.evidence.test_claims import CLAIMS
from tests.evidence.test_claims import row as claim_row
from tests.records import a_record, put_record


def row(seconds: float, *overrides: str, device: str = "") -> Row:
    facts = {"status": "finished", "device": device or f"cpu ({processor_name()})"}
    return Row(facts, settings_of(overrides), {"seconds": seconds})


def settings_in(*overrides: str) -> list[dict[str, str]]:
    return [settings_of(tuple(cell.overrides)) for cell in sweep_of(overrides).cells]


def test_the_cells_are_those_that_the_command_would_run():
    sweep = sweep_of(["ablation=s2_pooling", "seed=0,1", *TINY])
    assert sweep.folder.parts[0] == "multirun"
    assert [cell.config_hash for cell in sweep.cells] == [
        config_hash(composed("experiment=s2_base", f"seed={seed}", f"model.pooling={pool}", *TINY))
        for seed in (0, 1)
        for pool in ("avg", "max")
    ]


def test_cells_lie_where_hydras_settings_have_them():
    asked = ["optim=sgd,adam", "hydra.sweep.dir=there", *TINY]
    assert sweep_of(asked).folder == Path("there")
    named = sweep_of([*asked, "hydra.sweep.subdir=by/${hydra.job.override_dirname}"]).cells
    assert [cell.dir.startswith("by/") and f"optim={name}" in cell.dir for cell, name in
            zip(named, ("sgd", "adam"), strict=True)] == [True, True]  # fmt: skip
    assert named[0].config_hash == sweep_of(asked).cells[0].config_hash


def test_a_folder_of_ones_own_is_found_and_has_to_be_there(tmp_path, capsys):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nseed: 5\n")
    (tmp_path / "experiment/.#mine.yaml").symlink_to("somebody@machine.42")  # an editor's lock
    asked = ["experiment=mine", "--config-dir", str(tmp_path), *TINY]
    assert main(asked) == 0
    assert "cells  1" in capsys.readouterr().out
    (tmp_path / "experiment/old.yaml").write_bytes("# für alle\n".encode("latin-1"))
    assert main(asked) == 2
    said = f"error: {tmp_path}/experiment/old.yaml: should be UTF-8 text: byte 3 is 0xfc\n"
    assert capsys.readouterr().err == said
    assert main(["experiment=old", *asked[1:]]) == 2
    assert capsys.readouterr().err.endswith("should be UTF-8 text: byte 3 is 0xfc\n")
    for command in (main, dataset):
        assert command(["--config-dir", "nosuch", *TINY]) == 2
        assert capsys.readouterr().err == "error: --config-dir nosuch: no such folder\n"


def test_a_cell_may_have_a_setting_that_a_plus_adds():
    for plus in ("+", "++"):
        (settings,) = settings_in(f"{plus}trainer.benchmark=true")
        assert settings["trainer.benchmark"] == "true"


def test_a_single_run_is_a_plan_of_one_cell():
    assert len(sweep_of(["model=lenet5", *TINY]).cells) == 1


def test_the_time_is_that_of_runs_with_the_same_settings_whatever_their_seed():
    cells = settings_in("optim=sgd,adam", "seed=0,1")
    rows = [row(10, "optim=sgd"), row(14, "optim=sgd"), row(30, "optim=adam"), row(99, "aug=on")]
    left = estimate(cells, rows)
    assert (left.seconds, left.unknown, left.here) == (2 * 12 + 2 * 30, 0, True)


def test_a_run_with_a_setting_that_the_cell_lacks_is_another_run():
    (cell,) = settings_in("optim=sgd")
    whole = row(10, "optim=sgd")

    def other(**changes: str) -> Row:
        return replace(whole, settings=whole.settings | changes)

    assert alike(cell, [whole, other(**{"trainer.limit_train_batches": "5"})]) == [whole]
    before = {key: value for key, value in cell.items() if key != "data.size"}  # was a setting
    assert alike(before, [whole, other(**{"data.size": "14"})]) == [whole]
    assert alike(cell, [replace(whole, settings=before)])


def test_runs_of_this_machine_come_first_and_others_are_said():
    cells = settings_in("optim=sgd")
    other = row(50, "optim=sgd", device="cuda (another)")
    assert estimate(cells, [other, row(10, "optim=sgd")]).seconds == 10
    left = estimate(cells, [other])
    assert (left.seconds, left.here) == (50, False)
    assert "other machines" in time_in_words(1, left)


def test_what_no_record_tells_is_said():
    cells = settings_in("optim=sgd,adam")
    left = estimate(cells, [row(10, "optim=sgd")])
    assert left.unknown == 1
    assert "of 1 cell nothing is known" in time_in_words(2, left)
    assert "unknown" in time_in_words(2, estimate(cells, []))
    assert seconds_of(settings_of(("optim=adam",)), []) is None


def test_runs_of_the_sweep_s_own_folder_are_at_hand_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_record(Path("multirun/one/a"), a_record())
    put_record(Path("elsewhere/a"), a_record())
    folders = [None, Path("multirun/one"), Path("elsewhere"), Path("new")]
    assert [len(rows_at_hand(sweep=folder)) for folder in folders] == [1, 1, 2, 1]


def test_nothing_is_trained_and_nothing_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["ablation=s2_pooling", "seed=0", *TINY]) == 0
    said = capsys.readouterr().out
    assert "cells  2, of which 0 done, 2 to run" in said
    assert "model.pooling=max" in said
    assert not list(tmp_path.iterdir())


def test_it_says_per_claim_what_difference_its_looks_can_show():
    rows = [
        claim_row("experiment=s2_base", f"model.pooling={pool}", seed=seed, test_acc=mean + seed)
        for pool, mean in (("avg", 88), ("max", 89))
        for seed in range(3)
    ]
    said = power(["ablation=s2_pooling", "seed=0,1"], 2, rows, CLAIMS)
    count = family_sizes(CLAIMS)["S2"]
    ten, twenty = (detectable([1.0, 1.0], n, 0.05 / count / 2) for n in (10, 20))
    assert said.splitlines() == [
        "shows  with 80 % power, by the deviations over seeds at hand; this has 2 seeds",
        f"{'s2_pooling':27}a difference of {ten:.2f} points at 10 seeds, {twenty:.2f} at 20",
    ]
    assert "unknown: no two seeds" in power(["ablation=s2_pooling"], 10, [], CLAIMS)
    assert power(["ablation=s2_pooling", "trainer.max_epochs=1"], 10, rows, CLAIMS) == ""
    assert power(["optim=sgd,adam"], 1, rows, CLAIMS) == ""


def test_it_says_what_two_settings_of_any_sweep_can_show():
    rows = [
        claim_row("aug=on", f"optim={name}", seed=seed, test_acc=mean + seed)
        for name, mean in (("sgd", 88), ("adam", 90))
        for seed in range(3)
    ]
    size = detectable([1.0, 1.0], 5, 0.025)
    own, other = (sweep_of([aug, "optim=sgd,adam", "seed=0,1"]) for aug in ("aug=on", "aug=off"))
    for sweep, whose in ((own, "these"), (other, "other")):
        said = power_of_two(sweep, 5, rows)
        assert f"a difference of {size:.2f} points of test accuracy between two" in said
        assert f"of runs with {whose} settings, 1.00; this has 5 seeds" in said
    assert "fewer than 3 seeds" in power_of_two(own, 2, rows)
    assert "no two seeds" in power_of_two(own, 3, rows[:1])
    assert power_of_two(sweep_of(["seed=0,1"]), 3, rows) == ""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["ablation=s2_poolin"], "ablation=s2_poolin: no such option; did you mean s2_pooling?"),
        (["optim.lr=0.1,-1"], "optim.lr=-1: should be greater than 0"),
        (["modell=lenet5"], "modell"),
        (["seed=7"], "results/gone.csv: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line(capsys, monkeypatch, tmp_path, overrides, message):
    if "seed=7" in overrides:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "results").mkdir()
        (tmp_path / "results/gone.csv").symlink_to("nowhere")
    assert main(overrides) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_cell_of_a_typed_target_is_composed_again_as_its_code_may_be_another():
    cells = ["seed=1"], ["model={_target_: a.B}"]
    known = [Cell("there", cell, "hash", "sources") for cell in cells]

    def compose(cell):
        raise ConfigError("composed")

    assert plan([known[0].overrides], compose, [], known, "sources") == known[:1]
    with pytest.raises(ConfigError, match="composed"):
        plan([known[1].overrides], compose, [], known, "sources")
