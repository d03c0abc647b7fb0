"""Ten kinds of garment drawn procedurally: a stand-in for Fashion-MNIST that needs no files.

A garment is a *margin field*, float32 [n, 28, 28] in half image widths, positive inside the shape:
union is ``maximum``, intersection is ``minimum``.  With it comes a *tone*, the factor (about 1) by
which seams, buttons, prints and the like darken or lighten the fabric at each pixel.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIDE = 28
CLASSES = 10
# Few enough that the dozen live fields of one chunk stay in the processor's cache.
CHUNK = 256

Field = NDArray[np.floating[Any]]
Garment = tuple[Field, Field]


class _Canvas:
    """Coordinates ``x`` (right) and ``y`` (down), [n, 28, 28], of ``n`` images.

    Each image's frame, [-1, 1] both ways, is shifted, scaled and turned a little.
    """

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self._rng = rng
        self._size = size
        grid = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) / (SIDE / 2)
        across = grid[None, None, :] - self.uniform(-0.11, 0.11)
        down = grid[None, :, None] - self.uniform(-0.09, 0.09)
        angle, scale = self.uniform(-0.12, 0.12), self.uniform(0.81, 1.04)
        cos, sin = np.cos(angle), np.sin(angle)
        self.x: Field = (cos * across + sin * down) / (scale * self.uniform(0.86, 1.12))
        self.y: Field = (cos * down - sin * across) / scale

    def uniform(self, low: float, high: float) -> Field:
        """One number per image, float32 [n, 1, 1]."""
        return low + (high - low) * self._rng.random((self._size, 1, 1), dtype=np.float32)

    def chance(self, probability: float) -> NDArray[np.bool_]:
        """One coin per image, bool [n, 1, 1]."""
        return self.uniform(0.0, 1.0) < probability

    def contrast(self, low: float, high: float) -> Field:
        """One number per image, of either sign and size in [low, high], float32 [n, 1, 1]."""
        # One sign alone would let a linear model find the detail by its mean.
        sign = np.where(self.chance(0.5), np.float32(-1.0), np.float32(1.0))
        return sign * self.uniform(low, high)

    def grain(self) -> Field:
        """Independent noise in [-1, 1] at every pixel, float32 [n, 28, 28]."""
        return 2.0 * self._rng.random(self.x.shape, dtype=np.float32) - 1.0


def _cover(margin: Field) -> Field:
    """Share of each pixel that lies inside: an edge one pixel wide, without stair steps."""
    cover: Field = np.clip(margin * (SIDE / 2) + 0.5, 0.0, 1.0)
    return cover


def _line(t: Field, *knots: tuple[Field | float, Field | float]) -> Field:
    """Piecewise linear function of ``t`` through (position, value) knots, constant outside."""
    value = np.float32(0.0) + knots[0][1]
    for (left, before), (right, after) in pairwise(knots):
        value = value + (after - before) * np.clip((t - left) / (right - left), 0.0, 1.0)
    return np.asarray(value, dtype=np.float32)


def _ellipse(x: Field, y: Field, width: Field | float, height: Field | float) -> Field:
    """Margin of the ellipse with these half axes about the origin."""
    # The gradient is right only on average, which is near enough at one pixel of blur.
    margin: Field = (1.0 - np.hypot(x / width, y / height)) * np.minimum(
        width, height, dtype=np.float32
    )
    return margin


def _box(x: Field, y: Field, width: Field | float, height: Field | float) -> Field:
    """Margin of the box with these half sides about the origin."""
    margin: Field = np.minimum(width - np.abs(x), height - np.abs(y))
    return margin


def _limb(along: Field, aside: Field, length: Field, start: Field, end: Field) -> Field:
    """Margin of a limb with a cut end: half-width from ``start`` to ``end`` over ``length``."""
    half = start + (end - start) * np.clip(along / length, 0.0, 1.0)
    past = np.minimum(along, 0.0)
    return np.minimum(half - np.hypot(aside, past), length - along)


def _sleeves(c: _Canvas, shoulder: Field, length: Field, spread: Field, wide: Field) -> Field:
    """Margin of two mirrored sleeves that hang ``spread`` radians from the vertical."""
    x, y = np.abs(c.x) - (shoulder - wide), c.y + 0.84 - wide
    cos, sin = np.cos(spread), np.sin(spread)
    return _limb(sin * x + cos * y, cos * x - sin * y, length, wide, wide * c.uniform(0.65, 0.9))


def _torso(c: _Canvas, shoulder: Field, waist: Field, hem: Field, neck: Field) -> Field:
    """Margin of a body from the shoulders to the ``hem`` with a round neck cut out."""
    x = np.abs(c.x)
    half = _line(c.y, (-0.85, shoulder), (-0.3, waist), (hem, waist * c.uniform(0.95, 1.12)))
    body = np.minimum(half - x, hem - c.y)
    body = np.minimum(body, c.y + 0.95 - 0.28 * x)
    return np.minimum(body, -_ellipse(c.x, c.y + 0.95, c.uniform(0.17, 0.28), neck))


def _dressed(c: _Canvas, body: Field, sleeves: Field) -> Garment:
    """Join a body and its sleeves with a dark seam."""
    seam = np.minimum(0.04 - np.abs(body), sleeves)
    return np.maximum(body, sleeves), 1.0 - c.uniform(0.2, 0.7) * _cover(seam)


def _long_sleeves(c: _Canvas, shoulder: Field) -> Field:
    return _sleeves(c, shoulder, c.uniform(1.3, 1.6), c.uniform(0.1, 0.28), c.uniform(0.14, 0.19))


def _short_sleeves(c: _Canvas, shoulder: Field) -> Field:
    return _sleeves(c, shoulder, c.uniform(0.35, 0.75), c.uniform(0.35, 0.9), c.uniform(0.17, 0.24))


def _t_shirt(c: _Canvas) -> Garment:
    shoulder = c.uniform(0.48, 0.6)
    body = _torso(c, shoulder, c.uniform(0.42, 0.58), c.uniform(0.78, 0.98), c.uniform(0.1, 0.35))
    margin, tone = _dressed(c, body, _short_sleeves(c, shoulder))
    motif = _ellipse(c.x, c.y + c.uniform(0.0, 0.4), c.uniform(0.1, 0.35), c.uniform(0.08, 0.35))
    return margin, tone + c.chance(0.5) * c.uniform(-0.7, 0.7) * _cover(motif)


def _pullover(c: _Canvas) -> Garment:
    shoulder, hem = c.uniform(0.48, 0.6), c.uniform(0.78, 0.98)
    body = _torso(c, shoulder, c.uniform(0.42, 0.56), hem, c.uniform(0.08, 0.25))
    margin, tone = _dressed(c, body, _long_sleeves(c, shoulder))
    rib = 0.1 - np.abs(hem - 0.1 - c.y)
    return margin, tone + c.contrast(0.1, 0.4) * _cover(rib)


def _coat(c: _Canvas) -> Garment:
    shoulder, hem = c.uniform(0.48, 0.6), c.uniform(0.86, 1.0)
    body = _torso(c, shoulder, c.uniform(0.4, 0.54), hem, c.uniform(0.1, 0.25))
    margin, tone = _dressed(c, body, _long_sleeves(c, shoulder))
    side = c.x - c.uniform(-0.08, 0.08)
    opening = c.uniform(0.045, 0.09) - np.abs(side)
    lapel = 0.05 - np.abs(np.abs(side) - 0.5 * (c.uniform(-0.45, -0.05) - c.y))
    pocket = _box(np.abs(c.x) - 0.27, c.y - c.uniform(0.25, 0.5), c.uniform(0.08, 0.13), 0.035)
    tone = tone + c.contrast(0.6, 0.95) * _cover(opening)
    tone = tone + c.contrast(0.2, 0.5) * _cover(lapel)
    return margin, tone + c.chance(0.6) * c.contrast(0.2, 0.6) * _cover(pocket)


def _shirt(c: _Canvas) -> Garment:
    shoulder, hem = c.uniform(0.48, 0.6), c.uniform(0.78, 0.98)
    body = _torso(c, shoulder, c.uniform(0.42, 0.56), hem, c.uniform(0.08, 0.25))
    long = c.chance(0.6)
    sleeves = np.where(long, _long_sleeves(c, shoulder), _short_sleeves(c, shoulder))
    margin, tone = _dressed(c, body, sleeves)
    collar = _ellipse(np.abs(c.x) - 0.15, c.y + 0.8, 0.14, c.uniform(0.14, 0.22))
    margin = np.maximum(margin, collar)
    pitch = c.uniform(0.24, 0.36)
    row = np.abs((c.y + 0.6) / pitch % 1.0 - 0.5) * pitch
    button = np.minimum(_ellipse(c.x, row, 0.07, 0.07) + 0.02, c.y + 0.55)
    tone = tone + c.contrast(0.35, 0.65) * _cover(collar)
    return margin, tone + c.contrast(0.6, 0.9) * _cover(button)


def _dress(c: _Canvas) -> Garment:
    shoulder, waist = c.uniform(0.24, 0.42), c.uniform(0.18, 0.34)
    half = _line(
        c.y, (-0.9, shoulder), (-0.5, shoulder), (-0.2, waist), (0.98, c.uniform(0.26, 0.65))
    )
    x = np.abs(c.x)
    body = np.minimum(half - x, np.minimum(0.98 - c.y, c.y + 0.98 - 0.2 * x))
    neck = _ellipse(c.x, c.y + 0.98, shoulder * c.uniform(0.4, 0.7), c.uniform(0.1, 0.4))
    body = np.minimum(body, -neck)
    sleeves = np.where(c.chance(0.6), _short_sleeves(c, shoulder), _long_sleeves(c, shoulder))
    bare = np.where(c.chance(0.6), np.float32(-1.0), sleeves)
    margin, tone = _dressed(c, body, bare)
    belt = 0.05 - np.abs(c.y + 0.2)
    return margin, tone + c.chance(0.5) * c.uniform(-0.6, 0.4) * _cover(belt)


def _trouser(c: _Canvas) -> Garment:
    hip, ankle, crotch = c.uniform(0.26, 0.42), c.uniform(0.2, 0.5), c.uniform(-0.5, -0.2)
    x = np.abs(c.x)
    outer = _line(c.y, (-0.95, hip * 0.85), (crotch, hip), (0.95, ankle))
    inner = _line(c.y, (crotch, -0.06), (crotch + 0.08, 0.02), (0.95, ankle * c.uniform(0.2, 0.6)))
    margin = np.minimum(np.minimum(outer - x, x - inner), 0.96 - np.abs(c.y))
    fly = np.minimum(0.04 - x, crotch - c.y)
    belt = 0.06 - np.abs(c.y + 0.88)
    return margin, 1.0 - 0.4 * _cover(fly) - c.uniform(-0.2, 0.5) * _cover(belt)


def _instep(c: _Canvas, floor: Field, collar: Field) -> Field:
    """Height of the upper edge of a low shoe, toe to the left, float32 [n, 28, 28]."""
    toe = floor - c.uniform(0.28, 0.42)
    tongue, dip = c.uniform(-0.1, 0.2), collar + c.uniform(0.05, 0.2)
    front = ((-0.95, floor - 0.1), (-0.8, toe), (-0.45, toe - 0.05), (tongue, collar))
    heel = collar - c.uniform(-0.05, 0.2)
    return _line(c.x, *front, (tongue + 0.25, dip), (0.65, dip), (0.85, heel))


def _sneaker(c: _Canvas) -> Garment:
    floor = c.uniform(0.4, 0.55)
    margin = np.minimum(c.y - _instep(c, floor, c.uniform(-0.5, -0.05)), floor - c.y)
    sole = c.uniform(0.05, 0.1) - np.abs(c.y - floor + 0.06)
    slope = c.x + c.uniform(0.1, 0.3) + 0.6 * c.y
    laces = np.minimum(np.sin(slope * 30.0) * 0.05, 0.22 - np.abs(slope))
    laces = np.minimum(laces, floor - 0.25 - c.y)
    tone = 1.0 + c.contrast(0.2, 0.7) * _cover(sole)
    tone += c.chance(0.7) * c.contrast(0.2, 0.6) * _cover(laces)
    return np.minimum(margin, 0.95 - np.abs(c.x)), tone


def _ankle_boot(c: _Canvas) -> Garment:
    floor, toe, cuff = c.uniform(0.6, 0.85), c.uniform(0.1, 0.35), c.uniform(-0.95, -0.35)
    front = c.uniform(-0.2, 0.1)
    top = _line(c.x, (-0.95, 0.5), (-0.75, toe), (front - 0.1, toe - 0.25), (front + 0.05, cuff))
    margin = np.minimum(np.minimum(c.y - top, floor - c.y), 0.85 - np.abs(c.x + 0.1))
    heel = c.uniform(0.05, 0.35)
    arch = _box(c.x - 0.05, c.y - floor, c.uniform(0.1, 0.35), heel * 0.6)
    margin = np.minimum(margin, -arch)
    sole = 0.04 - np.abs(c.y - floor + 0.1)
    gore = _box(c.x - 0.35, c.y + 0.3, c.uniform(0.05, 0.15), 0.3)
    tone = 1.0 + c.uniform(-0.6, 0.3) * _cover(sole)
    return margin, tone + c.chance(0.5) * c.uniform(-0.6, 0.3) * _cover(gore)


def _sandal(c: _Canvas) -> Garment:
    """Straps, each a slanted slice of a low shoe, over a sole that a heel may lift."""
    floor = c.uniform(0.4, 0.6)
    bed = floor - _line(c.x, (-0.4, 0.0), (0.7, c.chance(0.5) * c.uniform(0.1, 0.45)))
    under = c.y - bed
    top = _instep(c, floor, c.uniform(-0.5, 0.0)) - floor
    rim = 0.1 - np.abs(under - top - 0.08)
    straps = np.where(c.chance(0.6) & (c.x > 0.0), rim, np.float32(-1.0))
    for low, high in ((-0.75, -0.45), (-0.4, 0.1), (0.6, 0.85)):
        aside = c.x - c.uniform(low, high) - c.uniform(-0.5, 0.7) * (under + 0.3)
        straps = np.maximum(straps, c.uniform(0.06, 0.14) - np.abs(aside))
    upper = np.minimum(straps, np.minimum(under - top, -under))
    heel = _box(c.x - 0.7, c.y - floor, c.uniform(0.06, 0.3), floor - bed)
    heel = np.minimum(heel, floor - c.y)
    sole = np.maximum(c.uniform(0.05, 0.12) - np.abs(under), heel)
    margin = np.minimum(np.maximum(upper, sole), 0.95 - np.abs(c.x))
    return margin, np.ones_like(margin)


def _bag(c: _Canvas) -> Garment:
    top, flare = c.uniform(-0.45, 0.1), c.uniform(-0.25, 0.2)
    width, floor = c.uniform(0.65, 0.95), c.uniform(0.65, 0.9)
    half = _line(c.y, (top, width - np.maximum(flare, 0.0)), (floor, width + np.minimum(flare, 0)))
    margin = np.minimum(np.minimum(half - np.abs(c.x), c.y - top), floor - c.y)
    wide = width * c.uniform(0.35, 0.8)
    ring = _ellipse(c.x, c.y - top, wide, c.uniform(0.25, 0.6))
    handle = np.minimum(0.05 - np.abs(ring - 0.05), top - c.y)
    margin = np.maximum(margin, np.where(c.chance(0.75), handle, np.float32(-1.0)))
    flap = 0.04 - np.abs(c.y - top - c.uniform(0.15, 0.5))
    clasp = _box(c.x, c.y - top - 0.3, c.uniform(0.05, 0.2), 0.08)
    tone = 1.0 - c.chance(0.6) * c.uniform(0.1, 0.6) * _cover(flap)
    return margin, tone + c.chance(0.5) * c.uniform(-0.6, 0.5) * _cover(clasp)


# In Fashion-MNIST's order of classes.
_DRAW: tuple[Callable[[_Canvas], Garment], ...] = (
    _t_shirt,
    _trouser,
    _pullover,
    _dress,
    _coat,
    _sandal,
    _shirt,
    _sneaker,
    _bag,
    _ankle_boot,
)


def _render(label: int, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """``size`` images of one class, uint8 [size, 28, 28], black outside the garment."""
    c = _Canvas(rng, size)
    margin, tone = _DRAW[label](c)
    angle = np.where(c.chance(0.5), 0.0, np.pi / 2).astype(np.float32) + c.uniform(-0.1, 0.1)
    wave = c.uniform(6.0, 30.0) * (np.cos(angle) * c.x + np.sin(angle) * c.y)
    stripes = c.chance(0.35) * c.uniform(0.05, 0.3) * np.sin(wave + c.uniform(0.0, 6.3))
    cloth = tone + stripes + c.uniform(0.02, 0.12) * c.grain()
    cloth += c.uniform(-0.3, 0.3) * c.x + c.uniform(-0.3, 0.3) * c.y
    # Cloth turns away from the light towards its edges.
    cloth *= 1.0 - c.uniform(0.0, 0.4) * np.clip(1.0 - 6.0 * margin, 0.0, 1.0)
    shade = c.uniform(70.0, 240.0)
    return np.clip(shade * cloth * _cover(margin), 0.0, 255.0).astype(np.uint8)


def garments(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw ``count`` garments, the same ones whenever ``count`` and ``seed`` are the same.

    Returns images, uint8 [count, 28, 28], and labels, int64 [count] in 0..9 in Fashion-MNIST's
    order, balanced to within one per class and shuffled.

    Raises ``ValueError`` for ``count`` below 1 or ``seed`` below 0.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    rng = np.random.Generator(np.random.PCG64(seed))
    labels = rng.permutation(np.arange(count, dtype=np.int64) % CLASSES)
    images = np.empty((count, SIDE, SIDE), dtype=np.uint8)
    for label in range(CLASSES):
        places = np.flatnonzero(labels == label)
        for start in range(0, len(places), CHUNK):
            chunk = places[start : start + CHUNK]
            images[chunk] = _render(label, len(chunk), rng)
    return torch.from_numpy(images), torch.from_numpy(labels)
