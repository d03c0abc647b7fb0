"""What a net keeps beside its weights, as batch norm does, where several processes train it."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import torch
from lightning.pytorch import LightningModule


def share_buffers(module: LightningModule) -> None:
    """Give every process the buffers of the first one, which writes the checkpoints.

    DDP does so before a forward pass, where it sees one: of a group of steps it sees none, and
    after one no validation either. Each process would validate with statistics of its own.
    """
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not distributed or module.trainer.world_size == 1:
        return
    buffers = list(module.buffers())
    for kind in dict.fromkeys(each.dtype for each in buffers):  # one message each
        some = [each for each in buffers if each.dtype == kind]
        flat = torch.cat([each.flatten() for each in some])
        torch.distributed.broadcast(flat, 0)
        parts = flat.split([each.numel() for each in some])  # type: ignore[no-untyped-call]
        for each, values in zip(some, parts, strict=True):
            each.copy_(values.view_as(each))
