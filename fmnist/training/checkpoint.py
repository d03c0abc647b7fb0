"""How checkpoints are written: whole or not at all."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import io
import re
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
