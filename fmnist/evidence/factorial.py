"""Main effects and two-way interactions of a factorial sweep, with the seed as the unit.

Every combination of levels is trained with every seed: a factorial within each seed. The model is
the mixed one, accuracy = combination + seed + rest, with factors fixed and seeds random. In a
balanced design its effects are means, and each is judged by how it varies from seed to seed (the
repeated measures analysis of variance: Winer, Brown & Michels 1991, "Statistical principles in
experimental design", chapter 7). So a lucky seed counts once, however many combinations there are.

An F test of several degrees of freedom assumes that all its contrasts vary alike from seed to seed;
with few seeds that cannot be checked. Effects of single levels, with their intervals over seeds,
assume nothing of the kind.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

Levels = Mapping[str, Sequence[str]]  # of every factor, in the order in which they are shown


@dataclass(frozen=True)
class LevelEffect:
    """What a level, or a pair of levels of two factors, adds to the mean of all.

    Args:
        levels: one, or one of each of the two factors.
        mean: over seeds, in the metric's unit; of a pair, beyond what its two levels add.
        half_width: of the 95 % t interval over seeds; NaN for one seed.
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
        f, p: of the hypothesis that none adds anything; NaN for one seed.
        freedom: degrees of freedom of the effect and of its variation over seeds.
    """

    factors: tuple[str, ...]
    levels: tuple[LevelEffect, ...]
    f: float
    p: float
    freedom: tuple[int, int]


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
    missing = [(seed, cell) for seed in seeds for cell in grid if (seed, cell) not in values]
    if missing or not seeds:
        raise ValueError(f"{len(missing)} of {len(seeds) * len(grid)} cells are missing")
    shape = [len(seeds), *(len(options) for options in levels.values())]
    array = np.array([[values[seed, cell] for cell in grid] for seed in seeds]).reshape(shape)
    names = list(levels)
    asked = [(i,) for i in range(len(names))] + list(combinations(range(len(names)), 2))
    return [_effect(array, which, names, levels) for which in asked]


def _effect(
    array: NDArray[np.float64], which: tuple[int, ...], names: Sequence[str], levels: Levels
) -> FactorEffect:
    """One effect of float [seeds, levels of factor 1, ...]."""
    from scipy.special import fdtrc

    own = _deviations(array, which)  # [seeds, levels of each factor asked]
    seeds, cells = len(own), own[0].size
    mean = own.mean(axis=0)
    among = math.prod(own.shape[i + 1] - 1 for i in range(len(which)))
    within = among * (seeds - 1)
    f = p = math.nan
    if seeds > 1:
        # Both sums of squares belong to the same number of images and combinations.
        rest = float(((own - mean) ** 2).sum()) / within
        effect = seeds * float((mean**2).sum()) / among
        f = math.inf if rest == 0 else effect / rest
        p = float(fdtrc(among, within, f)) if math.isfinite(f) else 0.0
    options = list(product(*(list(levels[names[i]]) for i in which)))
    flat = own.reshape(seeds, cells)
    made = tuple(_level(option, flat[:, column]) for column, option in enumerate(options))
    return FactorEffect(tuple(names[i] for i in which), made, f, p, (among, within))


def _deviations(array: NDArray[np.float64], which: tuple[int, ...]) -> NDArray[np.float64]:
    """By seed, what levels (or pairs) add to the seed's mean, beyond what a pair's levels add."""
    axes = tuple(axis + 1 for axis in which)
    others = tuple(axis for axis in range(1, array.ndim) if axis not in axes)
    means: NDArray[np.float64] = array.mean(axis=others)  # [seeds, levels of each factor asked]
    for axis in range(1, means.ndim):  # leaves the interaction, or the main effect
        means = means - means.mean(axis=axis, keepdims=True)
    return means


def _level(option: tuple[str, ...], by_seed: NDArray[np.float64]) -> LevelEffect:
    from scipy.special import stdtrit

    n = len(by_seed)
    if n < 2:
        return LevelEffect(option, float(by_seed.mean()), math.nan)
    half = float(stdtrit(n - 1, 0.975)) * float(by_seed.std(ddof=1)) / math.sqrt(n)
    return LevelEffect(option, float(by_seed.mean()), half)
