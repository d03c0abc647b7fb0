"""Rate of convergence: curves whose answers can be told by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fmnist.evidence.claim_file import CLAIMABLE
from fmnist.reporting.charts import MUTED
from fmnist.reporting.convergence import convergence_curves, convergence_of, usual_target
from fmnist.reporting.run_figures import epoch_places
from fmnist.reporting.table import Entry, SweepSetting
from fmnist.runs.convergence import (
    Convergence,
    convergence,
    convergence_metrics,
    curve_area,
    epochs_to,
)
from fmnist.runs.job import Job
from fmnist.runs.run import Run, load_run
from fmnist.train import train
from tests.conftest import TINY, composed
from tests.records import CONFIG, a_record, an_epoch


def rows(*accuracies):
    """Epochs of 1, 2, 3, ... seconds."""
    return [an_epoch(i - 1, acc, seconds=float(i)) for i, acc in enumerate(accuracies, 1)]


@pytest.mark.parametrize(
    ("target", "epochs"), [(0.5, 1), (0.500001, 2), (0.7, 2), (0.8, 4), (0.81, None)]
)
def test_the_first_epoch_that_reaches_the_target_counts_even_if_later_ones_fall_back(
    target, epochs
):
    assert epochs_to(rows(0.5, 0.7, 0.6, 0.8), target) == epochs


def test_seconds_are_those_of_all_epochs_until_then():
    found = convergence(rows(0.5, 0.7, 0.6), 0.6)
    assert found == Convergence(True, 2, 1.0 + 2.0, pytest.approx(0.6))
    assert convergence(rows(0.5), 0.1).seconds == 1.0


def test_of_several_validations_in_an_epoch_the_last_stands_for_it_and_of_none_the_one_before():
    """`val_check_interval` and `check_val_every_n_epoch`: a row is no epoch."""
    several = [an_epoch(i // 2, acc, seconds=1.0) for i, acc in enumerate((0.3, 0.5, 0.7, 0.6))]
    assert convergence(several, 0.7) == Convergence(True, 2, 3.0, pytest.approx(0.55))
    assert convergence(several, 0.9, horizon=4).epochs == 5
    assert convergence(several, 0.9, horizon=4).seconds == 5 * 2.0
    seldom = [an_epoch(1, 0.4, seconds=2.0), an_epoch(3, 0.8, seconds=2.0)]
    assert epochs_to(seldom, 0.8) == 4
    assert curve_area(seldom) == pytest.approx((0.4 + 0.4 + 0.4 + 0.8) / 4)
    assert epoch_places(several) == [0.5, 1.0, 1.5, 2.0]
    record = a_record(epochs=several, best_epoch=2)
    assert (record.trained, record.epoch_seconds, record.numbers()["best_epoch"]) == (2, 2.0, 1)


def test_a_run_that_never_comes_so_far_counts_with_one_epoch_more_than_it_was_allowed():
    mean_seconds = (1 + 2) / 2
    assert convergence(rows(0.5, 0.7), 0.9) == Convergence(
        False, 3, 3 * mean_seconds, pytest.approx(0.6)
    )
    stopped_early = convergence(rows(0.5, 0.7), 0.9, horizon=10)
    assert (stopped_early.epochs, stopped_early.seconds) == (11, 11 * mean_seconds)
    # So it is behind one that came so far in the last epoch, whichever stopped earlier.
    last = convergence(rows(*[0.5] * 9, 0.9), 0.9, horizon=10)
    assert last.reached
    assert last.epochs < stopped_early.epochs


def test_metrics_of_a_curve():
    found = convergence_metrics(rows(0.7, 0.86, 0.84), horizon=4)
    assert found == {
        "val/acc_first": 0.7, "val/acc_area": pytest.approx((0.7 + 0.86 + 0.84 + 0.86) / 4),
        "epochs_to/0.80": 2, "seconds_to/0.80": 3.0, "epochs_to/0.85": 2, "seconds_to/0.85": 3.0,
        "epochs_to/0.90": 5, "seconds_to/0.90": 10.0,
    }  # fmt: skip
    assert set(found) <= set(CLAIMABLE)  # of claims


def setting(*curves, allowed=3):
    """A setting of a sweep with one run a curve."""
    made = {}
    for seed, curve in enumerate(curves):
        config = CONFIG | {"trainer": {"max_epochs": allowed}}
        record = a_record(seed=seed, config=config, epochs=rows(*curve))
        made[seed] = Entry("", "finished", run=Run(Path(), record))
    return SweepSetting({}, made)


def test_a_setting_is_summarised_over_seeds():
    found = convergence_of(setting((0.5, 0.7, 0.8), (0.7, 0.6, 0.8)), 0.7)
    assert (found.runs, found.reached, found.allowed, found.censored) == (2, 2, 3, False)
    assert (found.epochs.mean, found.seconds.mean) == (1.5, 2.0)
    half = stats.t.ppf(0.975, 1) * np.std([1, 3], ddof=1) / 2**0.5
    assert found.seconds.high - found.seconds.mean == pytest.approx(half)
    assert found.area.mean == pytest.approx(100 * (2.0 + 2.1) / 6)


def test_equal_numbers_of_epochs_are_not_taken_for_certainty():
    found = convergence_of(setting(*[(0.5, 0.7, 0.8)] * 3), 0.7)
    assert found.epochs.high - found.epochs.mean > 0.5  # they are rounded up to whole ones


def test_runs_that_never_come_so_far_make_a_mean_a_lower_bound():
    found = convergence_of(setting((0.5, 0.9, 0.9), (0.5, 0.6, 0.6)), 0.9)
    assert (found.reached, found.censored) == (1, True)
    assert found.epochs.mean == (2 + 4) / 2
    assert math.isnan(found.epochs.low)
    assert math.isnan(found.seconds.high)


@pytest.mark.parametrize(
    ("best", "target"),
    [((0.869, 0.853), 0.84), ((0.8999, 0.87, 0.88), 0.87), ((0.9,), 0.89), ((0.004,), 0.0)],
)
def test_the_usual_target_is_a_point_below_the_median_runs_best(best, target):
    runs = setting(*((0.0, value, 0.0) for value in best)).rows.values()
    assert usual_target(runs) == target


def test_of_many_settings_the_first_and_the_last_have_colour():
    found = [convergence_of(setting((0.1 * i, 0.1 * i + 0.05)), 0.5) for i in range(9)]
    axes = convergence_curves(found, 0.5).figure.axes[0]
    lines = axes.lines[:9]
    assert [line.get_color() == MUTED for line in lines] == [False, *[True] * 7, False]
    assert lines[0].get_color() != lines[8].get_color()
    assert lines[0].get_ydata() == pytest.approx([80, 85])  # the highest
    assert list(axes.lines[9].get_ydata()) == [50, 50]


def test_area_is_the_mean_over_the_horizon():
    curve = rows(0.2, 0.4, 0.9)
    assert curve_area(curve) == curve_area(curve, 3) == pytest.approx(0.5)
    assert curve_area(curve, 2) == pytest.approx(0.3)
    assert curve_area(curve, 1) == pytest.approx(0.2)


def test_a_run_that_stopped_early_keeps_its_best_epoch():
    stopped = rows(0.4, 0.8, 0.7)  # then two epochs at 0.8
    assert curve_area(stopped, 5) == pytest.approx((0.4 + 0.8 + 0.7 + 0.8 + 0.8) / 5)
    # Epochs of a longer run that are never better than the best one cannot raise its area above.
    assert curve_area(stopped, 5) >= curve_area(rows(0.4, 0.8, 0.7, 0.75, 0.8), 5)


def test_slow_and_fast_runs_of_the_same_end_differ_in_area():
    assert curve_area(rows(0.8, 0.9, 0.9)) > curve_area(rows(0.1, 0.5, 0.9))


def test_it_reads_the_rows_of_a_real_record(tmp_path):
    train(composed(*TINY, "trainer.max_epochs=2"), Job(tmp_path / "run"))
    record = load_run(tmp_path / "run").record
    found = convergence(record.epochs, 0.0)
    assert found.epochs == 1
    assert found.seconds == record.epochs[0].seconds
    assert convergence(record.epochs, 0.0, 9).area == pytest.approx(
        (record.epochs[0].val_acc + record.epochs[1].val_acc
         + 7 * record.metrics["val/acc_best"]) / 9
    )  # fmt: skip
