"""How many pixels a net's layers leave, and which image sizes it therefore cannot take."""

from collections.abc import Sequence
from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution or a pooling, as far as it changes height and width."""

    name: str
    kernel: int
    stride: int = 1
    padding: int = 0


def pool(name: str, kernel: int = 2, stride: int = 2, padding: int = 0) -> Layer:
    """A pooling, 2x2 unless it says otherwise."""
    return Layer(name, kernel, stride, padding)


def sizes(image_size: int, layers: Sequence[Layer]) -> list[int]:
    """Height and width of the image and after every layer, as far as pixels are left."""
    found = [image_size]
    for layer in layers:
        size = (found[-1] + 2 * layer.padding - layer.kernel) // layer.stride + 1
        if size < 1:
            break
        found.append(size)
    return found


def final_size(image_size: int, layers: Sequence[Layer], settings: str = "") -> int:
    """Height and width of the maps after all layers.

    Args:
        image_size: height and width of the images, in pixels.
        layers: in order.
        settings: that the layers come from, for the message.

    Raises:
        ValueError: some layer would have no pixels left; names it, the sizes and the smallest
            image that the layers take.
    """
    found = sizes(image_size, layers)
    if len(found) > len(layers):
        return found[-1]
    least = image_size + 1
    while len(sizes(least, layers)) <= len(layers):
        least += 1
    given = ", ".join(filter(None, [f"image_size={image_size}", settings]))
    maps = " -> ".join(f"{size}x{size}" for size in found)
    raise ValueError(
        f"{given}: no pixels are left after the {layers[len(found) - 1].name} ({maps} -> none); "
        f"images should have at least {least}x{least} pixels"
    )
