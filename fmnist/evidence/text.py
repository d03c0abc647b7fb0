"""Claims, effects and verdicts in words, the same in terminal, results/ and report."""

import math
import re
from collections.abc import Iterable, Sequence

from fmnist.evidence.claim import is_share, unit
from fmnist.evidence.outcome import Outcome
from fmnist.evidence.statistics import Summary
from fmnist.evidence.verdict import MOST_SEEDS


def number(value: float, metric: str) -> str:
    """With a sensible number of digits."""
    if metric in ("params", "flops"):
        return f"{value:,.0f}"
    return f"{value:.2f}" if is_share(metric) else f"{value:.4g}"


def shown_metric(outcome: Outcome) -> str:
    """The metric of the part that is shown."""
    part = outcome.part
    return part.label if part and outcome.claim.values else outcome.claim.metric


def effect(outcome: Outcome) -> str:
    """ "+0.48 [+0.31, +0.65] points" of a difference, "91.20 [91.05, 91.35] %" of a value."""
    part, metric = outcome.part, shown_metric(outcome)
    if part is None:
        return ""
    difference = not outcome.claim.values
    text = (
        f"{'+' if difference and part.summary.mean > 0 else ''}{number(part.summary.mean, metric)}"
    )
    text += interval(part.summary, metric)
    name = unit(metric) if difference else "%" if is_share(metric) else unit(metric)
    return f"{text} {name}".rstrip()


def interval(summary: Summary, metric: str) -> str:
    """ " [low, high]"; "" where there is none."""
    half = summary.half_width
    if summary.exact or math.isnan(half):
        return ""
    ends = (summary.mean - half, summary.mean + half)
    return f" [{', '.join(number(end, metric) for end in ends)}]"


def verdict_words(outcome: Outcome) -> str:
    """The verdict, and what would decide an undecided one."""
    judgement = outcome.judgement
    if judgement.verdict != "undecided":
        return judgement.verdict
    if judgement.p is None:
        return "undecided: 1 seed"
    if judgement.more_seeds is None:
        return f"undecided: > {MOST_SEEDS} seeds more"
    return f"undecided: ~{judgement.more_seeds} seed{'s' * (judgement.more_seeds > 1)} more"


def p_words(p: float | None) -> str:
    """Never 0; "" where nothing was tested."""
    if p is None or math.isnan(p):
        return ""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def remarks(outcome: Outcome) -> list[str]:
    """What the numbers leave out or assume."""
    made = []
    if outcome.failed:
        made.append(f"{outcome.failed} failed run{'s' * (outcome.failed > 1)} left out")
    if outcome.lacking:
        made.append(f"{runs_in_words(outcome.lacking)} without the metric left out")
    if outcome.never:
        made.append(
            f"{runs_in_words(outcome.never)} of {outcome.runs} never reached it: counted as one "
            "epoch more than allowed"
        )
    return made


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what a record or a claim says in it is text, not markup."""
    cells = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in cells)


def _cell(text: str) -> str:
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(text.replace("|", "/").split("\n")))


def runs_in_words(count: int) -> str:
    return f"{count} run{'s' * (count > 1)}"
