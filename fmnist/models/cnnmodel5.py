"""CNNModel5: four convolutions and two fully connected layers, the best net of study S4.

Source: S4 says: four convolutions (64, 64, 128, 256), batch norm, two max-pools, dropout, two fully
connected layers. Chosen here: 3x3 with padding 1; a pool after every second convolution, as in VGG
(arXiv 1409.1556); 512 hidden units; one dropout rate, after both pools and the hidden layer.
Normalisation type and dropout rate are among the hyper-parameters that S4 names.
"""

from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from fmnist.models.normalization import conv
from fmnist.models.size import final_size, pool


class CNNModel5(nn.Module):
    """conv3x3(64) - conv3x3(64) - pool - conv3x3(128) - conv3x3(256) - pool - 512 - 10.

    Args:
        normalization: after every convolution.
        dropout: probability after both pools and the hidden layer.
        num_classes: width of the output layer.
        in_channels: of the images, 1 for grey.
        image_size: height and width of the images, in pixels.

    Raises:
        ValueError: an unknown normalisation, a dropout outside [0, 1), or images too small.
    """

    def __init__(
        self,
        normalization: Literal["batch", "layer", "group", "instance", "none"] = "batch",
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
            *conv(in_channels, 64, normalization),
            *conv(64, 64, normalization),
            nn.MaxPool2d(2),  # [B, 64, 14, 14]
            nn.Dropout(dropout),
            *conv(64, 128, normalization),
            *conv(128, 256, normalization),
            nn.MaxPool2d(2),  # [B, 256, 7, 7]
            nn.Dropout(dropout),
        )
        self.classifier = nn.Sequential(
            nn.Linear(256 * size**2, 512),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(512, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
