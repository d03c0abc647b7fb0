"""Ten kinds of garment drawn by a program: a stand-in for Fashion-MNIST that needs no files.

A garment is a margin, float32 [n, 28, 28] in half image widths, positive inside the shape: a union
is `maximum`, an intersection `minimum`. With it comes a tone, the factor of about 1 by which seams,
buttons and prints darken or lighten the cloth.
"""

from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIDE = 28
CHUNK = 256  # images at a time: few enough for the processor's cache

Field = NDArray[np.floating[Any]]
Garment = tuple[Field, Field]


class _Canvas:
    """Coordinates `x` (right) and `y` (down) of n images, [n, 28, 28], each moved and turned."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.shape = rng, (size, 1, 1)
        grid = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) / (SIDE / 2)
        across = grid[None, None, :] - self.draw(-0.11, 0.11)
        down = grid[None, :, None] - self.draw(-0.09, 0.09)
        angle, scale = self.draw(-0.12, 0.12), self.draw(0.81, 1.04)
        self.x = (np.cos(angle) * across + np.sin(angle) * down) / (scale * self.draw(0.86, 1.12))
        self.y = (np.cos(angle) * down - np.sin(angle) * across) / scale

    def draw(self, low: float, high: float) -> Field:
        """A number for every image, float32 [n, 1, 1]."""
        return low + (high - low) * self.rng.random(self.shape, dtype=np.float32)

    def coin(self, chance: float = 0.5) -> NDArray[np.bool_]:
        """bool [n, 1, 1]."""
        return self.draw(0.0, 1.0) < chance

    def mark(self, margin: Field, low: float, high: float, chance: float = 1.0) -> Field:
        """What a detail adds to the tone: by its mean alone no linear model could find it."""
        sign = np.where(self.coin(), np.float32(1.0), np.float32(-1.0))
        return self.coin(chance) * sign * self.draw(low, high) * _cover(margin)


def _cover(margin: Field) -> Field:
    """The share of every pixel that lies inside: an edge of one pixel, without steps."""
    cover: Field = np.clip(margin * (SIDE / 2) + 0.5, 0.0, 1.0)
    return cover


def _both(*margins: Field) -> Field:
    """What is inside all of them."""
    return reduce(np.minimum, margins)


def _line(t: Field, *knots: tuple[Field | float, Field | float]) -> Field:
    """Piecewise linear in `t` through (position, value) knots, constant outside."""
    value = np.float32(0.0) + knots[0][1]
    for (left, before), (right, after) in pairwise(knots):
        value = value + (after - before) * np.clip((t - left) / (right - left), 0.0, 1.0)
    return np.asarray(value, dtype=np.float32)


def _ellipse(x: Field, y: Field, width: Field | float, height: Field | float) -> Field:
    """About the origin, with these half axes; right to a pixel."""
    near: Field = 1.0 - np.hypot(x / width, y / height)
    return near * np.minimum(width, height, dtype=np.float32)


def _upper(c: _Canvas, shoulder: Field, waist: Field, hem: Field | float, long: Any) -> Garment:
    """A body from shoulders to hem with a round neck, and sleeves, long ones or short ones."""
    x, y = np.abs(c.x), c.y
    half = _line(y, (-0.85, shoulder), (-0.3, waist), (hem, waist * c.draw(0.95, 1.12)))
    neck = _ellipse(c.x, y + 0.95, c.draw(0.17, 0.28), c.draw(0.1, 0.3))
    body = _both(half - x, hem - y, y + 0.95 - 0.28 * x, -neck)
    wide, length = c.draw(0.14, 0.22), np.where(long, c.draw(1.3, 1.6), c.draw(0.35, 0.75))
    angle = np.where(long, c.draw(0.1, 0.28), c.draw(0.35, 0.9))  # from the vertical
    right, down = x - shoulder + wide, y + 0.84 - wide
    along = np.sin(angle) * right + np.cos(angle) * down
    aside = np.cos(angle) * right - np.sin(angle) * down
    sleeves = _both(wide - np.hypot(aside, np.minimum(along, 0.0)), length - along)
    seam = _both(0.04 - np.abs(body), sleeves)
    return np.maximum(body, sleeves), 1.0 - c.draw(0.2, 0.7) * _cover(seam)


def _t_shirt(c: _Canvas) -> Garment:
    margin, tone = _upper(c, c.draw(0.48, 0.6), c.draw(0.42, 0.58), c.draw(0.78, 0.98), False)
    motif = _ellipse(c.x, c.y + c.draw(0.0, 0.4), c.draw(0.1, 0.35), c.draw(0.08, 0.35))
    return margin, tone + c.mark(motif, 0.1, 0.7, 0.5)


def _pullover(c: _Canvas) -> Garment:
    hem = c.draw(0.78, 0.98)
    margin, tone = _upper(c, c.draw(0.48, 0.6), c.draw(0.42, 0.56), hem, True)
    return margin, tone + c.mark(0.1 - np.abs(hem - 0.1 - c.y), 0.1, 0.4)  # a rib


def _coat(c: _Canvas) -> Garment:
    margin, tone = _upper(c, c.draw(0.48, 0.6), c.draw(0.4, 0.54), c.draw(0.86, 1.0), True)
    side = np.abs(c.x - c.draw(-0.08, 0.08))
    lapel = 0.05 - np.abs(side - 0.5 * (c.draw(-0.45, -0.05) - c.y))
    return margin, tone + c.mark(c.draw(0.045, 0.09) - side, 0.6, 0.95) + c.mark(lapel, 0.2, 0.5)


def _shirt(c: _Canvas) -> Garment:
    waist, hem = c.draw(0.42, 0.56), c.draw(0.78, 0.98)
    margin, tone = _upper(c, c.draw(0.48, 0.6), waist, hem, c.coin(0.6))
    collar = _ellipse(np.abs(c.x) - 0.15, c.y + 0.8, 0.14, c.draw(0.14, 0.22))
    pitch = c.draw(0.24, 0.36)
    row = np.abs((c.y + 0.6) / pitch % 1.0 - 0.5) * pitch
    buttons = _both(_ellipse(c.x, row, 0.07, 0.07) + 0.02, c.y + 0.55)
    tone = tone + c.mark(collar, 0.35, 0.65) + c.mark(buttons, 0.6, 0.9)
    return np.maximum(margin, collar), tone


def _dress(c: _Canvas) -> Garment:
    x, shoulder, waist = np.abs(c.x), c.draw(0.24, 0.42), c.draw(0.18, 0.34)
    half = _line(c.y, (-0.5, shoulder), (-0.2, waist), (0.98, c.draw(0.26, 0.65)))
    neck = _ellipse(c.x, c.y + 0.98, shoulder * c.draw(0.4, 0.7), c.draw(0.1, 0.4))
    margin = _both(half - x, 0.98 - c.y, c.y + 0.98 - 0.2 * x, -neck)
    dressed, tone = _upper(c, shoulder, waist, 0.2, c.coin(0.4))
    margin = np.where(c.coin(0.6), margin, np.maximum(margin, dressed))  # without sleeves, or with
    return margin, tone + c.mark(0.05 - np.abs(c.y + 0.2), 0.1, 0.6, 0.5)  # a belt


def _trouser(c: _Canvas) -> Garment:
    hip, ankle, crotch = c.draw(0.26, 0.42), c.draw(0.2, 0.5), c.draw(-0.5, -0.2)
    x = np.abs(c.x)
    outer = _line(c.y, (-0.95, hip * 0.85), (crotch, hip), (0.95, ankle))
    inner = _line(c.y, (crotch, -0.06), (crotch + 0.08, 0.02), (0.95, ankle * c.draw(0.2, 0.6)))
    tone = 1.0 - 0.4 * _cover(_both(0.04 - x, crotch - c.y))  # a fly
    return _both(outer - x, x - inner, 0.96 - np.abs(c.y)), tone


def _low_shoe(c: _Canvas, floor: Field, collar: Field) -> Field:
    """Toe to the left: the height of its upper edge, [n, 28, 28]."""
    toe, tongue, dip = floor - c.draw(0.28, 0.42), c.draw(-0.1, 0.2), collar + c.draw(0.05, 0.2)
    front = ((-0.95, floor - 0.1), (-0.8, toe), (-0.45, toe - 0.05), (tongue, collar))
    return _line(c.x, *front, (tongue + 0.25, dip), (0.65, dip), (0.85, collar - 0.1))


def _sneaker(c: _Canvas) -> Garment:
    floor = c.draw(0.4, 0.55)
    top = _low_shoe(c, floor, c.draw(-0.5, -0.05))
    sole, slope = c.draw(0.05, 0.1) - np.abs(c.y - floor + 0.06), c.x + c.draw(0.1, 0.3) + 0.6 * c.y
    laces = _both(np.sin(slope * 30.0) * 0.05, 0.22 - np.abs(slope), floor - 0.25 - c.y)
    tone = 1.0 + c.mark(sole, 0.2, 0.7) + c.mark(laces, 0.2, 0.6, 0.7)
    return _both(c.y - top, floor - c.y, 0.95 - np.abs(c.x)), tone


def _ankle_boot(c: _Canvas) -> Garment:
    floor, toe, cuff = c.draw(0.6, 0.85), c.draw(0.1, 0.35), c.draw(-0.95, -0.35)
    front = c.draw(-0.2, 0.1)
    top = _line(c.x, (-0.95, 0.5), (-0.75, toe), (front - 0.1, toe - 0.25), (front + 0.05, cuff))
    margin = _both(c.y - top, floor - c.y, 0.85 - np.abs(c.x + 0.1))
    arch = _ellipse(c.x - 0.05, c.y - floor, c.draw(0.1, 0.35), c.draw(0.03, 0.2))
    return _both(margin, -arch), 1.0 + c.mark(0.04 - np.abs(c.y - floor + 0.1), 0.1, 0.6)  # a sole


def _sandal(c: _Canvas) -> Garment:
    """Straps, each a slanted slice of a low shoe, over a sole that may rise to a heel."""
    floor = c.draw(0.4, 0.6)
    under = c.y - floor + _line(c.x, (-0.4, 0.0), (0.7, c.coin() * c.draw(0.1, 0.45)))
    top, straps = _low_shoe(c, floor, c.draw(-0.5, 0.0)) - floor, np.full_like(c.x, -1.0)
    for low, high in ((-0.75, -0.45), (-0.4, 0.1), (0.6, 0.85)):
        aside = c.x - c.draw(low, high) - c.draw(-0.5, 0.7) * (under + 0.3)
        straps = np.maximum(straps, c.draw(0.06, 0.14) - np.abs(aside))
    heel = _both(c.draw(0.06, 0.3) - np.abs(c.x - 0.7), floor - c.y, under)
    sole = np.maximum(c.draw(0.05, 0.12) - np.abs(under), heel)
    margin = np.maximum(_both(straps, under - top, -under), sole)
    return _both(margin, 0.95 - np.abs(c.x)), np.ones_like(margin)


def _bag(c: _Canvas) -> Garment:
    top, floor, width = c.draw(-0.45, 0.1), c.draw(0.65, 0.9), c.draw(0.65, 0.95)
    half = _line(c.y, (top, width - c.draw(0.0, 0.2)), (floor, width - c.draw(0.0, 0.2)))
    ring = _ellipse(c.x, c.y - top, width * c.draw(0.35, 0.8), c.draw(0.25, 0.6))
    handle = np.where(c.coin(0.75), _both(0.05 - np.abs(ring - 0.05), top - c.y), np.float32(-1.0))
    flap = 0.04 - np.abs(c.y - top - c.draw(0.15, 0.5))
    margin = np.maximum(_both(half - np.abs(c.x), c.y - top, floor - c.y), handle)
    return margin, 1.0 + c.mark(flap, 0.1, 0.6, 0.6)


# In Fashion-MNIST's order of classes.
DRAWN = (
    _t_shirt, _trouser, _pullover, _dress, _coat, _sandal, _shirt, _sneaker, _bag, _ankle_boot,
)  # fmt: skip


def render(label: int, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Images of one class, uint8 [size, 28, 28], black outside the garment."""
    c = _Canvas(rng, size)
    margin, tone = DRAWN[label](c)
    wave = c.draw(6.0, 30.0) * np.where(c.coin(), c.x, c.y) + c.draw(0.0, 6.3)
    stripes = c.coin(0.35) * c.draw(0.05, 0.3) * np.sin(wave)
    grain = c.draw(0.02, 0.12) * (2.0 * rng.random(c.x.shape, dtype=np.float32) - 1.0)
    light = c.draw(-0.3, 0.3) * c.x + c.draw(-0.3, 0.3) * c.y
    edges = 1.0 - c.draw(0.0, 0.4) * np.clip(1.0 - 6.0 * margin, 0.0, 1.0)
    cloth = c.draw(70.0, 240.0) * (tone + stripes + grain + light) * edges
    pixels: NDArray[np.uint8] = np.clip(cloth * _cover(margin), 0.0, 255.0).astype(np.uint8)
    return pixels


def garments(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw garments, the same ones whenever `count` and `seed` are the same.

    Returns:
        Images, uint8 [count, 28, 28], and labels, int64 [count] in 0..9 in Fashion-MNIST's order,
        balanced to within one a class and shuffled.

    Raises:
        ValueError: `count` below 1 or `seed` below 0.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    rng = np.random.Generator(np.random.PCG64(seed))
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(DRAWN))
    images = np.empty((count, SIDE, SIDE), dtype=np.uint8)
    for label in range(len(DRAWN)):
        places = np.flatnonzero(labels == label)
        for start in range(0, len(places), CHUNK):
            chunk = places[start : start + CHUNK]
            images[chunk] = render(label, len(chunk), rng)
    return torch.from_numpy(images), torch.from_numpy(labels)
