"""Arrays in one .npz file: MedMNIST's form (Yang et al. 2023, arXiv 2110.14795), and one's own.

`train_images` uint8 [N, S, S], [N, S, S, 3] or [N, 3, S, S] and `train_labels` [N] or [N, 1], whole
numbers from 0; `test_` and `val_` likewise, if there are any; `classes`, names of the classes, if
there are any. `numpy.savez(FILE, train_images=..., ...)` writes one.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fmnist.data.source import DataSet, Images, Wanted, data_set_of, refuse_if_too_large
from fmnist.errors import DataError, DataUnavailable

PARTS = ("train", "val", "test")
# What files make of themselves that are no .npz, are damaged (zlib), or are packed as NumPy never
# does (RuntimeError: with a password, or another compression).
UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Npz:
    """The reader of `data=npz`."""

    def read(self, wanted: Wanted) -> DataSet:
        """The arrays of the file that the root is.

        Raises:
            DataUnavailable: there is no such file.
            DataError: it is none, or holds other things than those arrays.
        """
        path = wanted.root
        if not path.is_file():
            folder = "; data=folder reads pictures in folders" if path.is_dir() else ""
            raise DataUnavailable(f"{path}: no such file; data.root=FILE.npz names one{folder}")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                parts = {
                    part: _images(path, part, arrays, wanted.name)
                    for part in PARTS
                    if f"{part}_images" in arrays
                }
                names = _names(arrays["classes"]) if "classes" in arrays else []
        except UNREADABLE as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path}: not an .npz file of plain arrays: {reason}") from error
        if "train" not in parts:
            raise DataError(f"{path}: has no train_images")
        highest = max(int(images.labels.max()) for images in parts.values() if len(images))
        names = names or [str(label) for label in range(highest + 1)]
        return data_set_of(parts, names)


def _names(classes: Any) -> list[str]:
    """Of classes, text or bytes; one name alone is a list of one."""
    given = np.atleast_1d(classes).tolist()
    return [name.decode() if isinstance(name, bytes) else str(name) for name in given]


def _images(path: Path, part: str, arrays: Any, name: str) -> Images:
    """One part of the file.

    Raises:
        DataError: shapes or types that are not those of images and labels.
    """
    if f"{part}_labels" not in arrays:
        raise DataError(f"{path}: has {part}_images, and no {part}_labels")
    pixels, labels = np.asarray(arrays[f"{part}_images"]), np.asarray(arrays[f"{part}_labels"])
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or not len(pixels):
        raise DataError(
            f"{path}: {part}_images are {pixels.dtype} {list(pixels.shape)}: should be uint8 "
            "[N, S, S] or [N, S, S, 3]"
        )
    if labels.dtype.kind not in "iu" or labels.size != len(labels):
        raise DataError(
            f"{path}: {part}_labels are {labels.dtype} {list(labels.shape)}: should be whole "
            "numbers [N], one class an image"
        )
    refuse_if_too_large(name, len(pixels), pixels.shape[1:])
    if pixels.ndim == 4 and pixels.shape[-1] in (1, 3) and pixels.shape[1] not in (1, 3):
        pixels = np.moveaxis(pixels, -1, 1)
    return Images(
        torch.from_numpy(np.ascontiguousarray(pixels)),
        torch.from_numpy(labels.reshape(-1).astype(np.int64)),
    )
