"""How checkpoints are written, whole or not at all, and how one is gone on from."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from fmnist.errors import RunError
from fmnist.runs.run import read_checkpoint, write_atomically

BEFORE = "best.before.ckpt"  # of last.ckpt's rows, once a later one is best.ckpt


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
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.name == "best.ckpt":
            keep_before(file)
        write_atomically(file, buffer.getvalue())
        if file.name == "last.ckpt":
            file.with_name(BEFORE).unlink(missing_ok=True)


def keep_before(best: Path) -> None:
    """A run that is killed before its next last.ckpt goes on from rows whose best one this is."""
    before = best.with_name(BEFORE)
    if before.exists() or not (best.exists() and best.with_name("last.ckpt").exists()):
        return
    try:
        before.hardlink_to(best)
    except OSError:  # a file system that has no links
        write_atomically(before, best.read_bytes())


def back_to_rows(folder: Path, best: Mapping[str, float]) -> None:
    """Undo what was written as best.ckpt in an epoch that a kill took back.

    Trained again it may score less, where hardware does not repeat itself.

    Args:
        best: of the rows that the run goes on from.
    """
    before = folder / BEFORE
    if not before.exists():
        return
    if read_checkpoint(before)["history"][-1] == best:
        os.replace(before, folder / "best.ckpt")
    before.unlink(missing_ok=True)  # killed after last.ckpt, or two links of one file


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


def lay_out_states(checkpoint: Mapping[str, Any], memory_format: torch.memory_format) -> None:
    """Bring what optimisers keep into the memory format of the net that goes on.

    A fused step goes through weights, gradients and state as they lie in memory: in two formats it
    would take one weight's state for another's, and say nothing.

    Args:
        checkpoint: as it is loaded.
        memory_format: of the net's weights.
    """
    for optimizer in checkpoint.get("optimizer_states", ()):
        for state in filter(lambda kept: isinstance(kept, dict), optimizer["state"].values()):
            for name, value in state.items():
                if isinstance(value, Tensor) and value.ndim == 4:
                    state[name] = value.contiguous(memory_format=memory_format)


def begin_next_epoch(checkpoint: Mapping[str, Any], max_steps: int) -> None:
    """Put Lightning's counters of an epoch that had ended to the beginning of the next one.

    Else, where `max_steps` is given, it ends that epoch once more, and counts it twice: a run that
    was stopped would train an epoch less than `max_epochs`.

    Args:
        checkpoint: as it is loaded; one from within an epoch, or of weights alone, stays as it is.
        max_steps: of the Trainer; -1, no limit: Lightning's counters are right as they are.
    """
    if max_steps == -1 or "loops" not in checkpoint:
        return
    loop = checkpoint["loops"]["fit_loop"]
    epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    if epochs["current"]["processed"] == epochs["current"]["ready"] and batches["is_last_batch"]:
        for counts in epochs.values():
            counts["completed"] = counts["processed"]
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False
