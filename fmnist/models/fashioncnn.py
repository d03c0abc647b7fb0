"""FashionCNN: three 3x3 convolutions with batch norm, and two fully connected layers.

Source: the public study S1 (github.com/shinjitsue/fashion-mnist-cnn-pytorch), whose README lists
the layers. It claims "~310K parameters"; the layers that it lists have 1,701,578.
"""

from typing import Annotated

import torch
from torch import Tensor, nn

from fmnist.models.size import final_size, pool


class FashionCNN(nn.Module):
    """conv3x3(32) - pool - conv3x3(64) - pool - conv3x3(128) - 256 - 10.

    Args:
        dropout: probability before the output layer (S1: 0.25).
        num_classes: width of the output layer.
        in_channels: of the images, 1 for grey.
        image_size: height and width of the images, in pixels.

    Raises:
        ValueError: a dropout outside [0, 1), or images too small.
    """

    def __init__(
        self,
        dropout: Annotated[float, "[0, 1)"] = 0.25,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 28,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: should be in [0, 1)")
        size = final_size(image_size, [pool("first pooling"), pool("second pooling")])
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # [B, 32, 14, 14]
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # [B, 64, 7, 7]
            nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(inplace=True),
        )  # [B, 128, 7, 7]  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(128 * size**2, 256),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(256, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
