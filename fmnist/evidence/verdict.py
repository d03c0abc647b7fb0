"""The rules by which a claim holds, does not hold or is undecided. They stand here only.

A claim is a conjunction of parts, each of which says that a mean over seeds lies above (or below) a
threshold:

    A > B                  mean of A - B over matched seeds > margin
    every A > every B      that, for each pair
    A and B are the same   mean of A - B > -margin, and < margin
    about v                mean > v - margin, and < v + margin
    at least v, at most v  mean > v, or < v: a goal has no margin

The margin is the smallest difference worth claiming: 0.2 points unless the claim says otherwise.

1. Each part gets two one-sided p values from a t test over seeds (why t:
   `fmnist.evidence.statistics`): of the part being false (small: shown), and of it being true
   (small: refuted).
2. A claim is shown when all its parts are: the largest p counts, and needs no correction
   (intersection-union, Berger 1982). It is refuted when one part is: the smallest p counts, times
   the number of parts that can be false together (Bonferroni).
3. The claim's p is twice the smaller of the two, so that each direction gets half of 5 %. For one
   part it is below 5 % exactly when the 95 % interval leaves the threshold out.
4. p values of all claims asked together are corrected by Holm's method.
5. Corrected p < 5 %: "holds" or "does not hold", whichever p was the smaller. Otherwise
   "undecided", with the number of further seeds that would decide it if mean and deviation stayed
   what they are (with even odds, since they will not).
6. One seed never decides, except about numbers that no seed changes (parameters, FLOPs); those are
   compared as they are and do not count among the claims asked together.

So a difference that is real but smaller than the margin "does not hold"; an interval that includes
the margin is "undecided"; the chance of a false "holds" is at most 2.5 % for one claim and 5 % for
any among those asked together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fmnist.evidence.statistics import LEVEL, Summary, holm

Verdict = Literal["holds", "does not hold", "undecided", "not measured", "not judged"]
MOST_SEEDS = 1000  # more than anybody would run


@dataclass(frozen=True)
class Part:
    """`summary`'s mean is above (or below) `threshold`.

    Args:
        label: what was summarised.
    """

    label: str
    summary: Summary
    threshold: float
    above: bool = True

    @property
    def lead(self) -> float:
        """By how much the mean is on the right side."""
        return (self.summary.mean - self.threshold) * (1 if self.above else -1)

    def p_shown(self, n: int) -> float:
        """Small: it is true. As if from `n` seeds."""
        summary = self.summary.with_seeds(n)
        return (summary.p_above if self.above else summary.p_below)(self.threshold)

    def p_refuted(self, n: int) -> float:
        """Small: it is false."""
        summary = self.summary.with_seeds(n)
        return (summary.p_below if self.above else summary.p_above)(self.threshold)


@dataclass(frozen=True)
class Statement:
    """All of these parts.

    Args:
        parts: at least one.
        together: how many of them can be false together.
    """

    parts: tuple[Part, ...]
    together: int

    @property
    def exact(self) -> bool:
        return all(part.summary.exact for part in self.parts)

    @property
    def seeds(self) -> int:
        return min(part.summary.n for part in self.parts)

    @property
    def weakest(self) -> Part:
        """The part that speaks least for the statement."""
        return max(self.parts, key=lambda part: (part.p_shown(part.summary.n), -part.lead))

    def test(self, more: int = 0) -> tuple[float, bool]:
        """Two-sided p, and whether it speaks for the statement; as if from `more` seeds more."""
        shown = max(part.p_shown(part.summary.n + more) for part in self.parts)
        refuted = min(part.p_refuted(part.summary.n + more) for part in self.parts)
        refuted *= self.together
        return min(1.0, 2 * min(shown, refuted)), shown < refuted


@dataclass(frozen=True)
class Judgement:
    """What the rules say.

    Args:
        p, p_holm: before and after correction; None where nothing was tested.
        more_seeds: how many would decide; None where decided, or where no number up to
            MOST_SEEDS would.
    """

    verdict: Verdict
    p: float | None = None
    p_holm: float | None = None
    more_seeds: int | None = None


def judge(statements: Sequence[Statement | None]) -> list[Judgement]:
    """A judgement of each of the statements, asked together; None: there was nothing to measure."""
    p_values = {
        index: statement.test()[0]
        for index, statement in enumerate(statements)
        if statement is not None and not statement.exact and statement.seeds > 1
    }
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    undecided = sum(p >= LEVEL for p in corrected.values())
    judgements = []
    for index, statement in enumerate(statements):
        p, p_holm = p_values.get(index), corrected.get(index)
        if statement is None:
            judgements.append(Judgement("not measured"))
        elif statement.exact or (p_holm is not None and p_holm < LEVEL):
            verdict: Verdict = "holds" if statement.test()[1] else "does not hold"
            judgements.append(Judgement(verdict, p, p_holm))
        elif p_holm is None:
            judgements.append(Judgement("undecided"))
        else:
            # With a smaller p it would come right after the decided ones in Holm's order.
            judgements.append(Judgement("undecided", p, p_holm, more_seeds(statement, undecided)))
    return judgements


def more_seeds(statement: Statement, correction: int) -> int | None:
    """How many more seeds would decide, if mean and deviation stayed what they are.

    Args:
        statement: undecided.
        correction: factor on its p.
    """
    low, high = 0, MOST_SEEDS
    if statement.test(high)[0] * correction >= LEVEL:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if statement.test(middle)[0] * correction < LEVEL:
            high = middle
        else:
            low = middle
    return high
