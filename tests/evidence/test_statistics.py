"""Intervals, corrections and verdicts: against libraries, and on simulated seeds of known truth."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from fmnist.evidence.statistics import holm, summarize
from fmnist.evidence.verdict import Part, Statement, judge

MARGIN = 0.2
SIMULATIONS = 400
# Chance that a correct 5 % rule gives more false decisions than this: below 1 in 10,000.
ALLOWED = stats.binom.ppf(0.9999, SIMULATIONS, 0.05)

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
# Deviations of a seed's difference with mean 0, in points; 0.25 is what LeNet-5 shows.
DRAWS: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(0, 0.25, size),
    "heavy tails": lambda rng, size: 0.15 * rng.standard_t(3, size),
    "two modes": lambda rng, size: 0.2 * rng.choice([-1, 1], size) + rng.normal(0, 0.1, size),
    "skewed": lambda rng, size: 0.1 * (rng.gamma(4, 1, size) - 4),
    "a hundredth of a point": lambda rng, size: np.round(rng.normal(0, 0.02, size), 2),
}


def above(values, threshold=MARGIN):
    return Statement((Part("", summarize(list(values), 0.01), threshold),), 1)


def between(values, margin=MARGIN):
    part = Part("", summarize(list(values), 0.01), -margin)
    return Statement((part, Part("", part.summary, margin, above=False)), 1)


def verdicts(statements):
    """Each asked alone."""
    return [judge([statement])[0].verdict for statement in statements]


def test_interval_and_p_are_those_of_the_t_test():
    values = [0.31, 0.12, 0.55, 0.2, 0.41]
    summary = summarize(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (summary.mean - summary.half_width, summary.mean + summary.half_width) == pytest.approx(
        (low, high)
    )
    for threshold in (-0.1, 0.2, 0.6):
        greater = stats.ttest_1samp(values, threshold, alternative="greater").pvalue
        assert summary.p_above(threshold) == pytest.approx(greater)
        assert summary.p_below(threshold) == pytest.approx(1 - greater)


def test_holm_is_that_of_statsmodels():
    p = np.random.default_rng(0).uniform(0, 0.1, 12).tolist()
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist())
    assert holm([]) == []


def test_equal_accuracies_are_no_proof_and_one_seed_has_no_interval():
    assert summarize([91.0, 91.0], resolution=0.01).sd == pytest.approx(0.01 / math.sqrt(12))
    assert summarize([5.0, 5.0]).p_above(1.0) == 1.0
    assert math.isnan(summarize([91.0]).half_width)
    with pytest.raises(ValueError, match="no values"):
        summarize([])


def test_one_seed_decides_only_what_no_seed_changes():
    assert verdicts([above([50.0])]) == ["undecided"]
    exact = [Part("", summarize([1_701_578.0], exact=True), t) for t in (300_000, 2_000_000)]
    assert verdicts([Statement((part,), 1) for part in exact]) == ["holds", "does not hold"]
    differing = summarize([1.0, 2.0], exact=True)
    assert not differing.exact


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_false_decisions_stay_below_5_percent(seeds, name):
    """At the margin itself, where they are most likely; A > B, and A the same as B."""
    rng = np.random.default_rng(seeds)
    noise = DRAWS[name](rng, (SIMULATIONS, seeds))
    differing = verdicts(map(above, noise + MARGIN))
    assert differing.count("holds") <= ALLOWED
    assert differing.count("does not hold") <= ALLOWED
    same = verdicts(map(between, noise + MARGIN))
    assert same.count("holds") <= ALLOWED
    assert same.count("does not hold") <= ALLOWED


def test_the_simulation_would_catch_a_rule_that_forgets_how_few_seeds_there_are():
    noise = DRAWS["normal"](np.random.default_rng(0), (SIMULATIONS, 2))
    z = noise.mean(1) / noise.std(1, ddof=1) * math.sqrt(2)
    assert (z > 1.96).sum() > ALLOWED


def test_no_difference_is_hardly_ever_called_one():
    noise = DRAWS["normal"](np.random.default_rng(1), (SIMULATIONS, 5))
    assert verdicts(map(above, noise)).count("holds") <= 0.01 * SIMULATIONS


@pytest.mark.parametrize(("true", "verdict"), [(1.0, "holds"), (-0.3, "does not hold")])
def test_clear_differences_are_decided_by_five_seeds(true, verdict):
    noise = DRAWS["normal"](np.random.default_rng(2), (300, 5))
    assert verdicts(map(above, noise + true)).count(verdict) > 0.9 * 300


def test_enough_seeds_conclude_that_there_is_no_difference():
    noise = DRAWS["normal"](np.random.default_rng(3), (300, 25))
    assert verdicts(map(between, noise)).count("holds") > 0.9 * 300


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_asking_many_claims_together_makes_no_false_one_likely(seeds):
    """20 claims at their margins, and some true ones among them."""
    rng, families = np.random.default_rng(seeds), 80
    noise = rng.normal(0, 0.25, (families, 25, seeds)) + MARGIN
    noise[:, 20:] += 3
    wrong = sum(
        any(j.verdict != "undecided" for j in judge([above(values) for values in family])[:20])
        for family in noise
    )
    assert wrong <= stats.binom.ppf(0.9999, families, 0.05)


@pytest.mark.parametrize("seeds", [3, 5])
def test_best_of_many_is_rarely_false(seeds):
    """The first of four leads two clearly and the third by no more than the margin."""
    rng = np.random.default_rng(seeds)
    levels = np.array([1.0, 0.0, 1.0 - MARGIN, 0.2])
    runs = rng.normal(0, 0.2, (SIMULATIONS, seeds, 4)) + levels
    differences = runs[:, :, :1] - runs[:, :, 1:]
    statements = [
        Statement(tuple(above(values).parts[0] for values in simulation.T), 3)
        for simulation in differences
    ]
    found = verdicts(statements)
    assert found.count("holds") <= ALLOWED
    assert found.count("does not hold") <= ALLOWED


def test_the_projected_number_of_seeds_decides():
    values = [0.25, 0.55, 0.35, 0.15]
    judgement = judge([above(values)])[0]
    assert judgement.verdict == "undecided"
    summary, more = summarize(values), judgement.more_seeds

    def decided(extra):
        # The same mean and deviation, from more seeds.
        n = len(values) + extra
        spread = (
            np.resize([1.0, -1.0], n) if n % 2 == 0 else np.r_[np.resize([1.0, -1.0], n - 1), 0]
        )
        made = summary.mean + spread / spread.std(ddof=1) * summary.sd
        return judge([above(made)])[0].verdict != "undecided"

    assert decided(more)
    assert not decided(more - 1)


def test_a_mean_at_the_margin_is_decided_by_no_number_of_seeds():
    assert judge([above([MARGIN - 0.3, MARGIN + 0.3])])[0].more_seeds is None


def test_one_refuted_part_refutes_the_claim():
    parts = [above(values).parts[0] for values in ([5.0, 5.1, 4.9], [-5.0, -5.1, -4.9])]
    judgement = judge([Statement(tuple(parts), 2)])[0]
    assert judgement.verdict == "does not hold"
    assert Statement(tuple(parts), 2).weakest is parts[1]


def test_nothing_measured_does_not_count_among_the_claims_asked():
    statement = above([0.5, 0.62, 0.7, 0.55])
    alone, among = judge([statement])[0], judge([None, statement, None])
    assert among[0].verdict == "not measured"
    assert among[1].p_holm == alone.p_holm == alone.p
