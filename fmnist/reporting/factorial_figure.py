"""What a factorial's levels add, as a figure; and the same as the lines of a table."""

import math
from collections.abc import Sequence

from fmnist.evidence.factorial import FactorEffect, Factorial, LevelEffect
from fmnist.evidence.text import p_words
from fmnist.reporting.charts import (
    MUTED,
    ROOM,
    SERIES,
    Chart,
    name_on_hover,
    new_figure,
    short,
)  # fmt: skip

COLUMNS = ("effect", "what its levels add, points [95 %]", "F (df)", "p")
PAIRS = 3  # of levels that are named of an interaction, the largest


def effect_lines(found: Factorial) -> list[list[str]]:
    """A line of COLUMNS for every effect; of an interaction the pairs that add most."""
    lines = []
    for effect in found.effects:
        levels = list(effect.levels)
        if len(effect.factors) > 1:
            levels = sorted(levels, key=lambda level: -abs(level.mean))[:PAIRS]
        f = (
            ""
            if math.isnan(effect.f)
            else f"{_short(effect.f)} ({', '.join(map(str, effect.freedom))})"
        )
        lines.append(
            [
                " x ".join(effect.factors),
                "; ".join(map(_words, levels)),
                f,
                p_words(found.p(effect)),
            ]
        )
    return lines


def largest_in_words(found: Factorial) -> str:
    """A sentence on the largest main effect and the largest interaction."""
    alone, pairs = (
        max(
            (e for e in found.effects if len(e.factors) == count),
            key=lambda e: max(abs(x.mean) for x in e.levels),
        )
        for count in (1, 2)
    )
    main = max(alone.levels, key=lambda level: abs(level.mean))
    pair = max(pairs.levels, key=lambda level: abs(level.mean))
    corrected = f"p corrected for {len(found.effects)} effects"
    return (
        f"All its factors together: {alone.factors[0]} matters most ({_words(main)} points against "
        f"the mean of all, p {p_words(found.p(alone))}), and of every two "
        f"{' and '.join(pairs.factors)} ({_words(pair)} points beyond what the two add alone, p "
        f"{p_words(found.p(pairs))}). {found.method()}; {corrected}."
    )


def _short(f: float) -> str:
    return f"{f:,.0f}" if f >= 100 else f"{f:.3g}"


def _words(level: LevelEffect) -> str:
    text = f"{' with '.join(level.levels)} {level.mean:+.2f}"
    if math.isnan(level.half_width):
        return text
    low, high = level.mean - level.half_width, level.mean + level.half_width
    return f"{text} [{low:+.2f}, {high:+.2f}]"


def factorial_figure(found: Factorial, name: str, title: str) -> Chart:
    """Main effects of every level, and of every interaction the pair that adds most."""
    rows: list[tuple[str, LevelEffect, str]] = []
    for effect in found.effects:
        many = len(effect.factors) > 1
        shown = [max(effect.levels, key=lambda x: abs(x.mean))] if many else effect.levels
        color = SERIES[1] if many else SERIES[0]
        rows += [(_label(effect, level), level, color) for level in shown]
    figure, axes = new_figure((8.2, 0.7 + 0.25 * len(rows)))
    axes.axvline(0, color=MUTED, linewidth=0.8)
    for place, (label, level, color) in enumerate(rows):
        half = 0.0 if math.isnan(level.half_width) else level.half_width
        axes.plot([level.mean - half, level.mean + half], [place, place], color=color, linewidth=2)
        (dot,) = axes.plot([level.mean], [place], "o", color=color, markersize=5)
        name_on_hover(dot, f"{label}: {_words(level)}")
    axes.set_yticks(range(len(rows)), [short(label, 3 * ROOM) for label, _, _ in rows])
    _color_ticks(axes.get_yticklabels(), [color for _, _, color in rows])
    # Of orange ones zero is another thing than of blue ones.
    axes.set(xlabel="points that are added to test accuracy", ylim=(len(rows) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    caption = (
        "Blue: what a level adds to the mean of all combinations. Orange: of every two factors the "
        "pair of levels that adds most beyond its two levels. Lines: 95 % intervals, each on its "
        "own."
    )
    return Chart(name, title, caption, figure, wide=True)


def _color_ticks(labels: Sequence[object], colors: Sequence[str]) -> None:
    for label, color in zip(labels, colors, strict=True):
        label.set_color(color)  # type: ignore[attr-defined]


def _label(effect: FactorEffect, level: LevelEffect) -> str:
    names = [name.rpartition(".")[2] for name in effect.factors]
    return ", ".join(f"{name} {value}" for name, value in zip(names, level.levels, strict=True))
