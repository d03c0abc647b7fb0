"""A trial of several seeds: given up by its epochs; and what its winner is worth on fresh ones."""

from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest

from fmnist.errors import CellFailed, ConfigError, Pruned, RunError
from fmnist.runs.job import Job
from fmnist.runs.rows import rows_of
from fmnist.runs.run import load_run
from fmnist.sweeps.confirm import compare_all, comparison_in_words
from fmnist.sweeps.process import start_cell
from fmnist.sweeps.pruning import epoch_values, is_pruned, look
from fmnist.train import train
from hydra_plugins.fmnist_search import SearchSweeper
from hydra_plugins.fmnist_search.space import brief, search_space, with_seeds
from hydra_plugins.fmnist_search.study import tell_best
from tests.conftest import TINY, composed
from tests.records import A_SEARCH, CONFIG, a_record, an_epoch, put_record

ACCURACY = "test/acc"


def begun(folder, *accuracies, status="running"):
    epochs = [an_epoch(number, value) for number, value in enumerate(accuracies)]
    return put_record(folder, a_record(status, epochs))


def test_a_trial_is_worth_the_mean_of_the_seeds_that_have_begun(tmp_path):
    cells = [tmp_path / name for name in "abc"]
    assert epoch_values(cells) == []
    begun(cells[0], 0.5, 0.6, 0.7)
    assert epoch_values(cells) == [0.5, 0.6, 0.7]
    begun(cells[1], 0.7, 0.8)
    assert epoch_values(cells) == [0.6, 0.7]
    begun(cells[1], 0.7, status="failed")  # it has ended, and counts on
    assert epoch_values(cells) == pytest.approx([0.6, 0.65, 0.7])


def test_a_trial_below_the_median_of_others_is_given_up(tmp_path):
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=1)
    )
    good = study.ask()
    begun(tmp_path / "good", 0.8, 0.9)
    assert look(good, [tmp_path / "good"], 0) == 2
    study.tell(good, 0.9)
    bad, cells = study.ask(), [begun(tmp_path / "bad", 0.5), tmp_path / "not begun"]
    assert look(bad, cells, 0) == 1
    assert not is_pruned([tmp_path / "good"])
    assert is_pruned(cells)
    with pytest.raises(CellFailed, match="given up by the search"):
        start_cell(train, {"logger": {}} | CONFIG, Job(cells[1]))


def test_a_run_that_is_given_up_ends_after_its_epoch(tmp_path):
    (tmp_path / ".pruned").touch()
    with pytest.raises(Pruned):
        train(composed(*TINY, "trainer.max_epochs=3"), Job(tmp_path))
    record = load_run(tmp_path).record
    assert (record.status, len(record.epochs)) == ("failed", 1)
    assert record.error == "given up by the search after 1 epoch"
    assert rows_of([load_run(tmp_path)]) == []  # it has not failed: nothing counts it as chance


def test_seeds_are_counted_from_the_searchs_own():
    assert with_seeds(["a=1"], 0, 1) == [["a=1"]]
    assert with_seeds(["a=1"], 0, 2) == [["a=1", "seed=0"], ["a=1", "seed=1"]]
    assert with_seeds(["seed=7", "a=1"], 2, 1) == [["a=1", "seed=9"]]


def test_a_winner_that_is_the_default_is_said_before_anything_is_trained(monkeypatch, caplog):
    caplog.set_level("INFO")
    sweeper = SearchSweeper(**A_SEARCH | {"confirm": 3})

    def plan(cells):
        """Cells of equal settings are one: here, of equal seeds."""
        kept = {cell[-1]: cell for cell in reversed(cells)}
        return [SimpleNamespace(dir=name, overrides=cell) for name, cell in kept.items()]

    monkeypatch.setattr(sweeper, "plan", plan)
    monkeypatch.setattr(sweeper, "_launch", None)
    sweeper._confirm({"the winner": ["a=1"], "the default": []})
    assert caplog.messages == ["\nno verdict: the default has the settings of the winner"]


def test_a_trial_is_called_by_short_words():
    cell = [
        "optim.lr=0.0015440217262524959",
        "scheduler=step",
        "seed=1234567890",
        "model.dropout=0.5",
    ]
    assert brief(cell) == "lr=0.001544 scheduler=step seed=1234567890 dropout=0.5"


