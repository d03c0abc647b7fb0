"""The figures of a sweep. All are drawn under `charts.STYLE`; accuracies are in percent."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from fmnist.evidence.statistics import Summary
from fmnist.evidence.text import mean_words
from fmnist.reporting.charts import (
    HALF,
    INK,
    MUTED,
    PAPER,
    SEQUENTIAL,
    SERIES,
    Chart,
    legend_above,
    name_on_hover,
    new_figure,
    plain_numbers,
    short,
)  # fmt: skip
from fmnist.reporting.effects import LevelMeans, level_means, listed, pareto_front
from fmnist.reporting.table import Entry, SweepSetting, numbers
from fmnist.runs.text import plural

UNMATCHED = (
    "Each mean is over other seeds or other levels of the other factors, as no seed has all of "
    "these in the same ones: they cannot be compared."
)
SAME = 1e-6  # points: means that differ by less are one
MODELS = ("model", "experiment")  # factors whose levels are nets


def file_name(*parts: str) -> str:
    """Letters, digits, dots and underscores only: factors become parts of file names."""
    return "_".join("".join(c if c.isalnum() or c in "._" else "-" for c in p) for p in parts)


def main_effect(name: str, found: LevelMeans) -> Chart:
    """Mean test accuracy of every level of one factor, with intervals."""
    means = found.means
    levels = [key[0] for key in means]
    figure, axes = new_figure((HALF[0], max(1.5, 0.75 + 0.36 * len(levels))))
    for place, interval in enumerate(means.values()):
        _point_with_interval(axes, interval, place)
    axes.set_yticks(range(len(levels)), map(short, levels))
    axes.set(xlabel="test accuracy (%)", ylabel=name, ylim=(len(levels) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    seeds = max(interval.n for interval in means.values())
    best = max(means, key=lambda key: means[key].mean)
    over = f" over {listed(found.over)}" if found.over else ""
    if found.alone:
        over += f" at {', '.join(found.alone)} alone, where every level has its runs"
    caption = f"Highest: {best[0]}, {means[best].mean:.2f} %. " + (
        f"Mean{over}, with its 95 % t interval over {seeds} seeds. "
        "Overlap of intervals is no test: seeds are matched, see the comparisons."
        if seeds > 1
        else f"Mean{over}; one seed, so there is no interval."
    )
    caption = caption if found.matched else UNMATCHED
    return Chart(file_name("effect", name), f"Effect of {name}", caption, figure)


def _point_with_interval(axes: Axes, interval: Summary, place: float) -> None:
    if not math.isnan(interval.low):
        ends = [max(0.0, interval.low), min(100.0, interval.high)]
        axes.plot(ends, [place, place], color=SERIES[0], linewidth=2.2)
    (dot,) = axes.plot([interval.mean], [place], "o", color=SERIES[0], markersize=6.5)
    name_on_hover(dot, f"{mean_words(interval, bounds=(0.0, 100.0))} %")


def bounded_errors(intervals: Sequence[Summary | None]) -> "np.ndarray":
    """How far the 95 % intervals of accuracies reach down and up, in 0 to 100: float [2, N]."""
    lows, highs = [], []
    for item in intervals:
        known = item is not None and not math.isnan(item.low)
        lows.append(item.mean - max(0.0, item.low) if item and known else 0.0)
        highs.append(min(100.0, item.high) - item.mean if item and known else 0.0)
    return np.array([lows, highs])


def two_factors(
    settings: Sequence[SweepSetting], names: tuple[str, str], factors: Mapping[str, Sequence[str]]
) -> list[Chart]:
    """Heatmap of two factors and a line plot of one by the other; the longer numeric one is x."""
    across, down = sorted(
        names, key=lambda n: (numbers(factors[n]) is None, -len(factors[n]), names.index(n))
    )
    found = level_means(settings, [across, down], factors)
    charts = [
        _heatmap(across, down, factors, found.means),
        _lines(across, down, factors, found.means),
    ]
    return charts if found.matched else [replace(chart, caption=UNMATCHED) for chart in charts]


def _heatmap(
    across: str,
    down: str,
    factors: Mapping[str, Sequence[str]],
    means: Mapping[tuple[str, ...], Summary],
) -> Chart:
    columns, rows = factors[across], factors[down]
    grid = np.array([[_mean(means.get((c, r))) for c in columns] for r in rows])
    size = (HALF[0], max(2.3, 1.1 + 0.42 * len(rows)))
    figure, axes = new_figure(size)
    low, high = np.nanmin(grid), np.nanmax(grid)
    if high - low < SAME:  # one colour, from the middle of the scale
        low, high = low - 0.5, high + 0.5
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(grid), cmap=SEQUENTIAL, vmin=low, vmax=high,
        edgecolors=PAPER, linewidth=1.5,
    )  # fmt: skip
    narrow = len(columns) > 8
    for i, j in np.ndindex(*grid.shape):
        value, middle = grid[i, j], (low + high) / 2
        color = MUTED if math.isnan(value) else "#ffffff" if value < middle else "#111111"
        text = "none" if math.isnan(value) else f"{value:.2f}"
        axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=color,
                  fontsize=7 if narrow else 8, rotation=90 if narrow else 0)  # fmt: skip
    axes.set_xticks(np.arange(len(columns)) + 0.5, map(short, columns))
    axes.set_yticks(np.arange(len(rows)) + 0.5, map(short, rows))
    if sum(map(len, columns)) > 40:
        axes.tick_params(axis="x", rotation=35)
    axes.set(xlabel=across, ylabel=down)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(mesh, ax=axes, label="test accuracy (%)", pad=0.02)
    bar.outline.set_visible(False)
    best = max(means, key=lambda key: means[key].mean)
    caption = (
        f"Mean test accuracy over {_seeds(means)} that all have"
        f"{', and all other factors' * (len(factors) > 2)}. "
        f"Highest: {across}={best[0]} with "
        f"{down}={best[1]}, {means[best].mean:.2f} %."
    )
    title = f"{across} and {down}"
    return Chart(file_name("heatmap", across, down), title, caption, figure)


def _lines(
    across: str,
    down: str,
    factors: Mapping[str, Sequence[str]],
    means: Mapping[tuple[str, ...], Summary],
) -> Chart:
    columns, places = factors[across], numbers(factors[across])
    figure, axes = new_figure((HALF[0], 3.0))
    xs = places or list(range(len(columns)))
    for index, level in enumerate(factors[down]):
        line = [means.get((column, level)) for column in columns]
        color = SERIES[index % len(SERIES)]
        errors = bounded_errors(line)
        marker = "osD^vPX"[index % 7]
        axes.errorbar(
            xs, [_mean(i) for i in line], yerr=errors if errors.any() else None, color=color,
            marker=marker, capsize=2, elinewidth=0.8, label=short(level),
        )  # fmt: skip
    if places and min(places) > 0 and max(places) / min(places) >= 4:
        axes.set_xscale("log")
    axes.set_xticks(xs, map(short, columns))
    axes.xaxis.set_minor_locator(NullLocator())
    if places is None:
        axes.set_xlim(-0.3, len(xs) - 0.7)
    if sum(map(len, columns)) > 40:
        axes.tick_params(axis="x", rotation=35)
    axes.set(xlabel=across, ylabel="test accuracy (%)")
    legend_above(axes, down)
    best = max(means, key=lambda key: means[key].mean)
    caption = (
        f"Highest: {best[0]} with {best[1]}, {means[best].mean:.2f} %. "
        f"Parallel lines: the effect of {down} is the same at every {across}; crossing or fanning "
        "lines: it depends on it. Bars: 95 % t interval over seeds, where there is one."
    )
    title = f"{across} by {down}"
    return Chart(file_name("lines", across, down), title, caption, figure)


def _seeds(means: Mapping[tuple[str, ...], Summary]) -> str:
    return plural(max(interval.n for interval in means.values()), "seed")


def _mean(interval: Summary | None) -> float:
    return math.nan if interval is None else interval.mean


def model_bars(name: str, found: LevelMeans) -> Chart:
    """Test error of every net, as bars from zero."""
    means = found.means
    order = sorted(means, key=lambda key: -means[key].mean)
    figure, axes = new_figure((HALF[0], max(1.8, 0.8 + 0.4 * len(order))))
    for place, key in enumerate(order):
        interval = means[key]
        errors = bounded_errors([interval])[::-1]  # of the error: high and low change places
        axes.barh(place, 100 - interval.mean, xerr=errors if errors.any() else None,
                  height=0.6, color=SERIES[5],
                  error_kw={"elinewidth": 1.2, "capsize": 3, "ecolor": MUTED})  # fmt: skip
        width, most = 100 - interval.mean, 100 - min(item.mean for item in means.values())
        inside = width > 0.5 * most  # there is room for what it says
        start = 0.03 * width if inside else width + float(errors[1].max()) + 0.02 * most
        axes.text(start, place, f"{interval.mean:.2f} % correct", va="center", fontsize=8,
                  color="#ffffff" if inside else INK, fontweight="bold")  # fmt: skip
    axes.set_yticks(range(len(order)), [short(key[0]) for key in order])
    axes.set(xlabel="test error (%)", ylabel=name, ylim=(len(order) - 0.4, -0.6), xlim=(0, None))
    axes.grid(visible=False, axis="y")
    least = order[0]
    caption = (
        f"Least error: {least[0]}, {100 - means[least].mean:.2f} %. "
        "Share of test images that are misclassified, shortest is best; bars start at zero. "
        "Lines: 95 % t interval over seeds."
    )
    caption = caption if found.matched else UNMATCHED
    return Chart(file_name("bars", name), f"Error by {name}", caption, figure)


def parallel_coordinates(rows: Sequence[Entry], factors: Mapping[str, Sequence[str]]) -> Chart:
    """Every finished run as a line through its settings, cost and accuracy."""
    names = [*factors, "seconds", "test accuracy (%)"]
    accuracy = np.array([100 * row.metric("test/acc") for row in rows])
    seconds = np.array([row.metric("train_seconds") for row in rows])
    figure, axes = new_figure((9.6, 3.6))
    low, spread = accuracy.min(), max(1e-9, float(np.ptp(accuracy)))
    quarter = np.sort(accuracy)[::-1][max(0, -(-len(accuracy) // 4) - 1)]
    for row, acc, cost in zip(rows, accuracy, seconds, strict=True):
        heights = [_height(row.levels.get(name, ""), levels) for name, levels in factors.items()]
        heights += [(cost - seconds.min()) / max(1e-9, float(np.ptp(seconds)))]
        share = float((acc - low) / spread)
        good = acc >= quarter
        (line,) = axes.plot(
            range(len(names)), [*heights, share], color=SERIES[1] if good else MUTED,
            linewidth=1.8 if good else 0.9, zorder=3 if good else 2,
            alpha=max(0.15, min(1.0, 40 / len(rows))),  # of many, where they are dense
        )  # fmt: skip
        settings = ", ".join(f"{name}={level}" for name, level in row.levels.items())
        name_on_hover(line, f"{row.name}: {settings}: {acc:.2f} %, {cost:.0f} s")
    for place, name in enumerate(names):
        axes.axvline(place, color=MUTED, linewidth=0.8)
        for text, height in _ticks(name, factors, seconds, accuracy):
            axes.text(
                place + 0.03, height, text, fontsize=7.5, va="center", ha="left",
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.8, "alpha": 0.75},
            )  # fmt: skip
    labels = [name.rpartition(".")[2] if len(names) > 6 else name for name in names]
    axes.set_xticks(range(len(names)), labels)
    axes.set(xlim=(-0.15, len(names) - 0.45), ylim=(-0.08, 1.08), yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    caption = (
        f"One line a run, from its settings through its training seconds to its test accuracy; in "
        f"colour: the best quarter, {quarter:.2f} % and more. Levels through which only these pass "
        "are good ones."
    )
    title = "Parallel coordinates"
    return Chart("parallel_coordinates", title, caption, figure, wide=True)


def _height(level: str, levels: Sequence[str]) -> float:
    if level not in levels or len(levels) < 2:
        return 0.5
    return levels.index(level) / (len(levels) - 1)


def _ticks(
    name: str,
    factors: Mapping[str, Sequence[str]],
    seconds: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    accuracy: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> list[tuple[str, float]]:
    if name in factors:
        return [(short(level), _height(level, factors[name])) for level in factors[name]]
    values, form = (seconds, "{:.1f}") if name == "seconds" else (accuracy, "{:.2f}")
    return [(form.format(values.min()), 0.0), (form.format(values.max()), 1.0)]


NAMED = 8  # points that all bear their names; of more only those on the front


def _told_apart(settings: Sequence[SweepSetting]) -> list[str]:
    """A short name each: what is not the same in all of them."""
    first, names = settings[0].levels, []
    varied = [name for name in first if len({one.levels[name] for one in settings}) > 1]
    for one in settings:
        text = replace(one, levels={name: one.levels[name] for name in varied or first}).label
        names.append(text if len(text) <= 28 else f"{text[:27]}…")
    return names


def cost_and_accuracy(settings: Sequence[SweepSetting], cost: str, label: str, title: str) -> Chart:
    """Test accuracy of every setting against a cost, with the Pareto front."""
    points = [(setting.mean(cost), setting.mean("test/acc")) for setting in settings]
    front = pareto_front(points)
    figure, axes = new_figure()
    steps = [points[index] for index in front]
    axes.plot(*zip(*steps, strict=True), color=SERIES[1], linewidth=1, drawstyle="steps-post")
    for index, (x, y) in enumerate(points):
        best = index in front
        (dot,) = axes.plot(
            [x], [y], "o", color=SERIES[1] if best else SERIES[0], markersize=6 if best else 5,
            markeredgecolor=PAPER, markeredgewidth=0.6,
        )  # fmt: skip
        name_on_hover(dot, f"{settings[index].label}: {y:.2f} %, {x:,.4g} {label}")
    middle = (min(p[0] for p in points) + max(p[0] for p in points)) / 2
    shown = front if len(points) > NAMED else range(len(points))
    for index, name in zip(shown, _told_apart([settings[i] for i in shown]), strict=True):
        right = points[index][0] > middle
        axes.annotate(
            name, points[index], (-6 if right else 6, 5), fontsize=7,
            textcoords="offset points", ha="right" if right else "left",
        )  # fmt: skip
    axes.margins(y=0.12)
    if min(p[0] for p in points) > 0 and max(p[0] for p in points) > 8 * min(p[0] for p in points):
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
    axes.set(xlabel=label, ylabel="test accuracy (%)")
    named = [settings[index].label for index in front]
    listed = "; ".join(named[:4]) + (f"; and {len(named) - 4} more" if len(named) > 4 else "")
    caption = (
        "One point a setting, mean over its seeds. On the line: the Pareto front, settings that no "
        f"other beats in both. By rising cost: {listed}."
    )
    return Chart(file_name("pareto", cost), title, caption, figure)
