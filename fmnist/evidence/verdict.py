"""The rules by which a claim holds, does not hold or is undecided. They stand here only.

What speaks for and against. d is the difference of two means over seeds, the margin the smallest
difference worth claiming: 0.2 points unless the claim says otherwise.

    A > B                  shown: d > 0; refuted: d < margin. Both: it holds, by less than the
                           margin; d > margin shown: by more than it.
    A and B are the same   shown: -margin < d < margin; refuted: d < -margin, or d > margin
    about v                v was published, and is one run. Refuted: v is no single run of ours, and
                           our mean is off by more than the margin, both (the larger p counts).
                           Shown: v lies in the central 95 % of our runs, or our mean is within the
                           margin (twice the smaller p).
    at least v, at most v  shown: the mean is above (below) v; refuted: below (above)

1. d gets Welch's t test: equal seeds of different configurations have little in common. It is
   paired by seed where both sides come of one training (`fmnist.evidence.effects.ONE_TRAINING`) and
   for classes of one run.
2. A claim of several parts is shown when all of them are: the largest p counts (Berger 1982). It is
   refuted when one is: the smallest p counts, times the number of parts. It holds by more than the
   margin when all of them do, and by less when one does.
3. p is not doubled: whatever the truth is, only one of the decisions about a claim can be wrong
   (Finner and Strassburger 2002).
4. A source's claims are one family, and p is multiplied by their number: all of them, whichever
   were measured or asked, without those of numbers that no seed changes (parameters, FLOPs), which
   are compared as they are, and without costs. Holm's method would leave a claim out of the count
   once it is decided; it may do so only when no other decision about the claim can still be wrong
   (Shaffer 1986), and as every verdict comes with its size, one always can. So the chance of any
   false verdict of a source is at most 5 %, and a verdict depends neither on other claims' numbers
   nor on what else was in a folder. (With p not doubled Holm's steps make a false verdict as
   likely as 18 % when all differences are 0 and well measured: tests/evidence/test_statistics.py.)
5. A study says in its YAML at how many seeds it is looked at: `looks: [5, 10, 20]`. The first 5,
   10, 20 seeds are judged, and nothing between. p is the smallest of the looks taken so far, times
   the number of looks declared. Seeds beyond the last look taken are shown and do not count. Where
   no looks are declared all seeds are one look.
6. Fewer than 3 seeds decide nothing. (Just 3, of sides whose deviations are five times apart, are
   where Welch's test is weakest: any false verdict among eight claims comes in 7 to 8 %.)
7. A run that failed counts as chance accuracy where accuracies are compared; elsewhere a claim with
   failed runs gets no verdict. A run that somebody stopped says nothing, and does not count.
8. Whole numbers (epochs until an accuracy) break the t test. A > B is shown by an exact permutation
   test, and refuted when that test shows B > A; other claims about them get no verdict.
9. A source leaves settings open, and each way of reading it that its experiment lists is judged at
   the same looks. A value holds under a reading with that reading's p times their number; it does
   not hold when it does under none of them, all of them judged (the largest p counts). Another
   claim's verdict is that of our reading; under how many others it comes out the same is shown.
   Seeds that had run before the readings were listed count under none.
10. The interval shown leaves out at each end what a decision may: 5 % / (claims x looks), divided
   as its p is multiplied, and is that of all looks taken together, so that it does not contradict
   the verdict. Where that leaves the last mean out, mean and interval are those of the look that
   decided, and a remark has the other looks'. Of several parts the one is shown that speaks least
   for the claim: that which refutes it, or makes it less than the margin, where one does.

All this is about other seeds of these settings, on these 10,000 test images and this split. Beside
the interval of an accuracy stands one that covers other test images, too, where the runs of two
seeds or more have kept which images they were right about (`fmnist.evidence.images`); it decides
nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from fmnist.evidence.statistics import FEWEST, LEVEL, Summary, contrast, is_so, permutation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["holds", "does not hold", "undecided", "not measured", "not judged"]
Rule = Literal["higher", "same", "about", "at_least", "at_most"]
Size = Literal["more", "less", ""]


@dataclass(frozen=True)
class P:
    """p values of one or of several decisions.

    Args:
        shown, refuted: small: the claim is true, or false.
        more, less: small: the difference is above the margin, or below it; of A > B alone.
    """

    shown: float
    refuted: float
    more: float = 1.0
    less: float = 1.0

    def times(self, factor: float) -> "P":
        """Corrected for so many decisions."""
        values = (self.shown, self.refuted, self.more, self.less)
        return P(*(min(1.0, factor * p) for p in values))


@dataclass(frozen=True)
class Part:
    """One thing that a claim says, and the numbers that it is about.

    Args:
        label: what was measured.
        sides: one number a seed of each side; seeds are in their order, the same for both.
        value: of "about" and goals.
        paired: by seed.
        resolution, exact: see `summarize`.
        whole: the numbers are whole.
        right: of every side float [S, I], the share of its runs that were right, by seed and test
            image, of those seeds of which that is known.
        right_seeds: which these are.
        good: which end of the numbers; "": the metric's name says it.
    """

    label: str
    rule: Rule
    sides: tuple[tuple[float, ...], ...]
    seeds: tuple[int, ...]
    margin: float = 0.0
    value: float = 0.0
    paired: bool = False
    resolution: float = 0.0
    exact: bool = False
    whole: bool = False
    right: "tuple[NDArray[np.float64], ...]" = field(default=(), compare=False, repr=False)
    right_seeds: tuple[int, ...] = ()
    good: Literal["high", "low", ""] = ""

    def summary(self, n: int | None = None) -> Summary:
        """Of the first `n` seeds; of all of them."""
        return contrast(
            [values[:n] for values in self.sides],
            paired=self.paired, resolution=self.resolution, exact=self.exact,
        )  # fmt: skip

    def test(self, n: int) -> P:
        """Of the first `n` seeds."""
        if self.whole and not self.exact:
            return self._exact_test(n)
        summary, margin, value = self.summary(n), self.margin, self.value
        if summary.exact:  # nothing is left open
            so = is_so(self.rule, summary.mean - value, margin)
            return P(1.0 - so, float(so))
        if self.rule == "higher":
            less = summary.p_below(margin)
            return P(summary.p_above(0), less, summary.p_above(margin), less)
        if self.rule == "same":
            above, below = summary.p_above(-margin), summary.p_below(margin)
            return P(max(above, below), min(summary.p_above(margin), summary.p_below(-margin)))
        if self.rule == "about":
            inside = max(summary.p_above(value - margin), summary.p_below(value + margin))
            off = min(summary.p_above(value + margin), summary.p_below(value - margin))
            shown = min(1.0, 2 * min(inside, summary.p_central(value)))
            return P(shown, max(off, summary.p_single(value)))
        shown, refuted = summary.p_above(value), summary.p_below(value)
        return P(shown, refuted) if self.rule == "at_least" else P(refuted, shown)

    def _exact_test(self, n: int) -> P:
        if self.rule != "higher" or self.paired:
            return P(1.0, 1.0)
        a, b = (values[:n] for values in self.sides)
        shown, refuted = permutation(a, b), permutation(b, a)
        return P(1.0 if shown is None else shown, 1.0 if refuted is None else refuted)


@dataclass(frozen=True)
class Statement:
    """All of these parts.

    Args:
        parts: at least one.
        looks: declared; none: all seeds are one look.
        family: how many claims are judged with it, itself among them.
        excuse: why there is no verdict; "" where there can be one.
        readings: under how many the value is asked, one of them here; 1 of what is no value.
    """

    parts: tuple[Part, ...]
    looks: tuple[int, ...] = ()
    family: int = 1
    excuse: str = ""
    readings: int = 1

    @property
    def exact(self) -> bool:
        return all(part.exact and part.summary().exact for part in self.parts)

    @property
    def seeds(self) -> int:
        """That all parts have."""
        return min(len(part.seeds) for part in self.parts)

    @property
    def declared(self) -> tuple[int, ...]:
        """The looks, or the one at all seeds."""
        return self.looks or (max(FEWEST, self.seeds),)

    @property
    def taken(self) -> list[int]:
        """The looks for which the seeds are there."""
        return [look for look in self.declared if FEWEST <= look <= self.seeds]

    @property
    def factor(self) -> int:
        """On every p; what is shown counts once more for every reading."""
        return self.family * len(self.declared)

    def test(self, n: int) -> P:
        """Of the first `n` seeds, not corrected."""
        found = [part.test(n) for part in self.parts]
        refuted, less = (
            min(1.0, min(some) * len(found))
            for some in ([p.refuted for p in found], [p.less for p in found])
        )
        return P(max(p.shown for p in found), refuted, max(p.more for p in found), less)

    @cached_property
    def p(self) -> P:
        """Of all looks taken, of which there is one, and corrected."""
        p = at_looks([self.test(look) for look in self.taken]).times(self.factor)
        return replace(p, shown=min(1.0, self.readings * p.shown))

    @cached_property
    def verdict(self) -> Verdict:
        """Of the looks taken, if any."""
        if not self.taken:
            return "undecided"
        p = self.p
        compatible = all(part.rule == "higher" for part in self.parts)  # 0 < d < margin
        if p.shown < LEVEL and (compatible or p.shown <= p.refuted):
            return "holds"
        return "does not hold" if p.refuted < LEVEL else "undecided"

    @cached_property
    def size(self) -> Size:
        """Of looks taken at which it holds."""
        if self.verdict != "holds":
            return ""
        return "more" if self.p.more < LEVEL else "less" if self.p.less < LEVEL else ""

    @property
    def tail(self) -> float:
        """What the interval leaves out at each end: the level, divided as p is multiplied."""
        tail, parts = LEVEL / self.factor, len(self.parts)
        if self.verdict == "does not hold":  # what refutes a value is not corrected for readings
            return tail / parts
        tail /= self.readings * (2 if self.parts[0].rule == "about" else 1)
        return tail if self.verdict == "holds" and self.size != "less" else tail / parts

    @property
    def last(self) -> int:
        """Seeds of the last look taken, or all that are there."""
        return self.taken[-1] if self.taken and not self.exact else self.seeds

    @cached_property
    def shown(self) -> int:
        """Of how many seeds the numbers are shown: of the last look, or of the one that decided."""
        if self.agree:
            return self.last
        kind = self.size or {"holds": "shown", "does not hold": "refuted"}.get(self.verdict)
        return min(self.taken, key=lambda n: getattr(self.test(n), kind)) if kind else self.last

    @property
    def summary(self) -> Summary:
        """Of the part and the seeds that are shown."""
        return self.weakest.summary(self.shown)

    @cached_property
    def agree(self) -> bool:
        """Whether what all looks leave together has the mean of the last in it."""
        if self.exact or self.weakest.whole or len(self.taken) < 2:
            return True
        low, high = self.interval(self.taken)
        return low <= self.weakest.summary(self.last).mean <= high

    def interval(self, looks: Sequence[int]) -> tuple[float, float]:
        """Of the part that is shown: what these looks leave together."""
        found = [self.weakest.summary(look) for look in looks]
        halves = [summary.half_width_at(self.tail) for summary in found]
        return (
            max(item.mean - half for item, half in zip(found, halves, strict=True)),
            min(item.mean + half for item, half in zip(found, halves, strict=True)),
        )

    @cached_property
    def weakest(self) -> Part:
        """The part that speaks least for the statement: the one that decides, if one does."""

        def against(part: Part) -> float:
            if self.verdict == "undecided":
                return 0.0
            p = at_looks([part.test(look) for look in self.taken])
            if self.verdict == "does not hold":
                return -p.refuted
            return -p.less if self.size == "less" else p.more

        def key(part: Part) -> tuple[float, ...]:
            summary = part.summary(self.last)
            lead = summary.mean if part.rule == "higher" else -abs(summary.mean - part.value)
            return against(part), part.test(self.last).shown, -lead

        return max(self.parts, key=key)


@dataclass(frozen=True)
class Judgement:
    """What the rules say.

    Args:
        p: of the decision, or of the one that was nearer; corrected. None: nothing was tested.
        size: of A > B that holds: "more" or "less" than the margin, or "" where that is open.
        look: seeds at the last look taken, 0: none; the `looks` are those declared.
        seeds: that are there.
        interval: of the part that is shown; None: there is none.
        wider: the one that covers other test images, too; None: not known.
    """

    verdict: Verdict
    p: float | None = None
    size: Size = ""
    look: int = 0
    looks: tuple[int, ...] = ()
    seeds: int = 0
    interval: tuple[float, float] | None = None
    wider: tuple[float, float] | None = None


def judge(statement: Statement | None) -> Judgement:
    """The verdict on a statement; None: there was nothing to measure."""
    if statement is None:
        return Judgement("not measured")
    n = statement.seeds
    if statement.exact:
        holds = statement.test(n).shown < LEVEL
        return Judgement("holds" if holds else "does not hold", seeds=n)
    if statement.excuse:
        return Judgement("not judged", seeds=n)
    taken, looks = statement.taken, statement.declared
    if not taken:
        return Judgement("undecided", looks=looks, seeds=n)
    p, verdict, size = statement.p, statement.verdict, statement.size
    deciding = {"holds": p.shown, "does not hold": p.refuted}.get(verdict, min(p.shown, p.refuted))
    interval = interval_of(statement)
    wider = _wider(statement, interval)
    return Judgement(verdict, deciding, size, taken[-1], looks, n, interval, wider)


def can_be_decided(whole: bool, looks: Sequence[int], family: int) -> bool:
    """Whether any numbers could decide a claim at its declared looks: few whole ones cannot.

    Args:
        whole: whether its numbers are, which an exact test judges.
        looks: declared; none: more seeds are another look.
        family: see `Statement`.
    """
    if not whole or not looks:
        return True
    least = 1 / math.comb(2 * looks[-1], looks[-1])  # of a permutation test
    return family * len(looks) * least < LEVEL


def at_looks(found: Sequence[P]) -> P:
    """Of several looks: the smallest of each, to be multiplied by the number of those declared."""
    columns = zip(*((p.shown, p.refuted, p.more, p.less) for p in found), strict=True)
    return P(*(min(column) for column in columns))


def interval_of(statement: Statement) -> tuple[float, float] | None:
    """Of the part that is shown; None for whole numbers."""
    if statement.weakest.whole:
        return None
    ends = statement.interval(_looks_shown(statement))
    return None if math.isnan(ends[0]) else ends


def _looks_shown(statement: Statement) -> list[int]:
    """All that were taken; where they leave nothing together, the one whose mean is shown."""
    return statement.taken if statement.agree else [statement.shown]


def _wider(statement: Statement, ends: tuple[float, float] | None) -> tuple[float, float] | None:
    """The interval `ends`, made to cover other test images, too; None where no two seeds have bits.

    It is never the narrower one: the seeds' part is here paired by image and so by seed, which by
    chance may give less than Welch's.
    """
    from fmnist.evidence.images import crossed

    part, lows, highs = statement.weakest, [], []
    if ends is None or not part.right:
        return None
    difference = part.right[0] if len(part.right) == 1 else part.right[0] - part.right[1]
    for n in _looks_shown(statement):
        known = sum(seed in part.seeds[:n] for seed in part.right_seeds)
        if known < 2:
            continue
        sides = [values[:n] for values in part.sides]
        means = sides[0] if len(sides) == 1 else [a - b for a, b in zip(*sides, strict=True)]
        found = crossed(100 * difference[:known], 2 * statement.tail, means)
        lows.append(found.mean - found.both)
        highs.append(found.mean + found.both)
    return (min(max(lows), ends[0]), max(min(highs), ends[1])) if lows else None
