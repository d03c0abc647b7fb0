"""The modes of a net, training or evaluation, part by part."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """A net in eval mode; afterwards each part of it is in the mode in which it was.

    A part that is frozen is in eval mode while the others train, and Lightning leaves it there.
    """
    modes = [(part, part.training) for part in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
