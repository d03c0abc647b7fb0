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
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from fmnist.config import config_hash
from fmnist.errors import CellFailed, RunBusy, RunError, UserError
from fmnist.launch import Launch
from fmnist.run import Run, claimed, finished_run, load_run, signal_exit_code

# Imported once by the server; none of them starts a thread or touches a GPU.
PRELOADED = [
    "torch", "torch._dynamo", "torch.utils.flop_counter", "lightning.pytorch.loggers", "wandb",
    "hydra", "fmnist.callbacks", "fmnist.classifier", "fmnist.data.datamodule",
    "fmnist.loggers",
]  # fmt: skip


def run_cell(config: dict[str, Any], launch: Launch) -> float:
    """Train one cell, or find it finished. The highest val/acc.

    Args:
        config: checked and resolved, see `fmnist.config.check`.
        launch: where the cell goes and what it is called.

    Raises:
        CellFailed: it did not come to its end; the message says why.
        RunBusy: another process is training it.
        KeyboardInterrupt: Ctrl-C, after the cell has stopped.
        SystemExit: SIGTERM, likewise.
    """
    done = finished_run(launch.dir, name := config_hash(config))
    if done is None:
        code = _in_process(config, launch)
        if code == RunBusy.exit_code:
            raise RunBusy(f"{launch.dir.name}: another process is training this cell")
        done = finished_run(launch.dir, name)
    if done is None:
        raise CellFailed(_reason(launch, code))
    return float(done.record["metrics"]["val/acc_best"])


def _in_process(config: dict[str, Any], launch: Launch) -> int:
    """The exit code of a process that trains the cell; minus the number of what killed it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_train_here, args=(config, launch))
    process.start()
    stopped: BaseException | None = None
    while process.exitcode is None:
        try:
            process.join()
        except KeyboardInterrupt as error:  # the cell has it too, and stops after its step
            stopped = error
        except SystemExit as error:  # SIGTERM, see `fmnist.sweep.launch`
            process.terminate()
            stopped = error
    if stopped:
        raise stopped
    return process.exitcode


def _train_here(config: dict[str, Any], launch: Launch) -> None:
    """The cell's process: train, and exit with a code. The record holds everything else."""
    from fmnist.train import train

    threading.Thread(target=_die_with_parent, daemon=True).start()
    if hasattr(signal, "SIGUSR2"):  # clusters send it to every process; it is for the launcher
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    _configure_logging(launch)
    try:
        train(config, launch)
    except UserError as error:
        sys.exit(error.exit_code)
    except (SystemExit, KeyboardInterrupt) as error:
        sys.exit(signal_exit_code(error) or 1)  # sys.exit(0) in a cell is no success either
    except Exception as error:  # its traceback stands in the record
        sys.exit(signal_exit_code(error) or 1)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _configure_logging(launch: Launch) -> None:
    """train.log as in every run; the terminal only when no other cell writes there."""
    if not launch.logging.get("root"):
        return
    if not launch.alone:
        root = launch.logging["root"]
        root["handlers"] = [name for name in root["handlers"] if name != "console"]
    logging.config.dictConfig(launch.logging)


def _reason(launch: Launch, code: int) -> str:
    """Why the cell has not finished; a record that does not say so yet is made to."""
    try:
        run = load_run(launch.dir)
    except RunError:
        return f"ended with exit code {code} before its record began" if code >= 0 else _by(code)
    if run.record["status"] != "failed":
        _record_failure(run, _by(code))
    return str(run.record["error"])


def _by(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ": out of memory, or by hand" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


def _record_failure(run: Run, error: str) -> None:
    run.record["error"] = error
    with suppress(OSError, RunBusy), claimed(run.dir):  # a full disk; somebody goes on already
        run.update(status="failed", traceback=None)
