"""How the cells of a sweep stand, from their records: the same on every launcher."""

import logging
import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import fmean

from fmnist.errors import RunError
from fmnist.process.polling import polling
from fmnist.runs.manifest import Cell
from fmnist.runs.record import STOPPED, known
from fmnist.runs.run import Run, load_run, record_stamp
from fmnist.runs.text import duration, epoch_label, in_eighty, plural, shown, without_middle
from fmnist.sweeps.plan import names_of

log = logging.getLogger(__name__)
GIVEN_UP = "given up"  # a cell, with its trial: nothing of it is left to run
OVER = ("finished", GIVEN_UP)

BAR = 12  # characters
LEAST = 15  # likewise, of a name
FEW = 5  # cells not begun that are named: the next ones
ENDED = ("finished", "failed", "stopped")
POLL = 1.0  # seconds between looks at the records of cells that run elsewhere


def outcome(folder: Path, cell: Cell) -> tuple[str, str]:
    """How a cell stands: `Run.status`, or "missing"; and its result or reason."""
    try:
        run = load_run(folder / cell.dir)
    except RunError:
        return "missing", "not begun"
    return (state := run.status), state_in_words(run, state)


def state_in_words(run: Run, state: str) -> str:
    """The result of a run, or how far it is, or why it failed."""
    if state != "finished":
        return unfinished(run, state)
    metrics, seconds = run.record.metrics, known(run.record.seconds)
    return (
        f"val acc {metrics['val/acc_best']:.4f}, test acc {metrics['test/acc']:.4f}, "
        f"{seconds:.1f} s"
    )


def unfinished(run: Run, state: str) -> str:
    """Why a run failed, or how far it is."""
    epochs, most, trained = run.record.epochs, run.record.max_epochs, run.record.trained
    done = plural(most or trained, "epoch")
    done = f"{trained} of up to {done}" if most else done
    if state in ("failed", "stopped"):
        reason = str(run.record.error).partition("\n")[0]
        # Who stopped it may go on from there.
        return f"{reason} after {done}" if reason in STOPPED.values() else reason
    accuracy = f", val acc {epochs[-1].val_acc_best:.4f}" if epochs else ""
    return done + accuracy


def report(folder: Path, cells: Sequence[Cell], errors: Mapping[str, str | None]) -> int:
    """Say how the cells ended: 0 when all of them finished, else 1 and a table of the others.

    Args:
        errors: by folder, for cells whose record could not be written.
    """
    bad: list[tuple[str, str, str]] = []  # state, folder, reason
    for cell in cells:
        state, reason = outcome(folder, cell)
        if state in ("missing", "killed") and (error := errors.get(cell.dir)):
            state, reason = "failed", error.partition("\n")[0]
        if state != "finished":
            bad.append((state, cell.dir, reason))
    log.info("\n%d of %d cells finished: %s", len(cells) - len(bad), len(cells), shown(folder))
    if not bad:
        return 0
    names = names_of(cells)
    listed, more = without_most_missing(bad)
    width = min(60, max(len(names[name]) for _, name, _ in listed))
    for state, name, reason in listed:
        log.error("%s", in_eighty(f"{state:8}  {names[name]:{width}}  {reason}", indent=10))
        if state != "missing":
            log.error("%-8s  %s", "", shown(folder / name))
    if more:
        log.error("%-8s  and %d more", "missing", more)
    log.error("the same command runs the unfinished cells again")
    return 1


def without_most_missing(
    lines: Sequence[tuple[str, str, str]],
) -> tuple[list[tuple[str, str, str]], int]:
    """Those of cells that have begun, then a few of those that have not; how many are left out.

    A sweep that has just begun would show little else.

    Args:
        lines: state, name and detail of a cell each.
    """
    begun = [line for line in lines if line[0] != "missing"]
    missing = [line for line in lines if line[0] == "missing"]
    few = FEW if len(missing) > FEW + 1 else len(missing)
    return begun + missing[:few], len(missing) - few


def seconds_left(runs: Sequence[Run], states: Mapping[Path, str], missing: int) -> float | None:
    """Until all cells have finished, at the present pace; None: nothing to estimate it from.

    From the mean of the finished cells, or else the pace of the begun ones. Whatever has not
    finished has an epoch to come at least, however long it has taken already.

    Args:
        runs: that have begun.
        states: of the runs, by directory.
        missing: cells that have not begun.
    """
    unfinished = [run for run in runs if states[run.dir] not in OVER]
    paces = [
        run.record.epoch_seconds * run.record.horizon for run in unfinished if run.record.epochs
    ]
    done = [known(run.record.seconds) for run in runs if states[run.dir] == "finished"]
    if not done and not paces:
        return None
    cell = fmean(done or paces)
    left = missing * cell
    for record in (run.record for run in unfinished):
        least = record.epoch_seconds if record.epochs else 0.0
        left += max(least, cell - sum(row.seconds for row in record.epochs))
    return left / max(1, sum(state == "running" for state in states.values()))


def is_terminal() -> bool:
    """Whether lines that were printed can be drawn anew."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def shorten(name: str, most: int) -> str:
    """A cell's name without its middle, where there is no room for it: seeds stand at the end."""
    return without_middle(name, max(most, LEAST))


