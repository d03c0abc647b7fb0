"""Pictures in folders: DIR/CLASS/*.png, or DIR/train/CLASS/*.png with test/ and val/ beside it.

Pictures are decoded once, by all cores, and kept as arrays in the cache folder, for as long as
names, sizes and times of all files are the same.
"""

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fmnist.data.pictures import files_below, opaque, read_picture
from fmnist.data.source import DataSet, Images, Wanted, data_set_of, refuse_if_too_large
from fmnist.errors import DataError, DataUnavailable
from fmnist.process.bars import tqdm
from fmnist.process.machine import usable_cores

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
PARTS = ("train", "val", "test")
OF_TRAINING, OF_OTHERS = {"train", "training"}, {"val", "valid", "validation", "test", "testing"}
CALLED = OF_TRAINING | OF_OTHERS  # the parts by others, in any case
GREY = {"1", "L", "LA", "I;16", "I;16B", "I;16L", "I", "F"}  # modes of Pillow's

DECODING = 3  # of `decode_picture`: what an earlier one left in the cache is made anew

File = tuple[Path, int]  # and its label


@dataclass(frozen=True)
class Folder:
    """The reader of `data=folder`."""

    def read(self, wanted: Wanted) -> DataSet:
        """The pictures below the root, at the size that is wanted: the middle square of each.

        Without a size all must have one, and be square. They are in colour if any of them is.

        Raises:
            DataUnavailable: there is no such folder.
            DataError: there are no pictures, some cannot be read, or they do not fit together.
        """
        parts, classes, remarks = find_labelled(wanted.root)
        listed = fingerprint(wanted.root, parts, wanted)
        kept = read_cache(cache_file(wanted), listed)
        if kept is None:
            files = [file for part in parts.values() for file, _ in part]
            size, channels = form(wanted, files)
            refuse_if_too_large(wanted.name, len(files), (channels, size, size))
            pixels = decode_pictures(files, size, channels)
            if wanted.fetch:
                write_cache(cache_file(wanted), listed, pixels)
        else:
            pixels = kept
        images, start = {}, 0
        for part, pictures in parts.items():
            some = torch.from_numpy(pixels[start : start + len(pictures)].copy())
            labels = torch.tensor([label for _, label in pictures], dtype=torch.int64)
            images[part] = Images(some, labels)
            start += len(pictures)
        return data_set_of(images, classes, remarks)


def find_labelled(root: Path) -> tuple[dict[str, list[File]], list[str], list[str]]:
    """The pictures of every part with their labels, the names of the classes, and remarks.

    Raises:
        DataUnavailable: there is no such folder.
        DataError: there are no classes of pictures, a part has classes that training lacks, or
            folders are called nearly as parts are.
    """
    if not root.is_dir():
        file = "; data=npz reads arrays in a file" if root.is_file() else ""
        raise DataUnavailable(f"{root}: no such folder; data.root=DIR names one{file}")
    folders = {part: root / part for part in PARTS if (root / part).is_dir()}
    folders = folders if "train" in folders else {"train": root}
    remarks, odd = _beside(root, folders), []
    found: dict[str, dict[str, list[Path]]] = {}
    for part, folder in folders.items():
        found[part] = {}
        for place in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            if not place.is_dir():
                odd.append(place)
                continue
            below = files_below(place)
            pictures = [path for path in below if path.suffix.lower() in ENDINGS]
            odd += [path for path in below if path.suffix.lower() not in ENDINGS]
            if pictures:
                found[part][place.name] = pictures
            else:
                remarks.append(f"{part} class {place.name} has no pictures and is left out")
    classes = sorted(found["train"])
    if folders["train"] == root and (called := _parts_among(classes)):
        raise _called_otherwise(root, called)
    if unnamed := next((name for name in classes if not _is_text(name)), None):
        shown = unnamed.encode(errors="backslashreplace").decode()
        raise DataError(f"class {shown}: its folder's name is no Unicode: rename it")
    if len(classes) < 2:
        some = "one" if classes else "no"
        raise DataError(
            f"{folders['train']}: pictures of {some} class: should hold a folder of pictures for "
            "each of 2 or more classes"
        )
    for part, of_part in found.items():
        if foreign := sorted(set(of_part) - set(classes)):
            raise DataError(f"{folders[part] / foreign[0]}: no such class in {folders['train']}")
    if odd:
        remarks.append(f"{listed(odd, root)}: no pictures, left out")
    parts = {
        part: [(path, classes.index(name)) for name, paths in of_part.items() for path in paths]
        for part, of_part in found.items()
    }
    return parts, classes, remarks


