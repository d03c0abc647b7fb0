"""The figures of one run. All are drawn under `charts.STYLE`."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmnist.reporting.charts import (
    GRID,
    HALF,
    INK,
    MUTED,
    PAPER,
    SERIES,
    Chart,
    bars,
    in_unit,
    legend_above,
    name_on_hover,
    new_figure,
    plain_numbers,
    short,
)  # fmt: skip
from fmnist.runs.evaluation import BINS, MANY, Curve, Evaluation
from fmnist.runs.record import Epoch, Record, known
from fmnist.runs.text import augments

SQUARE = (4.9, 4.5)
POINTS = 250  # of a curve in a figure; areas come from all of them


def training_curves(record: Record, prefix: str = "") -> list[Chart]:
    """Loss, accuracy and learning rate by epoch, of a run record."""
    rows, best = record.epochs, known(record.best_epoch)
    if len(rows) == 1:
        return [_one_epoch({"training": rows, "validation": rows}, key, prefix) for key in UNITS]
    epochs = epoch_places(rows)
    chosen = f"epoch {record.chosen.epoch + 1}"
    charts = []
    for key, title, factor, unit, where in (
        ("loss", "Loss by epoch", 1, "cross-entropy (nats)", "lowest"),
        ("acc", "Accuracy by epoch", 100, "accuracy (%)", "highest"),
    ):
        figure, axes = new_figure()
        axes.axvline(epochs[best], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        for series, color, marker in (("train", SERIES[1], "s"), ("val", SERIES[0], "o")):
            values = [factor * value for value in _curve(rows, series, key)]
            label = {"train": "training", "val": "validation"}[series]
            axes.plot(epochs, values, color=color, marker=marker, label=label)
        heights = _curve(rows, "val", key)
        value = factor * heights[best]
        ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": INK, "markersize": 10}
        axes.plot([epochs[best]], [value], "o", label=f"chosen, {chosen}", **ring)
        axes.set(xlabel="epoch", ylabel=unit)
        whole_epochs(axes, epochs)
        legend_above(axes)
        extreme = heights.index((min if key == "loss" else max)(heights))
        caption = (
            f"Training and validation {'loss' if key == 'loss' else 'accuracy'}. The ring marks "
            f"{chosen}, whose weights were tested; validation is {where} at epoch "
            f"{rows[extreme].epoch + 1}. A widening gap between the lines is overfitting."
            f"{_harder_for_training([record], key)}"
        )
        charts.append(Chart(f"{prefix}{key}", title, caption, figure))
    return [*charts, _learning_rate(rows, epochs, prefix)]


def epoch_places(rows: Sequence[Epoch]) -> list[float]:
    """Where rows stand on an axis of epochs: at an epoch's end; several of one, evenly within."""
    counts, seen = Counter(row.epoch for row in rows), Counter[int]()
    places = []
    for row in rows:
        seen[row.epoch] += 1
        places.append(row.epoch + seen[row.epoch] / counts[row.epoch])
    return places


UNITS = {"loss": "cross-entropy (nats)", "acc": "accuracy (%)"}


def _one_epoch(lines: Mapping[str, Sequence[Epoch]], key: str, prefix: str) -> Chart:
    """Bars of what a curve of one epoch would show as single dots.

    Args:
        lines: rows by label; one that ends in "training" shows training's.
    """
    factor = 100 if key == "acc" else 1
    values = [
        factor * _curve(rows, "train" if label.endswith("training") else "val", key)[0]
        for label, rows in lines.items()
    ]
    colors = [SERIES[1] if label.endswith("training") else SERIES[0] for label in lines]
    figure = bars(list(lines), values, colors, UNITS[key])
    pairs = zip(lines, values, strict=True)
    said = "; ".join(f"{label} {in_unit(value, UNITS[key])}" for label, value in pairs)
    title = f"{'Loss' if key == 'loss' else 'Accuracy'} after one epoch"
    return Chart(f"{prefix}{key}", title, f"{said}.", figure)


