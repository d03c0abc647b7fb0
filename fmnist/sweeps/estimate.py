"""How long cells take, by the records at hand."""

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fmnist.errors import RunError
from fmnist.evidence.matching import MACHINE
from fmnist.process.machine import processor_name
from fmnist.runs.find import find_runs
from fmnist.runs.rows import ADDED, CHOSEN, Row, is_value, measurements
from fmnist.runs.rows_file import is_rows_file, read_rows
from fmnist.runs.text import duration, plural

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


def rows_at_hand(results: Path = Path("results"), sweep: Path | None = None) -> list[Row]:
    """Runs below the working directory that came to their end or failed, and the committed rows.

    Args:
        sweep: another folder of runs.
    """
    rows, folders = list[Row](), list(map(Path, FOLDERS))
    if sweep and not any(sweep.absolute().is_relative_to(place.absolute()) for place in folders):
        folders.append(sweep)
    for folder in folders:
        if any(folder.glob("*")):
            with suppress(RunError):  # nothing of ours in it
                rows += measurements(find_runs([folder]).runs)
    for path in sorted(results.glob("*.csv")):
        if is_rows_file(path):
            rows += read_rows(path)
    return rows


def alike(
    settings: Mapping[str, str], rows: Iterable[Row], named: Collection[str] = ()
) -> list[Row]:
    """Finished runs with these settings; where and in which format they ran is open.

    A setting that a run lacks did not exist when it was made; one that only the run has, other than
    unused, makes another run of it.

    Args:
        settings: of a cell.
        rows: that are at hand.
        named: what is not open, though it is the machine's.
    """
    left_out = {*MACHINE, CHOSEN} - set(named)
    given = ADDED | dict(settings)
    wanted = {k: v for k, v in given.items() if is_value(k) and k not in left_out}
    return [
        row
        for row in rows
        if row.finished
        if all(row.settings.get(key, value) == value for key, value in wanted.items())
        if not any(is_value(key) for key in row.settings.keys() - wanted.keys() - left_out)
    ]


def seconds_of(settings: Mapping[str, str], rows: Iterable[Row]) -> float | None:
    """The median over runs with these settings."""
    times = [row.metrics["seconds"] for row in alike(settings, rows) if "seconds" in row.metrics]
    return statistics.median(times) if times else None


def estimate(cells: Iterable[Mapping[str, str]], rows: Sequence[Row]) -> Estimate:
    """The time that cells take, from runs on this processor where there are some.

    Args:
        cells: the settings of each.
        rows: that are at hand.
    """
    near = [row for row in rows if processor_name() in row.facts["device"]]
    known: dict[frozenset[tuple[str, str]], tuple[float | None, bool]] = {}
    seconds, unknown, here = 0.0, 0, True
    for settings in cells:
        key = frozenset(settings.items())  # looked up once for all seeds
        if key not in known:
            found = seconds_of(settings, near)
            is_near = found is not None
            known[key] = (found if is_near else seconds_of(settings, rows), is_near)
        found, is_near = known[key]
        if found is None:
            unknown += 1
        else:
            seconds += found
            here = here and is_near
    return Estimate(seconds, unknown, here)


def time_in_words(cells: int, left: Estimate) -> str:
    """ "about 2 h 05 min one after another, by records of this machine"."""
    if left.unknown == cells:
        return "time unknown: no record of such a run is at hand"
    origin = "this machine" if left.here else "other machines, too"
    words = f"about {duration(left.seconds)} one after another, by records of {origin}"
    return f"{words}; of {plural(left.unknown, 'cell')} nothing is known" if left.unknown else words
