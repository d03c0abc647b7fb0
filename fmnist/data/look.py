"""How the images of a set stand in their frames, by what they show themselves."""

import numpy as np
from numpy.typing import NDArray

from fmnist.data.facts import Look

SAME = 13  # of 255: corners of a set's images that are as near to each other show one background
ENOUGH = 1000  # images to look at: evenly spread, as some sets are ordered by class
SHARE = 0.6  # of the corners that must be so: garments and digits reach some


def measure_look(pixels: NDArray[np.uint8]) -> Look:
    """How the images of a set stand in their frames.

    Args:
        pixels: uint8 [N, S, S] or [N, C, S, S], N > 0.
    """
    some = pixels[:: max(1, len(pixels) // ENOUGH)]
    images = some if some.ndim == 4 else some[:, None]
    corners = images[..., [0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int16)  # [N, C, 4]
    background = np.median(corners, axis=(0, 2))
    near = (np.abs(corners - background[:, None]) <= SAME).all(1).mean()
    if near < SHARE:
        return Look([], 1.0)
    content = (np.abs(images.astype(np.int16) - background[:, None, None]) > SAME).any(1)
    longest = np.maximum(_extents(content.any(2)), _extents(content.any(1)))  # [N]
    shown = longest[longest > 0]
    share = float(np.median(shown)) / max(images.shape[-2:]) if len(shown) else 1.0
    return Look([float(value) for value in background], round(share, 4))


def _extents(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """From the first True to the last one, int64 [N] of bool [N, S]; 0 where there is none."""
    size = there.shape[1]
    length = size - there.argmax(1) - there[:, ::-1].argmax(1)
    return np.asarray(np.where(there.any(1), length, 0))
