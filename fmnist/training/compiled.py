"""A net's steps by `torch.compile`, where `compile=true` asks for it."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fmnist.config.explain import describe
from fmnist.errors import ConfigError


class CompiledNet:
    """A net as it trains, compiled when the first batch comes, for batches of that size.

    Batches of other sizes, such as an epoch's last one, go through the net as it is, since each
    size would be compiled anew; so do evaluations. It is no module: the net keeps its class, and
    its weights their names in checkpoints.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net, self.size = net, 0
        self.compiled: Callable[[Tensor], Any] | None = None

    def __call__(self, images: Tensor) -> Any:
        """What the net gives in training for images float [B, C, S, S].

        Raises:
            ConfigError: torch cannot compile it here.
        """
        if self.compiled is None:
            return self._first(images)
        if len(images) != self.size:
            return self.net(images)
        return self._step(images)

    def _first(self, images: Tensor) -> Any:
        """The first batch: what is wrong with compiling shows now."""
        # On a GPU, small nets wait for launches: their kernels are recorded and started as one.
        mode = "reduce-overhead" if images.device.type == "cuda" else None
        self.size, self.compiled = len(images), torch.compile(self.net, dynamic=False, mode=mode)
        try:
            return self._step(images)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            name = type(self.net).__name__
            raise ConfigError(
                f"compile=true: torch cannot compile {name} here: {describe(error)}: "
                "should be false"
            ) from error

    def _step(self, images: Tensor) -> Any:
        assert self.compiled is not None
        if images.device.type != "cuda":
            return self.compiled(images)
        # The next replay writes over what this one gives, and logits are kept for an epoch.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        result = self.compiled(images)
        if isinstance(result, tuple):
            return tuple(logits.clone() for logits in result)
        return result.clone()
