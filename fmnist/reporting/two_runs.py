"""Two runs of a report on the same test images: who is right alone, in all and of every class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fmnist.errors import RunError
from fmnist.evidence.images import McNemar, mcnemar
from fmnist.reporting.detail import Detail
from fmnist.reporting.same_images import by_class, class_rows, one_test_set
from fmnist.reporting.table import Entry, Table
from fmnist.runs.evaluation import Evaluation, evaluation_of
from fmnist.runs.record import known


@dataclass(frozen=True)
class TwoRuns:
    """McNemar's test of two named runs.

    Args:
        classes: see `class_rows`.
    """

    names: tuple[str, str]
    test: McNemar
    classes: list[tuple[str, str, str, str]]


def two_runs(table: Table, asked: Sequence[Path], pair: Sequence[Detail]) -> TwoRuns | None:
    """The two that are asked for, or the best and the worst; None where these cannot be compared.

    Args:
        asked: two run directories, or none.
        pair: best and worst, or one run alone.

    Raises:
        RunError: a named run is not a finished one of this report, or the two cannot be compared.
    """
    if asked:
        return _asked(table, asked)
    read = [item for item in pair if item.evaluation]
    if len(read) < 2:
        return None
    first, second = (known(item.evaluation) for item in read)
    best, worst = (item.row for item in read)
    if not _same_images(best, first, worst, second):
        return None
    return _of(best.name, worst.name, first, second)


def _asked(table: Table, asked: Sequence[Path]) -> TwoRuns:
    by_path = {row.run.dir.resolve(): row for row in table.finished if row.run}
    for path in asked:
        if path.resolve() not in by_path:
            raise RunError(f"--compare {path}: not one of the finished runs of this report")
    rows = [by_path[path.resolve()] for path in asked]
    try:
        first, second = (evaluation_of(row.run) for row in rows if row.run)
    except Exception as error:  # a damaged archive can raise anything
        raise RunError(f"--compare: predictions cannot be read: {error}") from error
    if not _same_images(rows[0], first, rows[1], second):
        raise RunError("--compare: the two runs were tested on different images")
    return _of(rows[0].name, rows[1].name, first, second)


def _of(name: str, other: str, first: Evaluation, second: Evaluation) -> TwoRuns:
    classes = by_class(first.correct, second.correct, first.labels, first.classes)
    return TwoRuns((name, other), mcnemar(first.correct, second.correct), class_rows(classes))


def _same_images(row: Entry, first: Evaluation, other: Entry, second: Evaluation) -> bool:
    facts, there = known(row.record.dataset), known(other.record.dataset)
    return one_test_set(first.labels, facts, second.labels, there)