def _curve(rows: Sequence[Epoch], series: str, key: str) -> list[float]:
    """The losses or accuracies ("loss", "acc") of training or validation ("train", "val")."""
    return [row.metrics()[f"{series}/{key}"] for row in rows]


def _harder_for_training(records: Sequence[Record], key: str, names: Sequence[str] = ("",)) -> str:
    """What sets training lines apart by itself: sentences for the caption, or none.

    Args:
        names: of the runs; where all bear the same, one sentence says so of all.
    """
    reasons = [_burden(record, key) for record in records]
    if len(set(reasons)) == 1:
        reasons, names = reasons[:1], [""]
    return "".join(
        f" Training has it harder{f' in the {name} run' if name else ''}: {reason}."
        for reason, name in zip(reasons, names, strict=True)
        if reason
    )


def _burden(record: Record, key: str) -> str:
    """What training alone has to bear, or ""."""
    config, classes = record.config, len(known(record.dataset).classes)
    smoothing = config.get("label_smoothing", 0.0)
    reasons = ["its images are augmented"] if augments(config["aug"]) else []
    if key == "loss" and config["model"].get("aux_heads"):
        from fmnist.training.classifier import AUXILIARY_WEIGHT

        reasons.append(f"its loss includes {AUXILIARY_WEIGHT:g} of each auxiliary head's")
    if key == "loss" and smoothing:
        # The least loss is the entropy of the target.
        wrong = smoothing / classes
        right = 1 - smoothing + wrong
        least = -right * math.log(right) - (classes - 1) * wrong * math.log(wrong)
        reasons.append(f"label smoothing of {smoothing:g} keeps its loss above {least:.2f}")
    return ", and ".join(reasons)


def _learning_rate(rows: Sequence[Epoch], epochs: list[float], prefix: str) -> Chart:
    figure, axes = new_figure((HALF[0], 2.3))
    rates = [row.lr for row in rows]
    axes.plot(epochs, rates, color=SERIES[2], marker="o", drawstyle="steps-post")
    axes.set(xlabel="epoch", ylabel="learning rate")
    if min(rates) > 0 and max(rates) / min(rates) > 20:
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
    else:
        axes.set_ylim(0, 1.15 * max(rates) or 1)
    whole_epochs(axes, epochs)
    caption = f"At the first step of each epoch: from {rates[0]:g} to {rates[-1]:g}."
    return Chart(f"{prefix}learning_rate", "Learning rate", caption, figure)


