"""What a search found, held against something else on seeds that the search has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from fmnist.evidence.effects import Comparison, corrected
from fmnist.evidence.failed import failed_words
from fmnist.evidence.settings import compare
from fmnist.runs.run import Run


def compare_all(sides: Mapping[str, Sequence[Run]]) -> list[Comparison]:
    """Every side compared with every later one, on test accuracy, in points.

    Raises:
        RunError: a side has no finished run.
    """
    return corrected(
        [
            replace(compare(sides[first], sides[second]), first=first, second=second)
            for first, second in combinations(sides, 2)
        ]
    )


def comparison_in_words(found: Comparison) -> str:
    """ "the winner is better than the default by 0.80 [0.30, 1.30] points of test accuracy"."""
    mean, low, high = found.difference.mean, found.low, found.high
    seeds = f"on {found.difference.n} fresh seeds"
    if found.failed:
        seeds += f" ({failed_words(found.failed, not found.excuse)})"
    if not found.decided:
        interval = f"{mean:+.2f} [{low:+.2f}, {high:+.2f}] points of test accuracy"
        return f"{found.first} is not shown to differ from {found.second}: {interval} {seeds}"
    better, other = (found.first, found.second) if mean > 0 else (found.second, found.first)
    near, far = sorted((abs(low), abs(high)))
    interval = f"{abs(mean):.2f} [{near:.2f}, {far:.2f}] points of test accuracy"
    return f"{better} is better than {other} by {interval} {seeds}"
