"""What a data set is to everything else: images in memory, and the names of their classes.

A reader is an object with a method `read(wanted)` that gives a `DataSet`: one of this room's for
published sets, folders, arrays and drawn garments, or one's own, named by `data.source._target_`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from fmnist.config.words import kind
from fmnist.data.facts import LABELS
from fmnist.errors import DataError
from fmnist.process.machine import memory_bytes

PIXELS = "a tensor uint8 [N, S, S] or [N, 3, S, S]"


@dataclass(frozen=True)
class Images:
    """A set of images in memory, on one device.

    Args:
        pixels: uint8 [N, S, S] if grey, [N, 3, S, S] if in colour.
        labels: int64 [N].
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> "Images":
        return Images(self.pixels[rows], self.labels[rows])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: channels, height, width."""
        channels, height, width = (1, *self.pixels.shape[1:])[-3:]
        return channels, height, width

    def to(self, device: torch.device) -> "Images":
        return Images(self.pixels.to(device), self.labels.to(device))


@dataclass(frozen=True)
class DataSet:
    """What a reader gives.

    Args:
        train: training images, before any of them are set apart for validation.
        classes: names, by label.
        test: the set's own test images; None: a part of the training images becomes them.
        val: the set's own validation images; None: it has none.
        checksums: MD5 by file, or as `sums_of` takes them: what a run compares when it is read
            back.
        checked: whether they were compared with published ones.
        remarks: what is odd about the data, a line each.
    """

    train: Images
    classes: Sequence[str]
    test: Images | None = None
    val: Images | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    checked: bool = False
    remarks: Sequence[str] = ()

    @property
    def parts(self) -> dict[str, Images]:
        """Those that there are, by name."""
        all_of_them = {"train": self.train, "val": self.val, "test": self.test}
        return {name: images for name, images in all_of_them.items() if images is not None}


@dataclass(frozen=True)
class Wanted:
    """What a run asks of a reader, which need not heed more than the root: the rest is done after.

    Args:
        name: of the data set.
        root: where it is.
        size: height and width; None: as it is.
        channels: 1 or 3; None: as it is.
        classes: how many of them, the first ones; None: all.
        train_size, test_size: how many images, the first ones; None: all.
        fetch: whether files may be written: a download, a cache.
    """

    name: str
    root: Path
    size: int | None = None
    channels: int | None = None
    classes: int | None = None
    train_size: int | None = None
    test_size: int | None = None
    fetch: bool = True


class Reader(Protocol):
    """What gives a data set."""

    def read(self, wanted: Wanted) -> DataSet:
        """The data set, its images square and of one size, as uint8."""
        ...


def md5(array: np.ndarray[Any, Any]) -> str:
    """Of an array's bytes, in hexadecimal."""
    return hashlib.md5(np.ascontiguousarray(array).data, usedforsecurity=False).hexdigest()


def sums_of(parts: Mapping[str, Images]) -> dict[str, str]:
    """MD5 of the pixels of each part, by its name, and of its labels."""
    sums = {}
    for part, images in parts.items():
        sums[part] = md5(images.pixels.numpy())
        sums[f"{part}{LABELS}"] = md5(images.labels.numpy().astype("<i8"))
    return sums


def refuse_if_too_large(name: str, count: int, shape: Sequence[int]) -> None:
    """All images are kept in memory, as bytes: at most half of it.

    Raises:
        DataError: with the numbers.
    """
    needed, there = count * int(np.prod(shape)), memory_bytes()
    if needed > there / 2:
        pixels = "x".join(map(str, shape))
        raise DataError(
            f"{name}: {count:,} images of {pixels} bytes are {needed / 2**30:.1f} GiB, more than "
            f"half of this machine's {there / 2**30:.1f} GiB; data.size=... makes them smaller"
        )


def ask(reader: Reader, wanted: Wanted) -> Any:
    """What a reader gives, which may be somebody's own: `check_data_set` looks at it.

    Raises:
        DataError: it is no reader.
    """
    if not callable(getattr(reader, "read", None)):
        raise DataError(
            f"{wanted.name}: data.source is {kind(reader)}: should be an object with a method "
            "read(wanted)"
        )
    return reader.read(wanted)


def check_data_set(given: Any, wanted: Wanted) -> DataSet:
    """A reader's data set, checked, and brought to the size, colours and classes that are wanted.

    Args:
        given: by the reader.

    Raises:
        DataError: it is none, such as labels without a class, or images that are not square.
    """
    name, data = wanted.name, _typed(wanted.name, given)
    for part, images in data.parts.items():
        pixels, labels = images.pixels, images.labels
        if len(pixels) != len(labels):
            raise DataError(f"{name}: {len(labels)} labels for {len(pixels)} {part} images")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(data.classes):
            worst = labels.min() if labels.min() < 0 else labels.max()
            raise DataError(
                f"{name}: {part} label {int(worst)}: should be 0 to {len(data.classes) - 1}, "
                f"for {len(data.classes)} classes"
            )
    parts = {part: _adapted(images, wanted) for part, images in data.parts.items()}
    classes = list(data.classes)
    if wanted.classes is not None and wanted.classes != len(classes):
        if wanted.classes > len(classes):
            raise DataError(
                f"data.classes={wanted.classes}: should be at most {len(classes)}, the classes "
                f"that {name} has"
            )
        classes = classes[: wanted.classes]
        parts = {part: images[images.labels < len(classes)] for part, images in parts.items()}
    if len(classes) < 2:
        raise DataError(f"{name}: {len(classes)} class: should have 2 or more")
    if twice := [name for name in dict.fromkeys(classes) if classes.count(name) > 1]:
        raise DataError(f"{wanted.name}: two classes are called {twice[0]}")
    shapes = {images.shape for images in parts.values()}
    if len(shapes) > 1:
        raise DataError(f"{name}: images of several shapes {sorted(shapes)}: data.size=... helps")
    return replace(data, classes=classes, **parts)  # type: ignore[arg-type]