def side(folder, rate, accuracies):
    runs = []
    for seed, value in enumerate(accuracies):
        config = composed(*TINY, f"optim.lr={rate}", f"seed={seed}")
        record = a_record(config=config, seed=seed, config_hash=f"{rate}{seed}")
        record = replace(record, metrics=record.metrics | {ACCURACY: value})
        runs.append(load_run(put_record(folder / f"{rate}-{seed}", record)))
    return runs


def test_the_verdict_is_that_of_the_engine_in_words(tmp_path):
    winner = side(tmp_path, 0.1, [0.90, 0.91, 0.905])
    (found,) = compare_all({"winner": winner, "default": side(tmp_path, 0.2, [0.80, 0.81, 0.802])})
    assert comparison_in_words(found).startswith("winner is better than default by 10.10 [")
    (open_,) = compare_all({"winner": winner, "default": side(tmp_path, 0.3, [0.90, 0.92, 0.89])})
    assert "winner is not shown to differ from default: +0.17 [-" in comparison_in_words(open_)
    with pytest.raises(RunError):
        compare_all({"winner": winner, "default": []})


def test_a_fresh_seed_that_failed_counts_against_its_side(tmp_path):
    winner = side(tmp_path, 0.1, [0.90, 0.91, 0.905])
    winner[0].record = replace(winner[0].record, status="failed", error="Diverged", metrics={})
    (found,) = compare_all({"winner": winner, "default": side(tmp_path, 0.2, [0.80, 0.81, 0.802])})
    assert found.difference.mean == pytest.approx((10 + 91 + 90.5 - 80 - 81 - 80.2) / 3)
    assert "seeds (1 failed run: counts as chance accuracy)" in comparison_in_words(found)


def test_the_winner_of_a_search_is_told_in_eighty_columns(caplog):
    study = optuna.create_study(direction="maximize")
    settings = {f"model.a_long_name_{number}": 0.1234567890123456 for number in range(4)}
    space = {key: optuna.distributions.FloatDistribution(0, 1) for key in settings}
    study.add_trial(optuna.trial.create_trial(params=settings, distributions=space, value=0.5))
    with caplog.at_level("INFO"):
        assert tell_best(study) == 0
    ours = [record for record in caplog.records if record.name.startswith("hydra_plugins")]
    lines = "\n".join(record.getMessage() for record in ours).splitlines()
    assert max(map(len, lines)) < 80
    assert " ".join(lines).endswith(" ".join(f"{k}={v}" for k, v in settings.items()))


def searcher(**settings):
    return SearchSweeper(**A_SEARCH | settings)


def test_a_search_for_each_value_of_a_setting():
    space, fixed = search_space(["model=lenet5,logistic", "optim.lr=interval(0.1,1)", "seed=3"])
    found = searcher(each="model")._searches(space, fixed)
    assert {name: (list(rest), own) for name, (rest, own) in found.items()} == {
        f"model={net}": (["optim.lr"], [f"model={net}", "seed=3"]) for net in ("lenet5", "logistic")
    }
    assert list(searcher()._searches(space, fixed)) == [""]
    added = searcher(each="optim.eps")._searches({**space, "+optim.eps": space["model"]}, [])
    assert added["optim.eps=lenet5"] == (space, ["+optim.eps=lenet5"])
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.each=optim: should be a setting"):
        searcher(each="optim")._searches(space, fixed)
    with pytest.raises(ConfigError, match="seed: is searched"):
        searcher(seeds=3)._searches(search_space(["seed=1,2"])[0], [])


def test_the_value_of_a_trial_is_the_mean_over_its_seeds(monkeypatch):
    study, sweeper = optuna.create_study(direction="maximize"), searcher(seeds=2)
    jobs = [SimpleNamespace(return_value=value) for value in (0.5, 0.7)]
    asked = []

    def launch(wanted, number, planned):
        asked.extend(wanted)
        return jobs

    monkeypatch.setattr(sweeper, "plan", lambda cells: [])
    monkeypatch.setattr(sweeper, "_launch", launch)
    space, fixed = search_space(["a=1,2", "b=3"])
    assert not sweeper._batch(study, space, fixed, 0)
    assert study.best_value == pytest.approx(0.6)
    assert [cell[-1] for cell in asked] == ["seed=0", "seed=1"]
