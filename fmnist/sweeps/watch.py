"""How the cells of a sweep stand, from their records: the same on every launcher."""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fmnist.errors import RunError
from fmnist.runs.record import Cell, known
from fmnist.runs.run import Run, load_run
from fmnist.runs.text import shown
from fmnist.sweeps.plan import names_of

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between looks at the records of cells that run elsewhere


def outcome(folder: Path, cell: Cell) -> tuple[str, str]:
    """How a cell stands (finished, failed, running, killed, missing), and its result or reason."""
    try:
        run = load_run(folder / cell.dir)
    except RunError:
        return "missing", "not begun"
    state = run.status
    if state != "finished":
        return state, unfinished(run, state)
    metrics, seconds = run.record.metrics, known(run.record.seconds)
    return "finished", (
        f"val acc {metrics['val/acc_best']:.4f}, test acc {metrics['test/acc']:.4f}, "
        f"{seconds:.1f} s"
    )


def unfinished(run: Run, state: str) -> str:
    """Why a run failed, or how far it is."""
    if state == "failed":
        return str(run.record.error).partition("\n")[0]
    epochs, most = run.record.epochs, run.record.max_epochs
    accuracy = f", val acc {epochs[-1].val_acc_best:.4f}" if epochs else ""
    done = f"{len(epochs)} of up to {most} epochs" if most else f"{len(epochs)} epochs"
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
    width = min(60, max(len(names[name]) for _, name, _ in bad))
    for state, name, reason in bad:
        log.error("%-8s  %-*s  %s", state, width, names[name], reason)
        log.error("%-8s  %s", "", shown(folder / name))
    log.error("the same command runs the unfinished cells again")
    return 1


@contextmanager
def watch(folder: Path, left: Sequence[Cell], names: dict[str, str]) -> Iterator[None]:
    """Say which cell began and ended, while a launcher runs them."""
    stop = threading.Event()
    states = {cell.dir: outcome(folder, cell)[0] for cell in left}

    def look() -> None:
        for cell in left:
            state, words = outcome(folder, cell)
            if state != states[cell.dir] and state != "missing":
                states[cell.dir] = state
                ended = sum(state in ("finished", "failed") for state in states.values())
                where = "began" if state == "running" else state
                log.info("[%d/%d] %-8s %s  %s", ended, len(left), where, names[cell.dir], words)

    def keep_looking() -> None:
        while not stop.wait(POLL):
            look()

    thread = threading.Thread(target=keep_looking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        look()
