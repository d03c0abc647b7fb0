"""Test-time augmentation: which views, with which weights, and that a run uses and records it."""

import pytest
import torch
from torch import nn

from fmnist.training.tta import mean_logits
from fmnist.using.reproduce import retest


class Corner(nn.Module):
    """The value of the pixel (row 5, column 9): it shows how a view was moved."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x[:, 0, 5, 9:10]


@pytest.fixture
def images():
    return torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("tta", "views"), [("none", 1), ("flip", 2), ("flip_shift", 6)])
def test_number_of_forward_passes(images, tta, views):
    net = Corner()
    mean_logits(net, images, tta)
    assert net.calls == views


@pytest.mark.parametrize("tta", ["flip", "flip_shift"])
def test_a_net_that_works_in_place_gets_the_same_views(images, tta):
    class InPlace(Corner):
        def forward(self, x):
            return super().forward(x.mul_(2))

    views = 2 * mean_logits(Corner(), images, tta)
    torch.testing.assert_close(mean_logits(InPlace(), images.clone(), tta), views)


def test_flip_is_the_mean_of_the_image_and_its_mirror_image(images):
    expected = (images[:, 0, 5, 9] + images[:, 0, 5, 27 - 9]) / 2
    torch.testing.assert_close(mean_logits(Corner(), images, "flip")[:, 0], expected)


def test_shifted_views_have_half_of_the_weight(images):
    def both(row, column):
        return (images[:, 0, row, column] + images[:, 0, row, 27 - column]) / 2

    # A view that is moved down and right shows at (5, 9) what was at (4, 8). Its mirror image
    # shows there what it has at (5, 18), which was at (4, 17): mirrored after having been moved.
    down_right = (images[:, 0, 4, 8] + images[:, 0, 4, 17]) / 2
    up_left = (images[:, 0, 6, 10] + images[:, 0, 6, 19]) / 2
    expected = both(5, 9) / 2 + down_right / 4 + up_left / 4
    torch.testing.assert_close(mean_logits(Corner(), images, "flip_shift")[:, 0], expected)


def test_a_run_validates_and_tests_with_its_views_and_can_be_evaluated_again(tiny_run, run_tiny):
    plain, mirrored = tiny_run, run_tiny("tta=flip")
    for key in ("val/loss", "test/loss"):
        assert plain.record.metrics[key] != mirrored.record.metrics[key]
    assert plain.record.metrics["train/loss"] == mirrored.record.metrics["train/loss"]
    metrics = mirrored.record.metrics
    assert retest(mirrored) == (metrics["test/loss"], metrics["test/acc"])
