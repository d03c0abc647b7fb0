"""Losses and logits that are no numbers end a run, with what may help."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fmnist.errors import Diverged

log = logging.getLogger(__name__)

ABSURD = 1e8  # a loss that is finite, and says no more than one that is not
REMEDY = "training diverged; a lower optim.lr or gradient_clip_val=1 may help"


def refuse_divergence(split: str, loss: float, logits: Tensor, where: str = "") -> None:
    """A loss or logits that are no numbers end a run; a loss that is absurd is said.

    Raises:
        Diverged: naming the split and what was found.
    """
    name = {"val": "validation"}.get(split, split)
    if not math.isfinite(loss):
        raise Diverged(f"the {name} loss is {loss}{where}: {REMEDY}")
    if not bool(torch.isfinite(logits).all()):
        raise Diverged(f"the {name} logits are not all finite{where}: {REMEDY}")
    if loss >= ABSURD:
        log.warning("WARNING the %s loss is %.3g%s: finite, but absurd", name, loss, where)


def refuse_steps(losses: Sequence[Tensor], steps: Sequence[int], epoch: int) -> None:
    """A step whose loss is no number ends a run.

    Args:
        losses: [] of batches that follow each other; at least one.
        steps: the number of each one's step.

    Raises:
        Diverged: naming the first such step.
    """
    values = [losses[0].item()] if len(losses) == 1 else torch.stack(list(losses)).tolist()
    for step, value in zip(steps, values, strict=True):
        if not math.isfinite(value):
            raise Diverged(f"the loss is {value} at epoch {epoch}, step {step}: {REMEDY}")
