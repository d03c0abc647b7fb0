"""What test predictions say: confusion, per-class scores, curves and calibration.

Metrics and curves are those of torchmetrics; scores are one-vs-rest where they are of one class.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional import classification as tm

from fmnist.runs.record import known
from fmnist.runs.run import Run

Floats = NDArray[np.float64]
MANY = 20  # classes that a figure shows one by one
BINS = 15  # of the reliability diagram and ECE: Guo et al. 2017, arXiv 1706.04599


@dataclass(frozen=True)
class Curve:
    """Points of a curve, ascending in x; and the area under it in [0, 1], NaN when undefined."""

    x: Floats
    y: Floats
    area: float

    def thinned(self, points: int) -> tuple[Floats, Floats]:
        """At most so many of its points, evenly spaced along it."""
        steps = np.abs(np.diff(self.x)) + np.abs(np.diff(self.y))
        along = np.concatenate([[0.0], np.cumsum(steps)])
        index = np.searchsorted(along, np.linspace(0, along[-1], points))
        chosen = np.unique(index.clip(0, len(along) - 1))
        return self.x[chosen], self.y[chosen]


@dataclass(frozen=True)
class Evaluation:
    """Of N test predictions over C classes. Shares are in [0, 1].

    Args:
        classes: their names, C of them.
        labels: int64 [N].
        probabilities: softmax of the logits, float64 [N, C].
        confusion: images of class i that were predicted as j, int64 [C, C].
        precision, recall, f1: float64 [C].
        macro: precision, recall and F1, the mean over classes.
        micro: likewise, over images; with one label an image all three are the accuracy.
        roc: true-positive against false-positive rate of every class, with its AUC.
        pr: precision against recall of every class, with its average precision.
        bin_confidence, bin_accuracy: means inside `BINS` equal bins of confidence; NaN when empty.
        bin_count: images in each bin, int64.
        ece: expected calibration error, weighted by bin_count.
    """

    classes: list[str]
    labels: NDArray[np.int64]
    probabilities: Floats
    confusion: NDArray[np.int64]
    precision: Floats
    recall: Floats
    f1: Floats
    macro: tuple[float, float, float]
    micro: tuple[float, float, float]
    roc: list[Curve]
    pr: list[Curve]
    bin_confidence: Floats
    bin_accuracy: Floats
    bin_count: NDArray[np.int64]
    ece: float

    @property
    def predicted(self) -> NDArray[np.int64]:
        """int64 [N]."""
        found: NDArray[np.int64] = self.probabilities.argmax(1)
        return found

    @property
    def correct(self) -> NDArray[np.bool_]:
        """bool [N]."""
        return np.asarray(self.predicted == self.labels)

    @property
    def support(self) -> NDArray[np.int64]:
        """Images of each class, int64 [C]."""
        return np.asarray(self.confusion.sum(1))

    def confused_pairs(self) -> list[tuple[int, int, int]]:
        """(i, j, errors) for i < j: how often either was taken for the other; most errors first."""
        both = np.triu(self.confusion + self.confusion.T, k=1)
        rows, columns = np.nonzero(both)
        pairs = list(
            zip(rows.tolist(), columns.tolist(), both[rows, columns].tolist(), strict=True)
        )
        return sorted(pairs, key=lambda pair: -pair[2])

    def shown_classes(self) -> list[int]:
        """The classes that a figure has room for: all, or of many those most often confused.

        Of many, the two of a confused pair come one after the other, most errors first.
        """
        count = len(self.classes)
        if count <= MANY:
            return list(range(count))
        paired = [k for i, j, _ in self.confused_pairs() for k in (i, j)]
        return list(dict.fromkeys([*paired, *np.argsort(self.f1).tolist()]))[:MANY]


def evaluate_predictions(
    logits: NDArray[np.float32], labels: NDArray[np.int64], classes: Sequence[str]
) -> Evaluation:
    """All of it, from logits [N, C] and labels [N].

    Raises:
        ValueError: shapes that do not fit, labels outside the classes, or logits not finite.
    """
    count = len(classes)
    if logits.ndim != 2 or logits.shape != (len(labels), count) or not len(labels):
        raise ValueError(f"logits {logits.shape} and labels {labels.shape} for {count} classes")
    if not np.isfinite(logits).all() or labels.min() < 0 or labels.max() >= count:
        raise ValueError("logits are not finite, or labels are outside the classes")
    target = torch.from_numpy(labels.astype(np.int64))
    # float64: float32 rounds confident probabilities to 1, and the curves lose their order
    probs = torch.from_numpy(logits).double().softmax(1)
    with warnings.catch_warnings():  # a class without images has no curve: its area is NaN
        warnings.filterwarnings("ignore", message="No positive samples")
        averages = {
            average: tuple(
                float(score(probs, target, count, average=average))
                for score in (tm.multiclass_precision, tm.multiclass_recall, tm.multiclass_f1_score)
            )
            for average in ("macro", "micro")
        }
        precision, recall, f1 = (
            score(probs, target, count, average="none").double().numpy()
            for score in (tm.multiclass_precision, tm.multiclass_recall, tm.multiclass_f1_score)
        )
        roc, pr = _curves(probs, target, count)
    confidence, accuracy, counts = _reliability(probs.numpy(), labels)
    return Evaluation(
        classes=list(classes),
        labels=labels.astype(np.int64),
        probabilities=probs.numpy(),
        confusion=tm.multiclass_confusion_matrix(probs, target, count).numpy(),
        precision=precision,
        recall=recall,
        f1=f1,
        macro=averages["macro"],  # type: ignore[arg-type]
        micro=averages["micro"],  # type: ignore[arg-type]
        roc=roc,
        pr=pr,
        bin_confidence=confidence,
        bin_accuracy=accuracy,
        bin_count=counts,
        # torchmetrics' has a bin of its own for what rounds to 1 in float32.
        ece=float(np.nansum(np.abs(accuracy - confidence) * counts) / len(labels)),
    )


def evaluation_of(run: Run) -> Evaluation:
    """Of the recorded test predictions.

    Raises:
        RunError, ValueError: no predictions, or not those of this run; and whatever a damaged
            archive makes of itself.
    """
    return evaluate_predictions(*run.predictions(), known(run.record.dataset).classes)


def _curves(
    probs: torch.Tensor, target: torch.Tensor, count: int
) -> tuple[list[Curve], list[Curve]]:
    """ROC and precision-recall curves, one-vs-rest, of every class."""
    fpr, tpr, _ = tm.multiclass_roc(probs, target, count)
    precision, recall, _ = tm.multiclass_precision_recall_curve(probs, target, count)
    auc = tm.multiclass_auroc(probs, target, count, average="none").double().tolist()
    ap = tm.multiclass_average_precision(probs, target, count, average="none").double().tolist()
    present = torch.bincount(target, minlength=count).bool().tolist()
    roc, pr = [], []
    for k in range(count):
        areas = (auc[k], ap[k]) if present[k] else (float("nan"), float("nan"))
        roc.append(Curve(fpr[k].double().numpy(), tpr[k].double().numpy(), areas[0]))
        xs, ys = recall[k].flip(0).double().numpy(), precision[k].flip(0).double().numpy()
        pr.append(Curve(xs, ys, areas[1]))
    return roc, pr


def _reliability(
    probs: Floats, labels: NDArray[np.int64]
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean confidence, accuracy and number of images in equal bins of confidence."""
    confidence, hit = probs.max(1), probs.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):  # 0/0 in an empty bin
        means = np.bincount(bins, confidence, BINS) / counts
        hits = np.bincount(bins, hit, BINS) / counts
    return means, hits, counts
