"""Ten kinds of damage at five strengths: what a net is worth outside its data set.

Kinds and strengths follow Hendrycks & Dietterich 2019, "Benchmarking neural network robustness to
common corruptions and perturbations" (arXiv 1903.12261), and what happens to pictures between a
camera and a net: they are turned, shifted, covered. Lengths are shares of the image's side, so that
they mean the same at any size. The functions are torchvision's; JPEG is Pillow's, since torchvision
is about to give its own up. What is drawn depends on kind and strength alone: all nets see the same
damage.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import io
import math
from collections.abc import Callable, Iterator
from statistics import mean
from typing import TYPE_CHECKING

import torch
import torchvision
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from fmnist.data.batches import Normalize
from fmnist.runs.corrupted import (
    CORRUPTED,
    KINDS,
    METRIC,
    STRENGTHS,
    Corrupted,
    corrupted_json,
)  # fmt: skip
from fmnist.runs.pretrained import FOLDER
from fmnist.runs.record import known
from fmnist.runs.run import write_atomically, writing
from fmnist.training.predict import loss_and_accuracy, predict

if TYPE_CHECKING:
    from fmnist.runs.run import Run

# By kind: deviation of the noise and of the blur (a share of the side), factors of brightness (or
# its inverse) and contrast, degrees, shares of the side, factors of size (or its inverse), share of
# the side that is covered, quality, and size of the image that the pixels are taken from.
LEVELS = {
    "noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "blur": (0.02, 0.03, 0.04, 0.055, 0.07),
    "brightness": (1.25, 1.5, 2.0, 3.0, 4.0),
    "contrast": (0.7, 0.5, 0.35, 0.2, 0.1),
    "rotation": (8.0, 15.0, 25.0, 35.0, 45.0),
    "shift": (0.04, 0.07, 0.11, 0.15, 0.22),
    "scale": (1.1, 1.2, 1.35, 1.5, 1.75),
    "occlusion": (0.2, 0.3, 0.4, 0.5, 0.6),
    "jpeg": (50, 25, 15, 10, 5),
    "pixelation": (0.75, 0.6, 0.45, 0.35, 0.25),
}
GREY = 127.0  # what covers an image
BILINEAR = InterpolationMode.BILINEAR
Damage = Callable[[Tensor], Tensor]  # uint8 [B, C, S, S] -> the same


def damage(pixels: Tensor, kind: str, strength: int, fill: list[float]) -> Tensor:
    """Images, damaged: uint8 [N, C, S, S] -> the same.

    Args:
        kind: of `fmnist.runs.corrupted.KINDS`.
        strength: 0 to 4.
        fill: what comes into the frame, up to 255, a value for every channel.
    """
    level, side = LEVELS[kind][strength], pixels.shape[-1]
    seed = 10 * KINDS.index(kind) + strength
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "noise":
            noisy: Tensor = F.gaussian_noise(pixels, sigma=level)
            return noisy
        if kind == "occlusion":
            return _covered(pixels, max(1, round(level * side)))
        ways = _ways(kind, level, side, fill)
        drawn = torch.randint(len(ways), (len(pixels),))
    damaged = torch.empty_like(pixels)
    for number, way in enumerate(ways):
        damaged[drawn == number] = way(pixels[drawn == number])
    return damaged


def _ways(kind: str, level: float, side: int, fill: list[float]) -> list[Damage]:
    """What may happen to an image, each with equal probability."""
    if kind == "blur":
        sigma = level * side
        width = 2 * math.ceil(3 * sigma) + 1
        return [lambda pixels: F.gaussian_blur(pixels, [width, width], [sigma, sigma])]
    if kind == "jpeg":
        return [lambda pixels: _as_jpeg(pixels, int(level))]
    if kind == "contrast":
        return [lambda pixels: F.adjust_contrast(pixels, level)]
    if kind == "pixelation":
        small = max(1, round(level * side))
        return [lambda pixels: F.resize(F.resize(pixels, [small, small]), [side, side],
                                        InterpolationMode.NEAREST)]  # fmt: skip
    if kind == "brightness":
        return [_brightened(level), _brightened(1 / level)]
    if kind == "rotation":
        return [_moved(level, (0, 0), 1.0, fill), _moved(-level, (0, 0), 1.0, fill)]
    if kind == "scale":
        return [_moved(0.0, (0, 0), level, fill), _moved(0.0, (0, 0), 1 / level, fill)]
    far = max(1, round(level * side))
    steps = [(far, 0), (-far, 0), (0, far), (0, -far)]
    return [_moved(0.0, step, 1.0, fill) for step in steps]


def _brightened(factor: float) -> Damage:
    return lambda pixels: F.adjust_brightness(pixels, factor)


def _moved(degrees: float, step: tuple[int, int], scale: float, fill: list[float]) -> Damage:
    return lambda pixels: F.affine(
        pixels, degrees, list(step), scale, [0.0, 0.0], interpolation=BILINEAR, fill=fill
    )


def _as_jpeg(pixels: Tensor, quality: int) -> Tensor:
    """Each image written as JPEG and read again."""
    read = []
    for image in pixels:
        buffer = io.BytesIO()
        F.to_pil_image(image).save(buffer, "JPEG", quality=quality)
        read.append(F.pil_to_tensor(Image.open(buffer)))
    return torch.stack(read) if read else pixels


def _covered(pixels: Tensor, width: int) -> Tensor:
    """Each image with a grey square of this width anywhere inside it."""
    places = torch.randint(pixels.shape[-1] - width + 1, (len(pixels), 2)).tolist()
    cover = torch.tensor(GREY)
    return torch.stack(
        [F.erase(image, top, left, width, width, cover)
         for image, (top, left) in zip(pixels, places, strict=True)]
    )  # fmt: skip


def measure_and_keep(run: "Run") -> Iterator[str]:
    """A table of the accuracies, kind by kind as they are measured; then they are in the run.

    A net that comes with fmnist stays as it was published: its accuracies are only shown.

    Raises:
        RunError: see `measure`, or the run's folder cannot be written.
        DataError, DataUnavailable: see `measure`.
    """
    heads = "".join(f"{number:8}" for number in range(1, STRENGTHS + 1))
    yield f"{'damage, strength':18}{heads}    mean"
    acc = {}
    for kind, shares in measure(run):
        acc[kind] = shares
        yield f"{kind:18}" + "".join(f"{share:8.4f}" for share in (*shares, mean(shares)))
    version = torchvision.__version__.partition("+")[0]
    found = Corrupted(run.record.config_hash, run.record.tested_at, version, acc)
    if not run.dir.resolve().is_relative_to(FOLDER.resolve()):
        with writing():
            write_atomically(run.dir / CORRUPTED, corrupted_json(found))
    yield f"{'all':18}{'':{8 * STRENGTHS}}{found.metrics()[METRIC]:8.4f}"


def measure(run: "Run") -> Iterator[tuple[str, list[float]]]:
    """Kind by kind, the accuracy of a run's best net at each strength, in [0, 1].

    Raises:
        RunError: the data found now are not those of the run, or its net cannot be loaded.
        DataError, DataUnavailable: there are no data.
    """
    net, data = run.net("best"), run.same_data()
    facts = data.load()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pixels, labels = data.test_images.pixels, data.test_images.labels
    pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels
    fill = known(facts.look).background or [0.0]
    fill = fill if len(fill) == pixels.shape[1] else fill[:1] * pixels.shape[1]
    prepare, size = Normalize(facts.mean, facts.std), data.eval_batch_size
    for kind in KINDS:
        accuracies = []
        for strength in range(STRENGTHS):
            damaged = damage(pixels, kind, strength, fill)
            parts = zip(damaged.split(size), labels.split(size), strict=True)  # type: ignore[no-untyped-call]
            batches = ((prepare(part.squeeze(1).to(device)), some) for part, some in parts)
            accuracies.append(loss_and_accuracy(*predict(net, batches, device, **run.formats()))[1])
        yield kind, accuracies
