"""The interval that covers other test images: against known cases, by simulation, and in claims."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from fmnist.evidence.claim_file import load_file
from fmnist.evidence.images import crossed
from fmnist.evidence.outcome import evaluate
from fmnist.evidence.text import both_intervals
from fmnist.reporting.claims_table import to_csv
from fmnist.runs.bits import Right
from tests.evidence.test_claims import claim_file, row


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


# In claims


def with_bits(aug: str, seed: int, accuracy: float, images: int = 1000):
    """A run of LeNet-5, right about a share of the images; its last net about one image less."""
    ease = np.random.default_rng(aug == "on").standard_normal(images)  # each net's own
    score = ease + 0.3 * np.random.default_rng([seed, 2]).standard_normal(images)
    best = score.argsort().argsort() >= images - round(accuracy * images) - seed
    last = best & (np.arange(images) != best.argmax())
    made = row(f"aug={aug}", seed=seed, test_acc=100 * best.mean(), test_acc_last=100 * last.mean())
    return replace(made, right=Right(best, last))


def judged(folder, rows, text="looks: [3, 10]", metric="test/acc"):
    sides = f"metric: {metric}\nhigher: {{aug: 'off'}}\nlower: {{aug: 'on'}}"
    (outcome,) = evaluate(load_file(claim_file(folder, f"{sides}\n{text}")), rows, ["mine"])
    return outcome


def several(seeds=3):
    return [with_bits(aug, seed, accuracy) for seed in range(seeds)
            for aug, accuracy in (("off", 0.9), ("on", 0.85))]  # fmt: skip


@pytest.mark.parametrize(("metric", "net"), [("test/acc", "best"), ("test/acc_last", "last")])
def test_an_accuracy_claim_has_a_second_interval_by_the_bits_of_its_net(tmp_path, metric, net):
    rows = several()
    outcome = judged(tmp_path, rows, metric=metric)
    a, b = (np.array([getattr(r.right, net) for r in rows[i::2]], float) for i in (0, 1))
    found = crossed(100 * (a - b), 2 * 0.05 / 2)  # two looks, one claim
    (low, high), (own_low, own_high) = outcome.judgement.wider, outcome.judgement.interval
    assert low == pytest.approx(min(found.mean - found.both, own_low))
    assert high == pytest.approx(max(found.mean + found.both, own_high))
    assert high - low > own_high - own_low
    assert both_intervals(outcome).endswith(f"; on other images, too: [{low:.2f}, {high:.2f}]")
    assert f"{round(low, 6)},{round(high, 6)}" in to_csv([outcome])


def test_a_value_has_one_too_over_the_mean_of_its_runs(tmp_path):
    (claim,) = load_file(claim_file(tmp_path, "where: {aug: 'off'}\nabout: {test/acc: 90}"))
    rows = [with_bits("off", seed, 0.9) for seed in range(5)]
    judgement = evaluate([claim], rows)[0].judgement
    # Twice the smaller p counts of what shows a value: half of 5 % at each end.
    found = crossed(100 * np.array([r.right.best for r in rows], float), 0.05)
    assert judgement.wider == pytest.approx((found.mean - found.both, found.mean + found.both))


def test_seeds_without_bits_count_by_their_accuracy_and_fewer_than_two_with_bits_say_nothing(
    tmp_path,
):
    rows = several(4)
    differences = [100 * (a.right.best.astype(float) - b.right.best)
                   for a, b in zip(rows[::2], rows[1::2], strict=True)]  # fmt: skip
    lost = [replace(rows[0], right=None), *rows[1:]]
    outcome = judged(tmp_path, lost)
    # At the look of three seeds one is known by its accuracies alone.
    found = crossed(np.stack(differences[1:3]), 0.05, [d.mean() for d in differences[:3]])
    low, high = outcome.judgement.interval
    assert outcome.judgement.wider == pytest.approx(
        (min(found.mean - found.both, low), max(found.mean + found.both, high))
    )
    assert both_intervals(outcome).endswith("], by the images of 2 seeds")
    assert judged(tmp_path, [lost[0], rows[1], *lost[:2], *rows[6:]]).judgement.wider is None
    other = with_bits("off", 0, 0.9, images=100)
    assert judged(tmp_path, [other, *rows[1:]]).judgement.wider is None
