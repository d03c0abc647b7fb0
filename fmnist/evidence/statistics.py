"""What a few seeds say of a mean: Student's t, and Holm's correction for many questions.

Why t: studies have 2 to 10 seeds. With n seeds a sign-flip permutation test cannot give a p below
2 / 2^n (0.06 for five), and a bootstrap interval of five values covers far less than it says. The
t test is exact at any n from 2 when differences between seeds are normal, which sums over
thousands of test images are to a good approximation, and it errs on the safe side when tails are
heavy. What it cannot see from few seeds is a recipe that fails rarely; nothing can.

The test set is one fixed sample: intervals are about other seeds, not about other test images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

LEVEL = 0.05  # of significance; intervals are 1 - LEVEL


@dataclass(frozen=True)
class Summary:
    """Of one number a seed.

    Args:
        mean, sd: in the numbers' unit; sd with n - 1 in the denominator, NaN for one seed.
        n: number of seeds.
        exact: a number that no seed changes, such as a parameter count.
    """

    mean: float
    sd: float
    n: int
    exact: bool = False

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval; NaN for one seed."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + self.half_width

    @property
    def half_width(self) -> float:
        """Of the 95 % t interval of the mean; NaN for one seed."""
        from scipy.special import stdtrit

        if self.exact:
            return 0.0
        if self.n < 2:
            return math.nan
        return float(stdtrit(self.n - 1, 1 - LEVEL / 2)) * self.sd / math.sqrt(self.n)

    def p_above(self, threshold: float) -> float:
        """One-sided p of "the mean is at most `threshold`": small speaks for above.

        1 where seeds cannot tell: a single one, or several without any spread.
        """
        from scipy.special import stdtr

        if self.exact:
            return 0.0 if self.mean > threshold else 1.0
        if self.n < 2 or self.sd == 0:
            return 1.0
        return float(stdtr(self.n - 1, -(self.mean - threshold) / self.sd * math.sqrt(self.n)))

    def p_below(self, threshold: float) -> float:
        """One-sided p of "the mean is at least `threshold`": small speaks for below."""
        return replace(self, mean=-self.mean).p_above(-threshold)

    def with_seeds(self, n: int) -> "Summary":
        """The same mean and deviation from another number of seeds."""
        return replace(self, n=n)


def summarize(values: Sequence[float], resolution: float = 0.0, exact: bool = False) -> Summary:
    """Mean and deviation of one number a seed.

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
    n, mean = len(values), math.fsum(values) / len(values)
    if exact and all(value == values[0] for value in values):
        return Summary(values[0], 0.0, n, exact=True)
    if n == 1:
        return Summary(mean, math.nan, 1)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    sd = 0.0 if sd < 1e-12 * max(1.0, abs(mean)) else sd  # rounding of the mean
    return Summary(mean, max(sd, resolution / math.sqrt(12)), n)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for being asked together (Holm 1979): at 5 % the chance of any false
    decision among them is at most 5 %.

    (statsmodels' `multipletests(method="holm")`, which takes seconds to import.)
    """
    adjusted, running = [0.0] * len(p_values), 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
