"""What the measurements share: a table for people, the same as CSV, and where it was measured."""

import argparse
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from fmnist.process.machine import processor_name
from fmnist.runs.origin import code_version, package_versions
from fmnist.runs.run import write_atomically
from fmnist.runs.text import threads_text

ORIGIN = "rounds"  # the first of the CSV's columns that say where and how it was measured


def parser(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """Of the command line: --rounds, --csv and overrides of the configuration.

    Args:
        doc: of the module; its first line describes the command.
        rounds: the default.
    """
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("overrides", nargs="*", help="of the configuration, such as data=synthetic")
    made.add_argument("--rounds", type=int, default=rounds, help="every contender once a round")
    made.add_argument("--csv", type=Path, help="also write the table to this file")
    return made


class Table:
    """Rows appear on the terminal as they are measured.

    Args:
        columns: their names.
        rounds: how often everything was measured.
        threads: of the processes that were measured.
    """

    def __init__(self, columns: Sequence[str], rounds: int, threads: int) -> None:
        commit, dirty = code_version()
        self.columns, self.rows = list(columns), list[dict[str, str]]()
        self.origin = {
            ORIGIN: rounds,
            "processor": hardware(),
            "threads": threads,
            "torch": package_versions()["torch"],
            "commit": commit,
            "dirty": dirty,
        }
        print(f"{described(self.origin)}\n\n{markdown(self.columns, [])}", flush=True)

    def add(self, *values: Any) -> None:
        """One row."""
        cells = {name: str(value) for name, value in zip(self.columns, values, strict=True)}
        self.rows.append(cells | {name: str(value) for name, value in self.origin.items()})
        print(_line(list(cells.values())), flush=True)

    def write(self, path: Path | None, keep: Sequence[str] = ()) -> None:
        """As CSV, if there is a path.

        Args:
            keep: columns that name what is measured; rows of the file about something else stay.
        """
        if path is None:
            return
        names = [*self.columns, *self.origin]
        old = [row for row in read(path) if keep and list(row) == names]
        measured = {tuple(row[name] for name in keep) for row in self.rows}
        kept = [row for row in old if tuple(row[name] for name in keep) not in measured]
        save(path, names, [*kept, *self.rows])


def hardware() -> str:
    """The processor's name, and that of the GPU where there is one."""
    import torch

    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    return ", ".join([processor_name(), *gpu])


def save(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Rows as CSV, under a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a file; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def shown(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of a CSV, at least one, as markdown, and where they were measured."""
    columns = list(rows[0])
    columns = columns[: columns.index(ORIGIN)]
    return f"{markdown(columns, rows)}\n\n{origins(rows)}"


def origins(rows: Sequence[Mapping[str, str]]) -> str:
    """Where rows were measured: one sentence, or one for each of them that differ."""
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 1):
        found.setdefault(described(row), []).append(number)
    if len(found) == 1:
        return next(iter(found))
    return " ".join(
        f"Row{'s' if len(lines) > 1 else ''} {_in_words(lines)}: {sentence}"
        for sentence, lines in found.items()
    )


def _in_words(numbers: Sequence[int]) -> str:
    """ "1 to 3, 5": those that follow one another by their ends."""
    words = []
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        first, *_, last = [number for _, number in run] * 2
        words.append(f"{first} to {last}" if first != last else f"{first}")
    return ", ".join(words)


def markdown(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """A table."""
    lines = [_line(columns), "|" + "---|" * len(columns)]
    return "\n".join([*lines, *(_line([row[name] for name in columns]) for row in rows)])


def described(origin: Mapping[str, Any]) -> str:
    """Where and how a table was measured, in a sentence."""
    rounds = int(origin[ORIGIN])
    return (
        f"{f'Medians of {rounds} interleaved rounds' if rounds > 1 else 'One round'} at "
        f"{commit(origin['commit'], origin['dirty'])}, {origin['processor']}, "
        f"{threads_text(origin['threads'])}, torch {origin['torch']}."
    )


def commit(name: Any, dirty: Any) -> str:
    """A commit, shortened, and whether something had been changed since."""
    changed = str(dirty).lower() == "true"
    return f"commit `{str(name)[:9]}`{' with changes' if changed else ''}"


def ratio(one: float | None, other: float | None) -> str:
    """Blank where one is missing."""
    return f"{one / other:.2f}" if one and other else ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
