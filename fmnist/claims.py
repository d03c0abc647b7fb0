"""`python -m fmnist.claims [DIR|CSV ...]`: which published claims hold, by the runs found there.

Reads run directories, sweeps, and the tables of fmnist.results or folders of them; without
arguments the project's own, results/; with --rows a table of anybody's. Trains nothing. What a
claim is: fmnist/evidence/claim.py. When it holds: fmnist/evidence/verdict.py. Exit code 0: the
claims were evaluated, whatever the verdicts; 2: something could not be read.
"""

import argparse
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path

from fmnist.errors import RunError
from fmnist.evidence.claim import Claim, ClaimError
from fmnist.evidence.claim_file import RESULTS_DIR, asked_claims
from fmnist.evidence.outcome import Outcome, evaluate, published_difference
from fmnist.evidence.superiority import Chance, Odds
from fmnist.evidence.text import (
    chance_of,
    effect,
    looks_in_words,
    number,
    odds_of,
    p_words,
    remarks,
    runs_in_words,
    scope,
    shown_metric,
    verdict_words,
)
from fmnist.runs.command import command, command_parser, start
from fmnist.runs.find import Found, find_runs
from fmnist.runs.foreign_text import csv_text, escaped
from fmnist.runs.leak import leak_warning
from fmnist.runs.record import RESULT
from fmnist.runs.rows import Row, rows_of
from fmnist.runs.rows_file import is_rows_file, read_rows, read_tables
from fmnist.runs.run import write_text

WIDTH = 100  # of the terminal's table


def read_sources(paths: Iterable[str]) -> tuple[list[Row], Found]:
    """The rows of run directories and of tables, and what was found in the directories.

    CSV files that hold something else are passed over.

    Raises:
        RunError: a path that is not there or cannot be read, or no run in any of them.
    """
    rows: list[Row] = []
    folders: list[Path] = []
    others: list[Path] = []
    for path in map(Path, paths):
        if path.suffix == ".csv":
            try:
                is_table = is_rows_file(path)
            except (OSError, UnicodeDecodeError) as error:
                raise RunError(f"{path}: cannot be read: {error}") from error
            rows += read_rows(path) if is_table else []
            others += [] if is_table else [path]
            continue
        tables, rest = read_tables(path)
        rows += tables
        others += rest if tables else []
        if not tables or any(path.rglob(RESULT)):
            folders.append(path)
    found = find_runs(folders) if folders else Found([])
    for folder, reason in found.damaged:
        print(escaped(f"left out: {folder}: {reason}", keep=""), file=sys.stderr)
    if others:
        names = ", ".join(str(path) for path in others)
        if not rows and not folders:
            raise RunError(f"{names}: no table of runs, as fmnist.results collect writes them")
        print(escaped(f"passed over, no table of runs: {names}", keep=""), file=sys.stderr)
    return rows + rows_of(found.runs), found


def states_in_words(rows: Iterable[Row], found: Found) -> str:
    """ "12 runs finished, 1 failed, 1 damaged"."""
    states = Counter("finished" if row.finished else "failed" for row in rows)
    states += Counter(run.status for run in found.runs if run.record.status == "running")
    states += Counter(stopped=sum(run.record.stopped for run in found.runs))
    states += Counter(damaged=len(found.damaged), missing=len(found.missing))
    others = [f"{count} {state}" for state, count in states.items() if state != "finished"]
    return ", ".join([f"{runs_in_words(states['finished'])} finished", *others])


def foreign(options: argparse.Namespace) -> tuple[list[Outcome], str]:
    """What a table of anybody's says of the claims about it, and how many runs it has.

    Raises:
        UserError: the table or the claims cannot be read, or do not fit.
    """
    from fmnist.evidence.foreign import evaluate_foreign, load_foreign
    from fmnist.runs.foreign_rows import read_foreign

    path = Path(options.rows)
    runs, waiting = read_foreign(path, options.seed)
    if not options.claims:
        columns = ", ".join(runs[0].columns) if runs else "none"
        raise ClaimError(f"--claims FILE says what is asked of {path}; its columns are {columns}")
    if options.sources:
        raise ClaimError(f"{options.sources[0]}: --rows is judged alone")
    outcomes = evaluate_foreign(load_foreign(Path(options.claims)), runs, options.only)
    failed = sum(not run.finished for run in runs)
    words = [f"{runs_in_words(len(runs) - failed)} finished"]
    words += [f"{failed} failed"] if failed else []
    words += [f"{waiting} not ended: left out"] if waiting else []
    return outcomes, ", ".join(words)


def table(outcomes: Sequence[Outcome], claims: Sequence[Claim], about: str) -> str:
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
        mean = part.summary(outcome.statement.shown).mean if part and outcome.statement else ""
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


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("claims", __doc__)
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="DIR|CSV",
        help="run or sweep directory, table of fmnist.results or folder of them; default: results/",
    )
    parser.add_argument("--claims", metavar="FOLDER", help="of your own claims, YAML files; with "
                        "--rows one file")  # fmt: skip
    parser.add_argument("--rows", metavar="FILE.csv", help="anybody's table, a line a run, a "
                        "column a setting or a metric, as W&B exports it")  # fmt: skip
    parser.add_argument("--seed", metavar="COLUMN", default="", help="of --rows; default: seed")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CLAIM",
        help="show only this one; may be given several times; changes no verdict",
    )
    parser.add_argument("--csv", metavar="FILE", help="write the table there as well")
    options = parser.parse_args(arguments)
    code, about = 0, scope()
    if options.rows:
        outcomes, states = foreign(options)
        claims = [outcome.claim for outcome in outcomes]
    else:
        claims = asked_claims(options.claims)
        rows, found = read_sources(options.sources or [str(RESULTS_DIR)])
        outcomes, states = evaluate(claims, rows, options.only), states_in_words(rows, found)
        about = scope(row.tested for row in rows)
        code = 0 if rows and not found.asked else found.exit_code
    if options.csv:
        write_text(Path(options.csv), to_csv(outcomes))
    print(states)
    print(escaped(table(outcomes, claims, about)))
    return code


if __name__ == "__main__":
    start(main)
