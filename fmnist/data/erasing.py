"""Random erasing, after geometric augmentation and with parameters of its own for every image."""

import math
from typing import Annotated

import torch
from torch import Tensor

from fmnist.data.augment import RandomAffine

AREA = (0.02, 0.33)  # share of the image: torchvision's; the paper's goes up to 0.4
ASPECT = (0.3, 1 / 0.3)  # height : width, the paper's


class RandomErasing:
    """A rectangle of the image becomes the mean pixel (Zhong et al. 2017, arXiv 1708.04896).

    As in torchvision, the area is at most 0.33 (the paper: 0.4), and the aspect ratio uniform in
    its logarithm (the paper: in itself). A rectangle that does not fit is cut to the image's size
    instead of being drawn again. (The paper's own choice of fill is random values.)

    Args:
        probability: that an image loses a rectangle.

    Raises:
        ValueError: a probability outside [0, 1].
    """

    def __init__(self, probability: Annotated[float, "[0, 1]"] = 0.5) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"probability={probability}: should be in [0, 1]")
        self.probability = probability

    def draw(self, count: int, size: int, generator: torch.Generator, epoch: int = 0) -> Tensor:
        """Rectangles float [count, 4]: left, top, right, bottom in whole pixels; empty for none.

        Args:
            count: number of images.
            size: height and width of the images, pixels.
            generator: five numbers an image are taken from it.
            epoch: decides nothing here.
        """
        uniform = torch.rand(count, 5, generator=generator)
        area = size**2 * (AREA[0] + uniform[:, 0] * (AREA[1] - AREA[0]))
        low, high = map(math.log, ASPECT)
        aspect = torch.exp(low + uniform[:, 1] * (high - low))
        extent = torch.stack([area / aspect, area * aspect], dim=1)  # width and height, squared
        extent = extent.sqrt().round().clamp(max=size)
        extent *= (uniform[:, 2:3] < self.probability).float()
        corner = (uniform[:, 3:] * (size + 1 - extent)).floor()
        return torch.cat([corner, corner + extent], dim=1)

    def __call__(self, images: Tensor, boxes: Tensor, mean: float | Tensor) -> Tensor:
        """float [B, C, S, S] and boxes float [B, 4] -> float [B, C, S, S], `mean` in the boxes."""
        place = torch.arange(images.shape[-1], device=images.device)
        left, top, right, bottom = boxes.unsqueeze(2).unbind(1)  # [B, 1] each
        columns = (place >= left) & (place < right)  # [B, S]
        rows = (place >= top) & (place < bottom)
        inside = rows[:, None, :, None] & columns[:, None, None, :]  # [B, 1, S, S]
        if isinstance(mean, Tensor):  # a number for every channel
            return torch.where(inside, mean, images)
        return images.masked_fill_(inside, mean)


class AffineThenErasing:
    """Both, in this order, drawn together: see `RandomAffine` and `RandomErasing`."""

    def __init__(self, affine: RandomAffine, erasing: RandomErasing) -> None:
        self.affine, self.erasing = affine, erasing

    def draw(self, count: int, size: int, generator: torch.Generator, epoch: int = 0) -> Tensor:
        """The matrices' six numbers and the boxes' four: float [count, 10]."""
        matrices = self.affine.draw(count, size, generator, epoch)
        return torch.cat([matrices.flatten(1), self.erasing.draw(count, size, generator)], dim=1)

    def __call__(self, images: Tensor, drawn: Tensor, mean: float | Tensor) -> Tensor:
        """float [B, C, S, S] and drawn float [B, 10] -> float [B, C, S, S]."""
        images = self.affine(images, drawn[:, :6].view(-1, 2, 3), mean)
        return self.erasing(images, drawn[:, 6:], mean)
