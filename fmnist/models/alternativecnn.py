"""AlternativeCNN: two 5x5 convolutions with batch norm, the shallow net of study S1.

Source: github.com/shinjitsue/fashion-mnist-cnn-pytorch, whose README says "2 convolutional layers
with 5x5 kernels, 16 -> 32 channels". Its rows were made with batch norm, padding 2, a hidden layer
of 128 and dropout 0.25. 215,466 parameters, an eighth of FashionCNN's.
"""

from typing import Annotated

import torch
from torch import Tensor, nn

from fmnist.models.size import final_size, pool


class AlternativeCNN(nn.Module):
    """conv5x5(16) - pool - conv5x5(32) - pool - 128 - 10.

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
            nn.Conv2d(in_channels, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # [B, 16, 14, 14]
            nn.Conv2d(16, 32, 5, padding=2), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
            nn.MaxPool2d(2),  # [B, 32, 7, 7]
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(32 * size**2, 128),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(128, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
