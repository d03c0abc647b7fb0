"""The processes of one run: one a device, started here.

Lightning's `ddp` starts its other processes with this process's command line, which inside a Hydra
sweep is the whole sweep; and where one of them fails it kills this process without a word. So it
is told that somebody else starts them, as a cluster does. Each is given the run's directory, whose
record holds the configuration; it trains, and says and writes nothing.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fmnist.errors import ProcessFailed, UserError
from fmnist.process.machine import allowed_cores
from fmnist.process.polling import polling
from fmnist.runs.run import Run

# What belongs to the processes of one run, and would be left behind for a sweep's next one.
PROCESS_VARIABLES = (
    "LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "PL_GLOBAL_SEED", "OMP_NUM_THREADS",
)  # fmt: skip
COMMAND = "from fmnist.train import train_beside; train_beside()"
POLL = 0.2  # seconds between looks at the other processes
GRACE = 10.0  # seconds in which this process may notice by itself that another one is gone
LAST_WORDS = 2.0  # seconds that another process may take to end when this one has failed


class StartedHere(LightningEnvironment):
    """One machine, on which Lightning is to start no processes."""

    @property
    def creates_processes_externally(self) -> bool:
        return True


class EndOnSigterm(Callback):
    """With several processes, SIGTERM ends the main one at once, and with it the others.

    Lightning's handler would first exchange a message that the others do not expect: all hang.
    """

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Not at the fit's start: Lightning would put its own handler over ours."""

        def end(number: int, frame: object) -> None:
            raise SIGTERMException

        if trainer.world_size > 1 and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, end)  # until the fit's end: Lightning restores its own


@dataclass(frozen=True, eq=False)
class Other:
    """Another process of the run.

    Args:
        number: for people: the first one is this process.
        process: whose standard input ends with this process, and with that it ends, too.
        errors: what it wrote to its standard error.
    """

    number: int
    process: "subprocess.Popen[bytes]"
    errors: IO[bytes]

    def failure(self) -> str | None:
        """Why it has ended; None while it lives, and when it came to its end."""
        code = self.process.poll()
        if not code:
            return None
        self.errors.seek(0)
        lines = [line for line in self.errors.read().decode(errors="replace").splitlines() if line]
        if code < 0:
            hint = ": out of memory, or by hand" if code == -signal.SIGKILL else ""
            lines = [f"killed by {signal.Signals(-code).name}{hint}"]
        return f"process {self.number}: {lines[-1] if lines else f'exit code {code}'}"


@contextmanager
def other_processes(trainer: Trainer, run: Run | None) -> Iterator[None]:
    """Around one fit: the other processes of the run. Afterwards no trace of them is left.

    Args:
        trainer: says how many there are.
        run: whose configuration they train; None: this is one of them.

    Raises:
        ProcessFailed: one of them failed, and this one because of it.
    """
    if run is None or trainer.world_size == 1:
        yield
        return
    before = {variable: os.environ.get(variable) for variable in PROCESS_VARIABLES}
    threads = torch.get_num_threads()
    if before["OMP_NUM_THREADS"] is None:
        share = max(1, allowed_cores() // trainer.world_size)
        os.environ["OMP_NUM_THREADS"] = str(share)
        torch.set_num_threads(share)
    others = [_start(trainer, run, rank) for rank in range(1, trainer.world_size)]
    try:
        with polling(_end_when_others_fail(others, run), POLL):
            yield
    except Exception as error:
        if not isinstance(error, UserError) and (reason := _root_cause(others, error)):
            raise ProcessFailed(reason) from error
        raise
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for other in others:
            other.process.kill()  # it has nothing left to do that anybody needs
            other.process.communicate()
            other.errors.close()
        torch.set_num_threads(threads)
        for variable, value in before.items():
            os.environ.pop(variable, None)
            if value is not None:
                os.environ[variable] = value


def _start(trainer: Trainer, run: Run, rank: int) -> Other:
    """Start one process. What goes wrong with it is its failure, not this process's."""
    environment = trainer.strategy.cluster_environment  # type: ignore[attr-defined]
    variables = {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(trainer.world_size),
        "MASTER_ADDR": environment.main_address,
        "MASTER_PORT": str(environment.main_port),
    }
    errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(run.dir)],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,  # Ctrl-C is for this process: it stops after its step
    )
    return Other(rank + 1, process, errors)


def _failure(others: list[Other]) -> str | None:
    return next((reason for other in others if (reason := other.failure())), None)


def _root_cause(others: list[Other], error: Exception) -> str | None:
    """The other process's failure that made this one fail, if it was so.

    Where this process failed for its own reason, the others wait for it; where both failed for
    one reason, either tells it.
    """
    for other in others:
        with suppress(subprocess.TimeoutExpired):
            other.process.wait(LAST_WORDS)
    reason = _failure(others)
    return reason if reason and str(error).partition("\n")[0] not in reason else None


def _end_when_others_fail(others: list[Other], run: Run) -> Callable[[], None]:
    """To be called again and again: ends this process when it goes on waiting for a failed one."""
    failed_at: float | None = None

    def look() -> None:
        nonlocal failed_at
        if not (reason := _failure(others)):
            return
        failed_at = failed_at or time.monotonic()
        if time.monotonic() - failed_at < GRACE:
            return
        with suppress(OSError):
            run.write(replace(run.record, status="failed", error=reason, traceback=None))
        if multiprocessing.parent_process() is None:  # else the sweep says it
            print(f"error: {reason}", file=sys.stderr, flush=True)
        os._exit(ProcessFailed.exit_code)

    return look


@contextmanager
def beside_main_process() -> Iterator[None]:
    """In another process: it ends with the main one, and says in a line why it failed."""

    def wait_for_its_end() -> None:
        os.read(sys.stdin.fileno(), 1)  # not sys.stdin's own: an ordinary end would wait for it
        os._exit(1)

    threading.Thread(target=wait_for_its_end, daemon=True).start()
    try:
        yield
    except Exception as error:
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        first = str(root).strip().partition("\n")[0]
        message = first if isinstance(root, UserError) else f"{type(root).__name__}: {first}"
        print(message, file=sys.stderr, flush=True)
        os._exit(1)
