"""`python -m fmnist.claims DIR|CSV ...`: which published claims hold, by the runs found there.

Reads run directories, sweeps and the CSV files of fmnist.results; trains nothing. What a claim is:
fmnist/evidence/claim.py. When it holds: fmnist/evidence/verdict.py. Exit code 0: the claims were
evaluated, whatever the verdicts; 2: something could not be read.
"""

import argparse
import csv
import io
import math
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fmnist.errors import UserError
from fmnist.evidence.claim import Claim, ClaimError, asked_claims
from fmnist.evidence.outcome import Outcome, evaluate, published_difference
from fmnist.evidence.text import (
    effect,
    number,
    p_words,
    remarks,
    runs_in_words,
    shown_metric,
    verdict_words,
)
from fmnist.runs.find import Found, find_runs
from fmnist.runs.foreign_text import escaped, to_cell
from fmnist.runs.leak import leak_warning
from fmnist.runs.rows import Row, read_rows, rows_of
from fmnist.runs.run import write_atomically

WIDTH = 100  # of the terminal's table


def read_sources(paths: Iterable[str]) -> tuple[list[Row], Found]:
    """The rows of run directories and CSV files, and what was found in the directories.

    Raises:
        RunError: a path that is neither.
    """
    files = [Path(path) for path in paths if path.endswith(".csv")]
    rows = [row for path in files for row in read_rows(path)]
    directories = [path for path in paths if not path.endswith(".csv")]
    found = find_runs(directories) if directories else Found([])
    for path, reason in found.damaged:
        print(escaped(f"left out: {path}: {reason}", keep=""), file=sys.stderr)
    return rows + rows_of(found.runs), found


def states_in_words(rows: Iterable[Row], found: Found) -> str:
    """ "12 runs finished, 1 failed, 1 damaged"."""
    states = Counter("finished" if row.finished else "failed" for row in rows)
    states += Counter(run.status for run in found.runs if run.record.status == "running")
    states += Counter(damaged=len(found.damaged), missing=len(found.missing))
    others = [f"{count} {state}" for state, count in states.items() if state != "finished"]
    return ", ".join([f"{runs_in_words(states['finished'])} finished", *others])


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
    elif (published := claim.about or claim.costs) and part:
        details.append(f"published {number(published[part.label], part.label)}")
    details += remarks(outcome)
    return " ".join(words) + (f" [{'; '.join(details)}]" if details else "")


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
        writer.writerow(map(to_cell, [
            claim.name, claim.source, judgement.verdict, shown_metric(outcome),
            part.label if part else "", *numbers, claim.margin, judgement.p, judgement.p_holm,
            judgement.more_seeds, outcome.runs, outcome.failed, outcome.lacking, outcome.never,
            outcome.leaking, claim.claim,
        ]))  # fmt: skip
    return buffer.getvalue()


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
    parser.add_argument("--claims", metavar="FOLDER", help="of your own claims, YAML files")
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
        rows, found = read_sources(options.sources)
        outcomes = evaluate(claims, rows)
        if options.csv:
            write_csv(Path(options.csv), to_csv(outcomes))
    except UserError as error:
        print(f"error: {escaped(error)}", file=sys.stderr)
        return error.exit_code
    print(states_in_words(rows, found))
    print(escaped(table(outcomes, claims)))
    return 0 if rows and not found.asked else found.exit_code


def write_csv(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ClaimError(f"{path}: cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
