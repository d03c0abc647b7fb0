"""What a net costs: parameters, and operations of a forward pass."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Sequence

import torch
from torch import nn


def parameter_count(net: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def flops(net: nn.Module, shape: Sequence[int]) -> int:
    """Floating-point operations of one image's forward pass; a multiply-add counts as two.

    Args:
        shape: of the image: channels, height, width.
    """
    from torch.utils.flop_counter import FlopCounterMode

    training = net.training
    net.eval()  # auxiliary heads are no part of it, and batch norm must not see the zeros
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, *shape))
    net.train(training)
    return int(counter.get_total_flops())
