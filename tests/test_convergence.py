"""Rate of convergence: curves whose answers can be told by hand."""

import pytest

from fmnist.analysis.convergence import Convergence, convergence, curve_area, epochs_to
from fmnist.launch import Launch
from fmnist.run import load_run
from fmnist.train import train
from tests.conftest import TINY, composed


def rows(*accuracies):
    """Epochs of 1, 2, 3, ... seconds."""
    return [{"val/acc": acc, "seconds": float(i)} for i, acc in enumerate(accuracies, 1)]


@pytest.mark.parametrize(
    ("target", "epochs"), [(0.5, 1), (0.500001, 2), (0.7, 2), (0.8, 4), (0.81, None)]
)
def test_the_first_epoch_that_reaches_the_target_counts_even_if_later_ones_fall_back(
    target, epochs
):
    assert epochs_to(rows(0.5, 0.7, 0.6, 0.8), target) == epochs


def test_seconds_are_those_of_all_epochs_until_then():
    assert convergence(rows(0.5, 0.7, 0.6), 0.6) == Convergence(2, 1.0 + 2.0, pytest.approx(0.6))
    assert convergence(rows(0.5), 0.1).seconds == 1.0


def test_a_target_that_is_never_reached_is_none_and_not_the_last_epoch():
    never = convergence(rows(0.5, 0.7), 0.9)
    assert (never.epochs, never.seconds) == (None, None)
    assert never.area == pytest.approx(0.6)


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


@pytest.mark.parametrize(("curve", "horizon"), [((), None), ((), 3), ((0.5,), 0), ((0.5,), -1)])
def test_an_empty_curve_and_an_impossible_horizon_are_refused(curve, horizon):
    with pytest.raises(ValueError, match="should be at least"):
        curve_area(rows(*curve), horizon)


def test_it_reads_the_rows_of_a_real_record(tmp_path):
    train(composed(*TINY, "trainer.max_epochs=2"), Launch(tmp_path / "run"))
    record = load_run(tmp_path / "run").record
    found = convergence(record["epochs"], 0.0)
    assert found.epochs == 1
    assert found.seconds == record["epochs"][0]["seconds"]
    assert convergence(record["epochs"], 0.0, 9).area == pytest.approx(
        (record["epochs"][0]["val/acc"] + record["epochs"][1]["val/acc"]
         + 7 * record["metrics"]["val/acc_best"]) / 9
    )  # fmt: skip
