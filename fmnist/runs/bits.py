"""One bit a test image: whether a run's net was right about it.

Accuracies alone cannot say what other test images would have shown, nor which images two nets
disagree about. The bits can, and 10,000 of them take 1.25 kB. A run keeps those of the chosen epoch
and of the last one in `right.npz`; those of a study's runs lie, by the hash of their configuration,
in one file beside its committed rows.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from fmnist.runs.plain import Damaged, open_regular, reading
from fmnist.runs.predictions import read_array
from fmnist.runs.run import write_atomically

RIGHT = "right.npz"
COUNT = "images"  # its entry in the file; runs are named by hashes
MOST_IMAGES = 10_000_000  # a header that claims more is damage
Bits = NDArray[np.bool_]  # [N], one a test image in file order


@dataclass(frozen=True)
class Right:
    """Of one run: bool [N] of the chosen epoch's net and of the last epoch's."""

    best: Bits
    last: Bits

    def __post_init__(self) -> None:
        if self.best.shape != self.last.shape or self.best.ndim != 1:
            raise ValueError(f"shapes {self.best.shape} and {self.last.shape}: should be one [N]")


def write_right(path: Path, runs: Mapping[str, Right]) -> None:
    """Write the bits of one run or of many, by name.

    Raises:
        ValueError: the runs were tested on different numbers of images, or there is none.
    """
    counts = {len(right.best) for right in runs.values()}
    if len(counts) != 1:
        raise ValueError(f"numbers of test images {sorted(counts)}: should be one")
    arrays = {  # uint8 [2, ceil(N / 8)]
        name: np.packbits(np.stack([right.best, right.last]), axis=1)
        for name, right in sorted(runs.items())
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{COUNT: np.array(counts.pop())}, **arrays)
    write_atomically(path, buffer.getvalue())


def read_right(path: Path) -> dict[str, Right]:
    """The bits that `write_right` wrote, by name.

    Raises:
        RunError: the file is missing or damaged.
    """
    with reading(path, "is no archive of bits"), open_regular(path) as file:
        archive = ZipFile(file)
        count = int(read_array(archive, COUNT, np.dtype("<i8"), ()))
        if not 0 < count <= MOST_IMAGES:
            raise Damaged(f"{count} test images")
        shape, bits = (2, -(-count // 8)), np.dtype(np.uint8)
        runs = {}
        for name in (name.removesuffix(".npy") for name in archive.namelist()):
            if name != COUNT:
                packed = read_array(archive, name, bits, shape)
                runs[name] = Right(*np.unpackbits(packed, axis=1, count=count).astype(bool))
        return runs
