"""What a dashboard shows of a finished run: figures of its test set, and its best checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import wandb

from fmnist.data.source import Images
from fmnist.runs.evaluation import MANY, Curve, Evaluation, evaluation_of
from fmnist.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 50  # of a drawn curve; W&B keeps every point as a row of a table
SAMPLES = 20  # the first images of the test set: the same ones in every run
ERRORS = 50  # the most confident ones
WIDTH = 112  # pixels that an image is enlarged to, a whole number of times


@contextmanager
def without_pandas() -> Iterator[None]:
    """W&B's tables tell a data frame by its name: else each imports pandas to see that it has none.

    The name is not documented (CONTRIBUTING.md says what this earns): without it they import it.
    """
    name = "pd_available"
    found = vars(wandb.util).get(name)
    if found is None:
        yield
        return
    setattr(wandb.util, name, False)
    try:
        yield
    finally:
        setattr(wandb.util, name, found)


@without_pandas()
def figures(run: Run, test: Images) -> dict[str, Any]:
    """What `wandb.Run.log` takes: charts, tables, images and two scalars, by key.

    Args:
        run: predictions.npz is there, and the record says what the classes are called.
        test: the images that the predictions are of, in their order; those of a run with
            trainer.limit_test_batches are of the first.

    Raises:
        RunError: the predictions cannot be read.
    """
    result = evaluation_of(run)
    pixels = test.pixels.cpu().numpy()
    return {
        "test/confusion_matrix": _confusion(result),
        "test/f1_by_class": wandb.plot.bar(
            wandb.Table(["class", "F1"], list(zip(result.classes, result.f1, strict=True))),
            "class",
            "F1",
            title="F1 by class, test set",
        ),
        "test/roc": _curves(result, result.roc, "ROC, one class against the rest",
                            "false-positive rate"),
        "test/pr": _curves(result, result.pr, "Precision over recall, one class against the rest",
                           "recall"),
        "test/calibration": _calibration(result),
        "test/errors": _errors(result, pixels),
        "test/samples": _samples(result, pixels),
        "test/f1_macro": result.macro[2],
        "test/ece": result.ece,
    }  # fmt: skip


def _confusion(result: Evaluation) -> Any:
    """All classes, or of many those most often confused, and their images."""
    shown = np.array(result.shown_classes())
    among = np.isin(result.labels, shown) & np.isin(result.predicted, shown)
    place = np.zeros(len(result.classes), dtype=np.int64)
    place[shown] = np.arange(len(shown))
    return wandb.plot.confusion_matrix(
        y_true=place[result.labels[among]].tolist(),
        preds=place[result.predicted[among]].tolist(),
        class_names=[result.classes[k] for k in shown],
        title="Confusion matrix, test set"
        + ("" if len(shown) == len(result.classes) else ": the classes most often confused"),
    )


def _curves(result: Evaluation, curves: list[Curve], title: str, xname: str) -> Any:
    """A line for every class that the test set has, its area in the legend; of many the worst."""
    present = [k for k, curve in enumerate(curves) if not np.isnan(curve.area)]
    if len(present) > MANY:
        present = sorted(present, key=lambda k: curves[k].area)[:MANY]
    lines = {
        f"{result.classes[k]} ({curves[k].area:.3f})": tuple(
            points.tolist() for points in curves[k].thinned(POINTS)
        )
        for k in present
    }
    xs, ys = zip(*lines.values(), strict=True)
    return wandb.plot.line_series(list(xs), list(ys), list(lines), title, xname)


def _calibration(result: Evaluation) -> Any:
    """Accuracy over confidence in bins of confidence, beside the diagonal."""
    filled = result.bin_count > 0
    confidence, accuracy = result.bin_confidence[filled], result.bin_accuracy[filled]
    return wandb.plot.line_series(
        [confidence.tolist(), [0.0, 1.0]],
        [accuracy.tolist(), [0.0, 1.0]],
        [f"accuracy (ECE {result.ece:.3f})", "calibrated"],
        "Calibration, test set",
        "confidence",
    )


def _errors(result: Evaluation, pixels: "np.ndarray[Any, Any]") -> wandb.Table:
    """The misclassified images that the net was surest of, with all probabilities, if few."""
    confidence = result.probabilities.max(1)
    wrong = np.flatnonzero(~result.correct)
    columns = ["image", "index", "class", "predicted", "confidence"]
    names = result.classes if len(result.classes) <= MANY else []
    table = wandb.Table([*columns, *(f"p({name})" for name in names)])
    for index in wrong[np.argsort(-confidence[wrong], kind="stable")][:ERRORS]:
        table.add_data(
            _image(pixels[index]),
            int(index),
            result.classes[result.labels[index]],
            result.classes[result.predicted[index]],
            float(confidence[index]),
            *result.probabilities[index, : len(names)].round(4).tolist(),
        )
    return table


def _samples(result: Evaluation, pixels: "np.ndarray[Any, Any]") -> list[wandb.Image]:
    """The first test images with what was predicted, and what they are where that was wrong."""
    images = []
    for index in range(min(SAMPLES, len(result.labels))):
        predicted, label = result.predicted[index], result.labels[index]
        caption = f"{result.classes[predicted]} {result.probabilities[index].max():.2f}"
        truth = "" if predicted == label else f", is {result.classes[label]}"
        images.append(_image(pixels[index], caption + truth))
    return images


def _image(pixels: "np.ndarray[Any, Any]", caption: str | None = None) -> wandb.Image:
    """uint8 [S, S] or [3, S, S], enlarged where it is small."""
    if pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0)
    scale = max(1, WIDTH // len(pixels))
    return wandb.Image(pixels.repeat(scale, 0).repeat(scale, 1), caption=caption)


def best_checkpoint(run: Run, name: str) -> wandb.Artifact:
    """best.ckpt as an artifact, with the numbers by which one chooses a model.

    Args:
        run: its record holds the metrics.
        name: of the artifact, one for every run.
    """
    metrics = run.record.metrics
    facts = {"best_epoch": run.record.chosen.epoch, "config_hash": run.record.config_hash}
    numbers = {key: metrics[key] for key in ("val/acc_best", "test/acc", "test/loss")}
    artifact = wandb.Artifact(f"model-{name}", "model", metadata={**facts, **numbers})
    # Immutable: uploaded from where it is, without a copy of it in W&B's cache.
    artifact.add_file(str(run.checkpoints / "best.ckpt"), policy="immutable")
    return artifact


def confusion_figure(run: Run) -> "Figure":
    """The confusion matrix of the test set, in shares of each class."""
    from matplotlib.figure import Figure

    result = evaluation_of(run)
    shown = result.shown_classes()
    shares = result.confusion / result.confusion.sum(1, keepdims=True).clip(1)
    shares, names = shares[np.ix_(shown, shown)], [result.classes[k] for k in shown]
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=45, ha="right")
    axes.set_yticks(ticks, names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("class")
    digits = 1 if len(names) < MANY else 0
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else "black"
        text = f"{100 * share:.{digits}f}"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    return figure
