"""One cell of a sweep: trained in a process of its own, so that nothing it does ends the sweep.

A cell that runs out of memory, calls `sys.exit` or is killed costs itself. The process is forked
from a server (`multiprocessing`'s forkserver) that has imported everything once, so it begins at
once; it dies with the process that launched it, so no orphan goes on training.
"""

import logging.config
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any

from fmnist.config.schema import config_hash
from fmnist.errors import CellFailed, RunBusy, RunError, UserError
from fmnist.runs.job import Job
from fmnist.runs.run import Run, claimed, finished_run, load_run, signal_exit_code
from fmnist.tracking.loggers import prepare

# Imported once by the server; none of them starts a thread or touches a GPU.
PRELOADED = [
    "fmnist.process.startup", "torch.utils.flop_counter", "lightning.pytorch.loggers", "wandb",
    "hydra", "fmnist.training.callbacks", "fmnist.training.checkpoint",
    "fmnist.training.classifier", "fmnist.data.datamodule", "fmnist.tracking.loggers",
]  # fmt: skip

# What a cluster sends to every process of a job that it stops. The server, which knows no handlers,
# would die of them, and nobody would learn how its cells end.
STOPPING = (signal.SIGTERM, signal.SIGUSR2)
TERMINATED = (-signal.SIGTERM, 128 + signal.SIGTERM)
Train = Callable[[dict[str, Any], Job], float]
PATIENCE = 120  # seconds; Slurm's KillWait is 30 by default


@dataclass(frozen=True, eq=False)
class CellProcess:
    """A cell whose process has been started.

    Args:
        job: where the cell goes and what it is called.
        config_hash: of its configuration.
        process: that trains it.
        words: gives the process's last words, if it had any.
    """

    job: Job
    config_hash: str
    process: ForkServerProcess
    words: Connection

    def result(self) -> float:
        """The highest val/acc, once the process has ended.

        Raises:
            CellFailed: it did not come to its end; the message says why.
            RunBusy: another process is training it.
        """
        self.process.join()
        code = self.process.exitcode
        assert code is not None
        if code in TERMINATED and "SLURM_JOB_ID" in os.environ:
            # Slurm is about to kill the job and may run it again: submitit must not say before
            # that it has failed.
            time.sleep(PATIENCE)
        if code == RunBusy.exit_code:
            raise RunBusy(f"{self.job.dir.name}: another process is training this cell")
        done = finished_run(self.job.dir, self.config_hash)
        if done is None:
            words: str | None = None
            with suppress(EOFError, OSError):  # none when it was killed
                words = self.words.recv()
            raise CellFailed(_reason(self.job, code, words))
        return _highest(done)


def run_cell(train: Train, config: dict[str, Any], job: Job) -> float:
    """Train one cell, or find it finished. The highest val/acc.

    Args:
        train: what a cell does, `fmnist.train.train`; the process imports it by its name.
        config: checked and resolved, see `fmnist.config.check.check`.
        job: where the cell goes and what it is called.

    Raises:
        CellFailed: it did not come to its end; the message says why.
        RunBusy: another process is training it.
        KeyboardInterrupt: Ctrl-C, after the cell has stopped.
        SystemExit: SIGTERM, likewise.
    """
    cell = start_cell(train, config, job)
    if isinstance(cell, float):
        return cell
    with stopped_together([cell]):
        wait([cell.process.sentinel])
    return cell.result()


def start_cell(train: Train, config: dict[str, Any], job: Job) -> CellProcess | float:
    """Begin to train one cell in a process of its own; the result, if it has finished before.

    The arguments are those of `run_cell`.
    """
    done = finished_run(job.dir, name := config_hash(config))
    if done is not None:
        return _highest(done)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *prepare(config["logger"])])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    resource_tracker.ensure_running()  # first: starting it unblocks SIGTERM
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    forkserver.ensure_running()  # inherits the mask
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_train_here, args=(train, config, job, sender))
    process.start()
    sender.close()
    return CellProcess(job, name, process, receiver)


@contextmanager
def stopped_together(cells: Collection[CellProcess]) -> Iterator[None]:
    """What stops this process stops the cells first: Ctrl-C, SIGTERM, an error.

    Args:
        cells: that run at that moment; the collection may change until then.
    """
    try:
        yield
    except BaseException as error:
        _stop(cells, error)
        raise


def _stop(cells: Collection[CellProcess], reason: BaseException) -> None:
    """Return when all cells have ended, however often this process is told to stop meanwhile."""
    while running := [cell for cell in cells if cell.process.exitcode is None]:
        try:
            if not isinstance(reason, KeyboardInterrupt):  # which the cells have had, too
                for cell in running:
                    cell.process.terminate()
            for cell in running:
                cell.process.join()
        except (KeyboardInterrupt, SystemExit) as error:  # see `fmnist.sweeps.job.sigterm_exits`
            reason = error


def _highest(run: Run) -> float:
    return float(run.record["metrics"]["val/acc_best"])


def _train_here(train: Train, config: dict[str, Any], job: Job, words: Connection) -> None:
    """The cell's process: train, and exit with a code. The record holds everything else."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # it is for the launcher
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    _configure_logging(job)
    try:
        train(config, job)
    except BaseException as error:  # sys.exit(0) in a cell is no success either
        # Normally in the record as well, but for a disk that is full.
        words.send(f"{type(error).__name__}: {error}")
        code = error.exit_code if isinstance(error, UserError) else signal_exit_code(error)
        sys.exit(code or 1)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _configure_logging(job: Job) -> None:
    """train.log as in every run; the terminal only when no other cell writes there."""
    if not job.logging.get("root"):
        return
    if not job.alone:
        root = job.logging["root"]
        root["handlers"] = [name for name in root["handlers"] if name != "console"]
    logging.config.dictConfig(job.logging)


def _reason(job: Job, code: int, words: str | None) -> str:
    """Why the cell has not finished; a record that does not say so yet is made to."""
    reason = words or _by(code)
    try:
        run = load_run(job.dir)
    except RunError:
        return reason
    if run.record["status"] == "failed":
        return str(run.record["error"])
    with suppress(OSError, RunBusy), claimed(run.dir):  # a full disk; somebody goes on already
        run.update(status="failed", error=reason, traceback=None)
    return reason


def _by(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ": out of memory, or by hand" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"
