"""Two convolutions and one linear layer, all of it configurable: the net of study S0.

Source: S0 (batch size x epochs grid) says: two convolutions, each with ReLU and max-pooling, one
fully connected output layer; kernel size, stride and padding are options. It leaves their values
and the channels open. Chosen here: 16 and 32 channels, 5x5, stride 1, padding 2, pooling 2x2, as
most tutorials for 28x28 images have it. Weight initialisation is the study's "further step".
"""

from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from fmnist.models.size import Layer, final_size, pool

Initialization = Literal[
    "default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
    "orthogonal", "normal",
]  # fmt: skip

# "default" is torch's own: uniform in +-1/sqrt(fan in), weights and biases.
INITIALIZATIONS = {
    "default": None,
    "xavier_uniform": nn.init.xavier_uniform_,  # Glorot & Bengio 2010
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),  # He et al. 2015
    "kaiming_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,  # Saxe et al. 2013
    "normal": lambda w: nn.init.normal_(w, std=0.01),  # Krizhevsky et al. 2012
}


class TwoConv(nn.Module):
    """conv - ReLU - pool - conv - ReLU - pool - output.

    Args:
        channels: of the first convolution; the second has twice as many.
        kernel_size: of both convolutions.
        stride: of both convolutions.
        padding: of both convolutions.
        initialization: of weights; biases are then zero, except with "default".
        num_classes: width of the output layer.
        in_channels: of the images, 1 for grey.
        image_size: height and width of the images, in pixels.

    Raises:
        ValueError: an unknown initialisation, a number below its minimum, or a combination that
            leaves no pixels.
    """

    def __init__(
        self,
        channels: Annotated[int, "[1, inf)"] = 16,
        kernel_size: Annotated[int, "[1, inf)"] = 5,
        stride: Annotated[int, "[1, inf)"] = 1,
        padding: Annotated[int, "[0, inf)"] = 2,
        initialization: Initialization = "default",
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 28,
    ) -> None:
        super().__init__()
        if initialization not in INITIALIZATIONS:
            names = ", ".join(INITIALIZATIONS)
            raise ValueError(f"initialization={initialization!r}: should be one of {names}")
        for name, value in (("channels", channels), ("kernel_size", kernel_size),
                            ("stride", stride)):  # fmt: skip
            if value < 1:
                raise ValueError(f"{name}={value}: should be at least 1")
        if padding < 0:
            raise ValueError(f"padding={padding}: should be at least 0")
        size = final_size(
            image_size,
            [
                Layer("first convolution", kernel_size, stride, padding), pool("first pooling"),
                Layer("second convolution", kernel_size, stride, padding), pool("second pooling"),
            ],
            f"kernel_size={kernel_size}, stride={stride}, padding={padding}",
        )  # fmt: skip
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size, stride, padding), nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, kernel_size, stride, padding), nn.ReLU(),
            nn.MaxPool2d(2),
        )  # [B, 2 channels, size, size]  # fmt: skip
        self.output = nn.Linear(2 * channels * size**2, num_classes)
        initialize(self, initialization)

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes]."""
        logits: Tensor = self.output(torch.flatten(self.features(x), 1))
        return logits


def initialize(net: nn.Module, initialization: Initialization) -> None:
    """Draw the weights of convolutions and linear layers anew; biases become zero.

    "default" leaves the net as torch made it.
    """
    draw = INITIALIZATIONS[initialization]
    if draw is None:
        return
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            draw(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
