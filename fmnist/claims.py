"""`python -m fmnist.claims DIR|CSV ...`: which published claims hold, by the runs found there.

Reads run directories, sweeps and the CSV files of fmnist.results; trains nothing. What a claim is:
fmnist/analysis/claim.py. When it holds: fmnist/analysis/verdict.py. Exit code 0: the claims were
evaluated, whatever the verdicts; 2: something could not be read.
"""

import argparse
import csv
import io
import math
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fmnist.analysis.claim import (
    CLAIMS_DIR,
    EXACT,
    Claim,
    ClaimError,
    is_share,
    load_claims,
    near,
    unit,
)
from fmnist.analysis.leak import leak_warning
from fmnist.analysis.matching import Side, misses, per_seed, select, side, unknown_settings
from fmnist.analysis.rows import INFERENCE, Row, newest, read_rows, rows_of
from fmnist.analysis.runs import find_runs
from fmnist.analysis.statistics import Summary, summarize
from fmnist.analysis.verdict import MOST_SEEDS, Judgement, Part, Statement, judge
from fmnist.errors import UserError
from fmnist.run import Run, write_atomically

WIDTH = 100  # of the terminal's table


@dataclass(frozen=True)
class Outcome:
    """A claim and what the runs say of it.

    Args:
        runs: finished runs that its sides select.
        failed: runs that they select and that failed: what they would have said is missing.
        lacking: finished runs whose row lacks the metric, such as one of an older CSV file.
        never: finished runs that never came to the accuracy that the metric is the time to.
        leaking: finished runs whose epoch the test images chose.
        statement: None when there was nothing to measure.
        note: why there was nothing, when that needs saying.
    """

    claim: Claim
    judgement: Judgement
    statement: Statement | None = None
    runs: int = 0
    failed: int = 0
    lacking: int = 0
    never: int = 0
    leaking: int = 0
    note: str = ""

    @property
    def part(self) -> Part | None:
        """The part that the table shows: the one that speaks least for the claim."""
        return self.statement.weakest if self.statement else None


def evaluate_claims(runs: Iterable[Run], claims: Sequence[Claim] | None = None) -> list[Outcome]:
    """What runs say of claims; of all that come with the project when none are given.

    Raises:
        ClaimError: see `load_claims`.
    """
    return evaluate(load_claims(CLAIMS_DIR) if claims is None else claims, rows_of(runs))


def evaluate(claims: Sequence[Claim], rows: Iterable[Row]) -> list[Outcome]:
    """What rows say of claims, all of them asked together.

    Raises:
        ClaimError: a claim names an experiment or a setting that does not compose.
    """
    rows = newest(rows)
    outcomes = [_measure(claim, rows) for claim in claims]
    judgements = judge([outcome.statement for outcome in outcomes])
    return [replace(o, judgement=j) for o, j in zip(outcomes, judgements, strict=True)]


def _measure(claim: Claim, rows: Sequence[Row]) -> Outcome:
    """The claim with its statement, not yet judged."""
    sides = [side(selection, claim.metric) for selection in claim.selections]
    chosen = select(rows, sides)
    finished = [row for row in chosen if row.finished]
    lacking, never = (
        [row for row in finished if any(test(row, name) for name in claim.metrics)]
        for test in (_lacks, _never)
    )
    note = _why_not(claim, rows, sides) if rows and not chosen else ""
    if finished and len(lacking) == len(finished):
        option = " with --latency" if INFERENCE in claim.metrics else ""
        names = ", ".join(claim.metrics)
        note = f"its runs lack {names}: collect their directories again{option}"
    elif finished and len(never) == len(finished):  # nothing is known of any side but a bound
        note = "none of its runs came so far"
    return Outcome(
        claim,
        Judgement("not measured"),
        None if note else _statement(claim, finished),
        runs=len(finished),
        failed=len(chosen) - len(finished),
        lacking=len(lacking),
        never=len(never),
        leaking=sum(row.leaks for row in finished),
        note=note,
    )


def _lacks(row: Row, metric: str) -> bool:
    """A metric of classes is there with any class."""
    return not any(name == metric or name.startswith(f"{metric}/") for name in row.metrics)


def _never(row: Row, metric: str) -> bool:
    """Whether it is the time to an accuracy that the run did not reach in the epochs it trained."""
    epochs = row.metrics.get(f"epochs_to/{metric.partition('_to/')[2]}")
    return epochs is not None and epochs > row.metrics["epochs"]


def _why_not(claim: Claim, rows: Sequence[Row], sides: Sequence[Side]) -> str:
    """Why no run counts, where a user would not expect that; else ""."""
    if unknown := unknown_settings(rows, sides):
        known = {key for row in rows for key in row.settings}
        return f"no run has a setting {unknown[0]}{near(unknown[0], known)}"
    study = [row for row in rows if claim.sweep == f"ablation={row.facts['study']}"]
    terms = [term for item in sides for term in item.terms]
    wrong = [(term, misses(row, term)) for row in study for term in terms]
    # Runs of another level say nothing; those that have the claim's own settings do.
    near_misses = [keys for term, keys in wrong if not set(keys) & set(term)]
    least = min(near_misses, key=len, default=[])
    return f"the runs of its sweep differ in {', '.join(least)}" if least else ""


