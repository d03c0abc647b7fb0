"""The verdicts of claims as a table for a terminal, or as CSV."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import astuple

from fmnist.evidence.claim import Claim
from fmnist.evidence.outcome import Outcome
from fmnist.evidence.superiority import Chance, Odds
from fmnist.evidence.text import (
    chance_of,
    effect,
    looks_in_words,
    odds_of,
    p_words,
    published_words,
    remarks,
    shown_metric,
    verdict_words,
    wider_words,
)
from fmnist.runs.foreign_text import csv_text
from fmnist.runs.leak import leak_warning

WIDTH = 100  # of the terminal's table
ELSEWHERE = """\
They are judged by the runs of their studies: fmnist train ablation=STUDY;
settings of your own are compared by fmnist compare DIR."""
NAMED = 12  # claims at most that are named where they were not measured


def claims_table(outcomes: Sequence[Outcome], claims: Sequence[Claim], about: str) -> str:
    """For the terminal: two lines or more a claim that was measured, one line for the others."""
    header = f"{'claim':27} {'effect [interval]':33}{'seeds':14} {'p':8} verdict"
    lines = [header, "-" * WIDTH]
    for outcome in outcomes:
        if outcome.statement is None:
            continue
        p, claim = p_words(outcome.judgement.p), outcome.claim
        lines.append(f"{claim.name:27} {effect(outcome):33}{looks_in_words(outcome):14} {p:8} "
                     f"{verdict_words(outcome)}")  # fmt: skip
        lines += textwrap.wrap(explanation(outcome, claims), WIDTH, initial_indent="    ",
                               subsequent_indent="    ")  # fmt: skip
        if warning := leak_warning(outcome.leaking, outcome.runs):
            lines += textwrap.wrap(f"WARNING {warning}", WIDTH, initial_indent="    ",
                                   subsequent_indent="    ")  # fmt: skip
    lines.append(f"{about}.")
    missing = [outcome for outcome in outcomes if outcome.statement is None]
    none = len(missing) == len(outcomes)
    if none:
        lines = []
    if missing:
        names = ", ".join(outcome.claim.name for outcome in missing)
        told = names if len(missing) <= NAMED else f"{len(missing)} of {len(outcomes)} claims"
        lines += textwrap.wrap(f"not measured: {told}", WIDTH, subsequent_indent="    ",
                               break_on_hyphens=False)  # fmt: skip
    if none and len(missing) > NAMED:
        lines.append(ELSEWHERE)
    for outcome in missing:
        if outcome.note:
            lines += textwrap.wrap(f"{outcome.claim.name}: {outcome.note}", WIDTH,
                                   subsequent_indent="    ", break_on_hyphens=False)  # fmt: skip
    return "\n".join(lines)


def explanation(outcome: Outcome, claims: Sequence[Claim]) -> str:
    """The claim in words, what was published, and what is shown of it."""
    claim, part = outcome.claim, outcome.part
    details = [part.label] if part and part.label and part.label != claim.metric else []
    if published := published_words(outcome, claims):
        details.append(f"published {published}")
    wider = wider_words(outcome)
    details += [f"on other images, too: {wider}"] if wider else []
    details += remarks(outcome)
    return f"{claim.source}: {claim.claim}" + (f" [{'; '.join(details)}]" if details else "")


CSV_COLUMNS = (
    "claim", "source", "verdict", "size", "metric", "part", "mean", "low", "high", "images_low",
    "images_high", "seeds", "look", "looks", "margin", "p", "beats", "beats_low", "beats_high",
    "above", "within", "below", "runs", "failed", "lacking", "never", "leaking", "words",
)  # fmt: skip


def to_csv(outcomes: Iterable[Outcome]) -> str:
    """One line a claim; shares in percent, intervals at the level that decides.

    `beats` is P(A > B) with its 95 % interval; above, within and below the margin are the odds of
    what is undecided (`fmnist.evidence.superiority`).
    """
    rows: list[Sequence[object]] = [CSV_COLUMNS]
    for outcome in outcomes:
        claim, judgement, part = outcome.claim, outcome.judgement, outcome.part
        mean = outcome.statement.summary.mean if outcome.statement else ""
        ends = (*(judgement.interval or ("", "")), *(judgement.wider or ("", "")))
        numbers = [round(x, 6) if isinstance(x, float) else x for x in (mean, *ends)]
        rows.append([
            claim.name, claim.source, judgement.verdict, judgement.size, shown_metric(outcome),
            part.label if part else "", *numbers, judgement.seeds, judgement.look,
            " ".join(map(str, judgement.looks)), claim.margin, judgement.p,
            *_four_digits(chance_of(outcome)), *_four_digits(odds_of(outcome)), outcome.runs,
            outcome.failed, outcome.lacking, outcome.never, outcome.leaking, claim.claim,
        ])  # fmt: skip
    return csv_text(rows)


def _four_digits(record: Chance | Odds | None) -> list[float | str]:
    return [round(x, 4) for x in astuple(record)] if record else [""] * 3
