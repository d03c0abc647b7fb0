"""What is shown of settings beside each other: the same lines in a terminal and on a page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fmnist.errors import RunError
from fmnist.evidence.claim import is_share, of_machine
from fmnist.evidence.effects import Comparison, corrected, resolution_of
from fmnist.evidence.settings import (
    Setting,
    cut_short_words,
    difference,
    differing,
    failed_remark,
)  # fmt: skip
from fmnist.evidence.statistics import summarize
from fmnist.evidence.text import mean_words, p_words
from fmnist.reporting.same_images import SameImages, same_images
from fmnist.runs.leak import leak_warning
from fmnist.runs.machines import machines_in_words
from fmnist.runs.own_code import versions_in_words
from fmnist.runs.same_data import data_in_words
from fmnist.runs.text import plural

if TYPE_CHECKING:
    from fmnist.runs.evaluation import Evaluation
    from fmnist.runs.run import Run

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
OF_MACHINE = [metric for _, metric, _ in COSTS if of_machine(metric)]


@dataclass(frozen=True)
class Line:
    """One row of a table: what it is about, a text for every side, and last minus first."""

    what: str
    values: list[str]
    difference: str = ""


@dataclass
class SideBySide:
    """All that is shown. What could not be read is left out, and `notes` say why.

    Args:
        against: every other side minus the first, in test accuracy; corrected for their number.
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

    @property
    def place(self) -> str:
        """Where all sides lie, to be said once: a sweep's is long; "" where they lie apart."""
        places = {side.place for side in self.sides}
        return places.pop() if len(places) == 1 else ""

    @property
    def remarks(self) -> list[str]:
        """How many comparisons there are, what failed runs of each side count as, and where their
        code or machines differ.
        """
        failed = [
            f"{letter}: {remark}; other numbers are of finished runs"
            for letter, side in zip(self.letters, self.sides, strict=True)
            if (remark := failed_remark(side))
        ]
        rows = [row for side in self.sides for row in side.rows.values()]
        leaking = leak_warning(sum(row.leaks for row in rows), len(rows))
        warnings = [
            leaking, *versions_in_words(row.code for row in rows),
            *data_in_words((row.settings, row.data) for row in rows), machines_of(self.sides),
        ]  # fmt: skip
        together = max((item.together for item in self.against), default=1)
        said = [f"p and intervals are corrected for {together} comparisons"] * (together > 1)
        return said + failed + [f"WARNING {words}" for words in warnings if words]


def side_by_side(sides: Sequence[Setting]) -> SideBySide:
    """Everything of settings that have been read.

    Raises:
        RunError: there is but one.
    """
    if len(sides) < 2:
        raise RunError(f"{sides[0].place}: one setting; should be two or more")
    asked = differing(sides)
    found = SideBySide(
        list(sides),
        [
            Line(key, [text or "none" for text in values])
            for key, values in asked.items()
            if len({text or "none" for text in values}) > 1
            if not (key.endswith("._target_") and key.removesuffix("._target_") in asked)
        ],
        [line for what, metric, digits in MEASURES if (line := _line(sides, what, metric, digits))],
        [line for what, metric, digits in COSTS if (line := _line(sides, what, metric, digits))],
    )
    cut = {side.place: side.cut_short for side in sides if side.cut_short}
    found.notes = [f"{place}: {cut_short_words(count)}" for place, count in cut.items()]
    found.classes = _classes(sides)
    for other in sides[1:]:
        try:
            found.against.append(difference(other, sides[0]))
        except RunError as error:
            found.notes.append(f"{other.name}: {error}")
    found.against = corrected(found.against)
    together = max((item.together for item in found.against), default=1)
    for other in sides[1:]:
        read = partial(same_images, other, sides[0], together)
        found.images.append(_attempt(found, other.name, read))
    found.evaluations = _attempt(found, "calibration", lambda: _evaluations(sides)) or []
    found.calibration = _calibration(found.evaluations)
    return found


def machines_of(sides: Sequence[Setting]) -> str:
    """Which machines their seconds and memory are of; "" where it is one."""
    rows = [row for side in sides for row in side.rows.values()]
    timed = [row.facts for row in rows if any(metric in row.metrics for metric in OF_MACHINE)]
    return machines_in_words((facts["device"], facts["threads"]) for facts in timed)


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
    bounds = (0.0, 100.0 if share else math.inf)
    resolution = resolution_of(metric, [row for side in sides for row in side.ended.values()])
    exact = metric in ("params", "flops")
    summaries = [summarize(v, resolution, exact) if v else None for v in values]
    texts = [mean_words(item, digits, bounds) if item else "none" for item in summaries]
    first, last = summaries[0], summaries[-1]
    other_machine = metric in OF_MACHINE and machines_of(sides)
    if len(sides) != 2 or first is None or last is None or other_machine:
        return Line(what, texts)
    # Over the seeds that both have, as the verdict is.
    ours, theirs = (side.values(metric) for side in sides)
    gains = [theirs[seed] - ours[seed] for seed in ours if seed in theirs]
    return Line(what, texts, f"{np.mean(gains):+z,.{digits}f}" if gains else "")


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


def common_runs(sides: Sequence[Setting]) -> "list[Run]":
    """One a side, of the first seed that all have; none where a side has rows alone."""
    seeds = [seed for seed in sorted(sides[0].runs) if all(seed in side.runs for side in sides)]
    if not all(side.runs for side in sides):
        return []
    return [side.runs[seeds[0] if seeds else min(side.runs)] for side in sides]


def _evaluations(sides: Sequence[Setting]) -> "list[Evaluation]":
    from fmnist.runs.evaluation import evaluation_of

    return list(map(evaluation_of, common_runs(sides)))


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
            [f"{value:{sign}z.2f}" for value in values],
            f"{values[-1] - values[0]:+z.2f}" if len(values) == 2 else "",
        )
        for what, values, sign in columns
    ]


def verdict_line(found: Comparison, letters: tuple[str, str]) -> str:
    """ "B - A: +0.52 points [+0.10, +0.94], 3 seeds, p 0.03: B is higher"."""
    mean, n = found.difference.mean, found.difference.n
    words = f"{letters[0]} - {letters[1]}: {mean:+z.2f} points"
    if n > 1 and not found.excuse:
        words += f" [{found.low:+z.2f}, {found.high:+z.2f}]"
    words += f", {plural(n, 'seed')}"
    if (p := p_words(found.p)) and not found.excuse:
        words += f", p {p}"
    if not found.decided:
        return f"{words}: {found.verdict}"
    return f"{words}: {letters[0] if mean > 0 else letters[1]} is higher"