def whole_epochs(axes: Axes, epochs: Sequence[float]) -> None:
    """Whole numbers on the axis of epochs, from the first of these to the last."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
    axes.set_xlim(epochs[0] - 0.4, epochs[-1] + 0.4)


def confusion_matrices(evaluation: Evaluation, prefix: str = "") -> list[Chart]:
    """Counts, and each row as shares of its class; of many classes those most often confused."""
    counts = evaluation.confusion
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    i, j = (int(k) for k in np.unravel_index(errors.argmax(), errors.shape))
    names = evaluation.classes
    most = (
        f"The largest error: {errors[i, j]} of {counts[i].sum()} {names[i]} called {names[j]}."
        if errors[i, j]
        else "There are no errors."
    )
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    shown = evaluation.shown_classes()
    some = len(shown) < len(names)
    counts, shares = counts[np.ix_(shown, shown)], shares[np.ix_(shown, shown)]
    chosen = [names[k] for k in shown]
    part = (
        f" {len(shown)} of {len(names)} classes: those most often confused, by pairs, the most "
        "errors first."
    )
    sums = (
        "The diagonal is the recall of the class."
        if some
        else f"Every row {'of a class with images ' * (not evaluation.support.all())}sums to 100; "
        "the diagonal is the recall of the class."
    )
    return [
        Chart(
            f"{prefix}confusion_counts", "Confusion matrix, images",
            f"Rows: what the image is; columns: what the net says. {most}{part if some else ''}",
            _matrix(counts, [[str(n) if n else "" for n in row] for row in counts]
                    if some else [[str(n) for n in row] for row in counts], chosen),
            dense=True,
        ),
        Chart(
            f"{prefix}confusion_shares", "Confusion matrix, % of each class",
            f"{sums}{part if some else ''}",
            _matrix(shares, [[f"{n:.{0 if some else 1}f}" if n else "" for n in row]
                    for row in shares], chosen),
            dense=True,
        ),
    ]  # fmt: skip


def _matrix(values: Any, texts: Sequence[Sequence[str]], names: Sequence[str]) -> Figure:
    """A matrix with its numbers; errors that are large for errors get a colour that shows."""
    figure, axes = new_figure(SQUARE)
    # The square root: on a linear scale the diagonal outshines every error.
    shade = np.sqrt(np.asarray(values, dtype=float) / max(1e-9, np.max(values)))
    # From the ground, whatever its colour is, to full colour: right in light and in dark.
    clear = LinearSegmentedColormap.from_list("clear", [f"{SERIES[0]}00", f"{SERIES[0]}ff"])
    axes.pcolormesh(shade, cmap=clear, vmin=0, vmax=1, edgecolors=PAPER, linewidth=0.8)
    for i, row in enumerate(texts):
        for j, text in enumerate(row):
            color = MUTED if not shade[i, j] else PAPER if shade[i, j] > 0.6 else INK
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=7, color=color)
    places, names = np.arange(len(names)) + 0.5, [short(name) for name in names]
    if len(names) > 12:  # slanted, they would lie across each other
        axes.set_xticks(places, names, rotation=90)
    else:
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def class_scores(evaluation: Evaluation) -> Chart:
    """F1 of every class, with precision and recall around it, the worst at the bottom.

    Of many classes: the worst, and a few of the best.
    """
    figure, axes = new_figure(SQUARE)
    order = np.argsort(evaluation.f1)
    order = order[evaluation.support[order] > 0]  # of a class without images nothing is known
    if some := len(order) > MANY:
        order = np.concatenate([order[: MANY - 5], order[-5:]])
    places = np.arange(len(order))
    scores = 100 * np.stack([evaluation.f1, evaluation.precision, evaluation.recall])[:, order]
    axes.hlines(places, scores.min(0), scores.max(0), color=MUTED, linewidth=1)
    for values, label, marker, color in zip(
        scores, ("F1", "precision", "recall"), "osD", (SERIES[0], SERIES[1], SERIES[3]), strict=True
    ):
        axes.plot(values, places, marker, color=color, label=label)
    axes.set_yticks(places, [short(evaluation.classes[k]) for k in order])
    low = float(scores.min())
    axes.set(xlabel="score (%); the axis begins where the lowest is", xlim=(low - 2, 101))
    axes.grid(visible=False, axis="y")
    legend_above(axes)
    names = evaluation.classes
    caption = (
        f"Worst: {names[order[0]]}, F1 {100 * evaluation.f1[order[0]]:.1f} %; best: "
        f"{names[order[-1]]}, {100 * evaluation.f1[order[-1]]:.1f} %. Precision left of recall: "
        "the class is predicted too often."
    )
    if some:
        caption += f" The {MANY - 5} worst of the classes, and the 5 best."
    if missing := int((evaluation.support == 0).sum()):
        have = "has" if missing == 1 else "have"
        caption += f" {missing} of {len(names)} classes {have} no test images, and no scores."
    return Chart("class_scores", "Scores by class", caption, figure)


def roc_and_pr(evaluation: Evaluation) -> list[Chart]:
    """ROC and precision-recall curves of every class; the four hardest in colour."""
    charts = []
    for name, title, curves, labels, unit, what in (
        ("roc", "ROC, one class against the rest", evaluation.roc,
         ("false-positive rate (%)", "true-positive rate (%)"), "AUC", "upper left"),
        ("precision_recall", "Precision and recall, one class against the rest", evaluation.pr,
         ("recall (%)", "precision (%)"), "AP", "upper right"),
    ):  # fmt: skip
        figure, axes = new_figure((4.6, 3.7))
        defined = [k for k, curve in enumerate(curves) if not math.isnan(curve.area)]
        drawn = sorted(defined, key=lambda k: curves[k].area)[: 3 * MANY]
        hardest, others = drawn[:4], drawn[4:]
        for k in others:
            axes.plot(*_percent(curves[k]), color=MUTED, linewidth=0.8, alpha=0.55)
        for k, color in zip(hardest, SERIES, strict=False):
            label = f"{short(evaluation.classes[k])}, {unit} {curves[k].area:.4f}"
            axes.plot(*_percent(curves[k]), color=color, label=label)
        some = len(drawn) < len(defined)
        if others:
            words = f"the next {len(others)}" if some else "the other classes"
            axes.plot([], [], color=MUTED, linewidth=0.8, label=words)
        if name == "roc":
            axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(-1.5, 101.5), ylim=(-1.5, 101.5))
        legend_above(axes)
        caption = (
            f"The four hardest classes in colour. A perfect class touches the {what} corner. "
            "The table of classes has all areas."
        )
        if some:
            caption += f" Of the {len(defined)} classes the {len(drawn)} hardest are drawn."
        charts.append(Chart(name, title, caption, figure))
    return charts


def _percent(curve: Curve) -> tuple[Any, Any]:
    x, y = curve.thinned(POINTS)
    return 100 * x, 100 * y


def reliability(evaluation: Evaluation) -> Chart:
    """Accuracy against confidence, and how many images have which confidence."""
    figure, axes = new_figure((4.6, 3.7))
    edges = 100 * np.arange(BINS) / BINS
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
    share = 100 * evaluation.bin_count / evaluation.bin_count.sum()
    axes.bar(edges, share, width=92 / BINS, align="edge", color=GRID, label="images (% of all)")
    full = evaluation.bin_count > 0
    x, y = 100 * evaluation.bin_confidence[full], 100 * evaluation.bin_accuracy[full]
    axes.plot(x, y, color=SERIES[0], marker="o", label="accuracy in the bin")
    axes.set(xlabel="confidence (%)", ylabel="accuracy (%)", xlim=(0, 101), ylim=(0, 101))
    legend_above(axes)
    gap = float(evaluation.probabilities.max(1).mean() - evaluation.correct.mean())
    side = "overconfident" if gap > 0 else "underconfident"
    caption = (
        f"ECE {100 * evaluation.ece:.2f} % in {BINS} bins. On the dashed line a confidence of 80 % "
        f"is right in 80 of 100 cases; on average the net is {side} by {100 * abs(gap):.2f} points."
    )
    return Chart("reliability", "Calibration", caption, figure)


def comparison_curves(best: Record, worst: Record, names: tuple[str, str]) -> list[Chart]:
    """Two runs' validation curves, on the same axes."""
    if max(len(best.epochs), len(worst.epochs)) == 1:
        lines = {
            f"{name}, {series}": record.epochs
            for record, name in zip((best, worst), names, strict=True)
            for series in ("validation", "training")
        }
        return [_one_epoch(lines, key, "best_worst_") for key in ("acc", "loss")]
    charts, places = [], [epoch_places(record.epochs) for record in (best, worst)]
    for key, title, factor, unit in (
        ("acc", "Accuracy of best and worst", 100, "accuracy (%)"),
        ("loss", "Loss of best and worst", 1, "cross-entropy (nats)"),
    ):
        figure, axes = new_figure()
        for record, epochs, name, color in zip(
            (best, worst), places, names, (SERIES[0], SERIES[1]), strict=True
        ):
            for series, style in (("val", "-"), ("train", (0, (2, 1.5)))):
                values = [factor * value for value in _curve(record.epochs, series, key)]
                label = f"{name}, {'validation' if series == 'val' else 'training'}"
                (line,) = axes.plot(
                    epochs, values, color=color, linestyle=style, marker="o", markersize=3,
                    label=label,
                )  # fmt: skip
                name_on_hover(line, label)
        axes.set(xlabel="epoch", ylabel=unit)
        whole_epochs(axes, sorted([*places[0], *places[1]]))
        legend_above(axes)
        caption = (
            "Solid: validation; dashed: training, as measured during the epoch."
            f"{_harder_for_training((best, worst), key, names)}"
        )
        charts.append(Chart(f"best_worst_{key}", title, caption, figure))
    return charts
