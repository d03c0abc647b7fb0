"""CNNModel4: three convolutions and one fully connected layer, the compact net of study S4.

Source: S4 says: three convolutions, one fully connected layer, pooling, batch norm, L2
regularisation (optim.weight_decay) and learning-rate decay (scheduler). Chosen here: 32, 64 and
128 channels, 3x3 with padding 1, a 2x2 max-pool after each. S4 lists no dropout for it; the rate is
a setting because S4 names it as a hyper-parameter.
"""

from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from fmnist.models.normalization import conv
from fmnist.models.size import final_size, pool

LAYERS = [pool(f"{which} pooling") for which in ("first", "second", "third")]


class CNNModel4(nn.Module):
    """conv3x3(32) - pool - conv3x3(64) - pool - conv3x3(128) - pool - 10.

    Args:
        normalization: after every convolution.
        dropout: probability before the output layer.
        num_classes: width of the output layer.
        in_channels: of the images, 1 for grey.
        image_size: height and width of the images, in pixels.

    Raises:
        ValueError: an unknown normalisation, a dropout outside [0, 1), or images too small.
    """

    def __init__(
        self,
        normalization: Literal["batch", "layer", "group", "instance", "none"] = "batch",
        dropout: Annotated[float, "[0, 1)"] = 0.0,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 28,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: should be in [0, 1)")
        size = final_size(image_size, LAYERS)
        self.features = nn.Sequential(
            *conv(in_channels, 32, normalization), nn.MaxPool2d(2),  # [B, 32, 14, 14]
            *conv(32, 64, normalization), nn.MaxPool2d(2),  # [B, 64, 7, 7]
            *conv(64, 128, normalization), nn.MaxPool2d(2),  # [B, 128, 3, 3]
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(128 * size**2, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
