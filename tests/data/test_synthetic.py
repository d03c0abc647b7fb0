"""The drawn garments: what they promise, and that a linear model cannot settle them."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from fmnist.data.synthetic import garments


def _ridge_accuracy(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """Share of ``test`` that the least-squares linear classifier of ``train`` gets right."""
    inputs, targets = train[0].flatten(1).double() / 255, one_hot(train[1], 10).double()
    mean, scale = inputs.mean(0), inputs.std(0) + 1e-2
    inputs = (inputs - mean) / scale
    gram = inputs.T @ inputs + 100.0 * torch.eye(inputs.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, inputs.T @ (targets - targets.mean(0)))
    scores = (test[0].flatten(1).double() / 255 - mean) / scale @ weight
    return float((scores.argmax(1) == test[1]).double().mean())


def test_linear_model_is_far_above_chance_and_below_ninety_percent() -> None:
    accuracy = _ridge_accuracy(garments(8000, seed=1), garments(2000, seed=2))
    assert 0.6 < accuracy < 0.9


def test_shapes_types_and_range() -> None:
    images, labels = garments(500, seed=3)
    assert images.shape == (500, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.shape == (500,)
    assert labels.dtype == torch.int64
    # Black ground around most garments, and bright cloth in some of them.
    assert (images == 0).float().mean() > 0.3
    assert images.max() > 200


def test_every_image_shows_a_garment() -> None:
    images, _ = garments(5000, seed=4)
    assert (images > 20).flatten(1).sum(1).min() >= 40


@pytest.mark.parametrize("count", [1, 7, 10, 1003])
def test_classes_are_balanced_to_within_one(count: int) -> None:
    _, labels = garments(count, seed=5)
    sizes = torch.bincount(labels, minlength=10)
    assert len(sizes) == 10
    assert sizes.sum() == count
    assert sizes.max() - sizes.min() <= 1


def test_labels_are_shuffled() -> None:
    _, labels = garments(1000, seed=6)
    repeats = (labels[1:] == labels[:-1]).float().mean()
    # Sorted labels would give 0.99, a fixed cycle 0.
    assert 0.05 < repeats < 0.2


def test_same_seed_gives_the_same_bytes() -> None:
    first, second = garments(3000, seed=7), garments(3000, seed=7)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_different_seeds_share_no_image() -> None:
    seen = {image.numpy().tobytes() for seed in (8, 9) for image in garments(1000, seed)[0]}
    assert len(seen) == 2000


@pytest.mark.parametrize("count", [0, -3])
def test_count_below_one_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=rf"count.*{count}$"):
        garments(count, seed=0)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"seed.*-1"):
        garments(10, seed=-1)
