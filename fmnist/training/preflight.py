"""A net is tried once before anything is trained: two black images in, logits out, a gradient.

What is wrong with somebody's own net is thereby one line that says what was expected and what came,
and it comes before there is a run directory.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from fmnist.config.explain import describe, explain
from fmnist.config.words import kind
from fmnist.errors import ConfigError
from fmnist.training.modes import evaluating
from fmnist.training.random_state import same_random_states

if TYPE_CHECKING:
    from fmnist.data.datamodule import ImageData

BATCH = 2  # the least that batch norm takes while it trains


def try_net(make: Callable[[], Any], image: Sequence[int], num_classes: int) -> nn.Module:
    """A net of its own for the trial, used as a run will: evaluate, train.

    The states of the random generators are afterwards as they were.

    Args:
        make: builds the net.
        image: shape of one, (channels, height, width).
        num_classes: how many logits there should be.

    Raises:
        ConfigError: the net cannot be built or used; says where in the user's own code, or what
            was expected and what came.
    """
    with same_random_states():
        try:
            net: nn.Module = make()
        except Exception as error:
            raise ConfigError(f"model: {explain(error, []) or describe(error)}") from error
        name = _check_module(net)
        images = torch.zeros(BATCH, *image)
        wanted = [BATCH, num_classes]
        try:
            with torch.no_grad():
                logits = net.eval()(images)
            _check_logits(logits, wanted, f"{name} in eval mode")
            result = net.train()(images)
            parts = result if isinstance(result, tuple) else (result,)
            for part in parts:
                _check_logits(part, wanted, f"{name} in training")
            _check_gradient(name, parts)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"model: {name}: {describe(error)}; it was given images {list(images.shape)}"
            ) from error
        return net


def try_net_on(data: "ImageData", make: Callable[[], Any]) -> nn.Module:
    """A net of its own, tried on images as the data are, and as augmentation makes them.

    Args:
        make: builds the net.

    Raises:
        ConfigError: see `try_net`; or it does not take images of the size that augmentation gives.
    """
    facts, trained = data.load(), data.trained_shape
    classes = len(facts.classes)
    net = try_net(make, facts.shape, classes)
    if trained != facts.shape:
        try:
            try_net(make, trained, classes)
        except ConfigError as error:
            name = type(data.augment).__name__
            raise ConfigError(f"aug: {name} gives images {trained}, on which {error}") from error
    return net


def takes_channels_last(net: nn.Module, image: Sequence[int]) -> bool:
    """Whether a net works in channels-last memory: one that takes a `view` of images does not.

    Args:
        net: which works otherwise; its memory is contiguous afterwards.
        image: shape of one.
    """
    last = torch.channels_last
    with same_random_states(), evaluating(net), torch.no_grad():
        try:
            images = torch.zeros(BATCH, *image).contiguous(memory_format=last)
            net.to(memory_format=last)(images)
        except RuntimeError:
            return False
        finally:
            net.to(memory_format=torch.contiguous_format)
    return True


def _check_module(net: Any) -> str:
    """The net's name, if it is one that can be trained."""
    name = type(net).__name__
    if not isinstance(net, nn.Module):
        raise ConfigError(f"model: its target gives {kind(net)}: should be a torch.nn.Module")
    parameters = list(net.parameters())
    if any(isinstance(each, UninitializedParameter) for each in parameters):
        raise ConfigError(
            f"model: {name} has lazy layers, without a shape until they are used: "
            "should be given their sizes"
        )
    if not any(each.requires_grad for each in parameters):
        raise ConfigError(f"model: {name} has no parameters that can be trained")
    return name


def _check_logits(logits: Any, wanted: list[int], what: str) -> None:
    if not isinstance(logits, Tensor):
        hint = " (tuples: with auxiliary heads, in training only)"
        raise ConfigError(f"model: {what} gives {kind(logits)}: should be logits {wanted}{hint}")
    if list(logits.shape) != wanted or not logits.is_floating_point():
        raise ConfigError(
            f"model: {what} gives {kind(logits)} for {BATCH} images: "
            f"should be floating-point logits {wanted}, one for every class"
        )


def _check_gradient(name: str, parts: Sequence[Tensor]) -> None:
    """A step of training comes back to the parameters."""
    if not parts[0].requires_grad:
        raise ConfigError(
            f"model: {name}'s logits have no gradient: something between its parameters and them "
            "detaches (detach, no_grad, argmax)"
        )
    labels = torch.zeros(BATCH, dtype=torch.int64)
    loss = torch.stack([F.cross_entropy(part.float(), labels) for part in parts]).sum()
    torch.autograd.backward(loss)
