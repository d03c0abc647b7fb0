"""How often a run of A beats one of B: its interval covers, and the odds of what is open."""

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu, norm, t

from fmnist.evidence.statistics import summarize, welch
from fmnist.evidence.superiority import beats, odds


def test_the_chance_is_the_mann_whitney_effect_with_ties_as_halves():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 12), rng.integers(0, 5, 9)
    found = beats(a, b)
    assert found.p == pytest.approx(mannwhitneyu(a, b).statistic / (12 * 9))
    other = beats(b, a)
    assert (other.low, other.high) == pytest.approx((1 - found.high, 1 - found.low))


def test_the_interval_satisfies_newcombes_equation_and_is_no_point_at_the_end():
    a, b = [3.0, 4.0, 6.0, 8.0], [1.0, 2.0, 5.0, 7.0, 3.5]
    found, m, n = beats(a, b), 4, 5
    for end in (found.low, found.high):
        extra = (m + n) / 2 - 1
        spread = 1 + extra * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs(found.p - end) == pytest.approx(1.96 * (end * (1 - end) * spread / m / n) ** 0.5,
                                                   rel=1e-4)  # fmt: skip
    apart = beats([2.0] * 5, [1.0] * 5)
    assert (apart.p, apart.high) == (1, 1)
    assert 0.6 < apart.low < 0.7


def test_pairs_of_one_training_are_compared_with_each_other_alone():
    found = beats([2, 3, 4, 5], [1, 2, 3, 9], paired=True)
    wilson = binomtest(3, 4).proportion_ci(method="wilson")
    assert (found.p, found.low, found.high) == pytest.approx((0.75, wilson.low, wilson.high))


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("apart", [0.0, 1.0, 2.5])
def test_the_interval_covers_as_often_as_it_says(seeds, apart):
    rng = np.random.default_rng(seeds)
    true, hits = norm.cdf(apart / 2**0.5), 0
    for _ in range(1000):
        found = beats(rng.normal(apart, 1, seeds), rng.normal(0, 1, seeds))
        hits += found.low <= true <= found.high
    assert hits >= 925


def test_the_odds_are_the_t_posterior_of_the_difference():
    a, b = [90.1, 90.4, 90.2, 90.6], [90.0, 90.3, 90.1, 90.2]
    difference = welch([summarize(a), summarize(b)])
    left = odds(difference, 0.2)
    posterior = t(difference.df, difference.mean, difference.error)
    assert left.above == pytest.approx(posterior.sf(0.2))
    assert left.below == pytest.approx(posterior.cdf(-0.2))
    assert left.above + left.within + left.below == pytest.approx(1)
    assert odds(summarize([1.0]), 0.2) is None
