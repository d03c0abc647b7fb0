"""Fashion-MNIST, KMNIST and MNIST on disk: find or download, check, read.

The layout is torchvision's: ROOT/<name>/raw/ holds four IDX files (format: LeCun, Cortes & Burges,
"The MNIST database", FILE FORMATS). A file may be there compressed (.gz), as its authors publish
it: it is then unpacked in memory, each time (0.3 s for all of Fashion-MNIST).
"""

import gzip
import hashlib
import math
import os
import tempfile
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from fmnist.errors import DataError, DataUnavailable

if TYPE_CHECKING:  # whether the files are there is asked without it
    from torch import Tensor

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

# MD5 of the uncompressed files. Fashion-MNIST's are those since 31 August 2017: the files before
# had train/test overlap. torchvision checks the compressed ones that it downloads; KMNIST's
# authors publish sums of those only, so that its uncompressed files are checked by their form, and
# the record says that they are unchecked.
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


# Where Debian's package dataset-fashion-mnist puts its files, compressed.
DEBIAN = {"FashionMNIST": Path("/usr/share/datasets/fashion-mnist")}


def is_checked(name: str) -> bool:
    """Whether the sums of a data set's files are known, so that they were compared."""
    return all(MD5.get(name, ("drawn",)))


def find_data_set(name: str, root: Path, fetch: bool = True) -> Path:
    """The folder that holds the four files.

    Args:
        name: "FashionMNIST", "KMNIST" or "MNIST".
        root: data root.
        fetch: whether files that are missing are downloaded into the root. If not, nothing is
            written, and the data root of this machine counts as well: the root of a record may be
            another machine's.

    Raises:
        DataUnavailable: neither on disk nor reachable.
    """
    if name not in MD5:
        raise DataError(f"{name}: no such data set; there are {', '.join(MD5)}")
    roots = [root] if fetch else [root, Path(os.environ.get("FMNIST_DATA") or "data").expanduser()]
    folders = [place / name / "raw" for place in dict.fromkeys(roots)]
    folders += [DEBIAN[name]] if name in DEBIAN else []
    complete = [folder for folder in folders if not missing_from(folder)]
    if not complete and not fetch:
        raise DataUnavailable(f"{not_found(name, folders)}; FMNIST_DATA=DIR says where it is")
    if not complete:
        download(name, root, not_found(name, folders))
    return complete[0] if complete else folders[0]


def read_data_set(
    name: str, root: Path, fetch: bool = True
) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """The four files as tensors, keyed by file name, and their MD5 sums.

    Images are uint8 [N, 28, 28], labels int64 [N]. The arguments are those of `find_data_set`.

    Raises:
        DataUnavailable: neither on disk nor reachable.
        DataError: a file is truncated, outdated or foreign.
    """
    folder = find_data_set(name, root, fetch)
    tensors, sums = {}, {}
    for file, expected in zip(FILES, MD5[name], strict=True):
        path, content = read_file(folder, file)
        sums[file] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if expected and sums[file] != expected:
            raise DataError(
                f"{path}: MD5 {sums[file]} should be {expected}: the file is truncated, "
                f"outdated or foreign. Delete it, or set data.root to another folder."
            )
        tensors[file] = parse_idx(content, path)
    for images, labels in (FILES[:2], FILES[2:]):
        if len(tensors[images]) != len(tensors[labels]):
            raise DataError(
                f"{folder / labels}: {len(tensors[labels])} labels for "
                f"{len(tensors[images])} images"
            )
    return tensors, sums


def is_file(path: Path) -> bool:
    """Whether a file can be read there; Path's own raises where a folder may not be entered."""
    return os.path.isfile(path)  # noqa: PTH113


def missing_from(folder: Path) -> list[str]:
    """The files that a folder lacks, packed or not."""
    return [
        file for file in FILES if not is_file(folder / file) and not is_file(folder / f"{file}.gz")
    ]


def not_found(name: str, folders: list[Path]) -> str:
    """Which files of a data set are missing, and where they were looked for."""
    places = []
    for folder in folders:
        lacking = missing_from(folder)
        what = "none of its four files" if lacking == [*FILES] else f"{', '.join(lacking)} missing"
        places.append(f"{folder} ({what})")
    return f"{name} is not in {' or in '.join(places)}"


def read_file(folder: Path, file: str) -> tuple[Path, bytes]:
    """A file's path and content, unpacked.

    Raises:
        DataError: it cannot be read, or not be unpacked.
    """
    path = folder / file
    try:
        if is_file(path):
            return path, path.read_bytes()
        path = folder / f"{file}.gz"
        return path, gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a gzip file, or truncated: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def parse_idx(content: bytes, path: Path) -> "Tensor":
    """IDX bytes as a tensor: images uint8 [N, 28, 28] or labels int64 [N], N > 0.

    Raises:
        DataError: the header or the length is wrong, there is nothing, or a label above 9.
    """
    rank, what = (3, "images of 28x28") if "idx3" in path.name else (1, "labels")
    header = 4 + 4 * rank
    if len(content) < header:
        raise DataError(f"{path}: {len(content)} bytes: empty, or truncated within its header")
    magic, *sizes = (int(n) for n in np.frombuffer(content, dtype=">u4", count=1 + rank))
    if magic != 0x0800 + rank:
        raise DataError(
            f"{path}: begins with 0x{magic:08x}: not an IDX file of {what}, which begins with "
            f"0x{0x0800 + rank:08x}"
        )
    if sizes[1:] not in ([], [28, 28]):
        raise DataError(f"{path}: images of {sizes[1]}x{sizes[2]}: should be of 28x28")
    if len(content) != header + math.prod(sizes):
        raise DataError(
            f"{path}: {len(content)} bytes: should be {header + math.prod(sizes)} for the "
            f"{sizes[0]} {what} of its header: truncated, or foreign"
        )
    if not sizes[0]:
        raise DataError(f"{path}: holds no {what}")
    # frombuffer gives read-only memory, which torch must not share: copy once.
    array = np.frombuffer(content, dtype=np.uint8, offset=header).reshape(sizes)
    if rank == 1 and array.max() > 9:
        raise DataError(f"{path}: label {array.max()}: should be 0 to 9, for ten classes")
    import torch

    return torch.from_numpy(array.copy() if rank == 3 else array.astype(np.int64))


def download(name: str, root: Path, why: str) -> None:
    """Fetch a data set with torchvision (which checks its MD5 sums) into ROOT/<name>/raw.

    Atomic: the files are fetched into a folder of their own and renamed one by one, under a lock,
    so that a second run that starts meanwhile waits and then finds them.

    Args:
        why: which files are missing, for the message.

    Raises:
        DataUnavailable: nothing could be reached, or the root cannot be written.
    """
    folder = root / name / "raw"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):
            if not missing_from(folder):
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
            f"{why}, and cannot be downloaded ({' '.join(str(error).split())}). Three ways out: "
            f"data.root=DIR, where DIR/{name}/raw holds its files; the same DIR as environment "
            "variable FMNIST_DATA; or data=synthetic, which needs no files."
        ) from error
