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
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


def crossed(differences: NDArray[np.float64], level: float = 0.05) -> Crossed:
    """Both intervals of a mean.

    Args:
        differences: float [S, I], right A - right B by seed and image, in {-1, 0, 1}; or right, in
            {0, 1}, for one accuracy.
        level: 1 - level is how often the intervals cover.

    Raises:
        ValueError: fewer than two seeds or two images.
    """
    from scipy.special import ndtri, stdtrit

    if differences.ndim != 2 or min(differences.shape) < 2:
        raise ValueError(f"{list(differences.shape)}: should be seeds by images, two of each")
    seeds, images = differences.shape
    by_seed, by_image = differences.mean(axis=1), differences.mean(axis=0)
    mean = float(differences.mean())
    rest = differences - by_seed[:, None] - by_image[None, :] + mean
    rest_variance = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    v_seed = float(by_seed.var(ddof=1)) / seeds
    v_image = max(0.0, float(by_image.var(ddof=1)) - rest_variance / seeds) / images
    t, z = float(stdtrit(seeds - 1, 1 - level / 2)), float(ndtri(1 - level / 2))
    return Crossed(mean, t * math.sqrt(v_seed), math.sqrt(t**2 * v_seed + z**2 * v_image))
