"""Rows of runs as a CSV file, the bits of their predictions beside it: read, merged, written."""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from fmnist.errors import RunError
from fmnist.runs.corrupted import METRIC as CORRUPTED
from fmnist.runs.foreign_text import csv_text, escaped_values, from_cell
from fmnist.runs.plain import Damaged, open_regular, reading, shorten
from fmnist.runs.record import is_accuracy
from fmnist.runs.rows import ADDED, FACTS, INFERENCE, NUMBERS, Row, is_duration, newest
from fmnist.runs.run import write_atomically


def is_rows_file(path: Path) -> bool:
    """Whether a CSV file holds rows of this module.

    Raises:
        RunError: it cannot be read.
    """
    with reading(path, "is no table"):
        try:
            with _opened(path) as file:
                return file.readline(1000).startswith(",".join(FACTS))
        except (Damaged, UnicodeDecodeError):
            return False


def _opened(path: Path) -> TextIO:
    return io.TextIOWrapper(open_regular(path), encoding="utf-8", newline="")


def read_tables(folder: Path) -> tuple[list[Row], list[Path]]:
    """The rows of all studies in a folder, and its other CSV files, which are somebody else's.

    Raises:
        RunError: no such folder, or a file that cannot be read.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: no such directory")
    paths = sorted(folder.glob("*.csv"))
    tables = [path for path in paths if is_rows_file(path)]
    others = [path for path in paths if path not in tables]
    return [row for path in tables for row in read_rows(path)], others


def right_file(table: Path) -> Path:
    """What lies beside a table: the bits of its runs, by the hash of their configuration."""
    return table.with_suffix(".right.npz")


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file, with the bits that lie beside it.

    Raises:
        RunError: a file cannot be read or holds something else.
    """
    rows = _read_rows(path)
    if not right_file(path).exists():
        return rows
    from fmnist.runs.bits import read_right

    bits = read_right(right_file(path))
    return [replace(row, right=bits.get(row.facts["config_hash"])) for row in rows]


def _read_rows(path: Path) -> list[Row]:
    with reading(path, "is no table of runs"):
        if not is_rows_file(path):
            raise RunError(f"{path}: not a file of fmnist.results: its columns should begin with "
                           f"{','.join(FACTS[:3])},...")  # fmt: skip
        try:
            with _opened(path) as file:
                return [_row(fields) for fields in csv.DictReader(file)]
        except csv.Error as error:
            raise Damaged(str(error)) from error


def _row(cells: dict[str, str]) -> Row:
    fields = {from_cell(name): from_cell(escaped_values(text)) for name, text in cells.items()}
    given = {name: value for name, value in fields.items() if value != ""}
    row = Row(
        {name: fields[name] for name in FACTS},
        ADDED | {k: v for k, v in given.items() if k not in FACTS and not is_metric(k)},
        {name: _number(name, value) for name, value in given.items() if is_metric(name)},
    )
    if not re.fullmatch(r"-?\d+", row.facts["seed"]):
        raise Damaged(f"seed: {shorten(row.facts['seed'])}: should be a whole number")
    return row


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise Damaged(f"{name}: {shorten(text)}: should be a number") from None
    if not math.isfinite(value) or (is_accuracy(name) and not 0 <= value <= 1):
        raise Damaged(
            f"{name}: {shorten(text)}: should be {'in [0, 1]' if is_accuracy(name) else 'finite'}"
        )
    return value


def is_metric(column: str) -> bool:
    return column in NUMBERS or "/" in column


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """The rows as a CSV file, in an order that does not depend on theirs, and their bits beside it.

    Of several runs of a configuration the bits are those of the one that counts, see `newest`.

    Raises:
        RunError: runs of the study were tested on different numbers of images.
    """
    bits = {row.facts["config_hash"]: row.right for row in newest(rows) if row.right is not None}
    if bits:
        from fmnist.runs.bits import write_right

        try:
            write_right(right_file(path), bits)
        except ValueError as error:
            raise RunError(f"{right_file(path)}: {error}") from error
    settings = sorted({name for row in rows for name in row.settings})
    metrics = {name for row in rows for name in row.metrics}
    ordered = [name for name in NUMBERS if name in metrics] + sorted(metrics - set(NUMBERS))
    columns = [*FACTS, *settings, *ordered]
    lines = [columns]
    for row in sorted(rows, key=lambda row: (sorted(row.settings.items()), row.seed, row.key)):
        numbers = {name: f"{value:.12g}" for name, value in row.metrics.items()}
        fields = row.facts | row.settings | numbers
        lines.append([fields.get(name, "") for name in columns])
    write_atomically(path, csv_text(lines).encode())


def merged(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """Both; a new row replaces an old one of its key, but a failed one never a finished one.

    What was measured once, inference or damaged images, stays until it is measured again. Whether a
    run's seconds are a measurement was said when it was collected first, and stays.
    """
    rows = {row.key: row for row in old}
    for row in new:
        earlier = rows.get(row.key, row)
        if row.finished or not earlier.finished:
            measured = {
                key: value
                for key, value in earlier.metrics.items()
                if key == INFERENCE or key.startswith(CORRUPTED)
            }
            rows[row.key] = replace(row, metrics=measured | _timed_as(earlier, row))
    return list(rows.values())


def _timed_as(earlier: Row, row: Row) -> dict[str, float]:
    """The row's metrics, of seconds those that count; a run is known by when it was started."""
    if not earlier.finished or earlier.facts["started"] != row.facts["started"]:
        return row.metrics
    before = durations(earlier)
    counted = before and (durations(row) or before)
    return {k: v for k, v in row.metrics.items() if k not in durations(row)} | counted


def durations(row: Row) -> dict[str, float]:
    """What of it was measured in seconds."""
    return {name: value for name, value in row.metrics.items() if is_duration(name)}
