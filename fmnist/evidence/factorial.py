"""Main effects and two-way interactions of a factorial sweep, with the seed as the unit.

Every combination of levels is trained with every seed: a factorial within each seed. The model is
the mixed one, accuracy = combination + seed + rest, with factors fixed and seeds random. In a
balanced design its effects are means, and each is judged by how it varies from seed to seed (the
repeated measures analysis of variance: Winer, Brown & Michels 1991, "Statistical principles in
experimental design", chapter 7). So a lucky seed counts once, however many combinations there are.

An F test of several degrees of freedom assumes that all its contrasts vary alike from seed to seed;
with few seeds that cannot be checked. Effects of single levels, with their intervals over seeds,
assume nothing of the kind.

With one seed nothing is known of seeds. Then the combinations are the unit: least squares with main
effects and interactions of two factors, where what three and more factors do together is the error
(Box, Hunter & Hunter 2005, "Statistics for experimenters", chapter 5).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Levels = Mapping[str, Sequence[str]]  # of every factor, in the order in which they are shown


class HasValues(Protocol):
    """A setting of a sweep: its levels by factor, and a metric by seed."""

    @property
    def levels(self) -> Mapping[str, str]: ...

    def values(self, metric: str) -> dict[int, float]: ...


@dataclass(frozen=True)
class LevelEffect:
    """What a level, or a pair of levels of two factors, adds to the mean of all.

    Args:
        levels: one, or one of each of the two factors.
        mean: over seeds, in the metric's unit; of a pair, beyond what its two levels add.
        half_width: of the 95 % t interval; NaN where nothing is left to estimate it from.
    """

    levels: tuple[str, ...]
    mean: float
    half_width: float


@dataclass(frozen=True)
class FactorEffect:
    """A main effect, or the interaction of two factors.

    Args:
        factors: one or two names.
        levels: what each level or pair adds; they sum to zero.
        f, p: of the hypothesis that none adds anything; NaN where that cannot be tested.
        freedom: degrees of freedom of the effect and of what it is compared with.
    """

    factors: tuple[str, ...]
    levels: tuple[LevelEffect, ...]
    f: float
    p: float
    freedom: tuple[int, int]


@dataclass(frozen=True)
class Factorial:
    """The effects of a sweep in which every combination of levels was trained.

    Args:
        effects: main effects, then interactions of two factors.
        seeds: those that have every combination.
        combinations: how many there are.
    """

    effects: list[FactorEffect]
    seeds: int
    combinations: int

    def p(self, effect: FactorEffect) -> float:
        """Corrected for all effects of the table (times their number)."""
        return min(1.0, effect.p * len(self.effects))

    def method(self) -> str:
        """How it was computed, in a sentence."""
        if self.seeds > 1:
            return (
                f"Mixed model of {self.combinations} combinations, each with {self.seeds} seeds: "
                "factors fixed, the seed random and the unit"
            )
        return (
            f"Least squares over {self.combinations} combinations of one seed: the interactions "
            "of three factors and more are the error, and nothing is known of other seeds"
        )


def factorial(
    levels: Levels, settings: Iterable[HasValues], metric: str = "test/acc"
) -> Factorial | str:
    """The effects of a sweep's factors, or in a line why there are none.

    Args:
        levels: of every factor.
        settings: that have runs.
    """
    crossed = {name: options for name, options in levels.items() if len(options) > 1}
    if len(crossed) < 2:
        return "one factor: no interaction to look for"
    size = math.prod(map(len, crossed.values()))
    values = {
        (seed, tuple(setting.levels[name] for name in crossed)): value
        for setting in settings
        for seed, value in setting.values(metric).items()
    }
    counts = Counter(seed for seed, _ in values)
    whole = [seed for seed, count in counts.items() if count == size]
    if not whole:
        most = max(counts.values(), default=0)
        return (
            f"{most} of {size} combinations have a run with the same seed: not all, so no effects"
        )
    chosen = {key: value for key, value in values.items() if key[0] in whole}
    return Factorial(factorial_effects(chosen, crossed), len(whole), size)


def factorial_effects(
    values: Mapping[tuple[int, tuple[str, ...]], float], levels: Levels
) -> list[FactorEffect]:
    """Main effects, then interactions of two factors.

    Args:
        values: of the metric, by seed and combination (levels in the order of `levels`).
        levels: of every factor, two or more each.

    Raises:
        ValueError: a combination is missing for some seed.
    """
    seeds = sorted({seed for seed, _ in values})
    grid = list(product(*levels.values()))
    missing = [(seed, key) for seed in seeds for key in grid if (seed, key) not in values]
    if missing or not seeds:
        raise ValueError(f"{len(missing)} of {len(seeds) * len(grid)} combinations are missing")
    shape = [len(seeds), *(len(options) for options in levels.values())]
    array = np.array([[values[seed, key] for key in grid] for seed in seeds]).reshape(shape)
    names = list(levels)
    asked = [(i,) for i in range(len(names))] + list(combinations(range(len(names)), 2))
    rest = _rest(array, asked) if len(seeds) == 1 else None
    return [_effect(array, which, names, levels, rest) for which in asked]


def _rest(array: NDArray[np.float64], asked: Sequence[tuple[int, ...]]) -> tuple[float, int]:
    """Of one seed: mean square of all that these effects leave, and its degrees of freedom."""
    total, freedom = float(((array - array.mean()) ** 2).sum()), array.size - 1
    for which in asked:
        own = _deviations(array, which)[0]
        total -= float((own**2).sum()) * (array.size / own.size)
        freedom -= math.prod(length - 1 for length in own.shape)
    return (max(0.0, total) / freedom if freedom else math.nan), freedom


def _effect(
    array: NDArray[np.float64], which: tuple[int, ...], names: Sequence[str], levels: Levels,
    left: tuple[float, int] | None,
) -> FactorEffect:  # fmt: skip
    """One effect of float [seeds, levels of factor 1, ...]; what is left of one seed: `_rest`."""
    from scipy.special import fdtrc, stdtrit

    own = _deviations(array, which)  # [seeds, levels of each factor asked]
    seeds, size = len(own), own[0].size
    mean = own.mean(axis=0)
    among = math.prod(own.shape[i + 1] - 1 for i in range(len(which)))
    within, f, p, half = among * (seeds - 1), math.nan, math.nan, math.nan
    effect, rest = seeds * float((mean**2).sum()) / among, math.nan
    if seeds > 1:
        # Both sums of squares belong to the same number of images and combinations.
        rest = float(((own - mean) ** 2).sum()) / within
    elif left is not None and left[1]:
        rest, within = left[0] * size / array.size, left[1]
        half = float(stdtrit(within, 0.975)) * math.sqrt(rest * among / size)
    if not math.isnan(rest):
        f = math.inf if rest == 0 else effect / rest
        p = float(fdtrc(among, within, f)) if math.isfinite(f) else 0.0
    options = list(product(*(list(levels[names[i]]) for i in which)))
    flat = own.reshape(seeds, size)
    made = tuple(_level(option, flat[:, column], half) for column, option in enumerate(options))
    return FactorEffect(tuple(names[i] for i in which), made, f, p, (among, within))


def _deviations(array: NDArray[np.float64], which: tuple[int, ...]) -> NDArray[np.float64]:
    """By seed, what levels (or pairs) add to the seed's mean, beyond what a pair's levels add."""
    axes = tuple(axis + 1 for axis in which)
    others = tuple(axis for axis in range(1, array.ndim) if axis not in axes)
    means: NDArray[np.float64] = array.mean(axis=others)  # [seeds, levels of each factor asked]
    for axis in range(1, means.ndim):  # leaves the interaction, or the main effect
        means = means - means.mean(axis=axis, keepdims=True)
    return means


def _level(option: tuple[str, ...], by_seed: NDArray[np.float64], alone: float) -> LevelEffect:
    """`alone`: half width where there is one seed."""
    from scipy.special import stdtrit

    n = len(by_seed)
    if n < 2:
        return LevelEffect(option, float(by_seed.mean()), alone)
    half = float(stdtrit(n - 1, 0.975)) * float(by_seed.std(ddof=1)) / math.sqrt(n)
    return LevelEffect(option, float(by_seed.mean()), half)
