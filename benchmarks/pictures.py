"""`python -m benchmarks.pictures`: what `fmnist predict` can know of pictures, net by net.

Of every net that comes with the package: its accuracy on test images, and on the same as pictures
that are prepared again (negated, enlarged tenfold, off the middle of a white picture). Of these and
of pictures of nothing that it knows (crops of photographs, noise, handwritten digits) the share
that is *far* from the training images, see `fmnist.using.classify`; and beside it the shares that
the distance, the energy, the highest probability or the largest logit alone would find, at limits
that as many validation images exceed. Needs scikit-learn, for the photographs and the digits, and
the data set.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from benchmarks.command import command
from benchmarks.table import Table
from fmnist.data.facts import DatasetFacts
from fmnist.data.pictures import prepare
from fmnist.runs.pretrained import PREFIX, load_named, pretrained_names
from fmnist.runs.record import known
from fmnist.runs.run import Run
from fmnist.training.predict import predict
from fmnist.using.classify import (
    EXCEED,
    VALIDATION,
    batches_of,
    energies_of,
    familiar_with,
    features_of,
    spread,
)

MOST = 2000  # pictures of a kind
ENLARGED, ASIDE = 10, (40, 90)  # times; pixels of white to the left and above
COLUMNS = [
    "net", "pictures", "images", "accuracy, %", "far, %", "distance, %", "energy, %",
    "probability, %", "logit, %",
]  # fmt: skip
# Of logits, high for what a net does not know.
SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "energy": energies_of,
    "probability": lambda logits: -logits.softmax(1).amax(1),
    "logit": lambda logits: -logits.amax(1),
}


def as_picture(pixels: Tensor) -> Image.Image:
    """An image of the set, uint8 [1, S, S], as somebody else's picture of the same thing."""
    drawn = ImageOps.invert(Image.fromarray(pixels.squeeze().numpy()))
    large = drawn.resize([side * ENLARGED for side in drawn.size], Image.Resampling.BICUBIC)
    return ImageOps.expand(large, (*ASIDE, 0, 0), fill=255)


def unknown() -> Iterator[tuple[str, list[Image.Image]]]:
    """Pictures of nothing that a net of clothes knows, by what they are."""
    from sklearn.datasets import load_digits, load_sample_images

    generator = np.random.default_rng(0)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    crops = []
    for number in range(MOST):
        photograph = photographs[number % len(photographs)]
        side = int(generator.integers(64, 320))
        left, upper = (int(generator.integers(0, length - side)) for length in photograph.size)
        crops.append(photograph.crop((left, upper, left + side, upper + side)))
    yield "crops of photographs", crops
    noise = generator.integers(0, 256, (MOST, 28, 28), dtype=np.uint8)
    yield "noise", list(map(Image.fromarray, noise))
    digits = (load_digits().images * 255 / 16).astype(np.uint8)
    yield "handwritten digits", [Image.fromarray(d).resize((80, 80)) for d in digits]


def logits_and_features(run: Run, net: torch.nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Of uint8 [N, 1, S, S], as the run's net is evaluated: float32 [N, K] and [N, D]."""
    batches = batches_of(pixels, known(run.record.dataset))
    logits, _ = predict(net, batches, torch.device("cpu"), **run.formats())
    return logits, features_of(net, batches, run.formats())


def kinds(facts: DatasetFacts, test: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Pixels uint8 [N, 1, S, S] by kind: the test images first, and in the same order again."""

    def prepared(pictures: list[Image.Image]) -> Tensor:
        seen = [prepare(picture, facts.shape, known(facts.look)) for picture in pictures]
        return torch.from_numpy(np.stack(seen))

    yield "test images", test
    yield "test images, as pictures", prepared(list(map(as_picture, test)))
    for kind, pictures in unknown():
        yield kind, prepared(pictures)


def measure(run: Run, name: str, table: Table) -> None:
    """The rows of one net."""
    net, data = run.net("best"), run.same_data()
    facts, familiar = data.load(), familiar_with(run, net)

    def scores(pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        logits, features = logits_and_features(run, net, pixels)
        return logits, [familiar.distances(features), *(of(logits) for of in SCORES.values())]

    _, known_scores = scores(spread(data.val_images.pixels, VALIDATION))
    limits = [torch.quantile(values, 1 - EXCEED) for values in known_scores]
    labels = spread(data.test_images.labels, MOST)
    for kind, pixels in kinds(facts, spread(data.test_images.pixels, MOST)):
        logits, found = scores(pixels)
        far = [familiar.far(*found[:2]), *map(torch.gt, found, limits)]
        accuracy = percent(logits.argmax(1) == labels) if kind.startswith("test") else ""
        table.add(name, kind, len(pixels), accuracy, *map(percent, far))


def percent(true: Tensor) -> str:
    """The share of a vector that is true."""
    return f"{100 * float(true.float().mean()):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--csv", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    table = Table(COLUMNS, 1, torch.get_num_threads())
    for name in pretrained_names():
        measure(load_named(f"{PREFIX}{name}"), name, table)
    table.write(options.csv)


if __name__ == "__main__":
    command(main)
