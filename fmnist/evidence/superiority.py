"""How often a run of A beats a run of B, and what an open comparison leaves likely.

A mean says little to somebody who will train once. P(A > B) is the chance that a run of A comes
out above a run of B, ties counted half: the Mann-Whitney effect, which skewed numbers and single
bad runs do not break. Its interval is the score interval that Newcombe found best of eight
("Confidence intervals for an effect size measure based on the Mann-Whitney statistic", 2006,
method 5): it stays within [0, 1], and is no point where all runs of A are above all of B.

The odds of an open comparison are a posterior: with a flat prior on the difference it is Student's
t about the difference found, with Welch's standard error and degrees of freedom.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fmnist.evidence.statistics import CENTRAL, Summary


@dataclass(frozen=True)
class Chance:
    """A probability and its 95 % interval."""

    p: float
    low: float
    high: float


@dataclass(frozen=True)
class Odds:
    """Of a difference: above the margin, within it either way, below it; they sum to 1."""

    above: float
    within: float
    below: float


def beats(first: Sequence[float], second: Sequence[float], paired: bool = False) -> Chance:
    """The chance that a run of the first is above one of the second.

    Args:
        first, second: one number a seed, at least one of each.
        paired: both sides are of one training, compared with each other alone.
    """
    pairs = zip(first, second, strict=True) if paired else ((a, b) for a in first for b in second)
    wins = [(a > b) + 0.5 * (a == b) for a, b in pairs]
    p, size = sum(wins) / len(wins), len(wins)
    extra = 0.0 if paired else (len(first) + len(second)) / 2 - 1

    def deviation(true: float) -> float:
        """Of the share found, if this is the chance; of pairs it is the binomial one."""
        spread = 1 + extra * ((1 - true) / (2 - true) + true / (1 + true))
        return math.sqrt(true * (1 - true) * spread / size)

    return Chance(p, _edge(p, 0.0, deviation), _edge(p, 1.0, deviation))


def _edge(found: float, end: float, deviation: Callable[[float], float]) -> float:
    """The chance between what was found and an end that is just compatible with it."""
    inside, outside = found, end
    for _ in range(50):  # halves an interval of at most 1 until it is 1e-15
        middle = (inside + outside) / 2
        fits = abs(found - middle) <= CENTRAL * deviation(middle)
        inside, outside = (middle, outside) if fits else (inside, middle)
    return inside


def odds(difference: Summary, margin: float) -> Odds | None:
    """How likely A is better, equal within the margin, or worse; None for one seed."""
    from scipy.special import stdtr

    if difference.n < 2 or not difference.error > 0:
        return None
    low, high = (
        float(stdtr(difference.df, (end - difference.mean) / difference.error))
        for end in (-margin, margin)
    )
    return Odds(1 - high, high - low, low)
