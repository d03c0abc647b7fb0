"""IDX files, of MNIST and those after it: numbers behind a header that says their type and sizes.

Format: LeCun, Cortes & Burges, "The MNIST database", FILE FORMATS.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fmnist.config.published import Published
from fmnist.data.source import Images
from fmnist.errors import DataError

UINT8, INT32 = 0x08, 0x0C


def read_part(contents: Mapping[Path, bytes], facts: Published) -> Images:
    """Training or test images, of a file of images and one of labels.

    Raises:
        DataError: a header or a length is wrong, there is nothing, or a label is of no class.
    """
    (images_path, images), (labels_path, labels) = contents.items()
    pixels = parse_idx(images, images_path, 3, UINT8)
    if list(pixels.shape[1:]) != [*facts.shape[1:]]:
        height, width = pixels.shape[1:]
        raise DataError(
            f"{images_path}: images of {height}x{width}: should be of {facts.shape[1]}x"
            f"{facts.shape[2]}"
        )
    if facts.transposed:
        pixels = pixels.transpose(0, 2, 1)
    ranks = {"idx2-int": (2, INT32)}  # QMNIST: eight numbers a digit, of which the first is it
    rank, kind = next((r for end, r in ranks.items() if end in labels_path.name), (1, UINT8))
    numbers = parse_idx(labels, labels_path, rank, kind).reshape(-1, *((8,) * (rank - 1)))
    numbers = (numbers if rank == 1 else numbers[:, 0]).astype(np.int64)
    wrong = (numbers < facts.first_label) | (numbers >= facts.first_label + len(facts.classes))
    if wrong.any():
        last = facts.first_label + len(facts.classes) - 1
        raise DataError(
            f"{labels_path}: label {numbers[wrong].max()}: should be {facts.first_label} to {last},"
            f" for {len(facts.classes)} classes"
        )
    if len(pixels) != len(numbers):
        raise DataError(f"{labels_path}: {len(numbers)} labels for {len(pixels)} images")
    # frombuffer gives read-only memory, which torch must not share: copy once.
    return Images(torch.from_numpy(pixels.copy()), torch.from_numpy(numbers - facts.first_label))


def parse_idx(content: bytes, path: Path, rank: int, kind: int) -> "np.ndarray[Any, Any]":
    """IDX bytes as an array, read-only.

    Args:
        content: of the file, unpacked.
        path: for messages.
        rank: how many sizes the header should have; 3: images.
        kind: of the numbers, UINT8 or INT32.

    Raises:
        DataError: the header or the length is wrong, or there is nothing.
    """
    what, header = "images" if rank == 3 else "labels", 4 + 4 * rank
    form = np.dtype(np.uint8 if kind == UINT8 else ">i4")
    size = form.itemsize
    if len(content) < header:
        raise DataError(f"{path}: {len(content)} bytes: empty, or truncated within its header")
    magic, *sizes = (int(n) for n in np.frombuffer(content, dtype=">u4", count=1 + rank))
    expected = (kind << 8) + rank
    if magic != expected:
        raise DataError(
            f"{path}: begins with 0x{magic:08x}: not an IDX file of {what}, which begins with "
            f"0x{expected:08x}"
        )
    if len(content) != header + size * math.prod(sizes):
        raise DataError(
            f"{path}: {len(content)} bytes: should be {header + size * math.prod(sizes)} for the "
            f"{sizes[0]} {what} of its header: truncated, or foreign"
        )
    if not sizes[0]:
        raise DataError(f"{path}: holds no {what}")
    return np.frombuffer(content, dtype=form, offset=header).reshape(sizes)