def _statement(claim: Claim, rows: Sequence[Row]) -> Statement | None:
    if claim.higher:
        pairs = [(a, b) for a in claim.higher for b in claim.lower]
        parts = [_difference(claim, rows, *pair, named=len(pairs) > 1) for pair in pairs]
    elif claim.same:
        part = _difference(claim, rows, *claim.same, named=False)
        parts = _within(part, 0.0, claim.margin) if part else [None]
    elif claim.values:
        parts = [part for metric in claim.values for part in _value(claim, rows, metric)]
    else:
        parts = _classes(claim, rows)
    measured = [part for part in parts if part is not None]
    if not measured or len(measured) < len(parts):
        return None
    halves = 2 if claim.same or claim.about else 1  # of which one can be false at a time
    return Statement(tuple(measured), len(measured) // halves)


def _within(part: Part, center: float, margin: float) -> list[Part | None]:
    return [
        replace(part, threshold=center - margin),
        replace(part, threshold=center + margin, above=False),
    ]


def _difference(
    claim: Claim, rows: Sequence[Row], a: dict[str, tuple[str, ...]],
    b: dict[str, tuple[str, ...]], *, named: bool,
) -> Part | None:  # fmt: skip
    sides = [side(claim.where | selection, claim.metric) for selection in (a, b)]
    label = f"{_in_words(a)} - {_in_words(b)}" if named else ""
    return _part(rows, sides, label, claim.margin)


def _in_words(selection: dict[str, tuple[str, ...]]) -> str:
    return " ".join("|".join(values) for values in selection.values())


def _value(claim: Claim, rows: Sequence[Row], metric: str) -> list[Part | None]:
    value = claim.values[metric]
    part = _part(rows, [side(claim.where, metric)], metric, value)
    if part is None or claim.at_least:
        return [part]
    return _within(part, value, claim.margin) if claim.about else [replace(part, above=False)]


def _classes(claim: Claim, rows: Sequence[Row]) -> list[Part | None]:
    """Every named class above (below) every other one.

    Raises:
        ClaimError: the data set has no such class.
    """
    prefix = f"{claim.metric}/"
    names = dict.fromkeys(
        name.removeprefix(prefix) for row in rows for name in row.metrics if name.startswith(prefix)
    )
    named, best = claim.best_classes or claim.worst_classes, bool(claim.best_classes)
    if not names:
        return [None]
    for name in named:
        if name not in names:
            raise ClaimError(f"{claim.name}: {name}: no such class{near(name, names)}")
    parts = []
    for name in named:
        for rest in [rest for rest in names if rest not in named]:
            first, second = (name, rest) if best else (rest, name)
            sides = [side(claim.where, prefix + item) for item in (first, second)]
            parts.append(_part(rows, sides, f"{first} - {second}", claim.margin))
    return parts


def _part(rows: Sequence[Row], sides: Sequence[Side], label: str, threshold: float) -> Part | None:
    metric = sides[0].metric
    scale = 100.0 if is_share(metric) else 1.0
    values = [scale * value for value in per_seed(rows, sides).values()]
    if not values:
        return None
    return Part(label, summarize(values, _resolution(metric), metric in EXACT), threshold)


def _resolution(metric: str) -> float:
    """Of one run's number: an epoch, or one image of 10,000; seconds have none."""
    if metric.startswith("epochs_to/"):
        return 1.0
    return 0.01 if is_share(metric) else 0.0


def published_difference(claim: Claim, claims: Iterable[Claim]) -> float | None:
    """What the sources' own numbers say of a claim A > B: those of the claims about its sides."""
    if len(claim.higher) != 1 or len(claim.lower) != 1:
        return None
    values = {_key(c.where, metric): v for c in claims for metric, v in c.about.items()}
    sides = (claim.where | claim.higher[0], claim.where | claim.lower[0])
    found = [values.get(_key(selection, claim.metric)) for selection in sides]
    return found[0] - found[1] if found[0] is not None and found[1] is not None else None


def _key(selection: dict[str, tuple[str, ...]], metric: str) -> tuple[object, ...]:
    return (*sorted(selection.items()), metric)


def read_sources(paths: Iterable[str]) -> tuple[list[Row], int]:
    """The rows of run directories and CSV files, and the number of runs that have not ended.

    Raises:
        RunError: a path that is neither.
    """
    files = [Path(path) for path in paths if path.endswith(".csv")]
    rows = [row for path in files for row in read_rows(path)]
    directories = [path for path in paths if not path.endswith(".csv")]
    if not directories:
        return rows, 0
    found = find_runs(directories)
    for path, reason in found.damaged:
        print(f"left out: {path}: {reason}", file=sys.stderr)
    ended = rows_of(found.runs)
    return rows + ended, len(found.runs) - len(ended) + len(found.missing)


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
    return "" if p is None else "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def table(outcomes: Sequence[Outcome], claims: Sequence[Claim]) -> str:
    """For the terminal: two lines or more a claim that was measured, one line for the others."""
    header = f"{'claim':27}{'effect [95 % interval]':34}{'seeds':>5}  {'p (Holm)':9} verdict"
    lines = [header, "-" * WIDTH]
    for outcome in outcomes:
        if outcome.statement is None:
            continue
        p, claim = p_words(outcome.judgement.p_holm), outcome.claim
        lines.append(f"{claim.name:27}{effect(outcome):34}{outcome.statement.seeds:5}  {p:9} "
                     f"{verdict_words(outcome)}")  # fmt: skip
        lines += textwrap.wrap(explanation(outcome, claims), WIDTH, initial_indent="    ",
                               subsequent_indent="    ")  # fmt: skip
        if warning := leak_warning(outcome.leaking, outcome.runs):
            lines += textwrap.wrap(f"WARNING {warning}", WIDTH, initial_indent="    ",
                                   subsequent_indent="    ")  # fmt: skip
    missing = [outcome for outcome in outcomes if outcome.statement is None]
    if len(missing) == len(outcomes):
        lines = []
    if missing:
        names = ", ".join(outcome.claim.name for outcome in missing)
        lines += textwrap.wrap(f"not measured: {names}", WIDTH, subsequent_indent="    ",
                               break_on_hyphens=False)  # fmt: skip
    lines += [f"{o.claim.name}: {o.note}" for o in missing if o.note]
    return "\n".join(lines)


def explanation(outcome: Outcome, claims: Sequence[Claim]) -> str:
    """The claim in words, what was published, and what is shown of it."""
    claim, part = outcome.claim, outcome.part
    words = [f"{claim.source}: {claim.claim}"]
    details = [part.label] if part and part.label and part.label != claim.metric else []
    difference = published_difference(claim, claims)
    if difference is not None:
        details.append(f"published {difference:+.2f}")
    elif claim.about and part:
        details.append(f"published {number(claim.about[part.label], part.label)}")
    details += remarks(outcome)
    return " ".join(words) + (f" [{'; '.join(details)}]" if details else "")


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


def runs_in_words(count: int) -> str:
    return f"{count} run{'s' * (count > 1)}"


CSV_COLUMNS = (
    "claim", "source", "verdict", "metric", "part", "mean", "low", "high", "sd", "seeds", "margin",
    "p", "p_holm", "more_seeds", "runs", "failed", "lacking", "never", "leaking", "words",
)  # fmt: skip


def to_csv(outcomes: Iterable[Outcome]) -> str:
    """One line a claim; shares in percent, intervals of 95 %."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for outcome in outcomes:
        claim, judgement, part = outcome.claim, outcome.judgement, outcome.part
        numbers: list[float | str] = [""] * 5
        if part:
            summary, half = part.summary, part.summary.half_width
            ends = (summary.mean, summary.mean - half, summary.mean + half, summary.sd)
            numbers = ["" if math.isnan(end) else round(end, 6) for end in ends] + [summary.n]
        writer.writerow([
            claim.name, claim.source, judgement.verdict, shown_metric(outcome),
            part.label if part else "", *numbers, claim.margin, judgement.p, judgement.p_holm,
            judgement.more_seeds, outcome.runs, outcome.failed, outcome.lacking, outcome.never,
            outcome.leaking, claim.claim,
        ])  # fmt: skip
    return buffer.getvalue()


def asked_claims(folder: str | None, names: Sequence[str]) -> list[Claim]:
    """The claims of a folder, all of them or those named.

    Raises:
        ClaimError: no such folder, or no such claim in it.
    """
    path = Path(folder) if folder else CLAIMS_DIR
    if not path.is_dir():
        raise ClaimError(f"{path}: no such folder of claims")
    claims = load_claims(path)
    known = [claim.name for claim in claims]
    for name in names:
        if name not in known:
            raise ClaimError(f"{name}: no such claim{near(name, known)}")
    return [claim for claim in claims if not names or claim.name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="fmnist.claims", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="DIR|CSV",
        help="run or sweep directory, or a CSV file of fmnist.results",
    )
    parser.add_argument("--claims", metavar="FOLDER", help="of your own claims, one YAML file each")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CLAIM",
        help="ask only this one; several times: fewer questions, less correction",
    )
    parser.add_argument("--csv", metavar="FILE", help="write the table there as well")
    options = parser.parse_args(arguments)
    try:
        claims = asked_claims(options.claims, options.only)
        rows, unfinished = read_sources(options.sources)
        outcomes = evaluate(claims, rows)
        if options.csv:
            write_csv(Path(options.csv), to_csv(outcomes))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    failed = sum(not row.finished for row in rows)
    print(f"{len(rows) - failed} finished runs, {failed} failed, {unfinished} not ended")
    print(table(outcomes, claims))
    return 0


def write_csv(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ClaimError(f"{path}: cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
