"""A contact sheet: some images of every class in one picture."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import torch

from fmnist.data.source import Images

if TYPE_CHECKING:
    from PIL.Image import Image

EACH = 12  # images of a class
ROWS = 100  # classes
LEAST = 56  # pixels that small images are enlarged to, a whole number of times
TEXT = 150  # pixels of a class's name
GAP = 2


def sheet_png(images: Images, classes: Sequence[str]) -> bytes:
    """The contact sheet as a PNG."""
    file = BytesIO()
    contact_sheet(images, classes).save(file, "PNG")
    return file.getvalue()


def contact_sheet(images: Images, classes: Sequence[str]) -> "Image":
    """The first images of the first classes, a row each, behind the name of the class."""
    from PIL import Image, ImageDraw

    size = images.shape[-1]
    scale = max(1, LEAST // size)
    side = size * scale
    rows = range(min(len(classes), ROWS))
    sheet = Image.new("RGB", (TEXT + EACH * (side + GAP), len(rows) * (side + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for label in rows:
        top = label * (side + GAP)
        name = classes[label] if len(classes[label]) <= 22 else f"{classes[label][:21]}…"
        pen.text((6, top + side // 2 - 6), name, fill="black")
        places = torch.nonzero(images.labels == label)[:EACH, 0]
        for number, pixels in enumerate(images.pixels[places].numpy()):
            array = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels
            picture = Image.fromarray(array).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(picture, (TEXT + number * (side + GAP), top))
    return sheet
