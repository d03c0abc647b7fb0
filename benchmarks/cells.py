"""`python -m benchmarks.cells`: what a cell of a sweep costs beside its training.

For the CSV logger, and for W&B offline with its figures: two sweeps of tiny cells in turn, one of
2 and one of 10. What the eight more take, less the seconds of their epochs as the records have
them, is what a cell costs: its process, composing, data, net, tests of 100 images, record and
logs. Loggers take turns.

`--ran FOLDER` adds a sweep that has been run, from its records: seconds from the begin of its first
cell to the end of the last; what a cell costs there includes its tests of all test images. Other
rows of the file of `--csv` stay.
"""

import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from benchmarks.command import command
from benchmarks.sweeps import timed
from benchmarks.table import Table, parser
from fmnist.runs.find import find_runs
from fmnist.runs.record import Record, known

FEW, MANY = 2, 10
LOGGERS = ("csv", "wandb")
TINY = [
    "data=synthetic", "data.train_size=704", "data.val_size=64", "data.test_size=100",
    "trainer.max_epochs=1", "hydra/launcher=basic",
]  # fmt: skip
COLUMNS = ["sweep", "logger", "cells", "at a time", "s", "training, s a cell"]


def records(folder: Path) -> list[Record]:
    """Of the cells of a sweep that have finished."""
    found = [run.record for run in find_runs([folder]).runs]
    return [record for record in found if record.status == "finished"]


def trained(cells: list[Record]) -> float:
    """Seconds of all their epochs."""
    return sum(known(record.train_seconds) for record in cells)


def beside(logger: str, folder: Path) -> tuple[float, float, float]:
    """Of the larger sweep its seconds and those of training a cell; what a cell costs beside it."""
    seconds, training = dict[int, float](), dict[int, float]()
    for count in (FEW, MANY):
        sweep = folder / f"{logger}{count}"
        words = [f"seed=range({count})", f"logger={logger}", *TINY]
        seconds[count] = timed(words, sweep)
        training[count] = trained(records(sweep))
    more = seconds[MANY] - seconds[FEW] - (training[MANY] - training[FEW])
    return seconds[MANY], training[MANY] / MANY, more / (MANY - FEW)


def wall(cells: list[Record]) -> float:
    """Seconds from the begin of the first of cells to the end of the last."""
    began = [datetime.fromisoformat(record.started).timestamp() for record in cells]
    ended = [start + known(r.seconds) for start, r in zip(began, cells, strict=True)]
    return max(ended) - min(began)


def add_ran(table: Table, folder: Path) -> None:
    """The row of a sweep that has been run."""
    cells = records(folder)
    seconds, training = wall(cells), trained(cells)
    at_a_time = round(sum(known(record.seconds) for record in cells) / seconds)
    commit = (cells[0].git_commit or "")[:9]
    each = training / len(cells), (at_a_time * seconds - training) / len(cells)
    table.add(
        f"{folder.resolve().name} at {commit}", cells[0].choices["logger"], len(cells), at_a_time,
        f"{seconds:.1f}", *(f"{value:.2f}" for value in each), "", "",
    )  # fmt: skip


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--ran", type=Path, nargs="*", default=[], help="folders of sweeps")
    arguments = options.parse_args()
    table = Table([*COLUMNS, "beside it, s a cell", "min", "max"], arguments.rounds, 1)
    for folder in arguments.ran:
        add_ran(table, folder)
    measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in LOGGERS}
    for number in range(arguments.rounds):
        for logger in LOGGERS:
            with tempfile.TemporaryDirectory() as folder:
                measured[logger].append(beside(logger, Path(folder)))
            print(f"  {logger} {number + 1} of {arguments.rounds}", file=sys.stderr)
    for logger, rounds in measured.items():
        if rounds:
            medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
            costs = [cost for _, _, cost in rounds]
            table.add(
                "tiny", logger, MANY, 1, f"{medians[0]:.1f}",
                *(f"{value:.2f}" for value in (*medians[1:], min(costs), max(costs))),
            )  # fmt: skip
    table.write(arguments.csv, keep=["sweep", "logger"])


if __name__ == "__main__":
    command(main)
