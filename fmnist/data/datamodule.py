"""From files to batches: one fixed split, resident uint8 tensors, everything else per batch."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule

from fmnist.config.trial import try_augmentation
from fmnist.data.augment import Augmentation, RandomAffine
from fmnist.data.batches import EvalBatches, Normalize, TrainBatches, mean_and_std
from fmnist.data.facts import DatasetFacts
from fmnist.data.files import read_published
from fmnist.data.look import measure_look
from fmnist.data.source import (
    DataSet,
    Images,
    Reader,
    Wanted,
    ask,
    check_data_set,
    count_classes,
    md5,
    sums_of,
)
from fmnist.data.split import fold_split, long_tail, noisy_labels, stratified_split
from fmnist.errors import DataError

log = logging.getLogger(__name__)

OWN_TEST = 0.2  # of the images, where a set has no test images of its own
OWN_VAL = 0.1  # of the training images, where it has no validation images of its own
CONSTANT = 1e-6  # a deviation below it is that of rounding


def _some(names: Sequence[str]) -> str:
    """The first of some classes, and how many there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more classes" if names[3:] else "")


class ImageData(LightningDataModule):
    """A data set: training, validation and test batches, resident on the device.

    Args:
        name: of the data set: a published one's, or "synthetic"; with a source any name.
        root: data root in torchvision's layout, or what the source reads; not used by "synthetic".
        batch_size: training images of all processes together.
        eval_batch_size: validation and test images.
        train_size: the first so many of the training images; of a source, which may have them by
            class, so many in all, of every class its share; None: all, or 60,000 drawn ones.
        test_size: likewise of the test images, or 10,000. A set without test images of its own
            gives so many of all its images for them, always the same ones; None: a fifth.
        val_size: how many of the training images validate. None: the set's own validation images,
            or a tenth of the training images where it has none.
        split_seed: of the split; not the run's seed, unless it is "seed".
        select_on: the images that stand for validation while training. "test" is the leak of study
            S1, offered to measure what it adds: the official test images choose the epoch, stop
            the run and lower the learning rate; the split's validation images are not used, and
            training is the same.
        mean: of pixels in [0, 1], in colour a list of three; None: computed from the training
            split.
        std: likewise.
        augment: of training batches; None: none.
        seed: the run's, for order and augmentation.
        source: reads the data set; None: the name says how.
        size: height and width of the images; None: as they are.
        channels: 1: in grey, 3: in colour; None: as they are.
        classes: how many classes, the first ones; None: all, or 10 drawn ones.
        folds: the training images are so many parts, one of which validates in place of val_size.
        fold: which of them, from 0.
        label_noise: share of the training labels that are replaced by another class.
        imbalance: of a long-tailed training set, the largest class to the smallest; 1: as it is.
    """

    def __init__(
        self,
        name: str,
        root: str | None = None,
        batch_size: Annotated[int, "[1, inf)"] = 64,
        eval_batch_size: Annotated[int, "[1, inf)"] = 1000,
        train_size: Annotated[int, "[1, inf)"] | None = None,
        test_size: Annotated[int, "[1, inf)"] | None = None,
        val_size: Annotated[int, "[1, inf)"] | None = 5000,
        split_seed: Annotated[int, "[0, 4294967296)"] | Literal["seed"] = 0,
        select_on: Literal["val", "test"] = "val",
        mean: Annotated[float, "[0, 1]"] | list[float] | None = None,
        std: Annotated[float, "(0, 1]"] | list[float] | None = None,
        augment: Augmentation | None = None,
        seed: int = 0,
        source: Reader | None = None,
        size: Annotated[int, "[1, inf)"] | None = None,
        channels: Literal[1, 3] | None = None,
        classes: Annotated[int, "[2, inf)"] | None = None,
        folds: Annotated[int, "[2, inf)"] | None = None,
        fold: Annotated[int, "[0, inf)"] = 0,
        label_noise: Annotated[float, "[0, 1)"] = 0.0,
        imbalance: Annotated[float, "[1, inf)"] = 1.0,
    ) -> None:
        super().__init__()
        self.set_name, self.root = name, Path(root or "data").expanduser()
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.train_size, self.test_size, self.val_size = train_size, test_size, val_size
        self.split_seed = seed if split_seed == "seed" else split_seed
        self.select_on = select_on
        self.mean, self.std = mean, std
        self.augment, self.seed = augment, seed
        self.source = source
        self.size, self.channels, self.classes = size, channels, classes
        self.folds, self.fold = folds, fold
        self.label_noise, self.imbalance = label_noise, imbalance
        self.facts: DatasetFacts | None = None
        self.download = True  # files that are missing; a record that is read changes no folder
        self.told = False  # that images are left out

    def read(self) -> DataSet:
        """The data set, with as many images as are wanted, as large and in as many colours.

        Raises:
            DataError, DataUnavailable: the reader's; or fewer images than asked for.
        """
        wanted = Wanted(
            self.set_name, self.root, self.size, self.channels, self.classes,
            self.train_size, self.test_size, self.download,
        )  # fmt: skip
        found = read_published(wanted) if self.source is None else ask(self.source, wanted)
        found = check_data_set(found, wanted)
        sums = found.checksums or sums_of(found.parts)  # of a reader of one's own, which gives none
        train, test = found.train, found.test
        if test is not None:
            test = self._first("test_size", self.test_size, test)
        else:  # of all images, so that they are the same ones whatever train_size is
            size = self.test_size or round(OWN_TEST * len(train))
            self._check_part("test_size", size, len(train), "of which the test images are taken")
            rest, chosen = stratified_split(train.labels, size, seed=0)
            train, test = train[rest], train[chosen]
        train = self._first("train_size", self.train_size, train)
        if not len(train) or not len(test):
            raise DataError(f"{self.set_name}: {len(train)} training and {len(test)} test images")
        return DataSet(train, found.classes, test, found.val, sums, found.checked, found.remarks)

    def _first(self, key: str, count: int | None, images: Images) -> Images:
        if count is not None and not 0 < count <= len(images):
            raise DataError(
                f"data.{key}={count}: should be between 1 and {len(images)}, the number of such "
                f"images that {self.set_name} has, or null for all"
            )
        if self.source is None or count is None or count == len(images):
            return images[:count]
        return images[stratified_split(images.labels, count, seed=0)[1]]  # they may lie by class

    def _check_part(self, key: str, size: int, count: int, why: str) -> None:
        if not 0 < size < count:
            raise DataError(f"data.{key}={size}: should be between 1 and {count - 1}, {why}")

    def load(self) -> DatasetFacts:
        """Read, split and measure, once. The facts are those of the run record.

        Raises:
            DataError, DataUnavailable: see `read`; or too few images for the split.
        """
        if self.facts is not None:
            return self.facts
        found = self.read()
        assert found.test is not None
        self.test_images: Images = found.test
        self.val_images: Images
        train, val_md5 = self._split(found)
        for remark in [*found.remarks, *self._scarce(found.classes)]:
            log.warning("WARNING %s: %s", self.set_name, remark)
        validating = len(self.val_images)
        if self.select_on == "test":
            self.val_images = self.test_images
        self.train_images = self._worsened(train, len(found.classes))
        mean, std = self._measured()
        self.facts = DatasetFacts(
            name=self.set_name,
            checksums=found.checksums,
            classes=list(found.classes),
            train_size=len(self.train_images),
            val_size=validating,
            test_size=len(self.test_images),
            split_seed=self.split_seed,
            split_md5=val_md5,
            mean=self._given("mean", self.mean, mean),
            std=self._given("std", self.std, std),
            select_on=self.select_on,
            checked=found.checked,
            shape=list(self.train_images.shape),
            look=measure_look(self.train_images.pixels.numpy()),
        )
        self.trained_shape = self.facts.shape  # of an image, after augmentation
        self._check_augmentation()
        return self.facts

    def _measured(self) -> tuple[Any, Any]:
        """Mean and deviation of the training images; a channel that is constant has deviation 1.

        Raises:
            DataError: there is no other.
        """
        mean, std = mean_and_std(self.train_images.pixels)
        means, stds = (one if isinstance(one, list) else [one] for one in (mean, std))
        if max(stds) < CONSTANT:
            raise DataError(
                f"{self.set_name}: every pixel of the {len(self.train_images)} training images is "
                f"{', '.join(f'{255 * value:g}' for value in means)}: no data set"
            )
        return mean, [s if s >= CONSTANT else 1.0 for s in std] if isinstance(std, list) else std

    def _split(self, found: DataSet) -> tuple[Images, str]:
        """Set the validation images apart; those that train, and the sum of the choice."""
        official = found.train
        if self.folds is None and self.val_size is None and found.val is not None:
            if not len(found.val):
                raise DataError(
                    f"{self.set_name}: 0 validation images of its own; data.val_size=N takes so "
                    "many of the training images"
                )
            self.val_images = found.val
            self.train_images = official
            return official, md5(np.arange(0, dtype="<i8"))
        count = len(official)
        if self.folds is not None:
            why = f"as {self.set_name} has {count} training images here"
            self._check_part("folds", self.folds, count + 1, why)
            if not 0 <= self.fold < self.folds:  # none would validate
                raise DataError(
                    f"data.fold={self.fold}: should be less than data.folds={self.folds}"
                )
            chosen = fold_split(official.labels, self.folds, self.fold, self.split_seed)
        else:
            size = self.val_size if self.val_size is not None else max(1, round(OWN_VAL * count))
            why = f"as {self.set_name} has {count} training images here"
            self._check_part("val_size", size, count, why)
            chosen = stratified_split(official.labels, size, self.split_seed)
        train, val = chosen
        self.val_images, self.train_images = official[val], official[train]
        return self.train_images, md5(val.numpy().astype("<i8"))

    def _scarce(self, classes: Sequence[str]) -> Iterator[str]:
        """What is to be said of classes that have hardly any image, a line each."""
        train, val, test = (
            count_classes(images.labels, len(classes))
            for images in (self.train_images, self.val_images, self.test_images)
        )
        empty = [name for name, count in zip(classes, train, strict=True) if not count]
        if empty:
            yield f"no training images of {_some(empty)}: nothing can be learnt of them"
        single = [
            name
            for name, count, other in zip(classes, train, val, strict=True)
            if count == 1 and not other
        ]
        if single:
            yield f"one image of {_some(single)}: it trains, and none validates"
        untested = [name for name, count in zip(classes, test, strict=True) if not count]
        if untested and not empty:
            yield f"no test images of {_some(untested)}: their scores are unknown"

    def _worsened(self, train: Images, classes: int) -> Images:
        """The training images as `imbalance` and `label_noise` leave them."""
        if self.imbalance > 1:
            train = train[long_tail(train.labels, classes, self.imbalance, self.split_seed)]
        if self.label_noise:
            noisy = noisy_labels(train.labels, classes, self.label_noise, self.split_seed)
            train = Images(train.pixels, noisy)
        return train

    def _given(self, key: str, given: Any, computed: Any) -> Any:
        """Mean or deviation: what the setting says; a number for all channels of a colour image."""
        if given is None:
            return computed
        if isinstance(computed, list) and not isinstance(given, list):
            return [float(given)] * len(computed)
        count = len(given) if isinstance(given, list) else 1
        if count != (len(computed) if isinstance(computed, list) else 1):
            colour = isinstance(computed, list)
            right = "a list of three: these are in colour" if colour else "a number: these are grey"
            raise DataError(f"data.{key}={given}: of the images should be {right}")
        return given[0] if isinstance(given, list) and not isinstance(computed, list) else given

    def _check_augmentation(self) -> None:
        """Try it: an image that is moved by its own size, say, is gone.

        Raises:
            DataError, ConfigError: naming the augmentation.
        """
        size = self.train_images.shape[-1]
        moves = getattr(self.augment, "affine", self.augment)  # within aug=flip_shift_erase
        if isinstance(moves, RandomAffine) and moves.shift >= size:  # in pixels; one's own may not
            key = "aug.shift" if isinstance(self.augment, RandomAffine) else "aug.affine.shift"
            raise DataError(f"{key}={moves.shift:g}: should be less than {size}, the images' size")
        if self.augment and self.facts is not None:
            mean = Normalize(self.facts.mean, self.facts.std).mean
            pixels = self.train_images.pixels[:2].view(-1, *self.train_images.shape)
            self.trained_shape = try_augmentation(self.augment, pixels.float(), mean)

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
