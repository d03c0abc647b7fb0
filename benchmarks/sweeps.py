"""`python -m benchmarks.sweeps`: cells an hour, one after another and side by side.

The same sweep of one net, LeNet-5 unless `model=NAME` is given, with the defaults of `fmnist.train`
(W&B offline); rows of other nets that the file of `--csv` has stay there:

- basic: cells in turn, each with all threads;
- machine: the default, as many cells at a time as cores, each with one thread;
- finished: a sweep of 200 cells that have all finished before, looked through again; with
  `--finished 0` there is none.

A time is that of the whole command: imports, planning and the last table included. Launchers take
turns, so that a slow moment of the machine hits both.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.command import command
from benchmarks.table import Table, parser, ratio
from fmnist.data.facts import DatasetFacts
from fmnist.errors import UserError
from fmnist.runs.find import find_runs
from fmnist.runs.manifest import SWEEP, Cell, listed_cells
from fmnist.runs.record import COLUMNS, METRICS, RESULT, SECTIONS, Epoch, Record, known, record_json

LAUNCHERS = ("basic", "machine")
FINISHED = "finished"


def sweep(arguments: Sequence[str], folder: Path) -> list[str]:
    """The command."""
    return [sys.executable, "-m", "fmnist.train", "-m", f"hydra.sweep.dir={folder}", *arguments]


def variables(folder: Path) -> dict[str, str]:
    """Nothing is sent or left behind."""
    return {**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": str(folder)}


def timed(arguments: Sequence[str], folder: Path) -> float:
    """Seconds of a sweep.

    Raises:
        UserError: a cell failed; what was said at the end.
    """
    began = time.perf_counter()
    done = subprocess.run(
        sweep(arguments, folder), env=variables(folder.parent), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise UserError((done.stdout + done.stderr).strip()[-1000:])
    return time.perf_counter() - began


def finished(cell: Cell) -> Record:
    """The record of a cell that has been trained for an epoch; the numbers are nobody's."""
    row = dict.fromkeys(COLUMNS, 0.5) | {"epoch": 0, "step": 1}
    config: dict[str, Any] = {section: {} for section in SECTIONS}
    return Record(
        status="finished", config_hash=cell.config_hash, choices={}, overrides=cell.overrides,
        config=config, seed=0, epochs=[Epoch.of(row)], best_epoch=0,
        metrics=dict.fromkeys(METRICS, 0.5), params=1, flops=1, train_seconds=1.0, seconds=1.0,
        peak_memory_mib=1.0, dataset=DatasetFacts("", {}, ["a", "b"], 1, 1, 1, 0, "", 0.0, 1.0),
    )  # fmt: skip


def pretend(arguments: Sequence[str], folder: Path) -> int:
    """Make a sweep whose cells have all finished, without training; the number of its cells."""
    process = subprocess.Popen(
        sweep(arguments, folder), env=variables(folder.parent), stdout=subprocess.DEVNULL
    )
    try:
        while not (folder / SWEEP).exists():  # written when all cells are planned, before the first
            if process.poll() is not None:
                raise UserError("the sweep ended before it was planned")
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    for cell in listed_cells(folder):
        (folder / cell.dir).mkdir(exist_ok=True)
        (folder / cell.dir / RESULT).write_bytes(record_json(finished(cell)))
    return len(listed_cells(folder))


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--cells", type=int, default=8, help="of the sweep that is trained")
    options.add_argument("--epochs", type=int, default=2, help="of a cell")
    options.add_argument("--finished", type=int, default=200, help="cells to look through")
    arguments = options.parse_intermixed_args()
    overrides = arguments.overrides
    trained = [f"seed=range({arguments.cells})", f"trainer.max_epochs={arguments.epochs}"]
    net = next((text[6:] for text in overrides if text.startswith("model=")), "lenet5")
    sweeps = (*LAUNCHERS, *([FINISHED] if arguments.finished else []))
    times: dict[str, list[float]] = {name: [] for name in sweeps}
    threads, count = dict[str, int](), 0
    with tempfile.TemporaryDirectory() as name:
        looked_through = [*overrides, f"seed=range({arguments.finished})"]
        if FINISHED in sweeps:
            count = pretend(looked_through, Path(name, FINISHED))
        for number in range(arguments.rounds):
            for launcher in LAUNCHERS:
                folder = Path(name, f"{launcher}{number}")
                chosen = [f"hydra/launcher={launcher}", *trained, *overrides]
                times[launcher].append(timed(chosen, folder))
                threads[launcher] = known(find_runs([folder]).runs[0].record.threads)
                print(f"  {launcher} {number + 1} of {arguments.rounds}", file=sys.stderr)
            if FINISHED in sweeps:
                times[FINISHED].append(timed(looked_through, Path(name, FINISHED)))
    columns = ["net", "sweep", "cells", "threads a cell", "s", "min", "max", "cells/hour"]
    table = Table([*columns, "x basic"], arguments.rounds, threads["basic"])
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        cells = count if name == FINISHED else arguments.cells
        table.add(
            net, name, cells, threads.get(name, ""), f"{medians[name]:.2f}",
            f"{min(values):.2f}", f"{max(values):.2f}", f"{3600 * cells / medians[name]:.0f}",
            ratio(medians["basic"], medians[name]) if name in LAUNCHERS else "",
        )  # fmt: skip
    table.write(arguments.csv, keep=["net"])


if __name__ == "__main__":
    command(main)
