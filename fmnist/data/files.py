"""Fashion-MNIST, KMNIST and MNIST on disk: find or download, check, read.

The layout is torchvision's: ROOT/<name>/raw/ holds four uncompressed IDX files (format: LeCun,
Cortes & Burges, "The MNIST database", FILE FORMATS).
"""

import hashlib
import os
import tempfile
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from fmnist.errors import DataError, DataUnavailable

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

# MD5 of the uncompressed files. Fashion-MNIST's are those since 31 August 2017: the files before
# had train/test overlap. torchvision checks the compressed ones that it downloads; KMNIST's
# authors publish sums of those only, so that its uncompressed files are checked by their form.
MD5 = {
    "FashionMNIST": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
    "MNIST": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "KMNIST": (None, None, None, None),
}


def read_data_set(name: str, root: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The four files as tensors, keyed by file name, and their MD5 sums.

    Images are uint8 [N, 28, 28], labels int64 [N].

    Args:
        name: "FashionMNIST", "KMNIST" or "MNIST".
        root: data root; the files are downloaded into it when they are missing.

    Raises:
        DataUnavailable: neither on disk nor reachable.
        DataError: a file is truncated, outdated or foreign.
    """
    folder = root / name / "raw"
    if not all((folder / file).is_file() for file in FILES):
        download(name, root)
    tensors, sums = {}, {}
    for file, expected in zip(FILES, MD5[name], strict=True):
        content = (folder / file).read_bytes()
        sums[file] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if expected and sums[file] != expected:
            raise DataError(
                f"{folder / file}: MD5 {sums[file]} should be {expected}: the file is truncated, "
                f"outdated or foreign. Delete it, or set data.root to another folder."
            )
        tensors[file] = parse_idx(content, folder / file)
    for images, labels in (FILES[:2], FILES[2:]):
        if len(tensors[images]) != len(tensors[labels]):
            raise DataError(
                f"{folder / labels}: {len(tensors[labels])} labels for "
                f"{len(tensors[images])} images"
            )
    return tensors, sums


def parse_idx(content: bytes, path: Path) -> Tensor:
    """IDX bytes as a tensor: images uint8 [N, 28, 28] or labels int64 [N].

    Raises:
        DataError: the header or the length is wrong, or a label above 9.
    """
    rank = 3 if "idx3" in path.name else 1
    header = 4 + 4 * rank
    words = min(len(content), header) // 4
    fields = [int(n) for n in np.frombuffer(content, dtype=">u4", count=words)]
    good = len(fields) == 1 + rank and fields[0] == 0x0800 + rank and fields[2:] in ([], [28, 28])
    if not good or len(content) != header + int(np.prod(fields[1:])):
        raise DataError(f"{path}: not an IDX file of 28x28 images or labels, or truncated")
    # frombuffer gives read-only memory, which torch must not share: copy once.
    array = np.frombuffer(content, dtype=np.uint8, offset=header).reshape(fields[1:])
    if rank == 1 and array.max(initial=0) > 9:
        raise DataError(f"{path}: label {array.max()}: should be 0 to 9, for ten classes")
    return torch.from_numpy(array.copy() if rank == 3 else array.astype(np.int64))


def download(name: str, root: Path) -> None:
    """Fetch a data set with torchvision (which checks its MD5 sums) into ROOT/<name>/raw.

    Atomic: the files are fetched into a folder of their own and renamed one by one, under a lock,
    so that a second run that starts meanwhile waits and then finds them.

    Raises:
        DataUnavailable: nothing could be reached, or the root cannot be written.
    """
    folder = root / name / "raw"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):
            if all((folder / file).is_file() for file in FILES):
                return
            # Imported here because it costs a second that a run with its files never needs.
            import torchvision

            with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as temporary:
                getattr(torchvision.datasets, name)(temporary, download=True)
                folder.mkdir(parents=True, exist_ok=True)
                for file in sorted(Path(temporary, name, "raw").iterdir()):
                    os.replace(file, folder / file.name)
    except (OSError, RuntimeError, HTTPException) as error:
        raise DataUnavailable(
            f"{name} is neither in {folder} nor reachable ({' '.join(str(error).split())}). "
            f"Three ways out: "
            f"data.root=DIR, where DIR/{name}/raw holds its files; the same DIR as environment "
            "variable FMNIST_DATA; or data=synthetic, which needs no files."
        ) from error
