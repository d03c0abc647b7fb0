"""How checkpoints are written: whole or not at all."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fmnist.runs.run import write_atomically


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's writer leaves half a file under the final name when the disk is full."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), buffer.getvalue())
