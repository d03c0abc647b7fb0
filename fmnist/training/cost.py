"""What a net costs: parameters, and operations of a forward pass."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fmnist.training.modes import evaluating


def parameter_count(net: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def flops(net: nn.Module, shape: Sequence[int]) -> int:
    """Floating-point operations of one image's forward pass; a multiply-add counts as two.

    Those of convolutions, linear layers and attention, as torch counts them; of recurrent layers
    (nn.LSTM, nn.GRU, nn.RNN) none.

    Args:
        shape: of the image: channels, height, width.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a layer in one piece, which is not counted
    try:
        return _counted(net, torch.zeros(1, *shape))
    except ValueError:  # batch norm that keeps no statistics, which a single image has not
        return _counted(net, torch.zeros(2, *shape)) // 2
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _counted(net: nn.Module, images: Tensor) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    # Auxiliary heads are no part of it, and batch norm must not see the zeros.
    with evaluating(net), torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(images)
    return int(counter.get_total_flops())
