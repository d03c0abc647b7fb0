"""Labels that are probably wrong: their list, what they cost, and the images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fmnist.evidence.labels import believed, suspects
from fmnist.reporting.detail import Gallery
from fmnist.reporting.gallery import Sample, data_url
from fmnist.runs.foreign_text import csv_text
from fmnist.runs.record import known
from fmnist.runs.run import Run

if TYPE_CHECKING:
    from fmnist.using.out_of_sample import OutOfSample

SHOWN, PAIRS = 24, 10


@dataclass(frozen=True)
class Suspect:
    """An image and its label; `index` counts from 0 in its part as `ImageData.read` gives it."""

    part: str
    index: int
    given: str
    believed: str
    p_given: float
    p_believed: float


@dataclass(frozen=True)
class LabelCheck:
    """Of one part of a data set.

    Args:
        part: "test" or "training".
        data: of which set; of several in a report only the first one's labels are asked about.
        runs: how many nets say what they think of each image.
        suspects: that with the least probable label first.
        accuracy, without: of the nets, in [0, 1]; on all images, and on those that are no suspects.
        pairs: given and believed class, and how often; the most frequent first.
    """

    part: str
    data: str
    images: int
    runs: int
    suspects: list[Suspect]
    accuracy: float
    without: float
    pairs: list[tuple[str, str, int]]
    gallery: Gallery


def check_labels(runs: Sequence[Run]) -> list[LabelCheck]:
    """Of the test images, and of the training images where runs of all folds are at hand.

    Args:
        runs: finished.

    Raises:
        UserError: what is needed cannot be read.
    """
    from fmnist.using.out_of_sample import of_test_images, of_training_images

    facts = known(runs[0].record.dataset)
    names = facts.classes
    training = of_training_images(runs)

    def check(found: "OutOfSample") -> LabelCheck:
        shares, labels = found.probabilities, found.labels
        indices, classes = suspects(shares, labels), believed(shares, labels)
        listed = [
            Suspect(
                found.part, int(i), names[labels[i]], names[classes[i]],
                float(shares[i, labels[i]]), float(shares[i, classes[i]]),
            )
            for i in indices
        ]  # fmt: skip
        clean = np.ones(len(labels), bool)
        clean[indices] = False
        pairs = Counter((one.given, one.believed) for one in listed).most_common(PAIRS)
        return LabelCheck(
            found.part, facts.name, len(labels), found.runs, listed,
            float(found.right.mean()), float(found.right[:, clean].mean()),
            [(*pair, count) for pair, count in pairs],
            _gallery(listed[:SHOWN], found),
        )  # fmt: skip

    return [check(found) for found in (of_test_images(runs), training) if found is not None]


def _gallery(listed: list[Suspect], found: "OutOfSample") -> Gallery:
    pixels = found.pixels() if listed else np.empty(0, np.uint8)
    shown = [
        Sample(
            one.index, [data_url(_upright(pixels[one.index]))], one.given, one.believed,
            one.p_given, one.p_believed,
        )
        for one in listed
    ]  # fmt: skip
    caption = (
        f"The {len(shown)} whose given label is least probable; under each image what the nets "
        "believe, and the given label."
    )
    return Gallery(f"labels_{found.part}", f"Of the {found.part} images", caption, shown)


def _upright(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As a picture: [S, S], or [S, S, 3] of [3, S, S]."""
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(1, 2, 0))


def labels_csv(checks: Sequence[LabelCheck]) -> str:
    """Every suspect, a line each."""
    rows: list[list[object]] = [["part", "index", "given", "believed", "p_given", "p_believed"]]
    for one in (one for check in checks for one in check.suspects):
        shares = f"{one.p_given:.6g}", f"{one.p_believed:.6g}"
        rows.append([one.part, one.index, one.given, one.believed, *shares])
    return csv_text(rows)
