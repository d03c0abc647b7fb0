"""Test-time augmentation: the mean of what a net says of several views of an image."""

from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mean_logits(net: nn.Module, images: Tensor, tta: str) -> Tensor:
    """Logits [B, K] of a net in eval mode, for images float [B, C, S, S].

    Args:
        tta: "none"; "flip": the mean over the image and its mirror image; "flip_shift": the mean
            over both, where they lie (half of the weight) and moved by a pixel up and left, and
            down and right (a quarter each), as the airbench recipes do (Jordan 2024,
            arXiv 2404.00498, section 3.5).
    """
    if tta == "none":
        logits: Tensor = net(images)
        return logits
    weighted = [weight * net(view) for weight, view in _views(images, tta)]
    return torch.stack(weighted).sum(0)


def _views(images: Tensor, tta: str) -> Iterator[tuple[float, Tensor]]:
    """Weights that sum up to 1, and images of the same size and memory format.

    Each in memory of its own: a net may work in place on what it is given.
    """
    moved = [(1.0, images)]
    if tta == "flip_shift":
        size = images.shape[-1]
        padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
        moved = [(0.5, images)]
        moved += [(0.25, padded[:, :, at : at + size, at : at + size]) for at in (0, 2)]
    for (weight, view), mirrored in product(moved, (False, True)):
        yield weight / 2, view.flip(3) if mirrored else view.clone()
