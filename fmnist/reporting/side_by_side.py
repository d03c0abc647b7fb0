"""What is shown of settings beside each other: the same lines in a terminal and on a page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from fmnist.errors import RunError
from fmnist.evidence.claim import is_share
from fmnist.evidence.effects import RESOLUTION, Comparison
from fmnist.evidence.images import Crossed, McNemar, crossed, mcnemar
from fmnist.evidence.settings import Setting, difference, differing
from fmnist.evidence.statistics import summarize
from fmnist.evidence.text import mean_words, p_words
from fmnist.runs.run import Run

if TYPE_CHECKING:
    from fmnist.runs.evaluation import Evaluation

T = TypeVar("T")
# (what, its column of a row, digits after the point)
MEASURES = (
    ("test accuracy (%)", "test/acc", 2), ("validation accuracy (%)", "val/acc", 2),
    ("training accuracy (%)", "train/acc", 2), ("test loss (nats)", "test/loss", 4),
    ("macro F1 (%)", "test/f1", 2),
)  # fmt: skip
COSTS = (
    ("training (s)", "train_seconds", 1), ("an epoch (s)", "epoch_seconds", 2),
    ("epochs trained", "epochs", 1), ("chosen epoch", "best_epoch", 1),
    ("parameters", "params", 0), ("FLOPs an image", "flops", 0),
    ("peak memory (MiB)", "peak_memory_mib", 0),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One row of a table: what it is about, a text for every side, and last minus first."""

    what: str
    values: list[str]
    difference: str = ""


@dataclass(frozen=True)
class SameImages:
    """Two sides on the same test images.

    Args:
        seed: of the two runs that are looked at image by image.
        mcnemar: of these two.
        all: over all common seeds, covering other seeds and other images; None: one seed.
        seeds: how many those are.
    """

    seed: int
    mcnemar: McNemar
    all: Crossed | None
    seeds: int


@dataclass
class SideBySide:
    """All that is shown. What could not be read is left out, and `notes` say why.

    Args:
        against: every other side minus the first, in test accuracy.
        images: likewise, by image; None where the two were not tested on the same ones.
        evaluations: of one run a side, of the first seed that all have.
    """

    sides: list[Setting]
    settings: list[Line]
    measures: list[Line]
    costs: list[Line]
    classes: list[Line] = field(default_factory=list)
    calibration: list[Line] = field(default_factory=list)
    against: list[Comparison] = field(default_factory=list)
    images: list[SameImages | None] = field(default_factory=list)
    evaluations: "list[Evaluation]" = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def letters(self) -> str:
        """By which the sides are called in heads of columns."""
        return "ABCDEF"[: len(self.sides)]


def side_by_side(sides: Sequence[Setting]) -> SideBySide:
    """Everything of settings that have been read.

    Raises:
        RunError: there is but one.
    """
    if len(sides) < 2:
        raise RunError(f"{sides[0].place}: one setting; should be two or more")
    found = SideBySide(
        list(sides),
        [
            Line(key, [text or "none" for text in values])
            for key, values in differing(sides).items()
        ],
        [line for what, metric, digits in MEASURES if (line := _line(sides, what, metric, digits))],
        [line for what, metric, digits in COSTS if (line := _line(sides, what, metric, digits))],
    )
    found.classes = _classes(sides)
    for other in sides[1:]:
        try:
            found.against.append(difference(other, sides[0]))
        except RunError as error:
            found.notes.append(f"{other.name}: {error}")
        found.images.append(_attempt(found, other.name, partial(_images, other, sides[0])))
    found.evaluations = _attempt(found, "calibration", lambda: _evaluations(sides)) or []
    found.calibration = _calibration(found.evaluations)
    return found


def _attempt(found: SideBySide, what: str, make: Callable[[], T]) -> T | None:
    """What `make` gives, or None and a note."""
    try:
        return make()
    except (RunError, ValueError) as error:
        found.notes.append(f"{what}: {error}")
        return None


def _line(sides: Sequence[Setting], what: str, metric: str, digits: int) -> Line | None:
    """Means over seeds, with their 95 % t intervals where seeds make a difference."""
    shift = 1 if metric == "best_epoch" else 0  # people count from 1
    values = [[value + shift for value in side.values(metric).values()] for side in sides]
    if not any(values):
        return None
    share = is_share(metric)
    resolution, bounds = (RESOLUTION, (0.0, 100.0)) if share else (0.0, (0.0, math.inf))
    exact = metric in ("params", "flops")
    summaries = [summarize(v, resolution, exact) if v else None for v in values]
    texts = [mean_words(item, digits, bounds) if item else "none" for item in summaries]
    first, last = summaries[0], summaries[-1]
    if len(sides) != 2 or first is None or last is None:
        return Line(what, texts)
    return Line(what, texts, f"{last.mean - first.mean:+,.{digits}f}")


