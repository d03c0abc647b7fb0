"""Rate of convergence of a sweep's settings, against one accuracy for all of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import mean, median_low

from fmnist.evidence.statistics import Summary, summarize
from fmnist.reporting.charts import (
    HALF,
    MUTED,
    ROOM,
    SERIES,
    Chart,
    legend_above,
    name_on_hover,
    new_figure,
    short,
)
from fmnist.reporting.run_figures import whole_epochs
from fmnist.reporting.table import Entry, SweepSetting
from fmnist.runs.convergence import convergence
from fmnist.runs.record import epoch_ends


@dataclass(frozen=True)
class SettingConvergence:
    """How fast the finished runs of a setting came to the target, over seeds.

    Args:
        runs, reached: how many there are, and how many of them came so far.
        allowed: epochs that they might train.
        epochs, seconds: until the target. Lower bounds without an interval where some runs never
            reached it: see `fmnist.runs.convergence`.
        area: mean validation accuracy over the allowed epochs, in percent.
    """

    setting: SweepSetting
    runs: int
    reached: int
    allowed: int
    epochs: Summary
    seconds: Summary
    area: Summary

    @property
    def censored(self) -> bool:
        """Whether some runs never reached the target."""
        return self.reached < self.runs


def usual_target(rows: Iterable[Entry]) -> float:
    """A validation accuracy in [0, 1] that at least half of the runs reach, and hardly any at once.

    The median over finished runs of the highest one, less a point, down to a whole percent.
    """
    best: float = median_low(max(epoch.val_acc for epoch in row.record.epochs) for row in rows)
    return max(0.0, math.floor(round(100 * best, 6)) - 1) / 100


def convergence_of(setting: SweepSetting, target: float) -> SettingConvergence:
    """Of one setting; the target in [0, 1]."""
    rows = list(setting.rows.values())
    found = [convergence(row.record.epochs, target, row.record.horizon) for row in rows]
    epochs = summarize([item.epochs for item in found], resolution=1)
    timed = [item.seconds for item, row in zip(found, rows, strict=True) if not row.record.moved]
    seconds = summarize(timed or [math.nan])
    reached = sum(item.reached for item in found)
    if reached < len(found):
        epochs, seconds = (replace(i, error=math.nan) for i in (epochs, seconds))
    area = summarize([100 * item.area for item in found], setting.resolution("val/acc"))
    allowed = max(row.record.horizon for row in rows)
    return SettingConvergence(setting, len(found), reached, allowed, epochs, seconds, area)


def convergence_curves(found: Sequence[SettingConvergence], target: float) -> Chart:
    """Mean validation accuracy of every setting by epoch; of many settings, only two in colour."""
    ranked = [item.setting for item in sorted(found, key=lambda item: -item.area.mean)]
    many = len(ranked) > len(SERIES)
    if max(len(row.record.epochs) for setting in ranked for row in setting.rows.values()) == 1:
        return _after_one_epoch(ranked)
    figure, axes = new_figure()
    longest = 1
    for place, setting in enumerate(ranked):
        curves = [
            [100 * row.val_acc for row in epoch_ends(r.record.epochs)]
            for r in setting.rows.values()
        ]
        heights = [mean(values) for values in zip(*curves, strict=False)]
        longest = max(longest, len(heights))
        muted = many and 0 < place < len(ranked) - 1
        (line,) = axes.plot(
            range(1, len(heights) + 1), heights, marker="" if muted else "o", markersize=3.5,
            color=MUTED if muted else SERIES[min(place, 1) if many else place],
            alpha=min(0.5, 20 / len(ranked)) if muted else 1, linewidth=0.8 if muted else 1.6,
            zorder=2 if muted else 3, label=None if muted else short(setting.label, 2 * ROOM),
        )  # fmt: skip
        name_on_hover(line, setting.label)
    axes.axhline(100 * target, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)")
    whole_epochs(axes, range(1, longest + 1))
    legend_above(axes)
    caption = (
        f"Highest: {ranked[0].label}, lowest: {ranked[-1].label}. "
        f"{'In colour: highest and lowest' if many else 'From highest to lowest'} mean over the "
        "epochs. Means over seeds, as far as all seeds were trained. Dashed: the target, "
        f"{100 * target:g} %."
    )
    return Chart("convergence", "Validation accuracy by epoch", caption, figure)


def _after_one_epoch(ranked: Sequence[SweepSetting]) -> Chart:
    """Dots on an axis that shows their differences: a curve would be one dot."""
    means = [
        mean(100 * row.record.epochs[0].val_acc for row in setting.rows.values())
        for setting in ranked
    ]
    figure, axes = new_figure((HALF[0], max(1.5, 0.75 + 0.3 * len(ranked))))
    axes.plot(means, range(len(ranked)), "o", color=SERIES[0])
    axes.set_yticks(range(len(ranked)), [short(setting.label) for setting in ranked])
    axes.set(xlabel="validation accuracy (%)", ylim=(len(ranked) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    caption = (
        f"Means over seeds. Highest: {ranked[0].label}, {means[0]:.2f} %; lowest: "
        f"{ranked[-1].label}, {means[-1]:.2f} %."
    )
    return Chart("convergence", "Validation accuracy after one epoch", caption, figure)
