"""What a number of seeds can show: by simulation, and in the cases that can be said."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from fmnist.evidence.claim import Claim
from fmnist.evidence.outcome import Outcome
from fmnist.evidence.power import POWER, detectable, pooled_deviation, refutable, sizes_at
from fmnist.evidence.statistics import summarize
from fmnist.evidence.verdict import Judgement, Part, Statement


@pytest.mark.parametrize(
    ("deviations", "seeds", "tolerance"),
    # From three seeds Welch's degrees of freedom are mostly estimated too low, which costs power.
    [((0.3, 0.3), 5, 0.03), ((0.2, 0.6), 10, 0.03), ((1, 1), 3, 0.06)],
)
def test_a_difference_of_that_size_is_shown_four_times_in_five(deviations, seeds, tolerance):
    size = detectable(deviations, seeds)
    rng = np.random.default_rng(0)
    a = rng.normal(size, deviations[0], (seeds, 4000))
    b = rng.normal(0, deviations[1], (seeds, 4000))
    p = ttest_ind(a, b, equal_var=False, alternative="greater").pvalue
    assert (p < 0.05).mean() == pytest.approx(POWER, abs=tolerance)


def test_a_mean_above_a_value_is_shown_four_times_in_five():
    size = detectable([0.5], 5)
    runs = np.random.default_rng(1).normal(size, 0.5, (5, 4000))
    shown = ttest_1samp(runs, 0, alternative="greater").pvalue < 0.05
    assert shown.mean() == pytest.approx(POWER, abs=0.03)


def test_more_seeds_and_a_laxer_level_show_smaller_differences():
    sizes = [detectable((0.3, 0.3), seeds) for seeds in (3, 5, 10, 20)]
    assert sizes == sorted(sizes, reverse=True)
    assert detectable((0.3, 0.3), 5, level=0.005) > detectable((0.3, 0.3), 5)
    assert detectable((0.0, 0.0), 5) == 0
    with pytest.raises(ValueError, match="seeds=1"):
        detectable((0.3, 0.3), 1)


def test_the_deviation_is_that_within_groups_of_equal_settings():
    rng = np.random.default_rng(2)
    groups = [list(center + rng.normal(0, 0.4, 5)) for center in range(400)]
    assert pooled_deviation(groups) == pytest.approx(0.4, rel=0.05)
    assert pooled_deviation([[1.0], [2.0]]) is None


def test_what_no_seed_changes_is_in_no_family_and_has_no_sizes():
    claim = Claim("size", "So many parameters.", "me", "", about={"params": 1.0})
    part = Part("params", "about", ((1.0, 1.0),), (0, 1), exact=True)
    measured = Outcome(claim, Judgement("holds"), Statement((part,)))
    assert sizes_at(Outcome(claim, Judgement("not measured")), [3], 0, [measured]) == {}


@pytest.mark.parametrize("seeds", [3, 10])
def test_a_published_value_so_far_off_is_refuted_four_times_in_five(seeds):
    off = refutable(0.4, seeds, 0.05)
    runs = np.random.default_rng(0).normal(off, 0.4, (4000, seeds))
    refuted = [summarize(list(values)).p_single(0.0) < 0.05 for values in runs]
    assert np.mean(refuted) == pytest.approx(POWER, abs=0.03)
    assert refutable(0.01, seeds, 0.05, margin=0.5) > 0.5
