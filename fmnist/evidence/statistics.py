"""What a few seeds say of a mean or of a difference of means: Student's and Welch's t, exact tests.

Why t: studies have 3 to 20 seeds. A bootstrap interval of five values covers far less than it says;
Welch's test keeps its level when both sides are normal whatever their variances, which sums over
thousands of test images are to a good approximation, and errs on the safe side when tails are
heavy. Whole numbers are another matter: see `permutation`.

`scipy.special` has what is needed and is imported in a fraction of the time of `scipy.stats`;
the tests hold these functions against `scipy.stats`.

The test set is one fixed sample: intervals are about other seeds, not about other test images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 3  # seeds that decide anything
LEVEL = 0.05  # of significance; intervals are 1 - LEVEL where nothing else is said
CENTRAL = 1.959963984540054  # 95 % of a normal distribution lie within so many deviations


@dataclass(frozen=True)
class Summary:
    """An estimate from one number a seed and side.

    Args:
        mean: of one side, or the difference of means.
        error: its standard error; NaN for one seed.
        df: degrees of freedom.
        n: number of seeds.
        exact: a number that no seed changes, such as a parameter count.
    """

    mean: float
    error: float
    df: float
    n: int
    exact: bool = False

    @property
    def sd(self) -> float:
        """Of one number: of a run where there is one side, of a difference of two runs else."""
        return self.error * math.sqrt(self.n)

    @property
    def half_width(self) -> float:
        """Of the 95 % t interval; NaN for one seed."""
        return self.half_width_at(LEVEL / 2)

    def half_width_at(self, tail: float) -> float:
        """Of the t interval that leaves out `tail` at each end."""
        from scipy.special import stdtrit

        if self.exact:
            return 0.0
        return math.nan if self.n < 2 else float(stdtrit(self.df, 1 - tail)) * self.error

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval; NaN for one seed."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + self.half_width

    def p_above(self, threshold: float) -> float:
        """One-sided p of "the mean is at most `threshold`": small speaks for above.

        1 where seeds cannot tell: a single one, or several without any spread.
        """
        from scipy.special import stdtr

        if self.exact:
            return 0.0 if self.mean > threshold else 1.0
        if self.n < 2 or self.error == 0:
            return 1.0
        return float(stdtr(self.df, -(self.mean - threshold) / self.error))

    def p_below(self, threshold: float) -> float:
        """One-sided p of "the mean is at least `threshold`": small speaks for below."""
        return Summary(-self.mean, self.error, self.df, self.n, self.exact).p_above(-threshold)

    def p_single(self, value: float) -> float:
        """Two-sided p of "`value` is one more run like these": small speaks against it."""
        from scipy.special import stdtr

        if self.n < 2 or self.error == 0:
            return 1.0
        spread = self.error * math.sqrt(self.n + 1)  # sd * sqrt(1 + 1 / n)
        return min(1.0, 2 * float(stdtr(self.df, -abs(value - self.mean) / spread)))

    def p_central(self, value: float) -> float:
        """p of "`value` lies outside the central 95 % of runs like these": small: it lies inside.

        The distance in deviations follows a noncentral t distribution.
        """
        from scipy.special import nctdtr

        if self.n < 2 or self.error == 0:
            return 1.0
        noncentral = CENTRAL * math.sqrt(self.n)
        return float(nctdtr(self.df, noncentral, abs(value - self.mean) / self.error))


def summarize(values: Sequence[float], resolution: float = 0.0, exact: bool = False) -> Summary:
    """Mean of one number a seed.

    Args:
        values: at least one.
        resolution: of the numbers, such as one test image in 10,000. The deviation is not taken
            below that of rounding to it: two seeds whose accuracies happen to be equal are no
            proof that all are.
        exact: no seed changes the number. Ignored where they differ.

    Raises:
        ValueError: no value.
    """
    if not values:
        raise ValueError("no values")
    n = len(values)
    if exact and all(value == values[0] for value in values):
        return Summary(values[0], 0.0, n - 1, n, exact=True)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(mean, math.nan, 0, 1)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    sd = 0.0 if sd < 1e-12 * max(1.0, abs(mean)) else sd  # rounding of the mean
    return Summary(mean, max(sd, resolution / math.sqrt(12)) / math.sqrt(n), n - 1, n)


def welch(sides: Sequence[Summary], signs: Sequence[int] = (1, -1)) -> Summary:
    """The signed sum of independent means, with Welch's and Satterthwaite's degrees of freedom."""
    mean = sum(sign * side.mean for sign, side in zip(signs, sides, strict=True))
    if all(side.exact for side in sides):
        return Summary(mean, 0.0, 0, sides[0].n, exact=True)
    n = min(side.n for side in sides)
    if n < 2:
        return Summary(mean, math.nan, 0, n)
    squares = [side.error**2 for side in sides]
    if not sum(squares):
        return Summary(mean, 0.0, n - 1, n)
    parts = sum(square**2 / side.df for square, side in zip(squares, sides, strict=True))
    return Summary(mean, math.sqrt(sum(squares)), sum(squares) ** 2 / parts, n)


def contrast(
    sides: Sequence[Sequence[float]], signs: Sequence[int] = (1, -1), *, paired: bool = False,
    resolution: float, exact: bool = False,
) -> Summary:  # fmt: skip
    """The signed sum of the sides' means over seeds; of one side alone its mean.

    Args:
        sides: of each side one number a seed, at least one.
        signs: of the sides.
        paired: by seed.
        resolution, exact: see `summarize`.
    """
    if paired and len(sides) > 1:
        seeds = zip(*sides, strict=True)
        sums = [sum(s * x for s, x in zip(signs, seed, strict=True)) for seed in seeds]
        return summarize(sums, resolution, exact)
    made = [summarize(side, resolution, exact) for side in sides]
    return welch(made, signs) if len(made) > 1 else made[0]


def is_so(rule: str, apart: float, margin: float) -> bool:
    """Whether a number that no seed changes is as a rule says (`fmnist.evidence.verdict`).

    What is just so much is at least it, and what is apart by just the margin is within it.

    Args:
        apart: how far it is from a value, or from that of another side.
    """
    within = abs(apart) <= margin
    found = {"higher": apart > margin, "at_least": apart >= 0, "at_most": apart <= 0}
    return found.get(rule, within)


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """95 % interval of an accuracy in [0, 1], a share of `total` images: Wilson's."""
    share, part = correct / total, CENTRAL**2 / total
    middle = share + part / 2
    half = CENTRAL * math.sqrt(share * (1 - share) / total + part / (4 * total))
    return max(0.0, (middle - half) / (1 + part)), min(1.0, (middle + half) / (1 + part))


def permutation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Exact one-sided p of the sum of `first` being so large; small speaks for `first` above.

    Of all ways to deal the numbers to two sides of these sizes: exact for whole numbers, with ties,
    where the t test is not, if the two sides are alike. None where they are not whole numbers.
    """
    values = [*first, *second]
    if not all(float(value).is_integer() for value in values):
        return None
    # ways[k][s]: to choose k of the numbers so far with the sum s
    ways: list[dict[int, int]] = [{0: 1}, *({} for _ in first)]
    for value in map(int, values):
        for k in range(len(first), 0, -1):
            for total, count in ways[k - 1].items():
                ways[k][total + value] = ways[k].get(total + value, 0) + count
    found, dealt = int(sum(first)), ways[len(first)]
    return sum(n for total, n in dealt.items() if total >= found) / sum(dealt.values())
