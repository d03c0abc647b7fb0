"""Drawn garments of any size, in grey or in colour, in any number of classes."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fmnist.data.source import DataSet, Images, Wanted, md5, refuse_if_too_large, resized
from fmnist.data.synthetic import CHUNK, DRAWN, SIDE, garments, render

CLASSES = len(DRAWN)


def variants(
    count: int, seed: int, size: int = SIDE, channels: int = 1, classes: int = CLASSES
) -> tuple[Tensor, Tensor]:
    """Draw garments of any size, in grey or in colour, in any number of classes.

    Class k is the garment k % 10. Where there are more than ten classes, those of one garment
    differ in the stripes of the ground behind it, by direction and width; in colour, garment and
    ground have colours of their own, which say nothing of the class.

    Returns images, uint8 [count, size, size] or [count, 3, size, size], and labels, int64 [count],
    balanced to within one per class and shuffled. With the defaults they are those of `garments`.
    """
    if (size, channels, classes) == (SIDE, 1, CLASSES):
        return garments(count, seed)
    rng = np.random.Generator(np.random.PCG64(seed))
    labels = rng.permutation(np.arange(count, dtype=np.int64) % classes)
    shape = (count, size, size) if channels == 1 else (count, channels, size, size)
    images = torch.empty(shape, dtype=torch.uint8)
    for label in range(min(count, classes)):
        places = np.flatnonzero(labels == label)
        for start in range(0, len(places), CHUNK):
            chunk = places[start : start + CHUNK]
            drawn = _before_ground(label, classes, len(chunk), rng)  # [n, 28, 28]
            if channels > 1:
                drawn = _tinted(drawn, channels, rng)
            images[torch.from_numpy(chunk)] = resized(torch.from_numpy(drawn), size)
    return images, torch.from_numpy(labels)


def _before_ground(
    label: int, classes: int, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Garments of one class, uint8 [size, 28, 28]; with stripes where it takes them to tell it."""
    garment = render(label % CLASSES, size, rng)
    if classes <= CLASSES:
        return garment
    directions = 16
    width, direction = divmod(label // CLASSES, directions)
    angle = np.pi * direction / directions
    place = np.arange(SIDE, dtype=np.float32)
    along = np.cos(angle) * place[None, None, :] + np.sin(angle) * place[None, :, None]
    phase = 2 * np.pi * rng.random((size, 1, 1), dtype=np.float32)
    stripes = 60 + 50 * np.sin(2 * np.pi * along / (4 + 2 * width) + phase)
    return np.where(garment > 0, garment, stripes).astype(np.uint8)


def _tinted(grey: NDArray[np.uint8], channels: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """uint8 [n, 28, 28] -> [n, channels, 28, 28], in two colours an image."""
    shape = (len(grey), channels, 1, 1)
    cloth = rng.uniform(0.4, 1.0, shape)
    ground = rng.uniform(0, 60, shape)
    tinted = grey[:, None] * cloth + ground * (grey[:, None] == 0)
    clipped: NDArray[np.uint8] = np.clip(tinted, 0, 255).astype(np.uint8)
    return clipped


def draw(wanted: Wanted, kinds: Sequence[str]) -> DataSet:
    """As many images, of such a size, in so many colours and classes, as are wanted.

    Two seeds, neither the run's: every run sees the same garments.

    Args:
        kinds: what the ten kinds are called, in their order.
    """
    form = (wanted.size or SIDE, wanted.channels or 1, wanted.classes or CLASSES)
    counts = wanted.train_size or 60_000, wanted.test_size or 10_000
    refuse_if_too_large(wanted.name, sum(counts), (form[1], form[0], form[0]))
    train, test = (
        Images(*variants(count, seed, *form)) for seed, count in enumerate(counts, start=1)
    )
    many = [f"{kind} {number}" for number in range(2, form[2]) for kind in kinds]
    sums = {"train": md5(train.pixels.numpy()), "test": md5(test.pixels.numpy())}
    return DataSet(train, [*kinds, *many][: form[2]], test, checksums=sums, checked=True)