def _is_text(name: str) -> bool:
    """Whether a record can keep it: of other encodings Python has halves of surrogate pairs."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _parts_among(classes: Sequence[str]) -> list[str]:
    """Those that are parts of a set by a word of their name, such as seg_train and seg_test.

    None where only training or only the others are there: "train" is also a vehicle.
    """
    words = {name: {*re.split("[^a-z]+", name.lower())} for name in classes}
    parts = [name for name in classes if words[name] & CALLED]
    kinds = [any(words[name] & kind for name in parts) for kind in (OF_TRAINING, OF_OTHERS)]
    whole = bool(classes) and all(name.lower() in CALLED for name in classes)
    return parts if all(kinds) or whole else []


def _beside(root: Path, folders: dict[str, Path]) -> list[str]:
    """What is to be said of folders beside train/, which nobody reads.

    Raises:
        DataError: one has a name that others give to a part.
    """
    if folders["train"] == root:
        return []
    others = [
        path
        for path in sorted(root.iterdir())
        if path.is_dir()
        and not path.name.startswith(".")
        and not any(path.samefile(part) for part in folders.values())
    ]
    if parts := [path.name for path in others if path.name.lower() in CALLED]:
        raise _called_otherwise(root, parts)
    return [f"{listed(others, root)}: beside train/, not read"] if others else []


def _called_otherwise(root: Path, names: Sequence[str]) -> DataError:
    """What to say of parts under the names that others give them."""
    return DataError(
        f"{root}: holds {', '.join(f'{name}/' for name in names)}: the parts of a set should be "
        "called train/, test/ and val/"
    )


def listed(paths: Sequence[Path], root: Path) -> str:
    """The first of some files, and how many there are."""
    first = ", ".join(str(path.relative_to(root)) for path in paths[:3])
    return first if len(paths) <= 3 else f"{first}, ... ({len(paths)} files)"


def form(wanted: Wanted, files: Sequence[Path]) -> tuple[int, int]:
    """Height (and width) and channels of the images.

    Raises:
        DataError: pictures that cannot be read; or of several sizes, with none wanted.
    """
    from PIL import Image

    shapes, grey, broken = set(), True, []
    for path in files:
        try:
            with Image.open(path) as picture:
                shapes.add(picture.size)
                grey = grey and picture.mode in GREY
        except Exception:  # Pillow's decoders raise anything
            broken.append(path)
    if broken:
        raise unreadable(broken)
    size = wanted.size
    if size is None:
        (width, height), *others = sorted(shapes)
        if others or width != height:
            sizes = f"{width}x{height}" + (f" to {others[-1][0]}x{others[-1][1]}" if others else "")
            raise DataError(
                f"{wanted.name}: pictures of {sizes} pixels: should be square and of one size; "
                "data.size=28, or 64, makes them so"
            )
        size = height
    return size, wanted.channels or (1 if grey else 3)


def unreadable(broken: Sequence[Path], reason: str = "") -> DataError:
    """What to say of pictures that are none.

    Args:
        reason: of the first one, with its name.
    """
    if reason.startswith(str(broken[0])):
        more = f" (so {len(broken) - 1} more files)" if len(broken) > 1 else ""
        return DataError(f"{reason}{more}")
    few = ", ".join(map(str, broken[:3])) + (", ..." if len(broken) > 3 else "")
    what = "no picture: delete or mend it"
    if len(broken) > 1:
        what = f"{len(broken)} files cannot be read as pictures: delete or mend them"
    return DataError(f"{few}: {what}")


def decode_pictures(files: Sequence[Path], size: int, channels: int) -> np.ndarray[Any, Any]:
    """uint8 [N, size, size], or [N, 3, size, size] in colour.

    Raises:
        DataError: some cannot be read; names the first of them.
    """
    shape = (size, size) if channels == 1 else (channels, size, size)
    pixels = np.empty((len(files), *shape), dtype=np.uint8)
    broken, reasons = [], dict[Path, str]()

    def one(place: int) -> None:
        try:
            pixels[place] = decode_picture(files[place], size, channels)
        except Exception as error:  # Pillow's decoders raise anything
            broken.append(files[place])
            reasons[files[place]] = str(error)

    with ThreadPoolExecutor(usable_cores()) as pool:
        done = pool.map(one, range(len(files)))
        hidden = not sys.stderr.isatty()
        for _ in tqdm(done, "pictures", len(files), leave=False, disable=hidden, unit=" pictures"):
            pass
    if broken:
        raise unreadable(sorted(broken), reasons[min(broken)])
    return pixels


def decode_picture(path: Path, size: int, channels: int) -> np.ndarray[Any, Any]:
    """uint8 [size, size] or [3, size, size]: upright, opaque, the middle square, scaled."""
    from PIL import Image, ImageOps

    image = read_picture(path)
    if image.has_transparency_data:  # as `fmnist.data.pictures.prepare` shows it to a net
        image = opaque(image)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array if channels == 1 else array.transpose(2, 0, 1)


def fingerprint(root: Path, parts: dict[str, list[File]], wanted: Wanted) -> str:
    """Of names, sizes and times of all files, and of what is made of them."""
    digest = hashlib.md5(usedforsecurity=False)
    digest.update(f"{DECODING} {wanted.size} {wanted.channels}".encode())
    for part, files in parts.items():
        for path, label in files:
            facts = path.stat()
            line = f"{part} {path.relative_to(root)} {label} {facts.st_size} {facts.st_mtime_ns}\n"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def cache_file(wanted: Wanted) -> Path:
    """One for a folder, a size and a number of channels: of other files it is written anew."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fmnist"
    folder = wanted.root.absolute()
    key = os.fsencode(f"{folder} {wanted.size} {wanted.channels}")  # a name need not be Unicode
    digest = hashlib.md5(key, usedforsecurity=False).hexdigest()
    return base / f"{folder.name}-{digest[:8]}.npz"


def read_cache(path: Path, listed: str) -> np.ndarray[Any, Any] | None:
    """The pictures, if the file is of exactly these; a damaged one is none."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["fingerprint"]) == listed:
                return np.asarray(kept["pixels"])
    except Exception:  # zip files raise anything
        return None
    return None


def write_cache(path: Path, listed: str, pixels: np.ndarray[Any, Any]) -> None:
    """Under a temporary name, then renamed; where that is not possible, there is no cache."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{os.getpid()}-{path.name}")
        try:
            np.savez(temporary, fingerprint=listed, pixels=pixels)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError:
        return
