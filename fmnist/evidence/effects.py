"""A compared with B: what is estimated, and how sure it is. Claims and reports ask it here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fmnist.evidence.claim import is_share
from fmnist.evidence.failed import failed_words
from fmnist.evidence.statistics import FEWEST, LEVEL, Summary, contrast
from fmnist.evidence.superiority import Chance, beats
from fmnist.runs.rows import Row
from fmnist.runs.text import plural

RESOLUTION = 0.01  # points: one image of 10,000, where nothing else is known
# Two sides that differ in nothing else come of one training, or as good as: they are paired by
# seed. Between other configurations equal seeds have little in common.
ONE_TRAINING = (
    "tta", "ema_decay", "data.select_on", "trainer.precision", "channels_last",
)  # fmt: skip


def resolution_of(metric: str, rows: Iterable[Row]) -> float:
    """Of one run's number, in points: an image of those that were tested. Losses have none."""
    if not is_share(metric):
        return 0.0
    known = [count for row in rows if (count := _images(metric, row))]
    return 100 / min(known) if known else RESOLUTION


def _images(metric: str, row: Row) -> float | None:
    """On how many of a run's images a share of them was measured; of a class the mean."""
    if metric.startswith("val/") and not row.leaks:
        size = row.settings.get("data.val_size", "")
        return int(size) if size.isdigit() and int(size) else None
    if not metric.startswith(("test/", "val/")) or not row.images:
        return None
    of_class = metric.startswith(("test/recall/", "test/f1/"))
    classes = sum(name.startswith("test/f1/") for name in row.metrics) if of_class else 1
    return row.images / max(1, classes)


def one_training(settings: Iterable[str]) -> bool:
    """Whether runs that differ in these settings alone come of one training."""
    return all(
        any(key == name or key.startswith(f"{name}.") for name in ONE_TRAINING) for key in settings
    )


def compare_sides(
    first: str, second: str, values: Mapping[int, Sequence[float]], *, paired: bool,
    resolution: float,
) -> "Comparison":  # fmt: skip
    """Two sides, named, over seeds; see `contrast`.

    Args:
        values: by seed, one number a side: see `fmnist.evidence.matching`.
    """
    a, b = zip(*values.values(), strict=True)
    chance = beats(a, b, paired) if len(a) > 1 else None
    difference = contrast((a, b), paired=paired, resolution=resolution)
    return Comparison(first, second, difference, beats=chance)


@dataclass(frozen=True)
class Comparison:
    """`first` minus `second` over matched seeds, when no claim says which should be higher.

    It explores: all seeds at hand, whatever looks are declared.

    Args:
        together: how many comparisons are made with it, itself among them.
        beats: how often a run of `first` is above one of `second`; None for one seed.
        failed: runs of both sides that failed, matched or not.
        excuse: why they allow no verdict; "" where they count as chance, or there are none.
    """

    first: str
    second: str
    difference: Summary
    together: int = 1
    beats: Chance | None = None
    failed: int = 0
    excuse: str = ""

    @property
    def p(self) -> float:
        """Two-sided, corrected for all comparisons made together; NaN for one seed."""
        summary = self.difference
        if summary.n < 2:
            return math.nan
        return min(1.0, 2 * self.together * min(summary.p_above(0), summary.p_below(0)))

    @property
    def significant(self) -> bool:
        return not self.excuse and self.p < LEVEL

    @property
    def decided(self) -> bool:
        """Whether the seeds show which one is higher; a few seeds show nothing."""
        return self.difference.n >= FEWEST and self.significant

    @property
    def verdict(self) -> str:
        """Which one is higher, as far as the seeds show it."""
        if not self.decided:
            return f"not judged: {self.excuse}" if self.excuse else "undecided"
        return f"{self.first if self.difference.mean > 0 else self.second} is higher"

    def __str__(self) -> str:
        mean, n = self.difference.mean, self.difference.n
        words = f"{self.first} - {self.second}: {mean:+.2f}"
        if not math.isnan(self.low):
            words += f" [{self.low:+.2f}, {self.high:+.2f}]"
        counted = f" ({failed_words(self.failed, not self.excuse)})" if self.failed else ""
        return f"{words}, {plural(n, 'seed')}: {self.verdict}{counted}"

    @property
    def half_width(self) -> float:
        """Of the interval at the level that decides."""
        return self.difference.half_width_at(LEVEL / 2 / self.together)

    @property
    def low(self) -> float:
        return self.difference.mean - self.half_width

    @property
    def high(self) -> float:
        return self.difference.mean + self.half_width


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same, corrected for being asked together; those of one seed do not count."""
    together = sum(item.difference.n > 1 for item in comparisons)
    return [replace(item, together=max(1, together)) for item in comparisons]
