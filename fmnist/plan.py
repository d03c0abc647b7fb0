"""`python -m fmnist.plan OVERRIDE ...`: what a command would run, and how long, without training.

Takes what `python -m fmnist.train` takes: `ablation=NAME`, or any overrides, with several values or
without. Prints the cells, which of them are done, and the time that the others take by the records
at hand: runs below multirun/ and outputs/, and the committed rows of results/. Exit code 0; 2: a
setting that does not exist or has a value that it cannot have.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmnist.evidence.matching import MACHINE, settings_of
from fmnist.process.machine import processor_name
from fmnist.runs.command import command, command_parser, start
from fmnist.runs.find import find_runs
from fmnist.runs.foreign_text import escaped
from fmnist.runs.record import Cell
from fmnist.runs.rows import CHOSEN, Row, is_rows_file, is_value, read_rows, rows_of
from fmnist.runs.run import finished_run
from fmnist.runs.text import duration, shown
from fmnist.sweeps.cells import Sweep, sweep_of
from fmnist.sweeps.plan import names_of

FOLDERS = ("multirun", "outputs")


@dataclass(frozen=True)
class Estimate:
    """How long the cells that are missing take.

    Args:
        seconds: one after another; of the cells that a record tells something about.
        unknown: how many cells no record tells anything about.
        here: whether all of the records are of this machine's processor.
    """

    seconds: float
    unknown: int
    here: bool


def rows_at_hand(results: Path = Path("results")) -> list[Row]:
    """Finished runs below the working directory, and the committed rows."""
    rows: list[Row] = []
    for folder in FOLDERS:
        if any(Path(folder).glob("*")):
            rows += rows_of(find_runs([folder]).runs)
    for path in sorted(results.glob("*.csv")):
        if is_rows_file(path):
            rows += read_rows(path)
    return [row for row in rows if row.finished]


def seconds_of(settings: dict[str, str], rows: Iterable[Row]) -> float | None:
    """The median over runs with these settings; where and in which format they ran is open."""
    left_out = (*MACHINE, CHOSEN)
    wanted = {k: v for k, v in settings.items() if is_value(k) and k not in left_out}
    times = [
        row.metrics["seconds"]
        for row in rows
        if "seconds" in row.metrics
        if all(row.settings.get(key, value) == value for key, value in wanted.items())
    ]
    return statistics.median(times) if times else None


def estimate(cells: Iterable[Cell], rows: Sequence[Row]) -> Estimate:
    """The time that cells take, from runs on this processor where there are some."""
    near = [row for row in rows if processor_name() in row.facts["device"]]
    seconds, unknown, here = 0.0, 0, True
    for cell in cells:
        settings = settings_of(tuple(cell.overrides))
        found = seconds_of(settings, near)
        if found is None:
            found = seconds_of(settings, rows)
            here = here and found is None
        if found is None:
            unknown += 1
        else:
            seconds += found
    return Estimate(seconds, unknown, here)


def time_in_words(cells: int, left: Estimate) -> str:
    """ "about 2 h 05 min one after another, by records of this machine"."""
    if left.unknown == cells:
        return "time unknown: no record of such a run is at hand"
    origin = "this machine" if left.here else "other machines, too"
    words = f"about {duration(left.seconds)} one after another, by records of {origin}"
    return f"{words}; of {left.unknown} cells nothing is known" if left.unknown else words


def show(sweep: Sweep, rows: Sequence[Row]) -> str:
    """The plan for a terminal."""
    done = [c for c in sweep.cells if finished_run(sweep.folder / c.dir, c.config_hash) is not None]
    missing = [cell for cell in sweep.cells if cell not in done]
    names = names_of(sweep.cells)
    width = min(80, max(len(name) for name in names.values()))
    lines = [f"sweep  {shown(sweep.folder)}"]
    lines += [
        f"{names[cell.dir]:{width}}  {'done' if cell in done else 'missing'}"
        for cell in sweep.cells
    ]
    lines.append(f"cells  {len(sweep.cells)}, of which {len(done)} done, {len(missing)} to run")
    if missing:
        lines.append(f"left   {time_in_words(len(missing), estimate(missing, rows))}")
    return "\n".join(lines)


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("plan", __doc__)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for fmnist.train")
    parser.add_argument("-m", "--multirun", action="store_true", help="may be left out here")
    asked = parser.parse_intermixed_args(arguments)
    print(escaped(show(sweep_of(asked.overrides), rows_at_hand())))
    return 0


if __name__ == "__main__":
    start(main)
