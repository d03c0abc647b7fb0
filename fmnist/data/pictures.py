"""Anybody's pictures as images of a data set: prepared as the set itself was made.

Fashion-MNIST was made of product pictures in seven steps (Xiao et al. 2017, arXiv 1708.07747,
section 2): to PNG; edges trimmed that are within 5 % of the corners' colour; the longest side
subsampled to 28 pixels; sharpened; the shortest side extended to 28, the picture in the centre;
negated; to 8 bits of grey. Here it is the same but for two steps: pictures are larger now than the
thumbnails were, so that sides are scaled with an antialiasing filter, whose edges are as sharp as
those of subsampling and sharpening; and what is negated, and how large a garment or a digit is
within the frame, is what the set's own images show (`fmnist.data.look`).
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fmnist.data.facts import Look
from fmnist.errors import DataError

Pixels = NDArray[np.uint8]
CLOSE = 0.05  # of the largest distance between two colours: step 2 of the set's authors
FRAMED = 0.5  # of a picture's border: with less of one colour in it there is no background to cut


def files_below(folder: Path) -> list[Path]:
    """All of them in order, but for hidden ones and those in hidden folders.

    Viewers and network drives keep small copies of pictures there, as .thumbnails/ or ._1.png.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """The files that are named, and those below folders that have the ending of a picture.

    Raises:
        DataError: a path that is not there, or a folder without pictures.
    """
    Image.init()
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [item for item in files_below(path) if item.suffix.lower() in Image.EXTENSION]
            if not inside:
                raise DataError(f"{path}: holds no pictures, such as .png or .jpg")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder")
    return list(dict.fromkeys(found))


def read_picture(path: Path) -> Image.Image:
    """A picture, upright, of 8 bits a channel.

    Raises:
        DataError: it is none that Pillow can read, or damaged, or of 32 bits.
    """
    try:
        with Image.open(path) as picture:
            picture.load()
            if picture.mode == "F" or (picture.mode == "I" and picture.format == "TIFF"):
                raise ValueError("pixels of 32 bits: should be of 8 or 16, which say what is white")
            return eight_bits(ImageOps.exif_transpose(picture))
    except Exception as error:  # Pillow's decoders raise anything
        reason = " ".join(str(error).split()).removesuffix(f" {str(path)!r}")
        raise DataError(f"{path}: not a picture that can be read: {reason}") from error


def eight_bits(picture: Image.Image) -> Image.Image:
    """Of one of 16 bits the upper eight; Pillow would clip it at 255."""
    if not picture.mode.startswith("I"):
        return picture
    wide = np.asarray(picture).astype(np.uint32)
    return Image.fromarray((wide >> 8).clip(max=255).astype(np.uint8))


def prepare(picture: Image.Image, shape: Iterable[int], look: Look) -> Pixels:
    """A picture as an image of the set: uint8 [S, S] if grey, else [C, S, S].

    Args:
        picture: of any size and mode, upright.
        shape: of the set's images: channels, height, width.
        look: of the set. Where it has a background, the picture's own background is cut off and
            becomes the set's, and what is left is centred; else the middle of the picture is taken.
    """
    channels, height, width = shape
    flat = opaque(picture)
    if not look.background:
        fitted = ImageOps.fit(flat, (width, height), Image.Resampling.LANCZOS)
        return _channels(fitted, channels)
    own, colour = _own_background(flat)
    if (_brightness(colour) > 127.5) != (sum(look.background) / len(look.background) > 127.5):
        flat = ImageOps.invert(flat)
    set_colour = tuple(round(value) for value in look.background) * (3 // channels)
    clear = Image.new("RGB", flat.size, set_colour)
    clear.paste(flat, mask=Image.fromarray(np.where(own, 0, 255).astype(np.uint8)))
    if flat.size == (width, height):  # such as an image of the set: it stands as it should
        return _channels(clear, channels)
    box = Image.fromarray((~own).astype(np.uint8)).getbbox()
    frame = Image.new("RGB", (width, height), set_colour)
    _put_into_middle(frame, clear.crop(box), look.content)
    return _channels(frame, channels)


def opaque(picture: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white, or black where nothing would be seen on white."""
    picture = eight_bits(picture)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layered = picture.convert("RGBA")
    for paper in ("white", "black"):
        flat = Image.alpha_composite(Image.new("RGBA", layered.size, paper), layered).convert("RGB")
        if any(low + 255 * CLOSE < high for low, high in flat.getextrema()):  # type: ignore[misc]
            break
    return flat


def _own_background(flat: Image.Image) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Where a picture shows its background, bool [H, W], and the colour of that, float [3].

    Nowhere, if its border is not of one colour: then the border's median is given.
    """
    pixels = np.asarray(flat).astype(np.int32)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(border, axis=0)
    close = CLOSE * np.sqrt(3) * 255
    if (np.linalg.norm(border - colour, axis=1) <= close).mean() < FRAMED:
        return np.zeros(pixels.shape[:2], bool), colour
    return np.linalg.norm(pixels - colour, axis=2) <= close, colour


def _brightness(colour: NDArray[np.float64]) -> float:
    """Of red, green and blue, as the eye and Pillow weigh them (ITU-R BT.601)."""
    return float(colour @ np.array([0.299, 0.587, 0.114]))


def _put_into_middle(frame: Image.Image, content: Image.Image, share: float) -> None:
    """Scaled, so that its longest side is this share of the frame's."""
    scale = share * min(frame.width / content.width, frame.height / content.height)
    size = max(1, round(scale * content.width)), max(1, round(scale * content.height))
    fitted = content.resize(size, Image.Resampling.LANCZOS)
    frame.paste(fitted, ((frame.width - size[0]) // 2, (frame.height - size[1]) // 2))


def _channels(picture: Image.Image, channels: int) -> Pixels:
    """uint8 [S, S] of one channel, [C, S, S] of three."""
    if channels == 1:
        return np.asarray(picture.convert("L"))
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))
