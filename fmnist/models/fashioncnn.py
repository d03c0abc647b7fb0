"""FashionCNN: three 3x3 convolutions with batch norm, and two fully connected layers.

Source: the public study S1 (github.com/shinjitsue/fashion-mnist-cnn-pytorch), whose README lists
the layers. It claims "~310K parameters"; the layers that it lists have 1,701,578.
"""

import torch
from torch import Tensor, nn


class FashionCNN(nn.Module):
    """conv3x3(32) - pool - conv3x3(64) - pool - conv3x3(128) - 256 - 10.

    Args:
        dropout: probability before the output layer (S1: 0.25).
        num_classes: width of the output layer.

    Raises:
        ValueError: a dropout outside [0, 1).
    """

    def __init__(self, dropout: float = 0.25, num_classes: int = 10) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: should be in [0, 1)")
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # [B, 32, 14, 14]
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # [B, 64, 7, 7]
            nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(inplace=True),
        )  # [B, 128, 7, 7]  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(128 * 7 * 7, 256),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(256, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """float [B, 1, 28, 28] -> logits float [B, num_classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
