"""From run directories to the tables of studies, and back."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fmnist.config.trusted import Untrusted
from fmnist.errors import RunError
from fmnist.evidence.claim import Claim
from fmnist.evidence.study import is_study, misfit
from fmnist.runs.find import find_runs
from fmnist.runs.foreign_text import escaped
from fmnist.runs.own_code import versions_in_words
from fmnist.runs.record import CUT
from fmnist.runs.rows import Row, rows_of
from fmnist.runs.rows_file import durations, merged, read_rows, read_tables, write_rows
from fmnist.runs.run import Run
from fmnist.runs.text import plural


def collect(
    directories: Sequence[str],
    folder: Path,
    claims: Sequence[Claim],
    latency: bool = False,
    untimed: bool = False,
) -> tuple[list[str], int]:
    """Add the runs below the directories to the CSV files of the folder.

    What was done, in words, and the command's exit code.

    Args:
        directories: runs, sweeps or folders of them.
        folder: of the CSV files; made where there is none.
        claims: whose sweeps belong to their studies.
        latency: measure inference on this machine.
        untimed: leave out what was measured in seconds.

    Raises:
        RunError: a directory that holds no run, or a CSV file that cannot be read or written.
    """
    found = find_runs(directories)
    for path, reason in found.damaged:
        print(escaped(f"left out: {path}: {reason}", keep=""), file=sys.stderr)
    studies: dict[str, list[Row]] = {}
    others: Counter[tuple[str, str]] = Counter()
    ended = [(run, row) for run in found.runs for row in rows_of([run])]
    if untimed:
        ended = [(run, without_seconds(row)) for run, row in ended]
    for run, row in ended:
        study = row.facts["study"]
        if reason := why_not(run, study, claims):
            others[study, reason] += 1
        else:
            measured = with_inference(row, run) if latency and row.finished else row
            studies.setdefault(study, []).append(measured)
    lines: list[str] = []
    for study, new in sorted(studies.items()):
        lines.append(add_to(folder / f"{study}.csv", new))
        lines += [f"WARNING {words}" for words in versions_in_words(row.code for row in new)]
    lines += [
        f"left out: {plural(count, 'run')}{' of ' if study else ''}{study}: {reason}"
        for (study, reason), count in sorted(others.items())
    ]
    waiting = len(found.runs) - len(ended) + len(found.missing)
    verb = "has" if waiting == 1 else "have"
    lines += [f"{plural(waiting, 'run')} {verb} not ended: left out"] if waiting else []
    return lines, found.exit_code


def without_seconds(row: Row) -> Row:
    """Of a run whose machine had other work to do."""
    timed = durations(row)
    return replace(row, metrics={k: v for k, v in row.metrics.items() if k not in timed})


def why_not(run: Run, study: str, claims: Sequence[Claim]) -> str:
    """Why a run does not belong to the study that it names; "" if it does."""
    if run.record.cut_short:
        return CUT
    return misfit(study, run.config, run.record.choices, claims)


def add_to(path: Path, rows: Sequence[Row]) -> str:
    """Add rows to a CSV file, and say how many it has and which keep their seconds.

    Raises:
        RunError: it cannot be read or written.
    """
    old = read_rows(path) if path.exists() else []
    both = merged(old, rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rows(path, both)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    counts = f"{path}: {plural(len(both), 'run')}, {len(both) - len(old)} new"
    return "; ".join([counts, *_as_first_collected(rows, both)])


def _as_first_collected(rows: Sequence[Row], both: Sequence[Row]) -> list[str]:
    """How many rows have seconds in the table, or have none there, otherwise than now asked for."""
    stands = {row.key: bool(durations(row)) for row in both}
    others = [row for row in rows if row.finished and stands[row.key] != bool(durations(row))]
    timed = sum(stands[row.key] for row in others)
    words = {"with seconds": timed, "without seconds": len(others) - timed}
    return [
        f"{count} {'stay' if count > 1 else 'stays'} {what}, as first collected"
        for what, count in words.items()
        if count
    ]


def with_inference(row: Row, run: Run) -> Row:
    """The row with its inference speed, or as it is where that cannot be measured here."""
    from fmnist.runs.latency import inference_metrics

    try:
        return replace(row, metrics=row.metrics | inference_metrics(run))
    except (RunError, Untrusted) as error:
        print(escaped(f"inference not measured: {error}", keep=""), file=sys.stderr)
        return row


def study_rows(folder: Path) -> list[Row]:
    """The rows of all studies in a folder; its other CSV files are somebody else's.

    Raises:
        RunError: no such folder, or a file that cannot be read.
    """
    rows, _ = read_tables(folder)
    others = Counter(row.facts["study"] for row in rows if not is_study(row.facts["study"]))
    for name, count in sorted(others.items()):
        line = f"left out: {plural(count, 'run')} of {name}: no ablation or experiment of that name"
        print(escaped(line, keep=""), file=sys.stderr)
    return [row for row in rows if row.facts["study"] not in others]
