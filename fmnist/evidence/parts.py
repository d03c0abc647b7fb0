"""The numbers of everything that a claim says, of each side by seed: from rows to its parts."""

from collections.abc import Collection, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from fmnist.config.words import near
from fmnist.evidence.claim import EXACT, Claim, ClaimError, Selection, is_share
from fmnist.evidence.effects import one_training, resolution_of
from fmnist.evidence.matching import Side, compared, per_seed, side
from fmnist.evidence.verdict import Part, Rule
from fmnist.runs.rows import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RIGHT_OF = {"test/acc": "best", "test/acc_last": "last"}  # which net's bits a metric is the mean of


def parts_of(claim: Claim, rows: Sequence[Row]) -> list[Part]:
    """All that the claim says; none if any of it was not measured."""
    if claim.best_classes or claim.worst_classes:
        parts = _classes(claim, rows)
    else:
        parts = [
            _part(rows, rule, [side(claim.where | selection, metric) for selection in selections],
                  label, claim.margin, value)
            for rule, selections, metric, label, value in said_by(claim)
        ]  # fmt: skip
    measured = [part for part in parts if part is not None]
    return measured if len(measured) == len(parts) else []


def said_by(claim: Claim) -> list[tuple[Rule, tuple[Selection, ...], str, str, float]]:
    """Rule, sides, metric, label and value of everything that a claim says but of classes."""
    if claim.values:
        rule: Rule = "at_least" if claim.at_least else "at_most" if claim.at_most else "about"
        return [(rule, ({},), metric, metric, value) for metric, value in claim.values.items()]
    if claim.same:
        return [("same", claim.same, claim.metric, "", 0.0)]
    pairs = list(product(claim.higher, claim.lower))
    labels = [" - ".join(map(selection_in_words, pair)) if len(pairs) > 1 else "" for pair in pairs]
    return [("higher", pair, claim.metric, label, 0.0)
            for pair, label in zip(pairs, labels, strict=True)]  # fmt: skip


def selection_in_words(selection: Selection) -> str:
    """The values alone."""
    return " ".join("|".join(values) for values in selection.values())


def _classes(claim: Claim, rows: Sequence[Row]) -> list[Part | None]:
    """Every named class above (below) every other one.

    Raises:
        ClaimError: the data set has no such class.
    """
    prefix = f"{claim.metric}/"
    names = dict.fromkeys(
        name.removeprefix(prefix) for row in rows for name in row.metrics if name.startswith(prefix)
    )
    named, best = claim.best_classes or claim.worst_classes, bool(claim.best_classes)
    if not names:
        return [None]
    for name in named:
        if name not in names:
            raise ClaimError(f"{claim.name}: {name}: no such class{near(name, names)}")
    parts = []
    for name in named:
        for rest in [rest for rest in names if rest not in named]:
            first, second = (name, rest) if best else (rest, name)
            sides = [side(claim.where, prefix + item) for item in (first, second)]
            parts.append(_part(rows, "higher", sides, f"{first} - {second}", claim.margin))
    return parts


def _part(
    rows: Sequence[Row], rule: Rule, sides: Sequence[Side], label: str, margin: float,
    value: float = 0.0,
) -> Part | None:  # fmt: skip
    metric = sides[0].metric
    scale = 100.0 if is_share(metric) else 1.0
    values = per_seed(rows, sides)
    if not values:
        return None
    right = _right(rows, sides)
    return Part(
        label,
        rule,
        tuple(tuple(scale * x for x in numbers) for numbers in zip(*values.values(), strict=True)),
        tuple(values),
        margin,
        value,
        paired=one_training(compared(sides)),
        resolution=1.0 if counts_whole(metric) else resolution_of(metric, rows),
        exact=metric in EXACT,
        whole=counts_whole(metric),
        right=_stacked(right.values()),
        right_seeds=tuple(right),
    )


def _right(
    rows: Sequence[Row], sides: Sequence[Side]
) -> "dict[int, tuple[NDArray[np.float64], ...]]":
    """By seed, of every side the share of its runs that were right about each image.

    Of the seeds whose runs have all kept that.
    """
    if sides[0].metric not in RIGHT_OF or not any(row.right for row in rows):
        return {}
    import numpy as np

    images = {len(row.right.best) for row in rows if row.right}

    def bits(row: Row, metric: str) -> Any:
        if row.right is None or len(images) > 1:
            return np.nan  # makes NaN of all that it is averaged with
        return getattr(row.right, RIGHT_OF[metric]).astype(float)

    seeds = per_seed(rows, sides, bits)
    return {s: shares for s, shares in seeds.items() if not any(np.isnan(x).any() for x in shares)}


def _stacked(
    shares: "Collection[tuple[NDArray[np.float64], ...]]",
) -> "tuple[NDArray[np.float64], ...]":
    """Of every side: seed by image."""
    if not shares:
        return ()
    import numpy as np

    return tuple(np.stack(side) for side in zip(*shares, strict=True))


def counts_whole(metric: str) -> bool:
    """Whether its numbers are whole ones."""
    return metric.startswith("epochs_to/")