class Board:
    """How the cells of a sweep stand: a line for what has happened, and a table of what happens.

    The table stands below the lines, in terminals only, and is drawn anew whenever something is
    said. It is the same on every launcher: the records are read, not the launcher asked.

    Args:
        folder: of the sweep.
        cells: that are to run, with `names` by folder.
    """

    def __init__(self, folder: Path, cells: Sequence[Cell], names: Mapping[str, str]) -> None:
        self.folder, self.cells, self.names = folder, cells, names
        self.terminal = is_terminal()
        self.lock = threading.RLock()
        self.drawn = 0  # lines of the table that stands in the terminal
        self.runs = dict[str, Run]()
        self.stamps = dict[str, int]()  # of the records that were read
        self.states = dict[str, str]()
        self._read()

    def _read(self) -> list[Cell]:
        """Look at the records that were written since. The cells that stand otherwise now."""
        changed = []
        for cell in self.cells:
            if (stamp := record_stamp(self.folder / cell.dir)) is None:
                self.states.setdefault(cell.dir, "missing")
                continue
            before = self.states.get(cell.dir)
            if stamp != self.stamps.get(cell.dir):
                with suppress(RunError):
                    self.runs[cell.dir] = load_run(self.folder / cell.dir)
                    self.stamps[cell.dir] = stamp
            elif before in ENDED:
                continue
            if (run := self.runs.get(cell.dir)) is not None:
                self.states[cell.dir] = run.status
                if self.states[cell.dir] != before:
                    changed.append(cell)
        return changed

    def look(self) -> None:
        """Say what has happened since the last look."""
        with self.lock:
            for cell in self._read():
                run, state = self.runs[cell.dir], self.states[cell.dir]
                if state != "running" or not self.terminal:
                    ended = sum(self.states[c.dir] in ENDED for c in self.cells)
                    where = "began" if state == "running" else state
                    counted = f"[{ended}/{len(self.cells)}] {where:8}"
                    words = state_in_words(run, state)
                    log.info("%s", self._line(counted, self.names[cell.dir], words))
            self.draw()

    def _line(self, counted: str, name: str, words: str) -> str:
        """In a terminal cut to one line: the table at the end of the sweep has whole reasons."""
        if not self.terminal:
            return f"{counted} {name}  {words}"
        most = shutil.get_terminal_size().columns - 1
        name = shorten(name, most - len(counted) - len(words) - 3)
        line = f"{counted} {name}  {words}"
        return line if len(line) <= most else f"{line[: most - 3]}..."

    def draw(self) -> None:
        """The table, in a terminal, in the place of the one before."""
        if not self.terminal:
            return
        with self.lock:
            self.erase()
            size = shutil.get_terminal_size()
            most, width = max(1, size.lines - 3), size.columns - 1
            lines = [line[:width] for line in self.table(most, width)]
            print("\n".join(lines), flush=True)
            self.drawn = len(lines)

    def erase(self) -> None:
        with self.lock:
            if self.drawn:
                print(f"\x1b[{self.drawn}F\x1b[J", end="", flush=True)
            self.drawn = 0

    def table(self, most: int, width: int) -> list[str]:
        """Its lines: what there is of every state and how long it will take; the running cells.

        Args:
            most: rows of cells.
            width: of the terminal, in characters; names are shortened for it.
        """
        counted = Counter(self.states.values())
        words = [f"{counted['finished']} of {len(self.cells)} finished"]
        words += [
            f"{counted[state]} {word}"
            for state, word in (("failed", "failed"), ("stopped", "stopped"), ("killed", "killed"),
                                ("running", "running"), ("missing", "to come"))
            if counted[state]
        ]  # fmt: skip
        states = {
            run.dir: self.states[name]
            for name, run in self.runs.items()
            if self.states[name] in ("running", "finished")  # the others are not run again
        }
        counts = [run for run in self.runs.values() if run.dir in states]
        left = seconds_left(counts, states, counted["missing"])
        if left is not None and counted["running"] + counted["missing"]:
            words.append(f"about {duration(left)} left")
        running = [cell.dir for cell in self.cells if self.states[cell.dir] == "running"]
        told = {name: _progress(self.runs[name]) for name in running[:most]}
        room = width - 2 - max(map(len, told.values()), default=0)
        names = [shorten(self.names[name], room) for name in told]
        wide = max(map(len, names), default=0)
        rows = [f"{name:{wide}}  {text}" for name, text in zip(names, told.values(), strict=True)]
        rest = [f"and {len(running) - most} more"] if len(running) > most else []
        return [", ".join(words), *rows, *rest]


def _progress(run: Run) -> str:
    """ "epoch  3/10  [======------]  val acc 0.8512  12.3 s an epoch"."""
    epochs, most, trained = run.record.epochs, run.record.max_epochs, run.record.trained
    if not epochs:
        return "before its first epoch's end"
    words = [epoch_label(trained - 1, most)]
    if most:
        full = round(BAR * min(1.0, trained / most))
        words.append(f"[{'=' * full}{'-' * (BAR - full)}]")
    words += [
        f"val acc {epochs[-1].val_acc_best:.4f}",
        f"{run.record.epoch_seconds:.1f} s an epoch",
    ]
    return "  ".join(words)


@contextmanager
def watch(folder: Path, left: Sequence[Cell], names: Mapping[str, str]) -> Iterator[None]:
    """Say which cell began and ended, while a launcher runs them."""
    board = Board(folder, left, names)

    def make_room(record: logging.LogRecord) -> bool:
        """What anybody says stands above the table."""
        board.erase()
        return True

    for handler in (handlers := list(logging.root.handlers)):
        handler.addFilter(make_room)
    board.draw()
    try:
        with polling(board.look, POLL):
            yield
    finally:
        board.look()
        board.erase()
        for handler in handlers:
            handler.removeFilter(make_room)
