"""What a net says of anybody's pictures, and whether it can know.

"Far from the training data" is a picture whose features, which the net's last layer sees, are
farther from those of the training images than a net is used to: the distance to the tenth nearest
of 5,000, by direction (Sun et al. 2022, "Out-of-distribution detection with deep nearest
neighbors", arXiv 2204.06507). The limit is what one in twenty validation images exceeds.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
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
EXCEED = 0.05  # of the validation images lie farther away than the limit
BATCH = 500  # images
PLAIN: Mapping[str, Any] = {"precision": "32-true", "channels_last": False, "tta": "none"}


@dataclass(frozen=True)
class Familiar:
    """What a net has seen.

    Args:
        features: of training images, float [N, D], of length 1.
        limit: the distance from which a picture counts as far from them.
    """

    features: Tensor
    limit: float

    def distances(self, features: Tensor) -> Tensor:
        """Of features float [B, D] to the tenth nearest training image: float [B]."""
        near = torch.cdist(F.normalize(features, dim=1), self.features)
        return near.kthvalue(min(NEIGHBOUR, near.shape[1]), 1).values


@dataclass(frozen=True)
class Answer:
    """What a net says of one picture.

    Args:
        probabilities: by class, most probable first.
        distance: to the training images; None: not measured.
        far: whether it exceeds the limit; None: not measured.
    """

    name: str
    probabilities: dict[str, float]
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
    batches = _batches(torch.from_numpy(np.stack(list(pictures.values()))), facts)
    logits, _ = predict(net, batches, torch.device("cpu"), **formats)
    found: list[float | None] = [None] * len(pictures)
    if familiar is not None:
        found = familiar.distances(features_of(net, batches, formats)).tolist()
    answers = []
    for name, shares, distance in zip(pictures, logits.double().softmax(1), found, strict=True):
        order = shares.argsort(descending=True, stable=True).tolist()
        by_class = {facts.classes[place]: float(shares[place]) for place in order}
        far = None if familiar is None or distance is None else distance > familiar.limit
        answers.append(Answer(name, by_class, distance, far))
    return answers


def familiar_with(run: "Run", net: nn.Module) -> Familiar:
    """What the best net of a run has seen.

    Raises:
        RunError: the data found now are not those that the run was made with.
        DataError, DataUnavailable: there are none.
    """
    data = run.same_data()
    facts = data.load()
    seen, unseen = (
        features_of(net, _batches(spread(images.pixels, count), facts), run.formats())
        for images, count in ((data.train_images, TRAINING), (data.val_images, VALIDATION))
    )
    familiar = Familiar(F.normalize(seen, dim=1), 0.0)
    limit = torch.quantile(familiar.distances(unseen), 1 - EXCEED)
    return Familiar(familiar.features, float(limit))


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


def _batches(pixels: Tensor, facts: DatasetFacts) -> list[tuple[Tensor, Tensor]]:
    """Of uint8 [N, S, S] or [N, C, S, S]; the labels are not looked at."""
    prepare = Normalize(facts.mean, facts.std)
    return [(prepare(part), torch.zeros(len(part))) for part in torch.split(pixels, BATCH)]


def spread(pixels: Tensor, count: int) -> Tensor:
    """So many of the images, evenly spread: some sets are ordered by class."""
    count = min(count, len(pixels))
    return pixels[torch.arange(count) * len(pixels) // count]
