"""The table of readings: what each claim comes out as under every one that was run."""

from collections.abc import Iterable

from fmnist.evidence.failed import failed_words
from fmnist.evidence.outcome import Outcome
from fmnist.evidence.text import (
    both_intervals,
    labelled,
    looks_apart,
    looks_in_words,
    never_words,
    p_words,
    verdict_alone,
)

READINGS_TOLD = (
    "What a source left open was read in several ways, ours first. A published value holds under a "
    "reading with that reading's p times their number, and does not hold when it holds under none "
    "of them; of a comparison the verdict is that of our reading."
)
READINGS = ("claim", "reading", "effect [interval]", "seeds", "p", "verdict")


def readings_lines(outcomes: Iterable[Outcome]) -> list[list[str]]:
    """A line of READINGS for every reading of the claims that were measured under several."""
    return [
        [
            outcome.claim.name, item.reading, _under_reading(item), looks_in_words(item),
            p_words(item.judgement.p), verdict_alone(item),
        ]
        for outcome in outcomes
        if sum(item.statement is not None for item in outcome.readings) > 1
        for item in outcome.readings
    ]  # fmt: skip


def _under_reading(item: Outcome) -> str:
    """Its effect, of which part, and the runs of which only a bound is known, or chance."""
    statement = item.statement
    if statement is None:
        return item.note
    told = [labelled(item, both_intervals(item)), never_words(item), *looks_apart(item)]
    told += [failed_words(item.failed, not statement.excuse)] if item.failed else []
    return "; ".join(filter(None, told))
