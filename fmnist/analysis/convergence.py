"""Rate of convergence, from the `epochs` rows of a run record.

Study S2 asks for it and gives no definition. Three readings of a validation curve: how many epochs
and how many seconds until it first reaches a given accuracy, and its mean height. Seconds compare
runs of one machine only; epochs and height compare runs anywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Rows = Sequence[Mapping[str, float]]  # with val/acc in [0, 1] and seconds, in order, from epoch 0


@dataclass(frozen=True)
class Convergence:
    """One run's validation curve in three numbers.

    Args:
        epochs: trained until val/acc was first at least the target, counted from 1; None: never.
        seconds: of training and validation until the end of that epoch; None: never.
        area: mean val/acc, in [0, 1], see `curve_area`.
    """

    epochs: int | None
    seconds: float | None
    area: float


def convergence(rows: Rows, target: float, horizon: int | None = None) -> Convergence:
    """How fast a run came to its validation accuracy.

    Args:
        rows: of the run record; at least one.
        target: validation accuracy in [0, 1].
        horizon: epochs of the area; runs are comparable only with the same one.

    Raises:
        ValueError: see `curve_area`.
    """
    epochs = epochs_to(rows, target)
    seconds = None if epochs is None else sum(row["seconds"] for row in rows[:epochs])
    return Convergence(epochs, seconds, curve_area(rows, horizon))


def epochs_to(rows: Rows, target: float) -> int | None:
    """Epochs trained until val/acc was first at least `target`, counted from 1; None: never.

    A run that stopped early, or was given few epochs, never reached what it did not reach: None
    means "not within the epochs that it trained", no more.
    """
    return next((i for i, row in enumerate(rows, 1) if row["val/acc"] >= target), None)


def curve_area(rows: Rows, horizon: int | None = None) -> float:
    """Mean val/acc over the first `horizon` epochs: area under the curve, divided by its width.

    Every epoch counts once, with the accuracy at its end; the untrained net does not count. An
    epoch that the run did not train counts with the highest val/acc until then, that of the
    checkpoint that the run keeps. That flatters a run whose curve would have fallen: equal epochs
    for all (patience=null) need no such assumption.

    Args:
        rows: of the run record.
        horizon: number of epochs; None: those that the run trained.

    Raises:
        ValueError: no rows, or a horizon below 1.
    """
    if not rows:
        raise ValueError("rows: should be at least one epoch")
    if horizon is not None and horizon < 1:
        raise ValueError(f"horizon={horizon}: should be at least 1")
    heights = [row["val/acc"] for row in rows][:horizon]
    missing = (horizon or len(heights)) - len(heights)
    return (sum(heights) + missing * max(heights)) / (len(heights) + missing)
