"""Multinomial logistic regression on pixels: the baseline of study S1 (its `BaselineModel`).

It needs no more than this layer: cross-entropy on its logits is the regression's loss.
"""

import torch
from torch import Tensor, nn


class LogisticRegression(nn.Module):
    """784 - 10, no hidden layer.

    Args:
        num_classes: width of the output layer.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.output = nn.Linear(28 * 28, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """float [B, 1, 28, 28] -> logits float [B, num_classes]."""
        logits: Tensor = self.output(torch.flatten(x, 1))
        return logits
