"""The exponential moving average of a net's weights and buffers over its steps."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from functools import cache, partial

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = tuple[Tensor, ...] | list[Tensor]
_of_numbers = cache(get_ema_multi_avg_fn)  # by decay


def moving_average(net: nn.Module, decay: float) -> AveragedModel:
    """Of all numbers of a net; an index or a counter is that of the net.

    Torch would average those as well, and cut off what is behind the point: 2 becomes 1.

    Args:
        net: whose copy it is; `update_parameters` makes it follow.
        decay: in (0, 1): of the average, in every step.
    """
    made = AveragedModel(net, multi_avg_fn=partial(_update, decay=decay), use_buffers=True)
    made.requires_grad_(False)  # DDP waits for gradients of what could have one
    return made


def _update(averages: Tensors, current: Tensors, count: Tensor | int, *, decay: float) -> None:
    """Of one type and device, as torch gives them. A function that processes can be sent."""
    if averages[0].is_floating_point() or averages[0].is_complex():
        _of_numbers(decay)(averages, current, count)
    else:
        for kept, now in zip(averages, current, strict=True):
            kept.copy_(now)
