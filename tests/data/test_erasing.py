"""Random erasing: how often, how much, where, and with what."""

import pytest
import torch

from fmnist.data.augment import RandomAffine
from fmnist.data.erasing import AREA, AffineThenErasing, RandomErasing

SIZE, COUNT = 28, 20_000


@pytest.fixture(scope="module")
def boxes():
    return RandomErasing(0.4).draw(COUNT, SIZE, torch.Generator().manual_seed(0))


def areas(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def test_as_many_images_as_asked_lose_a_box(boxes):
    share = (areas(boxes) > 0).float().mean().item()
    assert share == pytest.approx(0.4, abs=4 * (0.4 * 0.6 / COUNT) ** 0.5)


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_none_and_all(probability, share):
    drawn = RandomErasing(probability).draw(500, SIZE, torch.Generator().manual_seed(0))
    assert (areas(drawn) > 0).float().mean() == share


def test_boxes_lie_inside_and_reach_every_edge(boxes):
    boxes = boxes[areas(boxes) > 0]
    assert torch.equal(boxes, boxes.round())
    assert boxes.min() == 0
    assert boxes.max() == SIZE
    assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_areas_are_the_paper_s(boxes):
    share = areas(boxes)[areas(boxes) > 0] / SIZE**2
    # Rounding to whole pixels moves the smallest areas; a box that is too long is cut.
    assert share.min() >= AREA[0] * 0.5
    assert share.max() <= AREA[1] * 1.1
    assert share.mean().item() == pytest.approx(sum(AREA) / 2, abs=0.01)


def test_the_mean_fills_the_box_and_nothing_else_changes():
    images = torch.rand(2, 1, SIZE, SIZE) + 1
    kept = images.clone()
    boxes = torch.tensor([[3.0, 5, 10, 7], [0, 0, 0, 0]])
    erased = RandomErasing()(images, boxes, mean=-4.0)
    assert (erased[0, 0, 5:7, 3:10] == -4).all()
    assert (erased == -4).sum() == 2 * 7
    assert torch.equal(erased[erased != -4], kept[erased != -4])


def test_after_the_affine_map_with_the_same_draws():
    affine, erasing = RandomAffine(shift=2, flip=0.5), RandomErasing(1.0)
    both = AffineThenErasing(affine, erasing)
    drawn = both.draw(6, SIZE, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    matrices, boxes = affine.draw(6, SIZE, generator), erasing.draw(6, SIZE, generator)
    images = torch.rand(6, 1, SIZE, SIZE)
    expected = erasing(affine(images.clone(), matrices), boxes, 0.5)
    assert torch.equal(both(images.clone(), drawn, 0.5), expected)


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_is_one(probability):
    with pytest.raises(ValueError, match=r"should be in \[0, 1\]"):
        RandomErasing(probability)


def test_training_images_lose_boxes_and_validation_images_none(run_tiny):
    same = ("aug.affine.flip=0", "aug.affine.shift=0", "trainer.max_epochs=1", "optim.lr=1e-9")
    with_boxes = run_tiny("aug=flip_shift_erase", "aug.erasing.probability=1", *same)
    without = run_tiny("aug=flip_shift_erase", "aug.erasing.probability=0", *same)
    # With next to no learning both nets are the same: losses differ only if the images do.
    rows = [run.record.metrics for run in (with_boxes, without)]
    assert rows[0]["train/loss"] != pytest.approx(rows[1]["train/loss"], rel=1e-4)
    assert rows[0]["val/loss"] == pytest.approx(rows[1]["val/loss"], rel=1e-5)
