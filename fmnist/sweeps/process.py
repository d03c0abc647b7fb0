"""One cell of a sweep: trained in a process of its own, so that nothing it does ends the sweep.

A cell that runs out of memory, calls `sys.exit` or is killed costs itself. Its process, forked from
a server (`fmnist.sweeps.server`), dies with the one that launched it, so no orphan goes on
training.
"""

import gc
import logging.config
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any

from fmnist.config.schema import config_hash
from fmnist.errors import CellFailed, RunBusy, RunError, UserError
from fmnist.process.terminal import SIGTERM_CODE, leave, signal_exit_code
from fmnist.runs.job import Job
from fmnist.runs.lock import locked
from fmnist.runs.record import GIVEN_UP, STOPPED
from fmnist.runs.run import PRUNED, Run, finished_run, load_run, record_stamp
from fmnist.sweeps.server import STOPPING, start_process

TERMINATED = (-signal.SIGTERM, 128 + signal.SIGTERM)
Train = Callable[[dict[str, Any], Job], float]
log = logging.getLogger(__name__)
PATIENCE = 120  # seconds; Slurm's KillWait is 30 by default
GRACE = 10  # seconds in which a cell whose time is up may end by itself
LOST = 255  # multiprocessing's exit code of a process whose server has died before it


@dataclass(eq=False)
class CellProcess:
    """A cell whose process has been started.

    Args:
        job: where the cell goes and what it is called.
        config_hash: of its configuration.
        train, config: what it does, and with what.
        process: that trains it.
        line: to the process: it hears what is passed on, and says its last words. Its end is the
            end of the process, also when the server, which knows the exit code, has died.
        due: when its time is up, on the monotonic clock; None: never.
        stamp: of the record that was there before it; see `record_stamp`.
    """

    job: Job
    config_hash: str
    train: Train
    config: dict[str, Any]
    process: ForkServerProcess
    line: Connection
    due: float | None
    stamp: int | None
    timed_out: bool = False
    words: str | None = None
    closed: bool = False

    def has_ended(self) -> bool:
        """Whether its process is gone."""
        while not self.closed and self.line.poll():
            try:
                self.words = self.line.recv()
            except (EOFError, OSError):
                self.closed = True
        # What the cell has forked may hold the line open when the cell itself is gone.
        return self.closed or self.process.exitcode not in (None, LOST)

    def sentinels(self) -> list[Any]:
        """One of them is ready when the process has ended, or spoken."""
        lost = self.process.exitcode == LOST
        return [self.line] if lost else [self.line, self.process.sentinel]

    def terminate(self, number: int = signal.SIGTERM) -> None:
        """Not multiprocessing's, which takes a process for dead when the server is."""
        if not self.has_ended() and self.process.pid:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def interrupt(self) -> None:
        """Pass on Ctrl-C: the terminal has sent it to all processes, somebody else to one."""
        with suppress(OSError):
            self.line.send("interrupt")

    def end_when_due(self) -> None:
        """End the process when its time is up: with SIGTERM, and after a while with SIGKILL."""
        if self.due is not None and time.monotonic() >= self.due:
            self.terminate(signal.SIGKILL if self.timed_out else signal.SIGTERM)
            self.due = None if self.timed_out else time.monotonic() + GRACE
            self.timed_out = True

    def result(self) -> float:
        """The highest val/acc, once the process has ended.

        Raises:
            CellFailed: it did not come to its end; the message says why.
            RunBusy: another process is training it.
        """
        self.process.join(1)  # the server tells the code a moment after the end
        code = self.process.exitcode
        if code in TERMINATED and "SLURM_JOB_ID" in os.environ and not self.timed_out:
            # Slurm is about to kill the job and may run it again: submitit must not say before
            # that it has failed.
            time.sleep(PATIENCE)
        if code == RunBusy.exit_code:
            raise RunBusy(f"{self.job.dir.name}: another process is training this cell")
        words = f"timed out after {self.job.timeout:g} s" if self.timed_out else self.words
        reason = _record_failure(self, words or how_it_ended(code), self.timed_out)
        if done := finished_run(self.job.dir, self.config_hash):
            return _highest(done)
        raise CellFailed(reason)

    def result_or_again(self) -> "float | CellProcess":
        """The highest val/acc, or the cell begun once more, where `again` does that.

        Raises:
            CellFailed: it did not come to its end, or cannot be begun again.
            RunBusy: another process is training it.
        """
        try:
            return self.result()
        except CellFailed:
            if (again := self.again()) is None:
                raise
            return again

    def again(self) -> "CellProcess | float | None":
        """Begin the cell that has failed once more; None: its retries are used up, or of no use.

        It goes on from its last epoch. What it said of itself in one line (a loss that diverged, a
        setting that is wrong) would come again, and who ended it does not want it back.
        """
        ended = self.process.exitcode in TERMINATED and not self.timed_out
        if self.job.retries < 1 or ended or said_by_itself(self.job):
            return None
        log.warning("crashed, is tried again: %s", self.job.dir.name)
        return start_cell(self.train, self.config, replace(self.job, retries=self.job.retries - 1))


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
    while isinstance(cell, CellProcess):
        with stopped_together([cell]):
            wait_for_one([cell])
        cell = cell.result_or_again()
    return cell


