"""The two figures of a source: its comparisons as effects, and its values among our runs."""

import math
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmnist.evidence.claim import MARGIN, Claim, is_share, unit
from fmnist.evidence.outcome import Outcome, published_difference
from fmnist.evidence.statistics import CENTRAL
from fmnist.evidence.text import effect, number, possible_interval, shown_metric
from fmnist.reporting.charts import (
    GRID,
    MUTED,
    PAPER,
    SERIES,
    Chart,
    name_on_hover,
    new_figure,
)  # fmt: skip
from fmnist.runs.text import plural

WORDS = 46  # letters of a line of a label
EFFECTS_LEGEND = (
    "Blue holds, orange does not, grey is open. Lines: intervals at the level that decides; a "
    "hollow dot has too few seeds for one. Diamonds: the difference that the source saw. Grey "
    f"band: less than {MARGIN:g} points."
)
VALUES_LEGEND = (
    "Dots: our runs, a seed each; bar: where 95 % of them lie if they are normal. Diamond: the "
    "published run. Blue holds, orange does not, grey is open. Strokes below: means under other "
    "readings of what the source left open, where they were run."
)
COLORS = {"holds": SERIES[0], "does not hold": SERIES[1]}


def effects_figure(
    source: str, outcomes: Sequence[Outcome], claims: Sequence[Claim]
) -> Chart | None:
    """Its comparisons on the test set, and what the source saw; None: there are none."""
    shown = [o for o in outcomes if _is_comparison(o)]
    if not shown:
        return None
    labels = [_wrapped(o.claim.claim) for o in shown]
    figure, axes = _rows(labels)
    axes.axvspan(-MARGIN, MARGIN, color=GRID, linewidth=0, alpha=0.6)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    for place, outcome in enumerate(shown):
        assert outcome.statement is not None
        mean = outcome.statement.summary.mean
        color = COLORS.get(outcome.judgement.verdict, SERIES[6])
        interval = possible_interval(outcome)
        if interval:
            axes.plot(interval, [place, place], color=color, linewidth=2.2)
        face = color if interval else PAPER
        (dot,) = axes.plot([mean], [place], "o", color=color, markerfacecolor=face, markersize=6)
        name_on_hover(dot, f"{outcome.claim.name}: {effect(outcome)}")
        published = published_difference(outcome.claim, claims)
        if published is not None:
            _diamond(axes, published, place)
    axes.set_xlabel("points, first side minus second")
    caption = EFFECTS_LEGEND
    title = f"{_title(source)}: comparisons and their sizes"
    return Chart(f"{source.lower()}_effects", title, caption, figure, wide=True)


def values_figure(source: str, outcomes: Sequence[Outcome]) -> Chart | None:
    """Published accuracies against single runs of ours; None: it published none."""
    rows = [
        (outcome, part)
        for outcome in outcomes
        if outcome.claim.about and outcome.statement
        for part in outcome.statement.parts
        if is_share(part.label) and not part.label.startswith(("train", "val"))
    ]
    if not rows:
        return None
    labels = [f"{_side(o.claim)}\n{p.label}, published {number(p.value, p.label)}" for o, p in rows]
    figure, axes = _rows(labels)
    axes.axvline(0, color=SERIES[3], linewidth=1.2)
    for place, (outcome, part) in enumerate(rows):
        color = COLORS.get(outcome.judgement.verdict, SERIES[6])
        runs = [value - part.value for value in part.sides[0]]
        summary = part.summary()
        if not math.isnan(summary.sd):
            ends = [summary.mean + sign * CENTRAL * summary.sd for sign in (-1, 1)]
            ends = [min(max(end, 0.0), 100.0) - part.value for end in ends]
            axes.plot(ends, [place, place], color=color, linewidth=6, alpha=0.3,
                      solid_capstyle="butt")  # fmt: skip
        (dots,) = axes.plot(runs, [place] * len(runs), "o", color=color, markersize=4, alpha=0.8)
        name_on_hover(dots, f"{outcome.claim.name}, {part.label}: {plural(len(runs), 'run')}")
        others = _other_readings(outcome, part.label)
        axes.plot([mean - part.value for mean in others], [place + 0.24] * len(others), "|",
                  color=MUTED, markersize=7, markeredgewidth=1.4)  # fmt: skip
        _diamond(axes, 0.0, place)
    axes.set_xlabel("points, our runs minus the published value")
    caption = VALUES_LEGEND
    name = f"{source.lower()}_values"
    return Chart(
        name, f"{_title(source)}: published values and our runs", caption, figure, wide=True
    )


def _diamond(axes: Axes, x: float, y: float) -> None:
    """What was published."""
    axes.plot([x], [y], "D", color=SERIES[3], markerfacecolor=PAPER, markersize=6)


def _is_comparison(outcome: Outcome) -> bool:
    metric, claim = shown_metric(outcome), outcome.claim
    differs = not claim.values and unit(metric) == "points" and metric.startswith("test/")
    return differs and outcome.statement is not None


def _other_readings(outcome: Outcome, label: str) -> list[float]:
    return [
        part.summary().mean
        for item in outcome.readings[1:]
        if item.statement
        for part in item.statement.parts
        if part.label == label
    ]


def _rows(labels: Sequence[str]) -> tuple[Figure, Axes]:
    figure, axes = new_figure((8.2, 0.9 + 0.46 * len(labels)))
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    return figure, axes


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text.rstrip("."), WORDS, max_lines=2, placeholder=" ..."))


def _side(claim: Claim) -> str:
    experiment = claim.where.get("experiment", (claim.name,))[0]
    return experiment.partition("_")[2].replace("_", " ") or experiment


def _title(source: str) -> str:
    return "Our own recipes" if source == "fmnist" else source
