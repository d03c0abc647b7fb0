"""Callbacks that stop or hold a command at a moment that no clock decides."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback


class Stop(Callback):
    """Sends a signal once two epochs are over, here and in as many cells as are asked for.

    Args:
        number: of the signal.
        pids: processes that get it; 0: this one.
        folder: of the sweep; ours of several cells is the only one that stops.
        cells: that have written a checkpoint by then.
    """

    def __init__(self, number: int, pids: list[int], folder: str = ".", cells: int = 1) -> None:
        self.number, self.pids, self.folder, self.cells = number, pids, Path(folder), cells

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        begun = list(self.folder.rglob("last.ckpt"))
        if trainer.current_epoch < 2 or len(begun) < self.cells:
            return
        try:
            (self.folder / "stopped").touch(exist_ok=False)
        except FileExistsError:
            return
        for pid in self.pids:
            os.kill(pid or os.getpid(), self.number)


class StopEarly(Callback):
    """Sends SIGTERM while the trainer is built: Lightning does not listen yet.

    Args:
        pid: of the process that gets it; 0: this one.
        deaf: whether this process would die of SIGTERM, and say nothing.
    """

    def __init__(self, pid: int, deaf: bool) -> None:
        if deaf:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(pid or os.getpid(), signal.SIGTERM)
        time.sleep(60)


def stopping_early(pid: int, *, deaf: bool = False) -> list[str]:
    """The arguments of a run, or a sweep, that is stopped before it has begun to train."""
    return [
        f"+callbacks.stop._target_={__name__}.StopEarly", f"+callbacks.stop.pid={pid}",
        f"+callbacks.stop.deaf={deaf}",
    ]  # fmt: skip


def stopping(number: signal.Signals, *pids: int, folder: Path, cells: int = 1) -> list[str]:
    """The arguments of a run, or a sweep, that would never end but for this signal."""
    return [
        "trainer.max_epochs=10000", "patience=null", f"+callbacks.stop._target_={__name__}.Stop",
        f"+callbacks.stop.number={int(number)}", f"+callbacks.stop.pids={[*pids]}",
        f"+callbacks.stop.folder={folder}", f"+callbacks.stop.cells={cells}",
    ]  # fmt: skip


class Hold(Callback):
    """Holds a run at the start of its second epoch until so many files are there.

    Args:
        files: a pattern, from the working directory.
    """

    def __init__(self, files: str, count: int) -> None:
        self.files, self.count = files, count

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == 1:
            while len(list(Path().glob(self.files))) < self.count:
                time.sleep(0.01)


def holding(files: str, count: int = 1) -> list[str]:
    """The arguments of runs that are held."""
    return [
        f"+callbacks.hold._target_={__name__}.Hold", f"+callbacks.hold.files='{files}'",
        f"+callbacks.hold.count={count}",
    ]  # fmt: skip
