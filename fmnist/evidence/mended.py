"""Rows that a fault of ours has touched: said wherever they are judged, until they are run again.

In bf16, groups of steps once made their batches under Lightning's autocast, so that rotations and
fractional shifts were computed in bf16, too, and some pixels came from a neighbour of theirs.
Single steps, fp32, flips and shifts of whole pixels were never touched.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from fmnist.evidence.statistics import contrast
from fmnist.evidence.text import measured
from fmnist.runs.rows import Row, newest

AFFINE = "fmnist.data.augment.RandomAffine"
MENDED = "2026-11-29T14:00:00+00:00"  # rows that were started before were made with the fault


def is_touched(row: Row) -> bool:
    """Whether it was made by the fault's code, and of what that code got wrong."""
    told = row.settings
    if told.get("aug._target_") != AFFINE or told.get("trainer.precision") != "bf16-mixed":
        return False
    # Bilinear is what a fractional shift needs.
    wrong = float(told.get("aug.degrees", 0)) != 0 or told.get("aug.interpolation") == "bilinear"
    return wrong and row.facts["started"] < MENDED


def touched_words(rows: Iterable[Row]) -> list[str]:
    """A paragraph: how many of the rows that count were touched, and what became of those that were
    trained again; none where none was touched.
    """
    rows = [row for row in rows if row.finished]
    counting = newest(rows)
    # By experiment: a comparison may have one side that was trained again, and one that was not.
    touched = Counter(
        (row.facts["study"], row.facts.get("experiment", "")) for row in counting if is_touched(row)
    )
    if not touched:
        return []
    listed = ", ".join(
        f"{count}{f' of {experiment}' if experiment else ''} in `{study}`"
        for (study, experiment), count in sorted(touched.items())
    )
    return [
        f"**A fault of ours:** {touched.total():,} of {len(counting):,} runs ({listed}) computed "
        "rotations and fractional shifts in bf16, so that some pixels came from a neighbour of "
        f"theirs; they are to be trained again.{_changes(rows)}"
    ]


def _changes(rows: Sequence[Row]) -> str:
    """What became of the accuracy where the same settings were trained again: least and most."""
    before: dict[frozenset[tuple[str, str]], dict[int, Row]] = {}
    after: dict[frozenset[tuple[str, str]], dict[int, Row]] = {}
    for row in rows:
        (before if is_touched(row) else after).setdefault(row.did, {})[row.seed] = row
    changes = []
    for did in before.keys() & after.keys():
        seeds = before[did].keys() & after[did].keys()
        if len(seeds) < 2:  # no interval
            continue
        sides = [
            [100 * side[seed].metrics["test/acc"] for seed in seeds]
            for side in (after[did], before[did])
        ]
        found = contrast(sides, resolution=0.01)
        row = next(iter(after[did].values()))
        study, experiment = (row.facts.get(key, "") for key in ("study", "experiment"))
        what = f"`{study}`: {experiment}, scheduler {row.settings['scheduler']}"
        effect = measured(found.mean, (found.low, found.high), "test/acc", sign=True)
        changes.append((found.mean, f"{effect} points over {len(seeds)} seeds ({what})"))
    if not changes:
        return ""
    ends = dict.fromkeys(text for _, text in (min(changes), max(changes)))
    count = f" in {len(changes)} settings" if len(changes) > 1 else ""
    return (
        f" Trained again, test accuracy changed{count} by {' to '.join(ends)}, with 95 % intervals."
    )
