"""ResNet-9, scaled to 28x28 grey images and to the size that a laptop trains in minutes.

Source: David Page's net for DAWNBench, "How to train your ResNet" (myrtle.ai, 2018), which the fast
CIFAR-10 recipes descend from: three stages of one convolution, a residual block of two after the
first and the last of them, global max-pooling and a scaled linear layer. Chosen here: the widths,
and pooling between convolution and batch norm, which gives the same kind of net and leaves three
quarters of what batch norm and ReLU would have to pass over.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fmnist.models.size import final_size, pool

LAYERS = [pool(f"{which} pooling") for which in ("first", "second", "third")]
SCALE = 0.125  # of the logits, Page's: the linear layer has no bias and starts too sharp


def conv(inputs: int, outputs: int, pool: bool = False) -> nn.Sequential:
    """conv3x3 - (max-pool 2x2) - batch norm - ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        *([nn.MaxPool2d(2)] if pool else []),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """x + conv(conv(x)), float [B, C, H, W] -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(channels, channels), conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layers(x)
        return out


class ResNet9(nn.Module):
    """conv(a) - conv(b), pool - residual - conv(c), pool - conv(d), pool - residual - 10.

    Args:
        widths: channels of the four stages, a to d.
        num_classes: width of the output layer.
        in_channels: of the images, 1 for grey.
        image_size: height and width of the images, in pixels.

    Raises:
        ValueError: not four widths, one below 1, or images too small.
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64, 128),
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 28,
    ) -> None:
        super().__init__()
        if len(widths) != 4 or min(widths) < 1:
            raise ValueError(f"widths={list(widths)}: should be four numbers from 1")
        a, b, c, d = widths
        final_size(image_size, LAYERS)
        self.features = nn.Sequential(
            conv(in_channels, a),  # [B, a, 28, 28]
            conv(a, b, pool=True), Residual(b),  # [B, b, 14, 14]
            conv(b, c, pool=True),  # [B, c, 7, 7]
            conv(c, d, pool=True), Residual(d),  # [B, d, 3, 3]
        )  # fmt: skip
        self.output = nn.Linear(d, num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes]."""
        pooled = torch.amax(self.features(x), dim=(2, 3))  # [B, d]
        logits: Tensor = SCALE * self.output(pooled)
        return logits
