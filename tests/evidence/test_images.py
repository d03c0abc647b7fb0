"""The interval that covers other test images: against known cases, and by simulation."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from fmnist.evidence.images import crossed


def test_over_seeds_it_is_the_t_interval_of_the_seeds_means():
    right = (np.random.default_rng(0).random((5, 400)) < 0.9).astype(float)
    found, means = crossed(right), right.mean(axis=1)
    low, high = stats.t.interval(0.95, 4, means.mean(), stats.sem(means))
    assert found.mean == pytest.approx(right.mean())
    assert (found.mean - found.seeds, found.mean + found.seeds) == pytest.approx((low, high))


def test_nets_that_are_right_about_the_same_images_leave_the_images_part_alone():
    """No spread over seeds: what is left is the normal interval of a share of images."""
    row = (np.arange(1000) < 900).astype(float)
    found = crossed(np.tile(row, (4, 1)))
    assert found.seeds == pytest.approx(0, abs=1e-12)
    assert found.both == pytest.approx(ndtri(0.975) * row.std(ddof=1) / 1000**0.5)


def test_images_without_an_effect_of_their_own_add_little():
    """Every image is a coin of the same kind: seeds already show all that varies."""
    right = (np.random.default_rng(1).random((10, 2000)) < 0.9).astype(float)
    found = crossed(right)
    assert found.seeds <= found.both < 1.15 * found.seeds


@pytest.mark.parametrize("shape", [(1, 10), (10, 1), (10,)])
def test_one_seed_or_one_image_is_refused(shape):
    with pytest.raises(ValueError, match="two of each"):
        crossed(np.zeros(shape))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_it_covers_the_mean_over_all_seeds_and_images(seeds):
    """Images differ in how hard they are, seeds in how good they are. 95 % are meant.

    The interval over seeds alone is the one that does not cover: it never said that it would.
    """
    rng, families, images = np.random.default_rng(seeds), 1000, 300
    covered = covered_by_seeds = 0
    # The population: chance of being right = normal CDF of ease + skill, averaged over both.
    ease, skill = 1.0, 0.05
    truth = stats.norm.cdf(1.3 / np.sqrt(1 + ease**2 + skill**2))
    for _ in range(families):
        score = (
            1.3 + ease * rng.standard_normal((1, images)) + skill * rng.standard_normal((seeds, 1))
        )
        found = crossed((score + rng.standard_normal((seeds, images)) > 0).astype(float))
        covered += abs(found.mean - truth) <= found.both
        covered_by_seeds += abs(found.mean - truth) <= found.seeds
    assert 0.93 <= covered / families <= 0.99
    assert covered_by_seeds < covered
