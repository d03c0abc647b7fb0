"""results/README.md: published against ours, verdicts, costs, what is missing."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from fmnist.evidence.claim import Claim, is_cost, unit
from fmnist.evidence.collect import study_rows
from fmnist.evidence.mended import touched_words
from fmnist.evidence.outcome import Outcome, evaluate
from fmnist.evidence.statistics import Summary
from fmnist.evidence.study import axes, is_ablation, refuse_unknown
from fmnist.evidence.text import (
    ROUNDED,
    both_intervals,
    labelled,
    looks_in_words,
    markdown,
    number,
    p_words,
    published_words,
    remarks,
    scope,
    verdict_words,
)  # fmt: skip
from fmnist.reporting.readings_table import READINGS, READINGS_TOLD, readings_lines
from fmnist.runs.leak import leak_warning
from fmnist.runs.rows import Row
from fmnist.runs.run import write_text
from fmnist.runs.text import threads_text

COSTS = (
    "Hours: of its runs, one after another; clock: hours in which at least one of them ran, half "
    "as many for two cells side by side. Of runs that had other work beside them the seconds are "
    "left out: 1.50 of 40 runs are the hours of those 40 that were timed."
)


VERDICTS = (
    "The rules stand in `fmnist/evidence/verdict.py`: p is corrected for all claims of a "
    "source and for the looks that its study declares (seeds 5 of 5, 10, 20: judged with the first "
    "five, next with ten); the interval is that of the level that decides. Of a claim with several "
    f"parts the one is shown that speaks least for it. {ROUNDED}."
)


def write_results(folder: Path, claims: Sequence[Claim], place: str) -> list[str]:
    """README.md of a folder of tables, from its files of studies; which file was written.

    Args:
        place: the folder of the claims.

    Raises:
        ClaimError: see `render`.
        RunError: a file cannot be read or written.
    """
    path = folder / "README.md"
    refuse_unknown(claims)
    write_text(path, render(study_rows(folder), claims, place))
    return [f"{path}: written"]


def render(rows: Sequence[Row], claims: Sequence[Claim], place: str = "claims") -> str:
    """results/README.md.

    Raises:
        ClaimError: a claim names an experiment or a setting that does not compose.
    """
    outcomes = evaluate(claims, rows)
    costs = [outcome for outcome in outcomes if is_cost(outcome.claim)]
    asked = [outcome for outcome in outcomes if not is_cost(outcome.claim)]
    compared = [o for o in costs if o.statement and not o.claim.costs]
    measured = [outcome for outcome in asked if outcome.statement]
    readings = readings_lines(measured)
    leak = leak_warning(sum(row.leaks for row in rows), len(rows))
    about = scope(row.tested for row in rows)
    together = factorial_sections(rows)
    return "\n\n".join(
        [
            "# Results",
            "Written by `python -m fmnist.results render` from the CSV files in this folder and "
            f"the claims in `{place.rstrip('/')}/`: no number here was typed.",
            *([f"**Warning:** {leak}."] if leak else []),
            *touched_words(rows),
            "## Published against ours",
            "Ours: mean over all seeds, and the standard deviation of one run. The test set is "
            "read once a run, with the epoch that validation chose (`_last`: with the last epoch). "
            f"{about}.",
            published_table(asked),
            "## Verdicts",
            f"{about}. {VERDICTS}" if measured else "No claim has been measured yet.",
            *([verdict_table(measured, claims)] if measured else []),
            *(["## Readings", READINGS_TOLD, markdown(READINGS, readings)] if readings else []),
            *(["## All factors together", f"{FACTORIALS}{about}.", *together] if together else []),
            "## What nets and machines need",
            "Sizes, and seconds of runs on one machine, are judged as all claims are. Another "
            "machine's seconds and memory are shown beside ours, and not judged.",
            published_table(costs),
            *([verdict_table(compared, claims)] if compared else []),
            "## What the studies cost",
            *([COSTS] if rows else []),
            cost_table(rows) if rows else "No runs yet.",
            "## Not measured",
            missing_list(outcomes),
        ]
    ) + "\n"  # fmt: skip


def factorial_sections(rows: Sequence[Row]) -> list[str]:
    """Of every study of several factors a table of their effects, or why there is none."""
    from fmnist.evidence.factorial import factorial
    from fmnist.evidence.study_settings import study_settings
    from fmnist.reporting.factorial_figure import COLUMNS, effect_lines

    studies: dict[str, list[Row]] = {}
    for row in rows:
        studies.setdefault(row.facts["study"], []).append(row)
    parts = []
    for study, own in sorted(studies.items()):
        if not is_ablation(study) or len(axes(study)) < 2:
            continue
        found = factorial(*study_settings(own))
        if isinstance(found, str):
            parts.append(f"`{study}`: {found}.")
        else:
            parts += [f"`{study}`: {found.method()}.", markdown(COLUMNS, effect_lines(found))]
    return parts


FACTORIALS = (
    "What the levels of a study's factors add to its mean test accuracy, in points, and what two "
    "factors do together beyond that (the pairs of levels that add most); intervals each on its "
    "own, p times the number of lines. "
)


def published_table(outcomes: Iterable[Outcome]) -> str:
    """A line for every number that a claim states."""
    lines = []
    for outcome in outcomes:
        claim = outcome.claim
        bound = "> " if claim.at_least else "< " if claim.at_most else ""
        parts = outcome.statement.parts if outcome.statement else ()
        for metric, value in claim.values.items():
            summary = next((part.summary() for part in parts if part.label == metric), None)
            shown = [mean(summary, metric), str(summary.n)] if summary else ["not measured", ""]
            label = f"{metric}, {unit(metric)}" if unit(metric) in ("s", "MiB") else metric
            published = bound + number(value, metric)
            lines.append([claim.source, claim.name, label, published, *shown])
    return markdown(["source", "claim", "metric", "published", "ours", "seeds"], lines)


def mean(summary: Summary, metric: str) -> str:
    """ "91.20, sd 0.15", or the mean alone where there is no deviation."""
    text = number(summary.mean, metric)
    if summary.exact or math.isnan(summary.sd):
        return text
    return f"{text}, sd {number(summary.sd, metric)}"


def verdict_table(outcomes: Iterable[Outcome], claims: Sequence[Claim]) -> str:
    columns = ["claim", "effect [interval]", "published", "seeds", "p", "verdict", "remarks"]
    return markdown(columns, verdict_lines(outcomes, claims))


def verdict_lines(outcomes: Iterable[Outcome], claims: Sequence[Claim]) -> list[list[str]]:
    """A line of the verdict table for every claim; all of them were measured."""
    lines = []
    for outcome in outcomes:
        claim = outcome.claim
        warning = leak_warning(outcome.leaking, outcome.runs)
        notes = remarks(outcome) + ([f"**warning:** {warning}"] if warning else [])
        lines.append(
            [
                f"{claim.claim} (`{claim.name}`, {claim.source})",
                labelled(outcome, both_intervals(outcome)),
                published_words(outcome, claims),
                looks_in_words(outcome),
                p_words(outcome.judgement.p),
                f"**{verdict_words(outcome)}**",
                "; ".join(notes),
            ]
        )
    return lines


def cost_table(rows: Sequence[Row]) -> str:
    """Of every study on every kind of machine; see COSTS."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        facts = row.facts
        versions = f"torch {facts['torch']}, lightning {facts['lightning']}, Python "
        machine = f"{facts['device']}, {threads_text(facts['threads'])}"
        key = (facts["study"], machine, versions + facts["python"])
        groups.setdefault(key, []).append(row)
    lines = []
    for (study, machine, versions), group in sorted(groups.items()):
        commits = sorted({commit(row) for row in group})
        failed = sum(not row.finished for row in group)
        leaking = sum(row.leaks for row in group)
        name = f"{study} (**{leaking} chose their epoch on the test set**)" if leaking else study
        lines.append([name, str(len(group) - failed), str(failed), *_hours(group), machine,
                      versions, ", ".join(commits)])  # fmt: skip
    columns = ["study", "runs", "failed", "hours", "clock", "machine", "versions", "commits"]
    return markdown(columns, lines)


