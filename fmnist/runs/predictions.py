"""predictions.npz: the test logits of a run, read without trusting what the file says of itself."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from fmnist.runs.plain import Damaged, open_regular, reading

if TYPE_CHECKING:
    import numpy as np

LARGEST = 2**30  # bytes of an array: 250,000 images of 1,000 classes


def read_predictions(path: Path, images: int, classes: int) -> "tuple[np.ndarray, np.ndarray]":
    """Logits float32 [images, classes] and labels int64 [images].

    Nothing is allocated before the header has been found to be what the record says.

    Raises:
        RunError: the file is missing, damaged, or not of this run.
    """
    import numpy as np

    with reading(path, "is no archive of logits and labels"):
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            logits = read_array(archive, "logits", np.dtype("<f4"), (images, classes))
            labels = read_array(archive, "labels", np.dtype("<i8"), (images,))
        if not np.isfinite(logits).all():
            raise Damaged("holds logits that are not finite")
        if images and not 0 <= labels.min() <= labels.max() < classes:
            raise Damaged(f"holds labels outside the {classes} classes")
    return logits, labels


def read_array(
    archive: zipfile.ZipFile, name: str, dtype: "np.dtype", shape: tuple[int, ...]
) -> "np.ndarray":
    """One array of an .npz file, if its header says that it has this type and shape.

    Raises:
        Damaged: it says something else.
        KeyError, ValueError, OSError, ...: what a damaged archive makes of itself.
    """
    import numpy as np

    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = {(1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0}.get(version)  # fmt: skip
        if read is None:
            raise Damaged(f"holds {name} of an unknown format")
        found, by_columns, kind = read(member)
        if kind != dtype or found != shape or by_columns:
            sides = " x ".join(map(str, found[:4])) or "one number"
            wanted = " x ".join(map(str, shape)) or "one number"
            raise Damaged(f"{name}: {sides} of {kind.str}: should be {wanted} of {dtype.str}")
        size = dtype.itemsize * int(np.prod(shape, dtype=object))
        if size > LARGEST:
            raise Damaged(f"{name}: more than {LARGEST // 2**30} GiB")
        content = member.read(size)
        if len(content) != size or member.read(1):
            raise Damaged(f"{name}: not as long as its header says")
    return np.frombuffer(content, dtype).reshape(shape).copy()


def limited(limit: int | float | None, batches: int) -> int:
    """How many of the batches a limit leaves: a number of them, or a share in [0, 1]."""
    if limit is None:
        return batches
    return min(limit, batches) if isinstance(limit, int) else int(limit * batches)
