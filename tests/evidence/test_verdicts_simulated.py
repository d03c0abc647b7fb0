"""The rules on simulated seeds of known truth: false verdicts stay at the level that they promise.

4,000 families of claims each. `decide` is the rules of fmnist.evidence.verdict for many claims at
once; a test holds it against them.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.special import nctdtr, stdtr

from fmnist.evidence.statistics import CENTRAL, LEVEL
from fmnist.evidence.verdict import Part, Statement, judge

FAMILIES, CLAIMS, MARGIN = 4000, 8, 0.2
# A correct 5 % rule gives more false verdicts than this once in 10,000 tests.
ALLOWED = stats.binom.ppf(0.9999, FAMILIES, LEVEL)
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def left_tail(rng, size):
    """One run in ten is a point worse; the mean is 0."""
    return rng.normal(0, 0.15, size) - (rng.random(size) < 0.1) + 0.1


# Deviations of a run with mean 0, in points: of A, of B.
DRAWS: dict[str, tuple[Draw, Draw]] = {
    "normal": (lambda rng, s: rng.normal(0, 0.25, s), lambda rng, s: rng.normal(0, 0.25, s)),
    "well measured": (lambda rng, s: rng.normal(0, 0.1, s), lambda rng, s: rng.normal(0, 0.1, s)),
    "unequal variances": (
        lambda rng, s: rng.normal(0, 0.5, s), lambda rng, s: rng.normal(0, 0.1, s)
    ),
    "heavy tails": (
        lambda rng, s: 0.15 * rng.standard_t(3, s), lambda rng, s: 0.15 * rng.standard_t(3, s)
    ),
    "a bad tail": (left_tail, left_tail),
    "one run in 20 fails": (
        lambda rng, s: rng.normal(0, 0.25, s) - 80 * (rng.random(s) < 0.05),
        lambda rng, s: rng.normal(0, 0.25, s) - 80 * (rng.random(s) < 0.05),
    ),
}  # fmt: skip


def welch(a, b):
    """Mean, standard error and degrees of freedom of A - B along the last axis."""
    n = a.shape[-1]
    floor = 0.01**2 / 12
    va, vb = (np.maximum(x.var(-1, ddof=1), floor) / n for x in (a, b))
    df = (va + vb) ** 2 / ((va**2 + vb**2) / (n - 1))
    return a.mean(-1) - b.mean(-1), np.sqrt(va + vb), df


def p_values(a, b):
    """Of d > 0 and of d < margin."""
    mean, error, df = welch(a, b)
    return stdtr(df, -mean / error), stdtr(df, -(MARGIN - mean) / error)


def decide(a, b, looks, family):
    """Which claims hold and which do not, for runs [..., seeds]; size is left out."""
    found = [p_values(a[..., :look], b[..., :look]) for look in looks]
    shown, refuted = (np.min(p, 0) * family * len(looks) for p in zip(*found, strict=True))
    return shown < LEVEL, (refuted < LEVEL) & (shown >= LEVEL), refuted < LEVEL


def false_verdicts(d, holds, fails, less):
    """Of each family: whether any claim of true differences d got a false verdict or size."""
    wrong = (holds & (d <= 0)) | (fails & (d >= MARGIN)) | (holds & less & (d >= MARGIN))
    return wrong.any(-1).sum()


def test_the_simulated_rules_are_those_of_the_project():
    rng = np.random.default_rng(0)
    for looks in ((5,), (5, 10)):
        a = rng.normal(0.15, 0.15, (300, 10))
        b = rng.normal(0, 0.15, (300, 10))
        holds, fails, less = decide(a, b, looks, family=2)
        for i in range(300):
            sides = (tuple(a[i, : looks[-1]]), tuple(b[i, : looks[-1]]))
            seeds = tuple(range(looks[-1]))
            part = Part("", "higher", sides, seeds, MARGIN, resolution=0.01)
            found = judge(Statement((part,), looks, family=2))
            assert (found.verdict == "holds") == holds[i]
            assert (found.verdict == "does not hold") == fails[i]
            assert (found.size == "less") == (holds[i] and less[i])
        assert {holds.any(), fails.any(), (~holds & ~fails).any()} == {True}


@pytest.mark.parametrize("true", [0.0, MARGIN, "both"])
@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
def test_any_false_verdict_of_a_source_is_rarer_than_5_percent(seeds, name, true):
    """But for Welch's test at its weakest: three seeds, and one side's deviation five times the
    other's. There it is 7 to 8 %."""
    weak = seeds == 3 and name == "unequal variances"
    rng = np.random.default_rng(seeds)
    d = np.resize([0.0, MARGIN], CLAIMS) if true == "both" else np.full(CLAIMS, true)
    first, second = DRAWS[name]
    size = (FAMILIES, CLAIMS, seeds)
    a, b = first(rng, size) + d[:, None], second(rng, size)
    allowed = 0.09 * FAMILIES if weak else ALLOWED
    assert false_verdicts(d, *decide(a, b, [seeds], CLAIMS)) <= allowed


@pytest.mark.parametrize("true", [0.0, MARGIN])
def test_nor_when_claims_share_a_side(true):
    rng = np.random.default_rng(1)
    a = rng.normal(true, 0.25, (FAMILIES, CLAIMS, 5))
    b = np.broadcast_to(rng.normal(0, 0.25, (FAMILIES, 1, 5)), a.shape)
    assert false_verdicts(np.full(CLAIMS, true), *decide(a, b, [5], CLAIMS)) <= ALLOWED