def _hours(rows: Sequence[Row]) -> tuple[str, str]:
    """Of the runs, and by the clock; of those whose seconds were not left out."""
    timed = [row for row in rows if "seconds" in row.metrics]
    if not timed:
        return "not timed", ""
    hours = f"{sum(row.metrics['seconds'] for row in timed) / 3600:.2f}"
    some = f" of {len(timed)} runs" if len(timed) < len(rows) else ""
    return f"{hours}{some}", f"{elapsed(timed) / 3600:.2f}{some}"


def elapsed(rows: Iterable[Row]) -> float:
    """Seconds in which at least one of the runs ran: those side by side count once, pauses not."""
    spans = sorted(
        (datetime.fromisoformat(row.facts["started"]).timestamp(), row.metrics["seconds"])
        for row in rows
        if row.facts["started"]
    )
    total, end = 0.0, -math.inf
    for began, seconds in spans:
        total += max(0.0, began + seconds - max(began, end))
        end = max(end, began + seconds)
    return total


def commit(row: Row) -> str:
    """The commit of a run, shortened."""
    changed = row.facts["git_dirty"] == "True"
    return f"`{row.facts['git_commit'][:9] or 'none'}`{' with changes' if changed else ''}"


def missing_list(outcomes: Iterable[Outcome]) -> str:
    """The claims that were not measured, by the command that would do it, with what is amiss."""
    commands: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.statement is None:
            note = f" ({outcome.note})" if outcome.note else ""
            commands.setdefault(outcome.claim.sweep, []).append(f"`{outcome.claim.name}`{note}")
    lines = [
        f"- `python -m fmnist.train {sweep}`: {', '.join(names)}"
        for sweep, names in commands.items()
    ]
    return "\n".join(lines) or "Every claim was measured."
