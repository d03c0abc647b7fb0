"""Which of the training images validate, which are left out, and which labels are made wrong.

Every choice is a function of labels and a seed alone, the same everywhere.
"""

import numpy as np
import torch
from torch import Tensor


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


def fold_split(labels: Tensor, folds: int, fold: int, seed: int) -> tuple[Tensor, Tensor]:
    """As `stratified_split`, of one of `folds` equal parts: every image validates in one of them.

    Args:
        labels: int64 [N].
        folds: how many parts.
        fold: which of them validates, from 0.
        seed: of the parts, the same for all of them.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    part, begun = np.empty(len(labels), dtype=np.int64), 0
    for label in np.unique(labels.numpy()):
        members = np.flatnonzero(labels.numpy() == label)
        # A class begins where the one before ended, so that the parts are of one size.
        part[generator.permutation(members)] = (begun + np.arange(len(members))) % folds
        begun += len(members)
    chosen = part == fold
    return torch.from_numpy(np.flatnonzero(~chosen)), torch.from_numpy(np.flatnonzero(chosen))


def long_tail(labels: Tensor, classes: int, ratio: float, seed: int) -> Tensor:
    """Indices of the images that a long-tailed training set keeps, int64, ascending.

    Class k of C keeps n * ratio ** (-k / (C - 1)) of its images, n being those of the smallest
    class: the first all of n, the last 1 / ratio of it (Cao et al. 2019, arXiv 1906.07413).

    Args:
        labels: int64 [N].
        classes: C.
        ratio: of the largest class to the smallest, 1 or more.
        seed: of the choice.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    groups = [np.flatnonzero(labels.numpy() == label) for label in range(classes)]
    most = min((len(members) for members in groups if len(members)), default=0)
    kept = [
        generator.permutation(members)[: max(1, round(most * ratio ** (-k / (classes - 1))))]
        for k, members in enumerate(groups)
    ]
    return torch.from_numpy(np.sort(np.concatenate(kept)))


def noisy_labels(labels: Tensor, classes: int, share: float, seed: int) -> Tensor:
    """Labels of which a share, rounded to an image, is replaced by another class; int64 [N].

    Symmetric noise: which images, and which of the other classes, is equally likely.

    Args:
        labels: int64 [N].
        classes: how many there are.
        share: in [0, 1).
        seed: of the choice.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    wrong = generator.permutation(len(labels))[: round(share * len(labels))]
    noisy = labels.numpy().copy()
    noisy[wrong] = (noisy[wrong] + generator.integers(1, classes, len(wrong))) % classes
    return torch.from_numpy(noisy)
