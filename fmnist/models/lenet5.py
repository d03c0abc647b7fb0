"""LeNet-5, with activation, pooling and dropout as factors.

Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition", in the form
that the field uses today and that the LeNet-5 factor study (S2) trains: padding 2 in the first
convolution turns 28x28 into the paper's 32x32, pooling has no weights of its own, every map of
the second convolution sees every map below it, tanh is not scaled (the paper's: 1.7159 tanh(2x/3)),
weights begin as torch's do, and the output layer is linear. 61,706 parameters.
"""

from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from fmnist.models.size import Layer, final_size, pool

Activation = Literal["sigmoid", "tanh", "relu"]
Pooling = Literal["avg", "max"]

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
POOLINGS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}
LAYERS = (
    Layer("first convolution", 5, padding=2), pool("first pooling"),
    Layer("second convolution", 5), pool("second pooling"),
)  # fmt: skip


class LeNet5(nn.Module):
    """conv5x5(6) - pool - conv5x5(16) - pool - 120 - 84 - 10.

    Args:
        activation: after both convolutions and both hidden layers.
        pooling: 2x2, stride 2, after both activations.
        dropout: probability after each hidden fully connected layer. S2 says "dropout layers" and
            p = 0.5 but not where; behind the fully connected layers is where the field puts it.
        num_classes: width of the output layer.
        in_channels: of the images, 1 for grey.
        image_size: height and width of the images, in pixels.

    Raises:
        ValueError: unknown activation or pooling, a dropout outside [0, 1), or images too small.
    """

    def __init__(
        self,
        activation: Activation = "tanh",
        pooling: Pooling = "avg",
        dropout: Annotated[float, "[0, 1)"] = 0.0,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 28,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r}: should be one of {list(ACTIVATIONS)}")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling={pooling!r}: should be one of {list(POOLINGS)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: should be in [0, 1)")
        act, pooled = ACTIVATIONS[activation], POOLINGS[pooling]
        size = final_size(image_size, LAYERS)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=2), act(), pooled(2),  # [B, 6, 14, 14]
            nn.Conv2d(6, 16, 5), act(), pooled(2),  # [B, 16, 5, 5]
        )  # fmt: skip
        # An nn.Dropout of probability 0 still costs a call a step, so it is left out.
        drop = [nn.Dropout(dropout)] if dropout else []
        self.classifier = nn.Sequential(
            nn.Linear(16 * size**2, 120), act(), *drop,
            nn.Linear(120, 84), act(), *drop,
            nn.Linear(84, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return logits
