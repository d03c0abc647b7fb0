"""Two settings on the same test images: who is right alone, in all and of every class.

Which images a run was right about its predictions say, or the bits beside a table of rows; the
labels likewise, or the data set, where it is on this machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fmnist.config.published import published
from fmnist.data.facts import DatasetFacts, same_test_images
from fmnist.errors import RunError, UserError
from fmnist.evidence.images import McNemar, crossed, mcnemar
from fmnist.evidence.settings import Setting, difference
from fmnist.evidence.statistics import LEVEL
from fmnist.evidence.text import p_words
from fmnist.runs.record import known
from fmnist.runs.rows import Row

Labels = NDArray[np.int64]  # [N]


@dataclass(frozen=True)
class SameImages:
    """Two sides on the same test images.

    Args:
        seed: of the two runs that are looked at image by image.
        mcnemar: of these two.
        classes: likewise of the images of each class, the most different first; none where the
            labels are not known.
        seeds: how many they have in common.
        known: of how many of these it is known which images they were right about.
        note: why there are no classes.
        mean, half: over all these seeds, in points, and half of the interval that covers other
            seeds and other images; a failed run counts as chance; NaN where fewer than two are
            known.
    """

    seed: int
    mcnemar: McNemar
    classes: list[tuple[str, McNemar]]
    seeds: int
    known: int
    note: str = ""
    mean: float = math.nan
    half: float = math.nan


def same_images(first: Setting, second: Setting, together: int = 1) -> SameImages | None:
    """First against second; None where they have no seed in common.

    Args:
        together: how many comparisons the interval is corrected for.

    Raises:
        RunError: what a run was right about is not known, or they were tested on other images.
    """
    common = [seed for seed in sorted(first.rows) if seed in second.rows]
    seeds = [seed for seed in common if _has_bits(first, seed) and _has_bits(second, seed)]
    if not common:
        return None
    if not seeds:
        raise RunError("which test images its runs were right about was not kept")
    pairs = [_pair(first, second, seed) for seed in seeds]
    (one, other), differences = pairs[0], [a.astype(np.float64) - b for a, b in pairs]
    means = _means(first, second)
    mean, half = _over_seeds(first, second, differences, means, together)
    note, classes = "", list[tuple[str, McNemar]]()
    try:
        labels, names = _labels(first, second, seeds[0])
        classes = by_class(one, other, labels, names)
    except UserError as error:
        note = str(error)
    return SameImages(
        seeds[0], mcnemar(one, other), classes, len(means), len(seeds), note, mean, half
    )


def _means(first: Setting, second: Setting) -> list[float]:
    """First minus second of every seed that both have, in points."""
    one, other = first.values("test/acc"), second.values("test/acc")
    return [one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())]


def _over_seeds(
    first: Setting, second: Setting, differences: Sequence[NDArray[np.float64]],
    means: Sequence[float], together: int,
) -> tuple[float, float]:  # fmt: skip
    """Mean and half of the interval.

    It is never narrower than that of other seeds alone, whose engine does not pair the seeds of two
    trainings.
    """
    if len(differences) < 2:
        return math.nan, math.nan
    many = crossed(100 * np.stack(differences), LEVEL / together, means)
    alone = replace(difference(first, second), together=together)
    return many.mean, max(many.both, alone.half_width)


def _has_bits(side: Setting, seed: int) -> bool:
    return seed in side.runs or side.rows[seed].right is not None


def _right(side: Setting, seed: int) -> tuple[NDArray[np.bool_], Labels | None]:
    """Which test images the best checkpoint is right about, bool [N], and the labels, if known."""
    if seed in side.runs:
        logits, labels = side.runs[seed].predictions()
        return logits.argmax(1) == labels, labels
    right = side.rows[seed].right
    assert right is not None
    return right.best, None


def one_test_set(labels: Labels, facts: DatasetFacts, others: Labels, there: DatasetFacts) -> bool:
    """Whether two runs were tested on the same images.

    Many sets are in order of their classes, so that labels alone do not tell.
    """
    return np.array_equal(labels, others) and same_test_images(facts, there)


def _pair(
    first: Setting, second: Setting, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    (one, labels), (other, others) = _right(first, seed), _right(second, seed)
    facts, there = first.rows[seed].data, second.rows[seed].data
    if labels is not None and others is not None:
        same = one_test_set(labels, known(facts), others, known(there))
    else:
        same = first.rows[seed].tested == second.rows[seed].tested and len(one) == len(other)
    if not same:
        raise RunError("tested on other images, so that these are not compared one by one")
    return one, other


def _labels(first: Setting, second: Setting, seed: int) -> tuple[Labels, Sequence[str]]:
    """Of the test images, and the names of their classes."""
    for side in (first, second):
        if seed in side.runs:
            run = side.runs[seed]
            return run.predictions()[1], known(run.record.dataset).classes
    labels, names = read_labels(first.rows[seed])
    for side in (first, second):
        _refuse_other_labels(side.rows[seed], labels, names)
    return labels, names


def read_labels(row: Row) -> tuple[Labels, Sequence[str]]:
    """The labels of the images that a row of a table was tested on, from the data set.

    Raises:
        UserError: it is somebody's own, or not on this machine.
    """
    from fmnist.data.datamodule import ImageData

    name, _ = row.tested
    if name not in published():
        raise RunError(f"the labels of {name} cannot be found by a table")
    given = {
        key: int(value)
        for key in ("train_size", "test_size", "classes")
        if (value := row.settings.get(f"data.{key}", "null")) != "null"
    }
    data = ImageData(name, **given)  # type: ignore[arg-type]
    data.download = False  # and so it is looked for in FMNIST_DATA
    found = data.read()
    assert found.test is not None
    return found.test.labels.numpy(), found.classes


def _refuse_other_labels(row: Row, labels: Labels, names: Sequence[str]) -> None:
    """The recall of every class is known from the table: the labels must say the same.

    Raises:
        RunError: they do not.
    """
    assert row.right is not None
    if len(labels) == len(row.right.best):
        recall = [float(row.right.best[labels == k].mean()) for k in range(len(names))]
        told = [row.metrics.get(f"test/recall/{name}", np.nan) for name in names]
        if np.allclose(recall, told, atol=1e-5):
            return
    raise RunError("the test images found here are not those of the table")


def by_class(
    one: NDArray[np.bool_], other: NDArray[np.bool_], labels: Labels, names: Sequence[str]
) -> list[tuple[str, McNemar]]:
    """McNemar's test of the images of each class, the most different one first.

    Args:
        one, other: what each run classified correctly, bool [N].
    """
    found = [
        (name, mcnemar(one[labels == k], other[labels == k]))
        for k, name in enumerate(names)
        if (labels == k).any()
    ]
    return sorted(found, key=lambda item: -abs(item[1].difference))


def images_lines(found: SameImages, letters: tuple[str, str]) -> list[str]:
    """McNemar's test of two runs, and where there are more seeds the interval over both."""
    m, (one, other) = found.mcnemar, letters
    lines = [
        f"seed {found.seed}: right in {one} alone {m.only_first:,}, in {other} alone "
        f"{m.only_second:,}, in both {m.both:,}, in neither {m.neither:,}",
        f"seed {found.seed}: {one} - {other}: {m.difference:+z.2f} points [{m.low:+z.2f}, "
        f"{m.high:+z.2f}] on other images; McNemar's p {p_words(m.p)}",
    ]
    if found.known > 1:
        low, high = found.mean - found.half, found.mean + found.half
        by = f", by the images of {found.known}" * (found.known < found.seeds)
        lines.append(
            f"{found.seeds} seeds: {one} - {other}: {found.mean:+z.2f} points [{low:+z.2f}, "
            f"{high:+z.2f}] on other seeds and images{by}"
        )
    return lines


def class_rows(
    classes: Sequence[tuple[str, McNemar]], most: int = 10
) -> list[tuple[str, str, str, str]]:
    """Of the first classes: name, how often first and second alone are right, and p.

    p is that of McNemar's test, times the number of all classes.
    """
    factor = len(classes)
    return [
        (name, f"{m.only_first:,}", f"{m.only_second:,}", p_words(min(1.0, factor * m.p)))
        for name, m in classes[:most]
    ]