@pytest.mark.parametrize("true", [0.0, MARGIN])
def test_nor_at_any_of_the_declared_looks(true):
    rng = np.random.default_rng(2)
    a = rng.normal(true, 0.25, (FAMILIES, CLAIMS, 20))
    b = rng.normal(0, 0.25, (FAMILIES, CLAIMS, 20))
    assert false_verdicts(np.full(CLAIMS, true), *decide(a, b, [5, 10, 20], CLAIMS)) <= ALLOWED
    # Without their number on p, and looked at after every seed:
    shown = np.min([p_values(a[..., :n], b[..., :n])[0] for n in range(3, 21)], 0)
    if true == 0:
        assert (shown[:, 0] < LEVEL).sum() > 2 * ALLOWED


def test_holms_steps_would_break_the_promise_when_p_is_not_doubled():
    """All differences are 0 and well measured: most are refuted, and the steps favour the rest."""
    rng = np.random.default_rng(3)
    a, b = (rng.normal(0, 0.15, (FAMILIES, 11, 20)) for _ in range(2))
    shown, refuted = p_values(a, b)
    p = np.minimum(shown, refuted)
    order = np.argsort(p, 1)
    steps = np.take_along_axis(p, order, 1) * np.arange(11, 0, -1)
    holm = np.take_along_axis(np.maximum.accumulate(steps, 1), np.argsort(order, 1), 1)
    assert ((holm < LEVEL) & (shown < refuted)).any(1).mean() > 0.15
    assert false_verdicts(np.zeros(11), *decide(a, b, [20], 11)) <= ALLOWED


def test_the_simulation_would_catch_a_rule_that_forgets_how_few_seeds_there_are():
    rng = np.random.default_rng(4)
    a, b = (rng.normal(0, 0.25, (FAMILIES, CLAIMS, 3)) for _ in range(2))
    mean, error, _ = welch(a, b)
    assert (mean / error > stats.norm.isf(LEVEL / CLAIMS)).any(-1).sum() > 2 * ALLOWED


def test_a_recipe_that_fails_is_not_called_better_once_a_failure_was_seen():
    """A is half a point better where it does not fail, which it does in 1 run of 20."""
    rng = np.random.default_rng(5)
    failed = rng.random((FAMILIES, 10)) < 0.05
    a = rng.normal(0.5, 0.25, (FAMILIES, 10)) - 80 * failed
    b = rng.normal(0, 0.25, (FAMILIES, 10))
    holds, _, _ = decide(a, b, [10], 1)
    seen = failed.any(1)
    assert seen.sum() > 1000
    assert holds[seen].mean() <= LEVEL
    dropped = np.where(failed, np.nan, a)
    mean = np.nanmean(dropped, 1) - b.mean(1)
    error = np.sqrt((np.nanvar(dropped, 1, ddof=1) + b.var(1, ddof=1)) / 10)
    assert (mean / error > 2)[seen].mean() > 0.5  # what leaving failed runs out would say


@pytest.mark.parametrize("sd", [0.6, 1.0])
@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
def test_a_source_that_ran_our_recipe_once_is_rarely_refuted(seeds, sd):
    rng = np.random.default_rng(seeds)
    ours, value, margin = rng.normal(0, sd, (FAMILIES, seeds)), rng.normal(0, sd, FAMILIES), 0.5
    refuted, _ = value_rule(ours, value, margin)
    assert (refuted < LEVEL).sum() <= ALLOWED
    if seeds == 20:  # the rule that takes a published run for a mean
        off = np.abs(ours.mean(1) - value) - margin
        t = off / (ours.std(1, ddof=1) / np.sqrt(seeds))
        assert (stats.t.sf(t, seeds - 1) < LEVEL).sum() > 3 * ALLOWED


@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
def test_a_value_at_the_edge_of_our_runs_rarely_holds(seeds):
    rng = np.random.default_rng(seeds)
    ours = rng.normal(0, 0.4, (FAMILIES, seeds))
    _, shown = value_rule(ours, np.full(FAMILIES, CENTRAL * 0.4), 0.5)
    assert (shown < LEVEL).sum() <= ALLOWED


def value_rule(ours, value, margin):
    """p of "does not hold" and of "holds", for runs [families, seeds]."""
    n = ours.shape[1]
    gap, s = np.abs(value - ours.mean(1)), ours.std(1, ddof=1)
    error = s / np.sqrt(n)
    single = 2 * stdtr(n - 1, -gap / (s * np.sqrt(1 + 1 / n)))
    refuted = np.maximum(single, stdtr(n - 1, -(gap - margin) / error))
    central = nctdtr(n - 1, CENTRAL * np.sqrt(n), gap / error)
    inside = stdtr(n - 1, -(margin - gap) / error)
    return refuted, 2 * np.minimum(central, inside)


def test_the_simulated_value_rule_is_that_of_the_project():
    rng = np.random.default_rng(0)
    ours, value = rng.normal(0, 0.4, (100, 5)), rng.normal(0, 0.8, 100)
    refuted, shown = value_rule(ours, value, 0.5)
    for i in range(100):
        found = Part("", "about", (tuple(ours[i]),), tuple(range(5)), 0.5, value[i]).test(5)
        assert found.refuted == pytest.approx(refuted[i])
        assert found.shown == pytest.approx(min(1, shown[i]), rel=1e-6, abs=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [5, 10])
def test_whole_numbers_of_equal_sides_are_rarely_called_different(seeds):
    """Few values and many ties, which break the t test."""
    rng = np.random.default_rng(seeds)
    draws = rng.choice([3, 4, 11], p=[0.45, 0.45, 0.1], size=(FAMILIES, 2, seeds)).astype(float)
    wrong = 0
    for a, b in draws:
        part = Part("", "higher", (tuple(a), tuple(b)), tuple(range(seeds)), 0.5, whole=True)
        wrong += judge(Statement((part,))).verdict == "holds"
    assert wrong <= ALLOWED
