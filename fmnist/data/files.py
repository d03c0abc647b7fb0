"""Published data sets on disk: find or download, check sums, read.

The layout is torchvision's: ROOT/<folder>/ holds the files that `published.yaml` lists. A file may
be there compressed (.gz), as its authors publish it: it is then unpacked in memory, each time
(0.3 s for all of Fashion-MNIST).
"""

import gzip
import hashlib
import os
import tempfile
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from fmnist.config.published import Published, published
from fmnist.errors import DataError, DataUnavailable

if TYPE_CHECKING:  # whether the files are there is asked without torch
    from fmnist.data.source import DataSet, Wanted


def find_data_set(name: str, root: Path, fetch: bool = True) -> Path:
    """The folder that holds the files.

    Args:
        name: of a published data set.
        root: data root.
        fetch: whether files that are missing are downloaded into the root. If not, nothing is
            written, and the data root of this machine counts as well: the root of a record may be
            another machine's.

    Raises:
        DataUnavailable: neither on disk nor reachable.
    """
    if name not in published():
        raise DataError(f"{name}: no such data set; there are {', '.join(published())}")
    facts = published()[name]
    roots = [root] if fetch else [root, Path(os.environ.get("FMNIST_DATA") or "data").expanduser()]
    folders = [place / facts.folder for place in dict.fromkeys(roots)]
    folders += [Path(facts.elsewhere)] if facts.elsewhere else []
    complete = [folder for folder in folders if not missing_from(folder, facts)]
    if not complete and not fetch:
        raise DataUnavailable(f"{not_found(name, folders)}; FMNIST_DATA=DIR says where it is")
    if not complete:
        download(name, root, not_found(name, folders))
    return complete[0] if complete else folders[0]


def read_published(wanted: "Wanted") -> "DataSet":
    """A published data set, its files checked.

    Raises:
        DataUnavailable: neither on disk nor reachable.
        DataError: a file is truncated, outdated or foreign.
    """
    from fmnist.data import cifar, idx
    from fmnist.data.drawn import draw
    from fmnist.data.source import DataSet

    if wanted.name in published() and published()[wanted.name].reader == "drawn":
        return draw(wanted, published()[wanted.name].classes)
    folder, facts = find_data_set(wanted.name, wanted.root, wanted.fetch), published()[wanted.name]
    read_part = {"idx": idx.read_part, "cifar": cifar.read_part}[facts.reader]
    sums: dict[str, str] = {}
    parts = []
    for files in (facts.train, facts.test):
        contents = {}
        for file, expected in files.items():
            path, content = read_file(folder, file)
            sums[file] = hashlib.md5(content, usedforsecurity=False).hexdigest()
            if expected and sums[file] != expected:
                raise DataError(
                    f"{path}: MD5 {sums[file]} should be {expected}: the file is truncated, "
                    f"outdated or foreign. Delete it, or set data.root to another folder."
                )
            contents[path] = content
        parts.append(read_part(contents, facts))
    return DataSet(parts[0], facts.classes, parts[1], checksums=sums, checked=facts.checked)


def is_file(path: Path) -> bool:
    """Whether a file can be read there; Path's own raises where a folder may not be entered."""
    return os.path.isfile(path)  # noqa: PTH113


def missing_from(folder: Path, facts: Published) -> list[str]:
    """The files that a folder lacks, packed or not."""
    return [
        file
        for file in facts.files
        if not is_file(folder / file) and not is_file(folder / f"{file}.gz")
    ]


def not_found(name: str, folders: list[Path]) -> str:
    """Which files of a data set are missing, and where they were looked for."""
    places, facts = [], published()[name]
    for folder in folders:
        lacking = missing_from(folder, facts)
        none = f"none of its {len(facts.files)} files"
        what = none if lacking == [*facts.files] else f"{', '.join(lacking)} missing"
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


def download(name: str, root: Path, why: str) -> None:
    """Fetch a data set with torchvision (which checks its MD5 sums) into its folder of the root.

    Atomic: the files are fetched into a folder of their own and renamed one by one, under a lock,
    so that a second run that starts meanwhile waits and then finds them.

    Args:
        why: which files are missing, for the message.

    Raises:
        DataUnavailable: nothing could be reached, or the root cannot be written.
    """
    facts = published()[name]
    folder = root / facts.folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{name}.lock"):
            if not missing_from(folder, facts):
                return
            # Imported here because it costs a second that a run with its files never needs.
            import torchvision

            with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as temporary:
                for arguments in facts.arguments:
                    of_torchvision = getattr(torchvision.datasets, facts.torchvision)
                    of_torchvision(temporary, download=True, **arguments)
                folder.mkdir(parents=True, exist_ok=True)
                for file in sorted(Path(temporary, facts.folder).iterdir()):
                    os.replace(file, folder / file.name)
    except (OSError, RuntimeError, HTTPException) as error:
        raise DataUnavailable(
            f"{why}, and cannot be downloaded ({' '.join(str(error).split())}). Three ways out: "
            f"data.root=DIR, where DIR/{facts.folder} holds its files; the same DIR as environment "
            "variable FMNIST_DATA; or data=synthetic, which needs no files."
        ) from error
