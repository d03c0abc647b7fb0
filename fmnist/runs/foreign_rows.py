"""Anybody's table of runs: a line a run, a column a setting or a metric. W&B's export is one.

A CSV file with a header, as pandas (with its index or without), W&B and spreadsheets write it.
Which columns are settings and which are metrics only the claims say (`fmnist.evidence.foreign`).
"""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

from fmnist.config.words import near
from fmnist.errors import RunError
from fmnist.runs.foreign_text import escaped_values
from fmnist.runs.plain import open_regular, reading, shorten
from fmnist.runs.rows import canonical

ENDED_WELL = ("finished", "completed", "success")
NOT_ENDED = ("running", "pending", "preempting", "queued", "unfinished")  # not to be judged yet
EMPTY = ("", "nan", "null", "none")  # in lower case; "null" in a claim


@dataclass(frozen=True)
class ForeignRun:
    """A line of the table.

    Args:
        line: its number in the file.
        seed: as it stands there, "null" where there is none.
        finished: False where the state says otherwise.
        columns: `canonical` text by name, "null" for an empty field.
    """

    line: int
    seed: str
    finished: bool
    columns: dict[str, str]

    def number(self, metric: str) -> float | None:
        """None: empty or not finite, as of a run that diverged.

        Raises:
            RunError: it is text.
        """
        text = self.columns[metric]
        if text == "null":
            return None
        try:
            value = float(text)
        except ValueError:
            raise RunError(f"line {self.line}: {metric}: {shorten(text)}: is no number") from None
        return value if math.isfinite(value) else None


def read_foreign(path: Path, seed: str = "") -> tuple[list[ForeignRun], int]:
    """The runs of a table that have ended, and how many have not.

    Args:
        seed: name of the seed's column; "": the one that is called seed, or whatever.seed.

    Raises:
        RunError: no such file, no table, or no column of seeds.
    """
    with (
        reading(path, "is no CSV table in UTF-8"),
        io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file,
    ):
        reader = csv.reader(file, strict=True)
        names = [escaped_values(name.strip()) for name in next(reader, [])]
        lines = [(reader.line_num, fields) for fields in reader if any(fields)]
    if not lines:
        raise RunError(f"{path}: holds no run: should be a header and a line a run")
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if twice:
        raise RunError(f"{path}: two columns are called {twice[0]}")
    if wrong := next((number for number, fields in lines if len(fields) != len(names)), None):
        raise RunError(f"{path}: line {wrong}: should have {len(names)} fields, as the header has")
    of_seed, of_state = _seed_column(path, names, seed), _named(names, ("state", "status"))
    runs, waiting = [], 0
    for number, fields in lines:
        named = [(name, field) for name, field in zip(names, fields, strict=True) if name]
        columns = {name: as_in_table(field) for name, field in named}
        state = columns.get(of_state, "finished").lower()
        if state in NOT_ENDED:
            waiting += 1
        else:
            runs.append(ForeignRun(number, columns[of_seed], state in ENDED_WELL, columns))
    return runs, waiting


def _named(names: list[str], wanted: tuple[str, ...]) -> str:
    return next((name for name in names if name.lower() in wanted), "")


def _seed_column(path: Path, names: list[str], asked: str) -> str:
    if asked:
        if asked not in names:
            raise RunError(f"{path}: {asked}: no such column{near(asked, names)}")
        return asked
    ends = [name for name in names if name.lower().rpartition(".")[2] == "seed"]
    exact = [name for name in ends if name.lower() == "seed"]
    found = exact or ends
    if len(found) != 1:
        which = f": {' or '.join(found)}?" if found else f"{near('seed', names)}"
        raise RunError(f"{path}: no column is called seed; --seed COLUMN names it{which}")
    return found[0]


def as_in_table(field: str) -> str:
    """Equal texts are equal settings: 0.10 is 0.1, True is true, "none" is an empty field."""
    text = str(escaped_values(field.strip()))
    if text.lower() in EMPTY:
        return "null"
    return text.lower() if text in ("True", "False", "TRUE", "FALSE") else canonical(text)
