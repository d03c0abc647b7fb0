"""The server from which the processes of a sweep are forked: it has imported everything once.

It is `multiprocessing`'s forkserver. A process that it forks begins at once, and does not need it
afterwards: when it is killed, the cells train on, and the next one starts another.
"""

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from fmnist.tracking.loggers import prepare

# Imported once by the server; none of them starts a thread or touches a GPU. The command itself,
# `fmnist.train`, multiprocessing runs in every cell anew: here is all that it imports.
PRELOADED = [
    "fmnist.process.startup", "torch.utils.flop_counter", "lightning.pytorch.loggers", "wandb",
    "hydra", "fmnist.sweeps.process", "fmnist.sweeps.names", "fmnist.config.compose",
    "fmnist.runs.before", "fmnist.training.build", "fmnist.training.trainer",
    "fmnist.training.predict", "fmnist.training.preflight", "fmnist.training.shorter",
    "fmnist.training.start", "fmnist.training.limits", "fmnist.tracking.dashboard",
    "fmnist.config.trusted", "fmnist.data.cifar", "fmnist.data.drawn", "fmnist.data.idx",
    "fmnist.runs.bits",
    # What torch imports for its first step backward and its first checkpoint.
    "torch.nested._internal.nested_tensor", "torch.utils.serialization.config",
]  # fmt: skip

# What a cluster sends to every process of a job that it stops. The server, which knows no handlers,
# would die of them, and nobody would learn how its cells end.
STOPPING = (signal.SIGTERM, signal.SIGUSR2)
SOCKET_PATH = 107  # bytes that the path of a socket may have
SOCKET_NAME = len("/pymp-xxxxxxxx/listener-xxxxxxxx")  # what multiprocessing adds to the folder


def start_process(
    target: Callable[..., None], *arguments: Any, logger: dict[str, Any]
) -> tuple[ForkServerProcess, Connection]:
    """A process of the server's, and a line to it, whose other end is the last argument.

    Args:
        target: a function that can be imported by its name.
        logger: node of the configuration, for what the server should import.

    Raises:
        OSError, EOFError: it cannot be started.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *prepare(logger)])
    for last in (False, True):
        ours, its = context.Pipe()
        process = context.Process(target=target, args=(*arguments, its))
        try:
            with _short_temporary_folder():  # of a server that has ended only now, as well
                _ensure_server()
                process.start()
            break
        except (OSError, EOFError):  # the server has been killed in this moment
            if last:
                raise
            time.sleep(0.2)
        finally:
            its.close()
    return process, ours


def ask(
    target: Callable[..., Iterable[Any]], *arguments: Any, logger: dict[str, Any]
) -> tuple[list[Any], int | None]:
    """What a function gives, one thing after another, in a process of the server's; its exit code.

    It may crash there: that costs what it had not given yet.

    Args:
        target, logger: see `start_process`.
    """
    process, line = start_process(_say, target, arguments, logger=logger)
    said = []
    with suppress(EOFError, OSError):  # the process has ended
        while True:
            said.append(line.recv())
    process.join()
    return said, process.exitcode


def _say(
    target: Callable[..., Iterable[Any]], arguments: tuple[Any, ...], line: Connection
) -> None:
    """In the other process."""
    try:
        for answer in target(*arguments):
            line.send(answer)
    except (KeyboardInterrupt, OSError):  # the sweep has had it, too; or has ended
        os._exit(1)


def _ensure_server() -> None:
    """Start the server, unless it runs; one that was killed is started again."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    resource_tracker.ensure_running()  # first: starting it unblocks SIGTERM
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    forkserver.ensure_running()  # inherits the mask
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _short_temporary_folder() -> Iterator[None]:
    """The server's socket lies in the temporary folder, whose name can be too long for one."""
    before, most = tempfile.tempdir, SOCKET_PATH - SOCKET_NAME
    folders = [tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp", "/var/tmp"]
    usable = [name for name in folders if os.access(name, os.W_OK | os.X_OK)]
    tempfile.tempdir = next((name for name in usable if len(os.fsencode(name)) <= most), before)
    try:
        yield
    finally:
        tempfile.tempdir = before
