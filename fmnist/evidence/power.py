"""What difference a number of seeds can show, before the hours are spent."""

import math
from collections.abc import Iterable, Sequence

from fmnist.evidence.outcome import Outcome, is_exact
from fmnist.evidence.statistics import LEVEL, summarize
from fmnist.evidence.verdict import Part

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
    from scipy.special import nctdtrinc, stdtrit

    if seeds < 2:
        raise ValueError(f"seeds={seeds}: should be at least 2")
    variances = [deviation**2 / seeds for deviation in deviations]
    error = math.sqrt(sum(variances))
    if error == 0:
        return 0.0
    freedom = sum(variances) ** 2 / sum(v**2 / (seeds - 1) for v in variances)
    critical = -float(stdtrit(freedom, level))
    return float(nctdtrinc(freedom, 1 - POWER, critical)) * error


def refutable(deviation: float, seeds: int, level: float, margin: float = 0.0) -> float:
    """From how far off a published value is refuted with a probability of POWER.

    It is one run, so that it is refuted when it is no single run of ours: with many seeds, too, it
    has to be some deviations away (`fmnist.evidence.statistics.Summary.p_single`).

    Args:
        deviation: over seeds.
        level: after every correction.
        margin: by which the mean has to be off besides.
    """
    from scipy.special import nctdtrinc, stdtrit

    critical = -float(stdtrit(seeds - 1, level / 2)) * math.sqrt(seeds + 1)
    single = float(nctdtrinc(seeds - 1, 1 - POWER, critical)) * deviation / math.sqrt(seeds)
    return max(single, margin + detectable([deviation], seeds, level))


def sizes_at(
    outcome: Outcome, looks: Sequence[int], family: int, study: Sequence[Outcome]
) -> dict[int, float]:
    """What difference a claim shows with a probability of POWER at every look, in its unit.

    By the deviations of its own runs over seeds; where there are not two of a side, by those pooled
    over the claims of the study with the same metric. Empty where none is known, and for whole
    numbers and those that no seed changes.

    Args:
        looks: declared.
        family: claims of its source.
        study: outcomes of all claims of the study.
    """
    if is_exact(outcome.claim):  # which is in no family
        return {}
    metric = outcome.claim.metrics[0]
    part = outcome.part
    others = [o.part for o in study if o.part and o.claim.metrics[0] == metric]
    pooled = pooled_deviation(side for other in others for side in other.sides)
    sides = 2 if outcome.claim.selections[1:] else 1
    deviations = own_deviations(part) if part else [None] * sides
    known = [pooled if own is None else own for own in deviations]
    if any(deviation is None for deviation in known) or (part and (part.exact or part.whole)):
        return {}
    given = [deviation for deviation in known if deviation is not None]
    level = LEVEL / family / len(looks)
    if outcome.claim.about:
        margin = outcome.claim.margin
        return {look: refutable(given[0], look, level, margin) for look in looks}
    return {look: detectable(given, look, level) for look in looks}


def own_deviations(part: Part) -> list[float | None]:
    """Over seeds, of each side, or of the differences where they are paired; None: one seed."""
    if len(part.seeds) < 2:
        return [None] * (1 if part.paired else len(part.sides))
    if part.paired:
        return [part.summary().sd]
    return [summarize(side, part.resolution).sd for side in part.sides]
