"""`python -m benchmarks.overlap [OVERRIDES]`: what test images share with training images.

Of the data set of the configuration, Fashion-MNIST by default, with validation among the training
images: how many occur twice, how many test images are a training image, byte for byte, and how
many lie within so many grey levels of one, by the root mean square difference of pixels from 0 to
255; and for how many of these the nearest training image bears the same label.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.command import command
from benchmarks.table import Table, parser
from fmnist import compose
from fmnist.config.build import maker
from fmnist.data.datamodule import ImageData
from fmnist.data.source import Images

WITHIN = (2, 5, 10)  # grey levels
PART = 500  # test images at a time


def main() -> None:
    options = parser(__doc__, rounds=1).parse_args()
    config = compose(options.overrides)
    data: ImageData = maker(config["data"])(augment=None, seed=config["seed"])
    data.load()
    training = Images(
        torch.cat([data.train_images.pixels, data.val_images.pixels]),
        torch.cat([data.train_images.labels, data.val_images.labels]),
    )
    table = Table(["what", "images", "same label"], 1, torch.get_num_threads())
    for what, count, same in found(training, data.test_images):
        table.add(what, f"{count:,}", same)
    table.write(options.csv)


def found(training: Images, test: Images) -> Iterator[tuple[str, int, int | str]]:
    """What is counted, how many, and how many of them have their neighbour's label."""
    yield "training images", len(training), ""
    yield "test images", len(test), ""
    yield "training images that occur more than once", repeated(training.pixels), ""
    yield "test images that occur more than once", repeated(test.pixels), ""
    distance, neighbour = nearest(test.pixels, training.pixels)
    same = training.labels[neighbour] == test.labels
    for within in (0, *WITHIN):
        near = distance <= within
        what = f"within {within} grey levels of one" if within else "that are a training image"
        yield f"test images {what}", int(near.sum()), int(same[near].sum())


def repeated(pixels: Tensor) -> int:
    """How many of uint8 [N, ...] have an equal among the others."""
    _, counts = pixels.flatten(1).unique(dim=0, return_counts=True)
    return int(counts[counts > 1].sum())


def nearest(pixels: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Of uint8 [N, ...]: root mean square difference to the nearest of uint8 [M, ...], and which.

    Returns:
        float64 [N] and int64 [N]. The nearest is found in float32, its distance is exact.
    """
    known = others.flatten(1).float()
    squares = known.square().sum(1)  # [M]
    places = torch.cat(
        [
            (squares - 2 * part.flatten(1).float() @ known.T).argmin(1)
            for part in torch.split(pixels, PART)
        ]
    )
    difference = pixels.flatten(1).double() - others.flatten(1)[places].double()
    return difference.square().mean(1).sqrt(), places


if __name__ == "__main__":
    command(main)
