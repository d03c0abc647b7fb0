"""An interval that covers other test images, too, not only other seeds.

A test set is a sample of images. The intervals over seeds speak of reruns on these images; a
sceptic asks what other images of the same kind would have shown. Seeds and images are crossed:
every run is tested on every image. With d[s, i] = right A - right B of seed s and image i,

    d[s, i] = mean + seed[s] + image[i] + rest[s, i]

is the two-way random effects model (Searle, Casella & McCulloch 1992, "Variance components"). The
variance of the mean over S seeds and I images has a part of the seeds, which the means of the seeds
show, the rest included, and a part of the images, which the means of the images show, once the rest
that S seeds leave in them is taken off:

    v_seed = var_s(mean_i d) / S
    v_image = max(0, var_i(mean_s d) - MS_rest / S) / I
    half width = sqrt(t(S - 1)^2 v_seed + 1.96^2 v_image)

Of some seeds only the mean may be known. They count in v_seed; v_image is that of the others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmnist.evidence.statistics import CENTRAL


@dataclass(frozen=True)
class Crossed:
    """A mean over seeds and images, in the unit of the differences.

    Args:
        mean: of all of them.
        seeds: half width of the interval that covers other seeds, on these images.
        both: half width of the interval that covers other seeds and other images.
    """

    mean: float
    seeds: float
    both: float


def crossed(
    differences: NDArray[np.float64], level: float = 0.05, means: Sequence[float] = ()
) -> Crossed:
    """Both intervals of a mean.

    Args:
        differences: float [S, I], right A - right B by seed and image, in {-1, 0, 1}; or right, in
            {0, 1}, for one accuracy.
        level: 1 - level is how often the intervals cover.
        means: of all seeds, where there are more than those of which every image is known.

    Raises:
        ValueError: fewer than two seeds or two images.
    """
    from scipy.special import ndtri, stdtrit

    if differences.ndim != 2 or min(differences.shape) < 2:
        raise ValueError(f"{list(differences.shape)}: should be seeds by images, two of each")
    seeds, images = differences.shape
    by_seed, by_image = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - by_seed[:, None] - by_image[None, :] + differences.mean()
    rest_variance = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    v_image = max(0.0, float(by_image.var(ddof=1)) - rest_variance / seeds) / images
    every = np.asarray(means) if len(means) else by_seed
    v_seed = float(every.var(ddof=1)) / len(every)
    t, z = float(stdtrit(len(every) - 1, 1 - level / 2)), float(ndtri(1 - level / 2))
    return Crossed(
        float(every.mean()), t * math.sqrt(v_seed), math.sqrt(t**2 * v_seed + z**2 * v_image)
    )


@dataclass(frozen=True)
class McNemar:
    """Two runs on the same test images.

    Args:
        only_first, only_second: images that one alone classified correctly.
        both, neither: the others.
        p: exact, two-sided, of the two runs making equally many errors.
        low, high: 95 % interval of first minus second, in points of accuracy, over other images of
            the kind: Wald's with half an image more in each of the four counts (Agresti and Min
            2005, "Simple improved confidence intervals for comparing matched proportions").
    """

    only_first: int
    only_second: int
    both: int
    neither: int
    p: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """First minus second, in points of accuracy."""
        total = self.both + self.neither + self.only_first + self.only_second
        return 100 * (self.only_first - self.only_second) / total


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test, from what each run classified correctly, bool [N]."""
    from scipy.special import bdtr

    b, c = int((first & ~second).sum()), int((~first & second).sum())
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    p = min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5)))  # the binomial test of a half
    n, more, less = len(first) + 2, b + 0.5, c + 0.5
    middle = (more - less) / n
    half = CENTRAL * math.sqrt((more + less) / n - middle**2) / math.sqrt(n)
    low, high = (100 * max(-1.0, min(1.0, end)) for end in (middle - half, middle + half))
    return McNemar(b, c, both, neither, p, low, high)
