"""GoogLeNet scaled to 28x28: S4's "modified GoogLeNet".

Source: Szegedy et al. 2014, "Going deeper with convolutions" (arXiv 1409.4842), table 1. S4 says
only "modified GoogleNet (Inception modules)". Chosen here, as the field would:

- The stem. The paper brings 224x224 down to 28x28 before its first Inception module; at 28x28 that
  would leave one pixel. The 7x7 stride-2 convolution becomes 3x3 stride 1, and one max-pool
  of the stem is left out, so that the modules work at 14x14, 7x7 and 4x4. The other one is 2x2
  instead of 3x3.
- The width. The paper's module widths times `width`: the full net has four times the parameters of
  the default, and S4 finds GoogLeNet too complex for this set already.
- Batch norm after every convolution, as in every implementation since 2015, and no local response
  normalisation in the stem.
- The auxiliary heads (paper: section 5) hang on modules 4a and 4d; off by default. Their 5x5
  average pool becomes an adaptive one to 2x2.
"""

from typing import Annotated

import torch
from torch import Tensor, nn

from fmnist.models.size import final_size, pool

# Table 1 of the paper: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection.
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def conv(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
    """Convolution that keeps height and width, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class Inception(nn.Module):
    """Four parallel branches, joined by channel (paper: figure 2b).

    Args:
        channels_in: of the input.
        widths: six widths in the order of the paper's table 1.
    """

    def __init__(self, channels_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        one, three_in, three, five_in, five, pool = widths
        self.channels_out = one + three + five + pool
        self.branches = nn.ModuleList(
            [
                conv(channels_in, one, 1),
                nn.Sequential(conv(channels_in, three_in, 1), conv(three_in, three, 3)),
                nn.Sequential(conv(channels_in, five_in, 1), conv(five_in, five, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv(channels_in, pool, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """float [B, channels_in, H, W] -> float [B, channels_out, H, W]."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class GoogLeNet(nn.Module):
    """Nine Inception modules at 14x14, 7x7 and 4x4.

    Args:
        width: factor on every width of the paper's table 1 (1.0 is the paper's).
        dropout: probability before the output layer (paper: 0.4).
        aux_heads: train with the paper's two auxiliary classifiers.
        num_classes: width of the output layer.
        in_channels: of the images, 1 for grey.
        image_size: height and width of the images, in pixels.

    Raises:
        ValueError: a width that leaves a branch without channels, a dropout outside [0, 1), or
            images too small.
    """

    def __init__(
        self,
        width: Annotated[float, "[0.0625, inf)"] = 0.5,
        dropout: Annotated[float, "[0, 1)"] = 0.4,
        aux_heads: bool = False,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 28,
    ) -> None:
        super().__init__()
        if width < 1 / 16:
            raise ValueError(f"width={width}: should be at least 1/16, one channel a branch")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: should be in [0, 1)")
        final_size(image_size, [pool("stem's pooling")])
        stem = [int(c * width) for c in (64, 64, 192)]
        self.stem = nn.Sequential(
            conv(in_channels, stem[0], 3),
            nn.MaxPool2d(2),  # [B, 64w, 14, 14]
            conv(stem[0], stem[1], 1),
            conv(stem[1], stem[2], 3),
        )  # [B, 192w, 14, 14]
        self.inception = nn.ModuleDict()
        channels = {"": stem[2]}
        previous = ""
        for name, widths in INCEPTION.items():
            module = Inception(channels[previous], tuple(int(c * width) for c in widths))
            self.inception[name] = module
            channels[name], previous = module.channels_out, name
        self.pool = nn.MaxPool2d(3, 2, padding=1)  # 14 -> 7 -> 4
        head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels["5b"], num_classes),
        )
        self.aux = nn.ModuleDict()
        if aux_heads:
            for name in ("4a", "4d"):
                self.aux[name] = auxiliary_head(channels[name], int(128 * width), num_classes)
        self.head = head  # made first, as ever, and registered last: it is what the net ends in

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """float [B, in_channels, image_size, image_size] -> logits float [B, num_classes].

        While training with auxiliary heads: a tuple of three such logits, the net's own first.
        """
        x = self.stem(x)  # [B, 192w, 14, 14]
        aux = []
        for name, module in self.inception.items():
            if name in ("4a", "5a"):
                x = self.pool(x)  # [B, 480w, 7, 7], then [B, 832w, 4, 4]
            x = module(x)
            if self.training and name in self.aux:
                aux.append(self.aux[name](x))
        logits = self.head(x)
        return (logits, *aux) if aux else logits


def auxiliary_head(channels_in: int, width: int, num_classes: int) -> nn.Sequential:
    """The paper's auxiliary classifier: pool, 1x1 convolution, 1024 units, dropout 0.7."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(2),
        conv(channels_in, width, 1),
        nn.Flatten(),
        nn.Linear(width * 4, 1024),
        nn.ReLU(inplace=True),
        nn.Dropout(0.7),
        nn.Linear(1024, num_classes),
    )
