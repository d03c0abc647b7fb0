"""Two runs of a report on the same test images: who is right alone, in all and of every class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fmnist.data.facts import DatasetFacts, same_test_images
from fmnist.errors import RunError
from fmnist.evidence.images import McNemar, mcnemar
from fmnist.reporting.detail import Detail
from fmnist.reporting.same_images import by_class, class_rows
from fmnist.reporting.table import Table
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
    one, other = ((known(item.evaluation), known(item.row.record.dataset)) for item in read)
    best, worst = (item.row.name for item in read)
    return _of(best, worst, one[0], other[0]) if _same_images(one, other) else None


def _asked(table: Table, asked: Sequence[Path]) -> TwoRuns:
    by_path = {row.run.dir.resolve(): row for row in table.finished if row.run}
    for path in asked:
        if path.resolve() not in by_path:
            raise RunError(f"--compare {path}: not one of the finished runs of this report")
    rows = [by_path[path.resolve()] for path in asked]
    try:
        first, second = (evaluation_of(row.run) for row in rows if row.run)
        facts, others = (known(row.record.dataset) for row in rows)
    except Exception as error:  # a damaged archive can raise anything
        raise RunError(f"--compare: predictions cannot be read: {error}") from error
    if not _same_images((first, facts), (second, others)):
        raise RunError("--compare: the two runs were tested on different images")
    return _of(rows[0].name, rows[1].name, first, second)


def _of(name: str, other: str, first: Evaluation, second: Evaluation) -> TwoRuns:
    classes = by_class(first.correct, second.correct, first.labels, first.classes)
    return TwoRuns((name, other), mcnemar(first.correct, second.correct), class_rows(classes))


def _same_images(
    first: tuple[Evaluation, DatasetFacts], second: tuple[Evaluation, DatasetFacts]
) -> bool:
    """Many sets are in order of their classes, so that their labels are the same."""
    same_labels = first[0].labels.tolist() == second[0].labels.tolist()
    return same_labels and same_test_images(first[1], second[1])
