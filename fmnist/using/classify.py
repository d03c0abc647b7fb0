"""What a net says of anybody's pictures, and whether it can know.

"Far from the training data" is a picture whose features, which the net's last layer sees, are
farther from those of the training images than a net is used to: the distance to the tenth nearest
of 5,000, by direction (Sun et al. 2022, "Out-of-distribution detection with deep nearest
neighbors", arXiv 2204.06507). So is one whose energy is higher: its logits are small, whatever
their differences (Liu et al. 2020, "Energy-based out-of-distribution detection", arXiv 2010.03759).
Each finds what the other does not: benchmarks/pictures.py. One in twenty validation images exceeds
one of both limits.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmnist.data.batches import Normalize
from fmnist.data.facts import DatasetFacts
from fmnist.data.pictures import Pixels
from fmnist.training.predict import predict

if TYPE_CHECKING:
    from fmnist.runs.run import Run

UNSURE = 0.5  # a class less probable than all the others together
NEIGHBOUR = 10
TRAINING, VALIDATION = 5000, 2000  # images whose features are compared
EXCEED = 0.05  # of the validation images exceed a limit
BATCH = 500  # images
PLAIN: Mapping[str, Any] = {"precision": "32-true", "channels_last": False, "tta": "none"}


@dataclass(frozen=True)
class Familiar:
    """What a net has seen.

    Args:
        features: of training images, float [N, D], of length 1.
        distance, energy: from which a picture counts as far from them.
    """

    features: Tensor
    distance: float = math.inf
    energy: float = math.inf

    def distances(self, features: Tensor) -> Tensor:
        """Of features float [B, D] to the tenth nearest training image: float [B]."""
        near = torch.cdist(F.normalize(features, dim=1), self.features)
        return near.kthvalue(min(NEIGHBOUR, near.shape[1]), 1).values

    def far(self, distances: Tensor, energies: Tensor) -> Tensor:
        """Bool [B] of two float [B]."""
        return (distances > self.distance) | (energies > self.energy)


def energies_of(logits: Tensor) -> Tensor:
    """Float [B] of [B, K]: low where some class is believed in."""
    return -logits.logsumexp(1)


def limits(distances: Tensor, energies: Tensor) -> tuple[float, float]:
    """Of validation images, float [N]: each exceeded by as many, and one of both by `EXCEED`."""
    ranks = [values.argsort().argsort() / len(values) for values in (distances, energies)]
    place = torch.quantile(torch.maximum(*ranks), 1 - EXCEED)
    distance, energy = (torch.quantile(values, place) for values in (distances, energies))
    return float(distance), float(energy)


@dataclass(frozen=True)
class Answer:
    """What a net says of one picture.

    Args:
        probabilities: by class, most probable first.
        energy: minus the logarithm of the sum of the logits' exponentials.
        distance: to the training images; None: not measured.
        far: whether one of both exceeds its limit; None: not measured.
    """

    name: str
    probabilities: dict[str, float]
    energy: float
    distance: float | None = None
    far: bool | None = None

    @property
    def label(self) -> str:
        return next(iter(self.probabilities))

    @property
    def probability(self) -> float:
        return self.probabilities[self.label]

    @property
    def unsure(self) -> bool:
        return self.probability < UNSURE

    @property
    def remark(self) -> str:
        """What to say beside the class: nothing where the net can know it."""
        said = {"unsure": self.unsure, "far from the training data": self.far}
        return ", ".join(word for word, true in said.items() if true)


def classify(
    net: nn.Module,
    facts: DatasetFacts,
    pictures: Mapping[str, Pixels],
    formats: Mapping[str, Any] = PLAIN,
    familiar: Familiar | None = None,
) -> list[Answer]:
    """What a net says of pictures, on the CPU.

    Args:
        facts: of the data that the net was trained on.
        pictures: by name, as `fmnist.data.pictures.prepare` makes them.
        formats: how the net is evaluated, see `fmnist.training.predict.predict`.
        familiar: to say which are far from the training data; None: that is not said.
    """
    if not pictures:
        return []
    batches = batches_of(torch.from_numpy(np.stack(list(pictures.values()))), facts)
    logits, _ = predict(net, batches, torch.device("cpu"), **formats)
    energies = energies_of(logits)
    found: list[tuple[float | None, bool | None]] = [(None, None)] * len(pictures)
    if familiar is not None:
        distances = familiar.distances(features_of(net, batches, formats))
        far = familiar.far(distances, energies)
        found = list(zip(distances.tolist(), far.tolist(), strict=True))
    answers = []
    shares = logits.double().softmax(1)
    for row, (name, energy) in enumerate(zip(pictures, energies.tolist(), strict=True)):
        order = shares[row].argsort(descending=True, stable=True).tolist()
        by_class = {facts.classes[place]: float(shares[row, place]) for place in order}
        answers.append(Answer(name, by_class, energy, *found[row]))
    return answers


def familiar_with(run: "Run", net: nn.Module) -> Familiar:
    """What the best net of a run has seen.

    Raises:
        RunError: the data found now are not those that the run was made with.
        DataError, DataUnavailable: there are none.
    """
    data, formats = run.same_data(), run.formats()
    facts = data.load()
    seen = batches_of(spread(data.train_images.pixels, TRAINING), facts)
    unseen = batches_of(spread(data.val_images.pixels, VALIDATION), facts)
    familiar = Familiar(F.normalize(features_of(net, seen, formats), dim=1))
    distances = familiar.distances(features_of(net, unseen, formats))
    logits, _ = predict(net, unseen, torch.device("cpu"), **formats)
    return Familiar(familiar.features, *limits(distances, energies_of(logits)))


def features_of(
    net: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], formats: Mapping[str, Any]
) -> Tensor:
    """What the last layer of a net sees of the images, float32 [N, D]; of one view of each."""
    with _features_kept(net) as kept:
        predict(net, batches, torch.device("cpu"), **{**formats, "tta": "none"})
    return torch.cat(kept)


@contextmanager
def _features_kept(net: nn.Module) -> Iterator[list[Tensor]]:
    """Receives what goes into the last linear layer of each forward pass; or the logits."""
    kept: list[Tensor] = []
    latest: list[Tensor] = []

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        latest[:] = inputs[:1]

    def after(module: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        kept.append((latest.pop() if latest else logits).flatten(1).float())

    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    handles = [layer.register_forward_pre_hook(before) for layer in layers]
    handles.append(net.register_forward_hook(after))
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def batches_of(pixels: Tensor, facts: DatasetFacts) -> list[tuple[Tensor, Tensor]]:
    """Of uint8 [N, S, S] or [N, C, S, S]; the labels are not looked at."""
    prepare = Normalize(facts.mean, facts.std)
    return [(prepare(part), torch.zeros(len(part))) for part in torch.split(pixels, BATCH)]


def spread(pixels: Tensor, count: int) -> Tensor:
    """So many of the images, evenly spread: some sets are ordered by class."""
    count = min(count, len(pixels))
    return pixels[torch.arange(count) * len(pixels) // count]
