"""Multinomial logistic regression on pixels: the baseline of study S1 (its `BaselineModel`).

It needs no more than this layer: cross-entropy on its logits is the regression's loss.
"""

import torch
from torch import Tensor, nn


class LogisticRegression(nn.Module):
    """Pixels - classes, no hidden layer.

    Args:
        num_classes: width of the output layer.
        in_channels: of the images, 1 for grey.
        image_size: height and width of the images, in pixels.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        super().__init__()
        self.output = nn.Linear(in_channels * image_size**2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes]."""
        logits: Tensor = self.output(torch.flatten(x, 1))
        return logits
