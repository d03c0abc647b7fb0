"""Ranges of numbers as mathematics writes them: "[0, 1)" has 0 in it and 1 not."""

import math
import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Interval:
    """The numbers between two bounds, each of which belongs to it or not."""

    low: float
    high: float
    with_low: bool
    with_high: bool

    def __contains__(self, value: float) -> bool:
        above = value >= self.low if self.with_low else value > self.low
        below = value <= self.high if self.with_high else value < self.high
        return above and below  # neither for NaN

    def words(self, value: float) -> str:
        """What would be right instead of `value`."""
        if self.low == self.high:
            return f"{self.low:g}"
        bounds = []
        if self.low > -math.inf:
            bounds.append(f"{'at least' if self.with_low else 'greater than'} {self.low:g}")
        if self.high < math.inf:
            high = int(self.high) if self.high % 1 == 0 else self.high
            bounds.append(f"{'at most' if self.with_high else 'less than'} {high}")
        if not math.isfinite(value):
            bounds.append("finite")
        return " and ".join(bounds)


@cache
def interval(text: str) -> Interval | None:
    """An interval as it is written; None for any other text."""
    number = r"\s*(-?(?:inf|[\d.]+(?:e[+-]?\d+)?))\s*"
    found = re.fullmatch(rf"([\[(]){number},{number}([\])])", text)
    if found is None:
        return None
    return Interval(float(found[2]), float(found[3]), found[1] == "[", found[4] == "]")
