"""A compared with B: what is estimated, and how sure it is. Claims and reports ask it here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fmnist.evidence.statistics import LEVEL, Summary, holm, summarize

RESOLUTION = 0.01  # points: one image of 10,000


def contrast(
    values: Mapping[int, Sequence[float]], signs: Sequence[int] = (1, -1),
    resolution: float = RESOLUTION, exact: bool = False,
) -> Summary:  # fmt: skip
    """The signed sum of the sides, over seeds.

    Args:
        values: by seed, one number a side: see `fmnist.evidence.matching`.
        signs: of the sides.
        resolution, exact: see `summarize`.
    """
    sums = [sum(s * x for s, x in zip(signs, v, strict=True)) for v in values.values()]
    return summarize(sums, resolution, exact)


@dataclass(frozen=True)
class Comparison:
    """`first` minus `second` over matched seeds, when no claim says which should be higher.

    Args:
        difference: of which the rest follows.
        p_holm: corrected for all comparisons made together; NaN for one seed.
    """

    first: str
    second: str
    difference: Summary
    p_holm: float = math.nan

    @property
    def p(self) -> float:
        """Two-sided; NaN for one seed."""
        summary = self.difference
        return math.nan if summary.n < 2 else 2 * min(summary.p_above(0), summary.p_below(0))

    @property
    def significant(self) -> bool:
        return self.p_holm < LEVEL


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same, Holm-corrected for being asked together; those of one seed do not count."""
    defined = [index for index, item in enumerate(comparisons) if not math.isnan(item.p)]
    result = list(comparisons)
    p_values = holm([comparisons[index].p for index in defined])
    for index, p in zip(defined, p_values, strict=True):
        result[index] = replace(comparisons[index], p_holm=p)
    return result
