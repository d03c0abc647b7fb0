"""How checkpoints are written, whole or not at all, and which are not gone on from."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import io
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fmnist.errors import RunError
from fmnist.runs.run import write_atomically


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's writer leaves half a file under the final name when the disk is full."""

    verified = False

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        if not self.verified:  # once: later checkpoints of a run hold the same kinds of things
            verify(buffer)
            self.verified = True
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), buffer.getvalue())


def verify(buffer: io.BytesIO) -> None:
    """Load a checkpoint back as every reader of it will: better found after one epoch than at last.

    Raises:
        RunError: it holds what only running code could load.
    """
    buffer.seek(0)
    try:
        torch.load(buffer, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"a {found[1]}" if found else "something"
        raise RunError(
            f"checkpoint: holds {what} that cannot be loaded back safely: what net, optimiser and "
            "schedule keep as their state should be tensors and plain values"
        ) from error


def refuse_other_order(there: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """An optimiser knows its tensors by their places: it would take one's state for another's.

    Layers that are not the same at all, torch refuses itself.

    Args:
        there, own: state of the checkpoint's module, and of the module that is to go on.

    Raises:
        RunError: the same layers stand in another order.
    """
    if list(there) != list(own) and sorted(there) == sorted(own):
        moved = next(name for name, other in zip(own, there, strict=True) if name != other)
        raise RunError(
            f"{moved}: stands elsewhere among the net's layers in the checkpoint, which is of "
            "other code: init_from takes its weights, but its training cannot go on"
        )
