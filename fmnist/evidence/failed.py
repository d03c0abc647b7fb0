"""What a run that failed, or diverged, counts as; rule 7 of `fmnist.evidence.verdict`.

To leave it out would make a recipe that fails look better than it is. Where accuracies are compared
it counts as a net that knows nothing; of other metrics there is no such number, and no verdict.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from fmnist.evidence.claim import as_people_write
from fmnist.runs.record import is_accuracy
from fmnist.runs.rows import Row


def at_chance(row: Row, metric: str) -> Row:
    """A failed run as one that knows nothing, as far as it is known what that is."""
    if row.finished or row.chance is None or not _has_chance(metric):
        return row
    return replace(row, metrics=row.metrics | {metric: row.chance})


def excuse(failed: Collection[Row], metric: str, higher: bool = True) -> str:
    """Why these failed runs allow no verdict on a metric; "" where they count, or there are none.

    Args:
        failed: of all sides.
        higher: whether it is asked which side is the higher one.
    """
    known = all(row.chance is not None for row in failed)
    if not failed or (higher and _has_chance(metric) and known):
        return ""
    return f"{len(failed)} of its runs failed"


def counted_values(rows: Mapping[int, Row], metric: str) -> dict[int, float]:
    """What a setting's runs are compared by, by seed; shares of images in percent.

    Runs without the metric are left out, and failed ones where they have no number to count as.
    """
    why_not = excuse([row for row in rows.values() if not row.finished], metric)
    judged = {
        seed: at_chance(row, metric) for seed, row in rows.items() if row.finished or not why_not
    }
    return {
        seed: as_people_write(metric, row.metrics[metric])
        for seed, row in judged.items()
        if metric in row.metrics
    }


def failed_words(count: int, counted: bool) -> str:
    """ "1 failed run: counts as chance accuracy"."""
    words = "chance accuracy" if counted else "any verdict"
    verb = "count" if count > 1 else "counts"
    return f"{count} failed run{'s' * (count > 1)}: {verb} {'as' if counted else 'against'} {words}"


def _has_chance(metric: str) -> bool:
    """Whether a net that knows nothing has a value of it: how far accuracy falls back has none."""
    return is_accuracy(metric) and not metric.endswith("setback")
