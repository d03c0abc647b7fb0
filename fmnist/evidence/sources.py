"""Where the runs that claims are asked of come from: run directories, our tables, anybody's."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from fmnist.errors import RunError
from fmnist.evidence.claim import ClaimError
from fmnist.evidence.claim_file import RESULTS_DIR
from fmnist.evidence.foreign import evaluate_foreign, load_foreign
from fmnist.evidence.outcome import Outcome
from fmnist.runs.find import Found, find_runs
from fmnist.runs.foreign_rows import read_foreign
from fmnist.runs.foreign_text import escaped
from fmnist.runs.record import CUT, RESULT
from fmnist.runs.rows import Row, measurements
from fmnist.runs.rows_file import is_rows_file, read_rows, read_tables
from fmnist.runs.text import plural, shown

NAMED = 3  # files that are named of those passed over


def read_sources(paths: Iterable[str]) -> tuple[list[Row], Found]:
    """The rows of run directories and of tables, and what was found in the directories.

    CSV files that hold something else are passed over, with a word unless they are our own results.

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
        # What the project measured besides its studies lies beside them.
        others += rest if tables and path.resolve() != RESULTS_DIR.resolve() else []
        if not tables or any(path.rglob(RESULT)):
            folders.append(path)
    found = find_runs(folders) if folders else Found([])
    for folder, reason in found.damaged:
        print(escaped(f"left out: {folder}: {reason}", keep=""), file=sys.stderr)
    if others:
        names = ", ".join(map(shown, others[:NAMED]))
        names += f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        if not rows and not folders:
            raise RunError(f"{names}: no table of runs, as fmnist.results collect writes them")
        print(escaped(f"passed over, no table of runs: {names}", keep=""), file=sys.stderr)
    return rows + measurements(found.runs), found


def states_in_words(rows: Iterable[Row], found: Found) -> str:
    """ "12 runs finished, 1 failed, 1 damaged"."""
    # A run may be read from its folder and from a table, too.
    once = {(row.key, row.seed, row.did, row.facts["started"]): row.finished for row in rows}
    states = Counter("finished" if finished else "failed" for finished in once.values())
    states += Counter(run.status for run in found.runs if run.record.status == "running")
    states += Counter(stopped=sum(run.record.stopped for run in found.runs))
    states[CUT] = sum(bool(run.record.cut_short) for run in found.runs)
    states += Counter(damaged=len(found.damaged), missing=len(found.missing))
    others = [f"{count} {state}" for state, count in states.items() if state != "finished"]
    return ", ".join([f"{plural(states['finished'], 'run')} finished", *others])


def judge_foreign(
    table: Path, file: str | None, seed: str, only: Sequence[str]
) -> tuple[list[Outcome], str]:
    """What a table of anybody's says of the claims about it, and how many runs it has.

    Args:
        table: a CSV file.
        file: of the claims.
        seed: the column that holds seeds.
        only: names of the claims that are asked; all of them when none are given.

    Raises:
        UserError: the table or the claims cannot be read, or do not fit.
    """
    runs, waiting = read_foreign(table, seed)
    if not file:
        columns = ", ".join(runs[0].columns) if runs else "none"
        raise ClaimError(f"--claims FILE says what is asked of {table}; its columns are {columns}")
    outcomes = evaluate_foreign(load_foreign(Path(file)), runs, only)
    failed = sum(not run.finished for run in runs)
    words = [f"{plural(len(runs) - failed, 'run')} finished"]
    words += [f"{failed} failed"] if failed else []
    words += [f"{waiting} not ended: left out"] if waiting else []
    return outcomes, ", ".join(words)
