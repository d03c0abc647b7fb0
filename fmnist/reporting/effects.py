"""What a sweep's factors do: intervals over seeds, comparisons over matched seeds, interactions.

The unit of replication is the seed: within a seed, what is compared is averaged over the other
factors first, so that 3 seeds stay 3 however many cells a sweep has. Differences are paired by
seed; intervals and p values are Student's t, p values corrected by Holm's method within a family.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from fmnist.evidence.statistics import LEVEL, holm, summarize
from fmnist.reporting.table import Cell

RESOLUTION = 0.01  # points: one image of 10,000


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % t interval, in the values' unit; the ends are NaN when undefined."""

    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Comparison:
    """`first` minus `second` over matched seeds.

    Args:
        difference: with its interval.
        p: two-sided, of the paired t test; NaN when undefined.
        p_holm: corrected for all comparisons made together.
    """

    first: str
    second: str
    difference: Interval
    p: float
    p_holm: float = math.nan

    @property
    def significant(self) -> bool:
        return self.p_holm < LEVEL


def t_interval(values: Sequence[float], resolution: float = RESOLUTION) -> Interval:
    """Mean and Student's t interval of one value a seed; undefined for one seed.

    Args:
        values: in points, or in any unit with its resolution: see `summarize`.
    """
    summary = summarize(values, resolution)
    half = summary.half_width
    return Interval(summary.mean, summary.mean - half, summary.mean + half, summary.n)


