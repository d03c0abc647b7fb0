"""Runs as a table of pandas, for notebooks."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fmnist.runs.find import find_runs
from fmnist.runs.record import CUT
from fmnist.runs.rows import FACTS, rows_of

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(paths: Iterable[str | Path]) -> "DataFrame":
    """A row a run that has ended; a setting's column is of numbers where all it has are numbers.

    The status of one that measures no setting is CUT.

    Raises:
        RunError: see `find_runs`.
        ImportError: pandas is not installed.
    """
    try:
        from pandas import DataFrame, to_numeric
    except ImportError as error:
        raise ImportError("fmnist.rows needs pandas: pip install 'fmnist[notebook]'") from error

    rows = [
        replace(row, facts=row.facts | {"status": CUT}) if run.record.cut_short else row
        for run in find_runs(paths).runs
        for row in rows_of([run])
    ]
    table = DataFrame([row.facts | row.settings | row.metrics for row in rows])
    metrics = {name for row in rows for name in row.metrics}
    names = {*FACTS} - {"seed", "threads"}  # a hash of digits alone is no number
    for name in table.columns.difference([*metrics, *names]):
        try:
            table[name] = to_numeric(table[name])
        except (ValueError, TypeError):
            continue  # words
    order = [*FACTS, *sorted({name for row in rows for name in row.settings}), *sorted(metrics)]
    return table.reindex(columns=order)