def start_cell(train: Train, config: dict[str, Any], job: Job) -> CellProcess | float:
    """Begin to train one cell in a process of its own; the result, if it has finished before.

    The arguments are those of `run_cell`.

    Raises:
        CellFailed: the process cannot be started.
    """
    done = finished_run(job.dir, name := config_hash(config))
    job = replace(job, config_hash=name)
    if done is not None:
        return _highest(done)
    if (job.dir / PRUNED).exists():
        raise CellFailed(GIVEN_UP)
    stamp = record_stamp(job.dir)
    try:
        process, line = start_process(_train_here, train, config, job, logger=config["logger"])
    except (OSError, EOFError) as error:
        raise CellFailed(f"{job.dir.name}: no process for it: {error}") from error
    due = time.monotonic() + job.timeout if job.timeout else None
    return CellProcess(job, name, train, config, process, line, due, stamp)


def wait_for_one(cells: Collection[CellProcess]) -> list[CellProcess]:
    """The cells that have ended, as soon as there is one; those whose time is up are ended."""
    while not (ended := [cell for cell in cells if cell.has_ended()]):
        due = min((cell.due for cell in cells if cell.due is not None), default=None)
        seconds = None if due is None else max(0.0, due - time.monotonic())
        wait([sentinel for cell in cells for sentinel in cell.sentinels()], seconds)
        for cell in cells:
            cell.end_when_due()
    return ended


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
    told: BaseException | None = None
    stopped = [cell for cell in cells if not cell.has_ended()]
    while running := [cell for cell in cells if not cell.has_ended()]:
        try:
            if told is not reason:
                told = reason
                for cell in running:
                    cell.interrupt() if isinstance(reason, KeyboardInterrupt) else cell.terminate()
            wait_for_one(running)
        except (KeyboardInterrupt, SystemExit) as error:  # see `sigterm_exits`
            reason = error
    code = signal_exit_code(reason) or SIGTERM_CODE
    for cell in stopped:  # that died before it could say so itself
        _record_failure(cell, STOPPED[code], mine=False)


def _highest(run: Run) -> float:
    return run.record.metrics["val/acc_best"]


def _train_here(train: Train, config: dict[str, Any], job: Job, line: Connection) -> None:
    """The cell's process: train, and exit with a code. The record holds everything else."""
    code = 0
    gc.freeze()  # what the server has made is no garbage: no collection looks at it
    try:
        logging.raiseExceptions = False  # a full disk: what fails says so, every line of log not
        threading.Thread(target=_hear, args=(line, _interrupts()), daemon=True).start()
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # it is for the launcher
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        _configure(job)
        train(config, job)
    except BaseException as error:  # sys.exit(0) in a cell is no success either
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(OSError):  # normally in the record as well, but for a disk that is full
            line.send(f"{type(error).__name__}: {error}")
        own = error.exit_code if isinstance(error, UserError) else signal_exit_code(error)
        code = own or 1
    leave(code)


def _interrupts() -> int:
    """A file to which the number of every signal that this process catches is written."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _hear(line: Connection, caught: int) -> None:
    """In a thread of the cell: end it with its sweep, and interrupt it when it is passed on.

    A terminal interrupts every process, `kill` only the sweep's. What the sweep passes on counts
    where the cell has not had it already: a second interrupt would not wait for the step's end.
    """
    passed_on, had = 0, 0
    while True:
        try:
            line.recv()
        except (EOFError, OSError):
            os.kill(os.getpid(), signal.SIGKILL)
        passed_on += 1
        time.sleep(0.2)  # the terminal's own is on its way
        with suppress(BlockingIOError):
            had += os.read(caught, 4096).count(signal.SIGINT)
        if passed_on > had:
            os.kill(os.getpid(), signal.SIGINT)


def _configure(job: Job) -> None:
    """The cell's variables, and train.log as in every run; the terminal is the sweep's."""
    os.environ.update(job.env)
    threads = job.env.get("OMP_NUM_THREADS", "").partition(",")[0]
    if threads.isdecimal() and "torch" in sys.modules:  # the server has imported it before
        import torch

        torch.set_num_threads(max(1, int(threads)))
    if sys.stderr.isatty():  # bars, and what a net prints, would be drawn into the sweep's table
        with suppress(OSError), (job.dir / job.log).open("ab") as file:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(file.fileno(), stream.fileno())
    if root := job.logging.get("root"):
        root["handlers"] = [name for name in root.get("handlers", []) if name != "console"]
        logging.config.dictConfig(job.logging)


def _record_failure(cell: CellProcess, reason: str, mine: bool) -> str:
    """Why the cell has not finished, for its record as well.

    Args:
        reason: what this process knows.
        mine: whether this process ended the cell: then it knows better than the record.
    """
    # Under the lock, so that nobody else is finishing the run just now. A full disk, or somebody
    # who goes on already: the reason is said all the same.
    with suppress(OSError, RunBusy, RunError), locked(cell.job.dir):
        run = load_run(cell.job.dir)
        # A record from before the cell tells how an earlier process ended.
        own = record_stamp(cell.job.dir) != cell.stamp
        if run.record.status == "failed" and own and not mine:
            return str(run.record.error)
        if run.record.status != "finished" and run.record.config_hash == cell.config_hash:
            run.write(replace(run.record, status="failed", error=reason, traceback=None))
    return reason


def said_by_itself(job: Job) -> bool:
    """Whether a cell ended with an error of ours, which is no crash."""
    try:
        trace = load_run(job.dir).record.traceback or ""
    except RunError:
        return False
    return trace.rstrip().rpartition("\n")[2].startswith(f"{UserError.__module__}.")


def how_it_ended(code: int | None) -> str:
    """A process, by its exit code."""
    if code is None or code == LOST:
        return "its process ended, and nobody knows how: the server that started it was killed"
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ": out of memory, or by hand" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"
