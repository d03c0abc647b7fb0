"""From files to batches: one fixed split, resident uint8 tensors, everything else per batch."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count as count_up
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from fmnist.data.augment import Augmentation
from fmnist.data.facts import DatasetFacts
from fmnist.data.files import FILES, is_checked, read_data_set
from fmnist.data.look import measure_look
from fmnist.data.synthetic import garments
from fmnist.errors import DataError

log = logging.getLogger(__name__)

GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CLASSES = {
    "FashionMNIST": GARMENTS,
    "synthetic": GARMENTS,
    "KMNIST": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    "MNIST": tuple(str(digit) for digit in range(10)),
}


@dataclass(frozen=True)
class Images:
    """A set of images in memory: uint8 [N, 28, 28] and labels int64 [N], on one device."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Images":
        return Images(self.pixels.to(device), self.labels.to(device))


def md5(array: np.ndarray[Any, Any]) -> str:
    """Of an array's bytes, in hexadecimal."""
    return hashlib.md5(array.tobytes(), usedforsecurity=False).hexdigest()


def stratified_split(labels: Tensor, val_size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and of the validation images, int64, ascending.

    Every class gives the same share of its images to validation, to within one image.

    Args:
        labels: int64 [N].
        val_size: number of validation images.
        seed: of the choice. The same labels, size and seed give the same split everywhere.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    classes, sizes = np.unique(labels.numpy(), return_counts=True)
    # Largest remainders: every class gives its share rounded down, and those that lose most by
    # the rounding give one image more, until there are val_size.
    counts, remainders = np.divmod(sizes * val_size, len(labels))
    counts[np.argsort(-remainders, kind="stable")[: val_size - counts.sum()]] += 1
    chosen = np.zeros(len(labels), dtype=bool)
    for label, count in zip(classes, counts, strict=True):
        members = np.flatnonzero(labels.numpy() == label)
        chosen[members] = generator.permutation(len(members)) < count
    return torch.from_numpy(np.flatnonzero(~chosen)), torch.from_numpy(np.flatnonzero(chosen))


def mean_and_std(pixels: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of uint8 pixels [N, 28, 28], scaled to [0, 1]."""
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(pixels), 5000):  # bincount widens to int64: keep the copy small
        chunk = pixels[start : start + 5000].numpy()
        counts += np.bincount(chunk.ravel(), minlength=256)
    values = np.arange(256) / 255
    mean = float((counts * values).sum() / counts.sum())
    return mean, float(np.sqrt((counts * (values - mean) ** 2).sum() / counts.sum()))


class Normalize:
    """uint8 [B, 28, 28] -> float [B, 1, 28, 28] with mean 0 and deviation 1, augmented or not."""

    def __init__(self, mean: float, std: float, augment: Augmentation | None = None) -> None:
        self.mean, self.std, self.augment = 255 * mean, 255 * std, augment

    def __call__(self, pixels: Tensor, drawn: Tensor | None = None) -> Tensor:
        images = pixels.unsqueeze(1).float()
        if self.augment and drawn is not None:  # before normalisation, while black is 0
            images = self.augment(images, drawn, self.mean)
        return images.sub_(self.mean).div_(self.std)


class TrainBatches:
    """Shuffled batches of one epoch after another: (float [B, 1, 28, 28], labels int64 [B]).

    Order and augmentation are functions of (seed, epoch) alone, drawn on the CPU: the same on any
    device, with any number of processes, and after a resumption.

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

    def __len__(self) -> int:
        return -(-self.used // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        state = np.random.SeedSequence([self.seed, self.epoch()]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0]))
        device = self.images.labels.device
        order = torch.randperm(len(self.images), generator=generator)
        order = (order if self.shuffle else torch.arange(len(self.images))).to(device)
        drawn = None
        if self.prepare.augment:
            size = self.images.pixels.shape[-1]
            drawn = self.prepare.augment.draw(len(self.images), size, generator).to(device)
        for start in range(0, self.used, self.batch_size):
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
    """Batches in file order, never augmented: (float [B, 1, 28, 28], labels int64 [B])."""

    def __init__(
        self, images: Images, prepare: Normalize, batch_size: int, rank: int = 0, world: int = 1
    ) -> None:
        self.images = Images(images.pixels[rank::world], images.labels[rank::world])
        self.prepare, self.batch_size = prepare, batch_size

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.images), self.batch_size):
            stop = start + self.batch_size
            yield self.prepare(self.images.pixels[start:stop]), self.images.labels[start:stop]


class ImageData(LightningDataModule):
    """A 28x28 data set: training, validation and test batches, resident on the device.

    Args:
        name: of the data set, and of its folder below `root`.
        root: data root in torchvision's layout; not used by "synthetic".
        batch_size: training images of all processes together.
        eval_batch_size: validation and test images.
        train_size: the first so many of the training images; None: all, or 60,000 drawn ones.
        test_size: likewise of the test images, or 10,000.
        val_size: how many of the training images validate.
        split_seed: of the split; not the run's seed.
        select_on: the images that stand for validation while training. "test" is the leak of study
            S1, offered to measure what it adds: the official test images choose the epoch, stop
            the run and lower the learning rate; the split's validation images are not used, and
            training is the same.
        mean: of pixels in [0, 1]; None: computed from the training split.
        std: likewise.
        augment: of training batches; None: none.
        seed: the run's, for order and augmentation.
    """

    def __init__(
        self,
        name: Literal["FashionMNIST", "KMNIST", "MNIST", "synthetic"],
        root: str | None = None,
        batch_size: Annotated[int, "[1, inf)"] = 64,
        eval_batch_size: Annotated[int, "[1, inf)"] = 1000,
        train_size: Annotated[int, "[1, inf)"] | None = None,
        test_size: Annotated[int, "[1, inf)"] | None = None,
        val_size: Annotated[int, "[1, inf)"] = 5000,
        split_seed: Annotated[int, "[0, 4294967296)"] = 0,
        select_on: Literal["val", "test"] = "val",
        mean: Annotated[float, "(-inf, inf)"] | None = None,
        std: Annotated[float, "(0, inf)"] | None = None,
        augment: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.source, self.root = name, Path(root or "data").expanduser()
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.train_size, self.test_size, self.val_size = train_size, test_size, val_size
        self.split_seed, self.select_on = split_seed, select_on
        self.mean, self.std = mean, std
        self.augment, self.seed = augment, seed
        self.facts: DatasetFacts | None = None
        self.download = True  # files that are missing; a record that is read changes no folder
        self.told = False  # that images are left out

    def read(self) -> tuple[Images, Images, dict[str, str]]:
        """Official training set, official test set, and checksums.

        Raises:
            DataError, DataUnavailable: see `read_data_set`; or fewer images than asked for.
        """
        if self.source == "synthetic":
            # Two seeds, neither the run's: every run sees the same garments.
            train = Images(*garments(self.train_size or 60_000, seed=1))
            test = Images(*garments(self.test_size or 10_000, seed=2))
            sums = {
                split: md5(images.pixels.numpy())
                for split, images in (("train", train), ("test", test))
            }
            return train, test, sums
        tensors, sums = read_data_set(self.source, self.root, self.download)
        train = Images(*(tensors[file] for file in FILES[:2]))
        test = Images(*(tensors[file] for file in FILES[2:]))
        return (
            self._first("train_size", self.train_size, train),
            self._first("test_size", self.test_size, test),
            sums,
        )

    def _first(self, key: str, count: int | None, images: Images) -> Images:
        if count is not None and not 0 < count <= len(images):
            raise DataError(
                f"data.{key}={count}: should be between 1 and {len(images)}, the number of such "
                f"images that {self.source} has, or null for all"
            )
        return Images(images.pixels[:count], images.labels[:count])

    def load(self) -> DatasetFacts:
        """Read, split and measure, once. The facts are those of the run record.

        Raises:
            DataError, DataUnavailable: see `read_data_set`; or too few images for the split.
        """
        if self.facts is not None:
            return self.facts
        official, self.test_images, sums = self.read()
        if not 0 < self.val_size < len(official):
            raise DataError(
                f"data.val_size={self.val_size}: should be between 1 and {len(official) - 1}, "
                f"as {self.source} has {len(official)} training images here"
            )
        train, val = stratified_split(official.labels, self.val_size, self.split_seed)
        self.train_images = Images(official.pixels[train], official.labels[train])
        self.val_images = Images(official.pixels[val], official.labels[val])
        if self.select_on == "test":
            self.val_images = self.test_images
        mean, std = mean_and_std(self.train_images.pixels)
        if std < 1e-6:
            raise DataError(
                f"{self.source}: every pixel of the {len(train)} training images is "
                f"{255 * mean:g}: no data set"
            )
        self.facts = DatasetFacts(
            name=self.source,
            checksums=sums,
            classes=list(CLASSES[self.source]),
            train_size=len(train),
            val_size=len(val),
            test_size=len(self.test_images),
            split_seed=self.split_seed,
            split_md5=md5(val.numpy().astype("<i8")),
            mean=mean if self.mean is None else self.mean,
            std=std if self.std is None else self.std,
            select_on=self.select_on,
            checked=is_checked(self.source),
            look=measure_look(self.train_images.pixels.numpy()),
        )
        return self.facts

    def setup(self, stage: str | None = None) -> None:
        """Bring the images to the device of training; without a trainer, leave them on the CPU."""
        self.load()
        if stage == "fit":
            self.train_images = self.train_images.to(self.device)
        if stage in ("fit", "validate"):
            self.val_images = self.val_images.to(self.device)

    @property
    def device(self) -> torch.device:
        """Where batches are made."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _share(self) -> dict[str, int]:
        if self.trainer is None:
            return {}
        return {"rank": self.trainer.global_rank, "world": self.trainer.world_size}

    def train_dataloader(self) -> TrainBatches:
        """Shuffled and augmented; of `trainer.overfit_batches` in file order, always the same."""
        facts, trainer = self.load(), self.trainer
        batches = TrainBatches(
            self.train_images,
            Normalize(facts.mean, facts.std, self.augment),
            self.batch_size,
            self.seed,
            None if trainer is None else lambda: trainer.current_epoch,
            shuffle=not getattr(trainer, "overfit_batches", 0),
            **self._share(),
        )
        if batches.used < len(batches.images) and not self.told and not batches.rank:
            self.told = True
            log.info(
                "the last %d of %d shuffled training images would make a batch too small for batch "
                "normalisation: no epoch trains on its last %d",
                *(left := len(batches.images) - batches.used, len(batches.images), left),
            )
        return batches

    def val_dataloader(self) -> EvalBatches:
        """What training sees as validation: see `select_on`."""
        return self._evaluation(self.val_images, **self._share())

    def test_dataloader(self) -> EvalBatches:
        """The official test set, shared out among the processes."""
        self.load()
        return self._evaluation(self.test_images.to(self.device), **self._share())

    def predict_dataloader(self) -> EvalBatches:
        """As `test_dataloader`."""
        return self.test_dataloader()

    def test_batches(self, device: torch.device) -> EvalBatches:
        """The official test set, all of it. A run asks for it once, at the end."""
        self.load()
        return self._evaluation(self.test_images.to(device))

    def test_length(self) -> int:
        """Batches in the test set, which is not read for it."""
        return -(-self.load().test_size // self.eval_batch_size)

    def _evaluation(self, images: Images, **share: int) -> EvalBatches:
        facts = self.load()
        return EvalBatches(images, Normalize(facts.mean, facts.std), self.eval_batch_size, **share)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Batches are made on the device: spare Lightning the search for what to move."""
        here = isinstance(batch, tuple) and batch[0].device == device
        return batch if here else super().transfer_batch_to_device(batch, device, dataloader_idx)
