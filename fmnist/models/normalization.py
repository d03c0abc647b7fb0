"""The normalisation of feature maps as a factor: batch, layer, group, instance or none.

Sources: Ioffe & Szegedy 2015 (batch, arXiv 1502.03167), Ba et al. 2016 (layer, arXiv 1607.06450),
Ulyanov et al. 2016 (instance, arXiv 1607.08022), Wu & He 2018 (group, arXiv 1803.08494, whose
figure 2 draws all four). All of them learn a scale and a shift a channel, so that the kinds have
the same number of parameters and differ only in what they average over.
"""

from typing import Literal, get_args

from torch import nn

Normalization = Literal["batch", "layer", "group", "instance", "none"]

NORMALIZATIONS = get_args(Normalization)
GROUP = 16  # channels in a group: the best of Wu & He's table 3 with this number held fixed


def normalization(kind: Normalization, channels: int) -> nn.Module:
    """A layer float [B, channels, H, W] -> the same shape.

    Args:
        kind: what mean and variance are taken over: "batch": images and pixels; "layer": channels
            and pixels; "group": 16 channels and pixels; "instance": pixels.
        channels: of the maps; with "group" a multiple of 16, or fewer.

    Raises:
        ValueError: an unknown kind, or channels that do not divide into groups.
    """
    match kind:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":  # Wu & He: layer norm of a convolution's maps is group norm with one group
            return nn.GroupNorm(1, channels)
        case "group":
            if channels > GROUP and channels % GROUP:
                raise ValueError(f"channels={channels}: should be a multiple of {GROUP}, or fewer")
            return nn.GroupNorm(max(channels // GROUP, 1), channels)
        case "instance":
            return nn.InstanceNorm2d(channels, affine=True)
        case "none":
            return nn.Identity()
    raise ValueError(f"normalization={kind!r}: should be one of {', '.join(NORMALIZATIONS)}")


def conv(channels_in: int, channels_out: int, kind: Normalization) -> list[nn.Module]:
    """3x3 convolution that keeps height and width, normalisation, ReLU."""
    return [
        # The bias stays also where normalisation takes it out again: all kinds, "none" among
        # them, then have the same convolutions.
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        normalization(kind, channels_out),
        nn.ReLU(inplace=True),
    ]