def _classes(sides: Sequence[Setting]) -> list[Line]:
    """Recall of every class, that with the largest difference between sides first."""
    prefix = "test/recall/"
    rows = [row for side in sides for row in side.rows.values()]
    names = dict.fromkeys(m for row in rows for m in row.metrics if m.startswith(prefix))
    lines: list[tuple[float, Line]] = []
    for metric in names:
        line = _line(sides, metric.removeprefix(prefix), metric, 2)
        means = [np.mean([*side.values(metric).values()] or [0]) for side in sides]
        if line is not None:
            lines.append((float(np.ptp(means)), line))
    return [line for _, line in sorted(lines, key=lambda item: -item[0])]


def common_seeds(sides: Sequence[Setting]) -> list[int]:
    """That all sides have."""
    return [seed for seed in sorted(sides[0].runs) if all(seed in side.runs for side in sides)]


def _right(run: Run) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which test images the best checkpoint is right about, bool [N], and the labels, int64 [N]."""
    logits, labels = run.predictions()
    return logits.argmax(1) == labels, labels


def _images(first: Setting, second: Setting) -> SameImages | None:
    seeds = common_seeds([first, second])
    if not seeds:
        return None
    differences, pair = [], None
    for seed in seeds:
        (right, labels), (other, others) = _right(first.runs[seed]), _right(second.runs[seed])
        if not np.array_equal(labels, others):
            raise RunError("tested on other images, so that these are not compared one by one")
        pair = pair or mcnemar(right, other)
        differences.append(right.astype(np.float64) - other)
    assert pair is not None
    many = crossed(np.stack(differences)) if len(seeds) > 1 else None
    return SameImages(seeds[0], pair, many, len(seeds))


def _evaluations(sides: Sequence[Setting]) -> "list[Evaluation]":
    from fmnist.runs.evaluation import evaluation_of

    seeds = common_seeds(sides)
    runs = [side.runs[seeds[0] if seeds else min(side.runs)] for side in sides]
    return list(map(evaluation_of, runs))


def _calibration(evaluations: "Sequence[Evaluation]") -> list[Line]:
    """How far confidence and accuracy are apart: ECE, and which way."""
    if not evaluations:
        return []
    gaps = [100 * float(e.probabilities.max(1).mean() - e.correct.mean()) for e in evaluations]
    columns = [("ECE (%)", [100 * e.ece for e in evaluations], ""),
               ("confidence - accuracy (points)", gaps, "+")]  # fmt: skip
    return [
        Line(
            what,
            [f"{value:{sign}.2f}" for value in values],
            f"{values[-1] - values[0]:+.2f}" if len(values) == 2 else "",
        )
        for what, values, sign in columns
    ]


def verdict_line(found: Comparison, letters: tuple[str, str]) -> str:
    """ "B - A: +0.52 points [+0.10, +0.94], 3 seeds, p 0.03: B is higher"."""
    mean, n = found.difference.mean, found.difference.n
    words = f"{letters[0]} - {letters[1]}: {mean:+.2f} points"
    if n > 1:
        words += f" [{found.low:+.2f}, {found.high:+.2f}]"
    words += f", {n} seed{'s' * (n != 1)}"
    if p := p_words(found.p):
        words += f", p {p}"
    if found.verdict == "undecided":
        return f"{words}: undecided"
    return f"{words}: {letters[0] if mean > 0 else letters[1]} is higher"


def images_lines(found: SameImages, letters: tuple[str, str]) -> list[str]:
    """McNemar's test of two runs, and where there are more seeds the interval over both."""
    m, (one, other) = found.mcnemar, letters
    lines = [
        f"seed {found.seed}: right in {one} alone {m.only_first:,}, in {other} alone "
        f"{m.only_second:,}, in both {m.both:,}, in neither {m.neither:,}",
        f"  {one} - {other}: {m.difference:+.2f} points [{m.low:+.2f}, {m.high:+.2f}] on other "
        f"images; McNemar's p {p_words(m.p)}",
    ]
    if found.all is not None:
        mean, half = 100 * found.all.mean, 100 * found.all.both
        lines.append(
            f"{found.seeds} seeds: {one} - {other}: {mean:+.2f} points [{mean - half:+.2f}, "
            f"{mean + half:+.2f}] on other seeds and images"
        )
    return lines
