"""Rate of convergence, from the `epochs` rows of a run record.

Study S2 asks for it and gives no definition. Three readings of a validation curve: how many epochs
and how many seconds until it first reaches a given accuracy, and its mean height. Seconds compare
runs of one machine only; epochs and height compare runs anywhere.

A run that never reaches the accuracy must not vanish from a mean, which would flatter its
configuration: it counts with one epoch more than it was allowed (a restricted mean). That is less
than it would have needed, so such a mean is too low, and is shown as a lower bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fmnist.runs.record import Epoch, epoch_ends

Rows = Sequence[Epoch]  # in order, from epoch 0
TARGETS = (0.80, 0.85, 0.90)  # of the metrics of a row: what LeNet-5 to FashionCNN pass on the way


@dataclass(frozen=True)
class Convergence:
    """One run's validation curve in numbers.

    Args:
        reached: whether val/acc was ever at least the target.
        epochs: trained until then, counted from 1; one more than the horizon if never.
        seconds: of training and validation until the end of that epoch; if never, what so many
            epochs of the run's mean length take.
        area: mean val/acc, in [0, 1], see `curve_area`.
    """

    reached: bool
    epochs: int
    seconds: float
    area: float


def convergence(rows: Rows, target: float, horizon: int | None = None) -> Convergence:
    """How fast a run came to its validation accuracy.

    Args:
        rows: of the run record; at least one.
        target: validation accuracy in [0, 1].
        horizon: epochs that the run was allowed; None: those that it trained. Runs are comparable
            only with the same one.
    """
    area = curve_area(rows, horizon)
    epochs = epochs_to(rows, target)
    trained, seconds = rows[-1].epoch + 1, [row.seconds for row in rows]
    if epochs is not None:
        until = next(place for place, row in enumerate(rows, 1) if row.val_acc >= target)
        return Convergence(True, epochs, sum(seconds[:until]), area)
    counted = (horizon or trained) + 1
    return Convergence(False, counted, counted * sum(seconds) / trained, area)


def convergence_metrics(rows: Rows, horizon: int) -> dict[str, float]:
    """What claims can be about: `val/acc_area`, `val/acc_first` (after the first epoch), and for
    each of TARGETS `epochs_to/0.85` and `seconds_to/0.85`, which are above `horizon` epochs where
    the run never came so far.
    """
    metrics = {"val/acc_area": curve_area(rows, horizon), "val/acc_first": curve_area(rows, 1)}
    for target in TARGETS:
        found = convergence(rows, target, horizon)
        metrics[f"epochs_to/{target:.2f}"] = found.epochs
        metrics[f"seconds_to/{target:.2f}"] = found.seconds
    return metrics


def epochs_to(rows: Rows, target: float) -> int | None:
    """Epochs trained until val/acc was first at least `target`, counted from 1; None: never.

    A run that stopped early, or was given few epochs, never reached what it did not reach: None
    means "not within the epochs that it trained", no more.
    """
    return next((row.epoch + 1 for row in rows if row.val_acc >= target), None)


def curve_area(rows: Rows, horizon: int | None = None) -> float:
    """Mean val/acc over the first `horizon` epochs: area under the curve, divided by its width.

    Every epoch counts once, with the accuracy at its end; the untrained net does not count. An
    epoch that the run did not train counts with the highest val/acc until then, that of the
    checkpoint that the run keeps. That flatters a run whose curve would have fallen: equal epochs
    for all (patience=null) need no such assumption.

    Args:
        rows: of the run record; at least one.
        horizon: number of epochs, at least 1; None: those that the run trained.
    """
    heights = [row.val_acc for row in epoch_ends(rows)][:horizon]
    missing = (horizon or len(heights)) - len(heights)
    return (sum(heights) + missing * max(heights)) / (len(heights) + missing)
