"""What nets say of images that they have not trained on: of test images, and of training images.

Of training images that is known where runs of `data.folds=K` at hand cover all folds: each net says
it of the fold that validated it.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from fmnist.data.facts import same_sums
from fmnist.data.split import fold_split
from fmnist.errors import RunError
from fmnist.runs.record import known
from fmnist.training.predict import predict

if TYPE_CHECKING:
    from fmnist.runs.run import Run

NEAR = 0.05  # runs whose best val/acc is farther below the best one's are not asked


@dataclass(frozen=True)
class OutOfSample:
    """Of N images.

    Args:
        part: "test" or "training".
        runs: how many nets were asked of each image, the smallest number.
        labels: as given, int64 [N].
        probabilities: means over runs, float64 [N, C].
        right: whether a net says what the label says, bool [R, N]; of training images the mean.
        pixels: reads the images, uint8 [N, S, S] or [N, C, S, S].
    """

    part: str
    runs: int
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    right: NDArray[np.bool_]
    pixels: Callable[[], NDArray[np.uint8]]


def good(runs: Sequence["Run"]) -> list["Run"]:
    """The runs of the first one's data that validation does not put far below the best one."""
    same = _of_one_set(runs)
    best = max(run.record.metrics["val/acc_best"] for run in same)
    return [run for run in same if run.record.metrics["val/acc_best"] >= best - NEAR]


def _of_one_set(runs: Sequence["Run"]) -> list["Run"]:
    """The runs of the first one's data."""
    sums = known(runs[0].record.dataset).checksums
    return [run for run in runs if same_sums(known(run.record.dataset).checksums, sums)]


def of_test_images(runs: Sequence["Run"]) -> OutOfSample:
    """By the recorded predictions.

    Args:
        runs: finished; at least one.

    Raises:
        RunError: predictions are missing or damaged.
    """
    asked = good(runs)
    labels = asked[0].predictions()[1]
    total, right = np.zeros((len(labels), len(known(asked[0].record.dataset).classes))), []
    for run in asked:
        logits, same = run.predictions()
        if same.tolist() != labels.tolist():
            raise RunError(f"{run.dir}: was tested on other images than {asked[0].dir}")
        total += _shares(logits)
        right.append(logits.argmax(1) == labels)

    def pixels() -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = asked[0].same_data().test_images.pixels.numpy()
        return images

    return OutOfSample("test", len(asked), labels, total / len(asked), np.stack(right), pixels)


def of_training_images(runs: Sequence["Run"]) -> OutOfSample | None:
    """By the nets of runs that cover all folds, computed here; None: there are no such runs.

    Args:
        runs: finished; at least one, whose data set it is.

    Raises:
        RunError: a net cannot be had, or the data found now are not those that it was made with.
        Untrusted, DataError, DataUnavailable: a net or the data cannot be had.
    """
    folded = [run for run in _of_one_set(runs) if run.config["data"].get("folds")]
    kinds = {_folds(run) for run in folded}
    if len(kinds) != 1:
        return None
    count, seed, *_ = kinds.pop()
    by_fold: dict[int, list[Run]] = {}
    for run in folded:
        by_fold.setdefault(int(run.config["data"].get("fold", 0)), []).append(run)
    if sorted(by_fold) != list(range(count)):
        return None
    by_fold = {fold: good(members) for fold, members in by_fold.items()}
    official = folded[0].same_data().read().train
    probabilities = np.zeros((len(official), len(known(folded[0].record.dataset).classes)))
    for fold, members in by_fold.items():
        chosen = fold_split(official.labels, count, fold, seed)[1].numpy()
        for run in members:
            probabilities[chosen] += _shares(_validation_logits(run)) / len(members)
    labels = official.labels.numpy()
    right = (probabilities.argmax(1) == labels)[None]
    least = min(map(len, by_fold.values()))
    return OutOfSample("training", least, labels, probabilities, right, official.pixels.numpy)


def _folds(run: "Run") -> "tuple[int, int, *tuple[object, ...]]":
    """How many, the seed of the split, which may be the run's, and of which images."""
    data = run.config["data"]
    which = (data.get(key) for key in ("train_size", "test_size", "classes"))
    return int(data["folds"]), known(run.record.dataset).split_seed, *which


def _validation_logits(run: "Run") -> NDArray[np.float32]:
    """Of the best net.

    Raises:
        RunError: its fold would be of other images now than of those that it did not train on.
    """
    data = run.same_data()
    if data.select_on == "test":  # whose "validation" is not the fold
        data.select_on, data.facts = "val", None
    if data.load().split_md5 != known(run.record.dataset).split_md5:  # labels changed, say
        raise RunError(f"{run.dir}: validated on other images than its fold has now")
    cpu = torch.device("cpu")
    logits: Any = predict(run.net("best"), data.val_dataloader(), cpu, **run.formats())[0]
    return np.asarray(logits.numpy())


def _shares(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax."""
    shares = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return np.asarray(shares / shares.sum(1, keepdims=True))
