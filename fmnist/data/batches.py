"""From resident uint8 images to what a net is given: shuffled, augmented, normalised batches."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Callable, Iterator, Sequence
from itertools import count as count_up
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fmnist.data.augment import Augmentation
from fmnist.data.source import Images


def mean_and_std(pixels: Tensor) -> tuple[float, float] | tuple[list[float], list[float]]:
    """Mean and standard deviation of uint8 pixels [N, S, S], scaled to [0, 1].

    In colour, [N, C, S, S]: those of every channel, as lists.
    """
    if pixels.ndim == 4:
        pairs = [_mean_and_std(pixels[:, channel]) for channel in range(pixels.shape[1])]
        return [mean for mean, _ in pairs], [std for _, std in pairs]
    return _mean_and_std(pixels)


def _mean_and_std(pixels: Tensor) -> tuple[float, float]:
    counts = torch.bincount(pixels.reshape(-1), minlength=256).numpy()  # NumPy's widens to int64
    values = np.arange(256) / 255
    mean = float((counts * values).sum() / counts.sum())
    return mean, float(np.sqrt((counts * (values - mean) ** 2).sum() / counts.sum()))


class Normalize:
    """uint8 [B, S, S] or [B, C, S, S] -> float [B, C, S, S] with mean 0 and deviation 1.

    Args:
        mean, std: of pixels in [0, 1]; in colour one for every channel.
        augment: of training images, before; in colour its mean pixel is a tensor [C, 1, 1].
    """

    def __init__(
        self,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        augment: Augmentation | None = None,
    ) -> None:
        self.mean, self.std = _scaled(mean), _scaled(std)
        self.augment = augment

    def __call__(self, pixels: Tensor, drawn: Tensor | None = None) -> Tensor:
        images = (pixels.unsqueeze(1) if pixels.ndim == 3 else pixels).float()
        if isinstance(self.mean, Tensor) and self.mean.device != images.device:
            self.mean, self.std = self.mean.to(images.device), self.std.to(images.device)
        if self.augment and drawn is not None:  # before normalisation, while black is 0
            images = self.augment(images, drawn, self.mean)
        return images.sub_(self.mean).div_(self.std)


def _scaled(value: float | Sequence[float]) -> Any:
    """Of pixels up to 255: a number, or a tensor [C, 1, 1]."""
    return (
        255 * value
        if isinstance(value, int | float)
        else 255 * torch.tensor(value, dtype=torch.float32).view(-1, 1, 1)
    )


class TrainBatches:
    """Shuffled batches of one epoch after another: (float [B, C, S, S], labels int64 [B]).

    Order and augmentation are functions of (seed, epoch) alone, drawn on the CPU: the same on any
    device, with any number of processes, and after a resumption. A Trainer that goes on within an
    epoch gets the batches that it has not had: Lightning keeps `state_dict` in its checkpoints.

    Args:
        images: on the device of training.
        prepare: turns pixels and the augmentation's draws into the net's input.
        batch_size: of all processes together; process `rank` of `world` takes its share.
        seed: the run's.
        epoch: asked at the start of every epoch; None: every iteration is the next epoch.
        shuffle: False: in file order.
    """

    def __init__(
        self,
        images: Images,
        prepare: Normalize,
        batch_size: int,
        seed: int,
        epoch: Callable[[], int] | None = None,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
    ) -> None:
        self.images, self.prepare, self.batch_size = images, prepare, batch_size
        self.seed, self.rank, self.world, self.shuffle = seed, rank, world, shuffle
        self.epoch = epoch or count_up().__next__
        self.used = len(images) - left_over(len(images), batch_size, world)
        self.place = self.left_at = (0, 0)  # epoch, and how many of its batches were given

    def state_dict(self) -> dict[str, int]:
        epoch, given = self.place
        return {"epoch": epoch, "given": given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.left_at = (state["epoch"], state["given"])

    def __len__(self) -> int:
        return -(-self.used // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch = self.epoch()
        given = self.left_at[1] if epoch == self.left_at[0] else 0  # else it ended with its epoch
        self.left_at = (0, 0)
        state = np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0]))
        device = self.images.labels.device
        order = torch.randperm(len(self.images), generator=generator)
        order = (order if self.shuffle else torch.arange(len(self.images))).to(device)
        drawn = None
        if self.prepare.augment:
            size = self.images.pixels.shape[-1]
            drawn = self.prepare.augment.draw(len(self.images), size, generator, epoch).to(device)
        for start in range(given * self.batch_size, self.used, self.batch_size):
            self.place = (epoch, start // self.batch_size + 1)
            batch = order[start : start + self.batch_size][self.rank :: self.world]
            rows = None if drawn is None else drawn.index_select(0, batch)
            # index_select takes a fifth of the time of pixels[batch] on a CPU
            pixels = self.images.pixels.index_select(0, batch)
            yield self.prepare(pixels, rows), self.images.labels.index_select(0, batch)


def left_over(images: int, batch_size: int, world: int = 1) -> int:
    """Images of an epoch's last batch that are not trained on.

    A process whose share of it would be one image, or none, has nothing for batch normalisation to
    take a mean of; where every batch is as small as that, or this one is the only one, all count.
    """
    tail = images % batch_size
    small = tail < 2 * world <= batch_size and tail < images
    return tail if small or tail < world else 0


class EvalBatches:
    """Batches in file order, never augmented: (float [B, C, S, S], labels int64 [B]).

    Every process has as many batches as the others, or they would wait for each other for ever,
    though some have an image less; none is empty where there are as many images as processes.

    Args:
        batch_size: of each process; a last one may be larger by the image that is too much.
    """

    def __init__(
        self, images: Images, prepare: Normalize, batch_size: int, rank: int = 0, world: int = 1
    ) -> None:
        self.images = Images(images.pixels[rank::world], images.labels[rank::world])
        self.prepare, self.batch_size = prepare, batch_size
        least, most = len(images) // world, -(-len(images) // world)  # images of a process
        self.count = min(-(-most // batch_size), least)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        own, count = len(self.images), self.count
        # The batches that follow have at least an image each.
        starts = [min(n * self.batch_size, own - (count - n)) for n in range(count)]
        for start, stop in pairwise([*starts, own]):
            yield self.prepare(self.images.pixels[start:stop]), self.images.labels[start:stop]
