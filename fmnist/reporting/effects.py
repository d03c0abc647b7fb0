"""What a sweep's factors do: levels, pairs of levels and interactions, and sentences about them.

Which runs are compared: `fmnist.evidence.matching`; how: `fmnist.evidence.effects`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from fmnist.evidence.effects import Comparison, compare_sides, corrected, one_training
from fmnist.evidence.failed import excuse
from fmnist.evidence.statistics import FEWEST, Summary, contrast, summarize
from fmnist.evidence.study_settings import Grid, Key
from fmnist.evidence.text import p_words
from fmnist.reporting.table import SweepSetting
from fmnist.runs.text import plural

METRIC = "test/acc"  # that everything here is about


def compare_settings(
    settings: Sequence[SweepSetting], against: SweepSetting | None = None
) -> list[Comparison]:
    """Every pair of settings, or every setting against one, over the seeds that both have."""
    pairs = (
        [(against, setting) for setting in settings if setting is not against]
        if against
        else list(combinations(settings, 2))
    )
    made = []
    for a, b in pairs:
        first, second = a.values(METRIC), b.values(METRIC)
        paired = one_training(name for name in a.levels if a.levels[name] != b.levels[name])
        if values := {seed: (first[seed], second[seed]) for seed in first if seed in second}:
            found = compare_sides(
                a.label, b.label, values, paired=paired, resolution=_resolution([a, b])
            )
            made.append(replace(found, excuse=_excuse([a, b])))
    return corrected(made)


def _excuse(settings: Iterable[SweepSetting]) -> str:
    """Why their failed runs allow no verdict, where they do not."""
    return excuse([row for setting in settings for row in setting.failed.values()], METRIC)


def _resolution(settings: Iterable[SweepSetting]) -> float:
    """In points: an image of the smallest test set."""
    return max(setting.resolution(METRIC) for setting in settings)


def averaged_over(settings: Sequence[SweepSetting], name: str) -> tuple[list[str], list[str]]:
    """Over which factors the levels of one are compared: see `Grid.averaged`.

    One is averaged over where each pair of levels is.
    """
    grid = Grid(settings, [name], METRIC)
    pairs = [grid.averaged(*pair) for pair in combinations(grid.keys, 2) if grid.values(*pair)]
    alone = dict.fromkeys(words for _, some in pairs for words in some)
    return [other for other in grid.others if all(other in whole for whole, _ in pairs)], [*alone]


@dataclass(frozen=True)
class LevelMeans:
    """Mean over seeds of every combination of levels of some factors, in their order.

    Args:
        matched: whether all are over the same seeds and other settings, so that they can be
            compared; where nothing has every combination, each is over its own.
        over: the other factors over which they average.
        alone: of the other factors those of which not all levels count, with those that do.
    """

    means: dict[Key, Summary]
    matched: bool
    over: list[str]
    alone: list[str]


def level_means(
    settings: Sequence[SweepSetting], names: Sequence[str], factors: Mapping[str, Sequence[str]]
) -> LevelMeans:
    """Of the named factors."""
    grid = Grid(settings, names, METRIC)
    together = grid.values(*grid.keys)
    resolution = _resolution(settings)
    means = {
        key: summarize(
            [v[place] for v in together.values()] or [v for (v,) in grid.values(key).values()],
            resolution,
        )
        for place, key in enumerate(grid.keys)
    }
    ordered = {key: means[key] for key in product(*(factors[n] for n in names)) if key in means}
    return LevelMeans(ordered, bool(together), *grid.averaged(*grid.keys))


def compare_levels(
    settings: Sequence[SweepSetting], factors: Mapping[str, Sequence[str]]
) -> dict[str, list[Comparison]]:
    """Every pair of levels of every factor, corrected for all of them."""
    made: list[tuple[str, Comparison]] = []
    why, resolution = _excuse(settings), _resolution(settings)
    for name, levels in factors.items():
        grid = Grid(settings, [name], METRIC)
        for a, b in combinations(levels, 2):
            if values := grid.values((a,), (b,)):
                found = compare_sides(
                    a, b, values, paired=one_training([name]), resolution=resolution
                )
                made.append((name, replace(found, excuse=why)))
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
    settings: Sequence[SweepSetting], factors: Mapping[str, Sequence[str]]
) -> list[Interaction]:
    """Of every pair of factors that was crossed; p values corrected for all contrasts."""
    made: list[tuple[tuple[str, str], Comparison]] = []
    why, resolution = _excuse(settings), _resolution(settings)
    for pair in combinations(factors, 2):
        grid = Grid(settings, pair, METRIC)
        for a, b in combinations(factors[pair[0]], 2):
            for c, d in combinations(factors[pair[1]], 2):
                if values := grid.values((a, c), (b, c), (a, d), (b, d)):
                    words = f"({a} - {b}) with {c}", f"with {d}"
                    sides = [*zip(*values.values(), strict=True)]
                    difference = contrast(sides, (1, -1, -1, 1), resolution=resolution)
                    made.append((pair, Comparison(*words, difference, excuse=why)))
    together = corrected([comparison for _, comparison in made])
    strongest = []
    for pair in dict.fromkeys(pair for pair, _ in made):
        own = [c for (p, _), c in zip(made, together, strict=True) if p == pair]
        least = min(own, key=lambda c: (math.isnan(c.p), c.p, -abs(c.difference.mean)))
        strongest.append(Interaction(pair, least, len(own)))
    return strongest


NAMED = 3  # pairs of levels at most in a sentence


def factor_sentence(
    name: str,
    comparisons: Sequence[Comparison],
    averaged: Sequence[str],
    depends_on: Sequence[tuple[str, float]] = (),
    alone: Sequence[str] = (),
) -> str:
    """One sentence: what may be concluded of a factor's effect on test accuracy, and what not.

    Args:
        name: of the factor.
        comparisons: of all pairs of its levels, corrected.
        averaged: the other factors, as far as all of their levels count.
        depends_on: those of them with which the factor interacts, and by how many points.
        alone: the others, with the levels that do: "pooling=avg".
    """
    if not comparisons:
        return f"{name}: no seed has two of its levels, so nothing may be concluded."
    enough = [item for item in comparisons if item.difference.n >= FEWEST]
    if not enough:
        widest = max(comparisons, key=lambda item: abs(item.difference.mean))
        seeds = max(item.difference.n for item in comparisons)
        return (
            f"{name}: {'one seed' if seeds == 1 else f'{seeds} seeds'} only, so nothing may be "
            f"concluded; the largest difference seen is {abs(widest.difference.mean):.2f} points "
            f"between {widest.first} and {widest.second}."
        )
    seeds = min(item.difference.n for item in enough)
    clear = [item for item in enough if item.decided]
    open_ = [item for item in enough if not item.decided]
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
    if few := len(comparisons) - len(enough):
        pairs = f"{plural(few, 'pair')} of its levels (table below)"
        parts.append(f"nothing may be concluded of {pairs} with fewer than {FEWEST} seeds")
    if depends_on:
        sizes = [f"{other} by {abs(points):.2f} points" for other, points in depends_on]
        parts.append(f"its effect changes with {listed(sizes)}")
    over = f", averaged over {listed(averaged)}" if averaged else ""
    over += f", at {listed(alone)} alone" if alone else ""
    return (
        f"{name}: {'; '.join(parts)}; this holds for {seeds} matched seeds of these "
        f"settings{over}, and says nothing of other levels, data or lengths of training."
    )


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _difference(item: Comparison) -> str:
    better, worse = (item.first, item.second)
    low, high = item.low, item.high
    if item.difference.mean < 0:
        better, worse, low, high = worse, better, -high, -low
    return (
        f"{better} beats {worse} by {abs(item.difference.mean):.2f} points "
        f"(interval {low:.2f} to {high:.2f}, p {p_words(item.p)})"
    )


def _compatible(item: Comparison) -> str:
    low, high = item.low, item.high
    fits = f"{low:+.2f} to {high:+.2f} points, p {p_words(item.p)}"
    return f"between {item.first} and {item.second} ({fits})"


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the (cost, accuracy) that no other beats in both, by rising cost."""
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front
