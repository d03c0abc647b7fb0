"""AlexNet for 28x28 images: both nets of study S3, which differ in dropout only.

Source: Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep convolutional neural
networks", which S3 names as its starting point. S3 shows its nets as figures that are lost; its
text says two hidden fully connected layers, dropout 0.5 on both in the better net, log-softmax and
negative log likelihood. Chosen here:

- The paper's five convolutions and three overlapping 3x3 poolings. Its first convolution, 11x11
  with stride 4 on 224x224, becomes 5x5 with stride 1: 28 pixels are few enough.
- The paper's widths times `width`: at 1 its hidden layers alone have 21 million parameters for
  images of 784 pixels. Hidden layers are scaled as the convolutions are.
- Every map sees all maps below it: the paper's second, fourth and fifth convolutions are in two
  groups, one a GPU.
- No local response normalisation: later work found it to gain nothing (Simonyan & Zisserman 2014,
  arXiv 1409.1556, section 4.1).
- Logits, as of every net here: cross-entropy of logits is negative log likelihood of their
  log-softmax, the same function.
- torch's initialisation, as in every net here.
"""

from typing import Annotated

import torch
from torch import Tensor, nn

from fmnist.models.size import final_size, pool

LAYERS = [pool(f"{which} pooling", 3) for which in ("first", "second", "third")]


class AlexNet(nn.Module):
    """conv5x5 - pool - conv5x5 - pool - conv3x3 - conv3x3 - conv3x3 - pool - 2 hidden - output.

    Args:
        width: factor on the paper's 96, 256, 384, 384, 256 channels and 4096 hidden units.
        dropout: probability on both hidden layers, on what each gives, as in the paper (S3's
            better net: 0.5; its baseline: 0).
        num_classes: width of the output layer.
        in_channels: of the images, 1 for grey.
        image_size: height and width of the images, in pixels.

    Raises:
        ValueError: a width that leaves a convolution without channels, a dropout outside [0, 1),
            or images too small.
    """

    def __init__(
        self,
        width: Annotated[float, "[0.01041666, inf)"] = 0.25,
        dropout: Annotated[float, "[0, 1)"] = 0.5,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 28,
    ) -> None:
        super().__init__()
        if width < 1 / 96:
            raise ValueError(f"width={width}: should be at least 1/96, one channel")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: should be in [0, 1)")
        c1, c2, c3, c4, c5, hidden = (int(c * width) for c in (96, 256, 384, 384, 256, 4096))
        size = final_size(image_size, LAYERS)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, c1, 5, padding=2), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),  # [B, 96w, 13, 13]
            nn.Conv2d(c1, c2, 5, padding=2), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),  # [B, 256w, 6, 6]
            nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(c3, c4, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(c4, c5, 3, padding=1), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),  # [B, 256w, 2, 2]
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(c5 * size**2, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
