"""What difference a number of seeds can show, before the hours are spent."""

import math
from collections.abc import Iterable, Sequence

POWER = 0.8  # how often a true difference of the size is shown; the field's convention


def pooled_deviation(groups: Iterable[Sequence[float]]) -> float | None:
    """Standard deviation over seeds within groups of equal settings; None: no group has two."""
    square_sum, freedom = 0.0, 0
    for values in groups:
        if len(values) < 2:
            continue
        mean = math.fsum(values) / len(values)
        square_sum += math.fsum((value - mean) ** 2 for value in values)
        freedom += len(values) - 1
    return math.sqrt(square_sum / freedom) if freedom else None


def detectable(deviations: Sequence[float], seeds: int, level: float = 0.05) -> float:
    """The smallest true difference that is shown with a probability of POWER.

    By the noncentral t distribution (Cohen 1988, "Statistical power analysis", section 2), with
    Welch's standard error and degrees of freedom.

    Args:
        deviations: over seeds, of the two sides; one for a mean against a fixed value.
        seeds: of each side.
        level: one-sided, after every correction.

    Raises:
        ValueError: fewer than two seeds.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    if seeds < 2:
        raise ValueError(f"seeds={seeds}: should be at least 2")
    variances = [deviation**2 / seeds for deviation in deviations]
    error = math.sqrt(sum(variances))
    if error == 0:
        return 0.0
    freedom = sum(variances) ** 2 / sum(v**2 / (seeds - 1) for v in variances)
    critical = float(t.isf(level, freedom))

    def lacking(size: float) -> float:
        return float(nct.sf(critical, freedom, size)) - POWER

    return float(brentq(lacking, 0.0, critical + 20.0)) * error