def paired(first: str, second: str, differences: Sequence[float]) -> Comparison:
    """One comparison from its differences, one a seed."""
    summary, interval = summarize(differences, RESOLUTION), t_interval(differences)
    p = math.nan if summary.n < 2 else 2 * min(summary.p_above(0), summary.p_below(0))
    return Comparison(first, second, interval, p)


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same, Holm-corrected for being asked together; undefined ones do not count."""
    defined = [index for index, item in enumerate(comparisons) if not math.isnan(item.p)]
    result = list(comparisons)
    p_values = holm([comparisons[index].p for index in defined])
    for index, p in zip(defined, p_values, strict=True):
        result[index] = replace(comparisons[index], p_holm=p)
    return result


def compare_cells(
    cells: Sequence[Cell], metric: str = "test/acc", against: Cell | None = None
) -> list[Comparison]:
    """Every pair of cells, or every cell against one, over the seeds that both have."""
    pairs = (
        [(against, cell) for cell in cells if cell is not against]
        if against
        else list(combinations(cells, 2))
    )
    made = []
    for a, b in pairs:
        first, second = a.values(metric), b.values(metric)
        seeds = [seed for seed in first if seed in second]
        if seeds:
            made.append(paired(a.label, b.label, [first[s] - second[s] for s in seeds]))
    return corrected(made)


def _blocks(
    cells: Sequence[Cell], names: Sequence[str], metric: str
) -> dict[tuple[int, tuple[str, ...]], dict[tuple[str, ...], float]]:
    """Values by the levels of the named factors, inside (seed, levels of all other factors)."""
    blocks: dict[tuple[int, tuple[str, ...]], dict[tuple[str, ...], float]] = {}
    for cell in cells:
        key = tuple(cell.levels[name] for name in names)
        others = tuple(level for name, level in cell.levels.items() if name not in names)
        for seed, value in cell.values(metric).items():
            blocks.setdefault((seed, others), {})[key] = value
    return blocks


def level_means(
    cells: Sequence[Cell], names: Sequence[str], metric: str = "test/acc"
) -> dict[tuple[str, ...], Interval]:
    """Mean and interval over seeds of every combination of levels of the named factors.

    Only blocks (a seed with the levels of all other factors) that have every combination count,
    so that the means can be compared; where there is no such block, all of them.
    """
    blocks = _blocks(cells, names, metric)
    keys = list(dict.fromkeys(tuple(cell.levels[name] for name in names) for cell in cells))
    complete = {block: values for block, values in blocks.items() if len(values) == len(keys)}
    means = {}
    for key in keys:
        by_seed: dict[int, list[float]] = {}
        for (seed, _), values in (complete or blocks).items():
            if key in values:
                by_seed.setdefault(seed, []).append(values[key])
        means[key] = t_interval([mean(values) for values in by_seed.values()])
    return means


def compare_levels(
    cells: Sequence[Cell], factors: Mapping[str, Sequence[str]], metric: str = "test/acc"
) -> dict[str, list[Comparison]]:
    """Every pair of levels of every factor, Holm-corrected over all of them."""
    made: list[tuple[str, Comparison]] = []
    for name, levels in factors.items():
        blocks = _blocks(cells, [name], metric)
        for a, b in combinations(levels, 2):
            by_seed: dict[int, list[float]] = {}
            for (seed, _), values in blocks.items():
                if (a,) in values and (b,) in values:
                    by_seed.setdefault(seed, []).append(values[a,] - values[b,])
            if by_seed:
                made.append((name, paired(a, b, [mean(d) for d in by_seed.values()])))
    together = corrected([comparison for _, comparison in made])
    result: dict[str, list[Comparison]] = {name: [] for name in factors}
    for (name, _), comparison in zip(made, together, strict=True):
        result[name].append(comparison)
    return result


@dataclass(frozen=True)
class Interaction:
    """How much the effect of one factor depends on another: a difference of differences.

    Args:
        contrast: the one with the smallest p of all pairs of levels of the two factors.
        contrasts: how many there were.
    """

    factors: tuple[str, str]
    contrast: Comparison
    contrasts: int


def interactions(
    cells: Sequence[Cell], factors: Mapping[str, Sequence[str]], metric: str = "test/acc"
) -> list[Interaction]:
    """Of every pair of factors that was crossed; p values Holm-corrected over all contrasts."""
    made: list[tuple[tuple[str, str], Comparison]] = []
    for pair in combinations(factors, 2):
        blocks = _blocks(cells, pair, metric)
        for a, b in combinations(factors[pair[0]], 2):
            for c, d in combinations(factors[pair[1]], 2):
                by_seed: dict[int, list[float]] = {}
                for (seed, _), v in blocks.items():
                    if all((x, y) in v for x in (a, b) for y in (c, d)):
                        effect = (v[a, c] - v[b, c]) - (v[a, d] - v[b, d])
                        by_seed.setdefault(seed, []).append(effect)
                if by_seed:
                    contrast = paired(
                        f"({a} - {b}) with {c}", f"with {d}", [mean(e) for e in by_seed.values()]
                    )
                    made.append((pair, contrast))
    together = corrected([contrast for _, contrast in made])
    strongest = []
    for pair in dict.fromkeys(pair for pair, _ in made):
        own = [c for (p, _), c in zip(made, together, strict=True) if p == pair]
        least = min(own, key=lambda c: (math.isnan(c.p), c.p, -abs(c.difference.mean)))
        strongest.append(Interaction(pair, least, len(own)))
    return strongest


NAMED = 3  # pairs of levels at most in a sentence


def in_words(
    name: str,
    comparisons: Sequence[Comparison],
    averaged: Sequence[str],
    depends_on: Sequence[tuple[str, float]] = (),
) -> str:
    """One sentence: what may be concluded of a factor's effect on test accuracy, and what not.

    Args:
        name: of the factor.
        comparisons: of all pairs of its levels, Holm-corrected.
        averaged: the other factors.
        depends_on: those of them with which the factor interacts, and by how many points.
    """
    if not comparisons:
        return f"{name}: no seed has two of its levels, so nothing may be concluded."
    seeds = min(item.difference.seeds for item in comparisons)
    if seeds < 2:
        widest = max(comparisons, key=lambda item: abs(item.difference.mean))
        return (
            f"{name}: one seed only, so nothing may be concluded; the largest difference seen is "
            f"{abs(widest.difference.mean):.2f} points between {widest.first} and {widest.second}."
        )
    clear = [item for item in comparisons if item.significant]
    open_ = [item for item in comparisons if not item.significant]
    parts = []
    if clear:
        shown = sorted(clear, key=lambda item: -abs(item.difference.mean))[:NAMED]
        said = [f"that {_difference(item)}" for item in shown]
        if rest := len(clear) - len(shown):
            others = f"{rest} more pair{'s' * (rest > 1)} of its levels (table below)"
            said.append(f"and a difference in {others}")
        parts.append(f"it may be concluded {', '.join(said)}")
    if open_:
        if len(open_) <= NAMED:
            unclear = ", or ".join(map(_compatible, open_))
        else:
            unclear = f"in the other {len(open_)} pairs of its levels (table below)"
        parts.append(f"no difference may be concluded {unclear}")
    if depends_on:
        sizes = [f"{other} by {abs(points):.2f} points" for other, points in depends_on]
        parts.append(f"its effect changes with {_listed(sizes)}")
    over = f", averaged over {_listed(averaged)}" if averaged else ""
    return (
        f"{name}: {'; '.join(parts)}; this holds for {seeds} matched seeds of these "
        f"settings{over}, and says nothing of other levels, data or lengths of training."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _difference(item: Comparison) -> str:
    better, worse = (item.first, item.second)
    low, high = item.difference.low, item.difference.high
    if item.difference.mean < 0:
        better, worse, low, high = worse, better, -high, -low
    return (
        f"{better} beats {worse} by {abs(item.difference.mean):.2f} points "
        f"(95 % interval {low:.2f} to {high:.2f}, Holm p {show_p(item.p_holm)})"
    )


def _compatible(item: Comparison) -> str:
    low, high = item.difference.low, item.difference.high
    fits = f"{low:+.2f} to {high:+.2f} points, Holm p {show_p(item.p_holm)}"
    return f"between {item.first} and {item.second} ({fits})"


def show_p(p: float) -> str:
    """Two significant digits, never 0."""
    if math.isnan(p):
        return "–"  # noqa: RUF001
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


@dataclass(frozen=True)
class McNemar:
    """Two runs on the same test images.

    Args:
        only_first, only_second: images that one alone classified correctly.
        both, neither: the others.
        p: exact, two-sided, of the two runs making equally many errors.
    """

    only_first: int
    only_second: int
    both: int
    neither: int
    p: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test, from what each run classified correctly, bool [N]."""
    from scipy.stats import binomtest

    b, c = int((first & ~second).sum()), int((~first & second).sum())
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    p = float(binomtest(b, b + c).pvalue) if b + c else 1.0
    return McNemar(b, c, both, neither, p)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the (cost, accuracy) that no other beats in both, by rising cost."""
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front