def _typed(name: str, data: Any) -> DataSet:
    """A data set by its types, or what came and what would be right.

    Raises:
        DataError: arrays, labels of another type, a tuple in a set's place.
    """
    if not isinstance(data, DataSet):
        raise DataError(
            f"{name}: its reader gives {kind(data)}: should be a DataSet of fmnist.data.source: "
            "DataSet(Images(pixels, labels), classes)"
        )
    for part, images in data.parts.items():
        if not isinstance(images, Images):
            raise DataError(
                f"{name}: {part} is {kind(images)}: should be Images(pixels, labels) of "
                "fmnist.data.source"
            )
        pixels, labels = images.pixels, images.labels
        right = isinstance(pixels, Tensor) and pixels.dtype == torch.uint8
        if not right or pixels.ndim not in (3, 4) or images.shape[0] not in (1, 3):
            raise DataError(_unlike(name, f"{part} images", pixels, PIXELS))
        if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
            raise DataError(_unlike(name, f"{part} labels", labels, "a tensor int64 [N]"))
    names = data.classes
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise DataError(_unlike(name, "classes", names, "a list of names, by label"))
    if others := [each for each in names if not isinstance(each, str)]:
        raise DataError(f"{name}: class {others[0]} is {kind(others[0])}: should be its name")
    return data


def _unlike(name: str, what: str, came: Any, right: str) -> str:
    array = isinstance(came, np.ndarray) and "tensor" in right
    cure = "; torch.from_numpy makes tensors of arrays" if array else ""
    return f"{name}: {what} are {kind(came)}: should be {right}{cure}"


def _adapted(images: Images, wanted: Wanted) -> Images:
    """Of the size and with the channels that are wanted."""
    channels, height, width = images.shape
    pixels = images.pixels
    if wanted.size is None and height != width:
        raise DataError(
            f"{wanted.name}: images of {height}x{width}: should be square; data.size=... makes "
            "them so"
        )
    if wanted.size not in (None, height) or height != width:
        pixels = resized(pixels, int(wanted.size or 0))
    if wanted.channels not in (None, channels):
        pixels = grey(pixels) if wanted.channels == 1 else coloured(pixels)
    elif pixels.ndim == 4 and channels == 1:
        pixels = pixels[:, 0]
    return images if pixels is images.pixels else Images(pixels.contiguous(), images.labels)


def resized(pixels: Tensor, size: int) -> Tensor:
    """uint8 [..., H, W] -> uint8 [..., size, size]: the middle square, bilinearly, antialiased."""
    *_, height, width = pixels.shape
    if not len(pixels):  # a part without images: which may be none, others say
        return pixels.new_empty(*pixels.shape[:-2], size, size)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[..., top : top + side, left : left + side]
    flat = square.reshape(len(pixels), -1, side, side)  # [N, C, side, side]
    parts = [
        torch.nn.functional.interpolate(
            part.float(), (size, size), mode="bilinear", antialias=True
        ).round_().clamp_(0, 255).to(torch.uint8)
        for part in torch.split(flat, 1000)
    ]  # fmt: skip
    return torch.cat(parts).view(*pixels.shape[:-2], size, size)


def grey(pixels: Tensor) -> Tensor:
    """uint8 [N, 3, H, W] -> [N, H, W]: ITU-R 601-2 luma, as Pillow's."""
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    parts = [(part * weights).sum(1).round_().to(torch.uint8) for part in torch.split(pixels, 1000)]
    return torch.cat(parts)


def coloured(pixels: Tensor) -> Tensor:
    """uint8 [N, H, W] or [N, 1, H, W] -> [N, 3, H, W], all three the same."""
    return pixels.reshape(len(pixels), 1, *pixels.shape[-2:]).repeat(1, 3, 1, 1)


def data_set_of(
    parts: Mapping[str, Images], classes: Sequence[str], remarks: Sequence[str] = ()
) -> DataSet:
    """The data set of parts by name, of which train is one; sums are taken of all their pixels."""
    if "test" in parts and (same := duplicates(parts["train"], parts["test"])):
        words = f"{same} of {len(parts['test'])} test images are training images, too"
        remarks = [*remarks, words]
    others = parts.get("test"), parts.get("val")
    return DataSet(parts["train"], classes, *others, sums_of(parts), remarks=remarks)


def count_classes(labels: Tensor, classes: int) -> list[int]:
    """Images of each class."""
    counts: list[int] = torch.bincount(labels, minlength=classes).tolist()
    return counts


def duplicates(train: Images, test: Images) -> int:
    """How many test images are, pixel by pixel, training images."""
    seen = {hash(image.tobytes()) for image in train.pixels.numpy()}
    return sum(hash(image.tobytes()) in seen for image in test.pixels.numpy())
