"""The one-kernel augmentation against torchvision's chain of three, and what it draws."""

import math
import re

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from fmnist.config.trial import try_out
from fmnist.data.augment import RandomAffine, affine_matrices
from fmnist.data.datamodule import ImageData
from fmnist.errors import ConfigError
from fmnist.training.preflight import try_net_on
from tests.conftest import Later, composed

TF = Later("torchvision.transforms.functional")
SIZE = 28
NEAREST, BILINEAR = RandomAffine(), RandomAffine(interpolation="bilinear")


def noise(count, seed=0):
    """Images in which every pixel differs from its neighbours and none is black."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 256, (count, 1, SIZE, SIZE), generator=generator).float()


def matrices(degrees, right, down, mirrored):
    """`affine_matrices` in degrees and pixels, for one image or many."""
    angle = torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float32).reshape(-1))
    pixels = torch.stack([torch.as_tensor(x).float().reshape(-1) for x in (right, down)], dim=1)
    return affine_matrices(angle, pixels * 2 / SIZE, torch.as_tensor(mirrored).reshape(-1))


def parameters(drawn):
    """Degrees, pixels right, pixels down and mirrored of matrices: `affine_matrices` undone."""
    drawn = drawn.double()
    linear = drawn[:, :, :2]
    offset = -torch.linalg.solve(linear, drawn[:, :, 2]) * SIZE / 2
    degrees = torch.rad2deg(torch.atan2(-linear[:, 0, 1], linear[:, 1, 1]))
    return degrees, offset[:, 0], offset[:, 1], torch.linalg.det(linear) < 0


def shifted(image, right, down):
    """What a crop from a padded image shows."""
    return TF.crop(TF.pad(image, [4, 4, 4, 4]), 4 - down, 4 - right, SIZE, SIZE)


def torchvision_chain(image, degrees, right, down, mirrored):
    """RandomRotation, RandomHorizontalFlip and RandomCrop(28, padding=4), their draws given."""
    image = TF.rotate(image, degrees, TF.InterpolationMode.NEAREST)
    return shifted(TF.hflip(image) if mirrored else image, right, down)


@pytest.fixture(scope="module")
def hundred():
    """A hundred images, the policy of S1 drawn for each, and torchvision's answer."""
    generator = torch.Generator().manual_seed(1)
    images = noise(100)
    degrees = torch.rand(100, generator=generator) * 20 - 10
    right, down = torch.randint(-4, 5, (2, 100), generator=generator)
    mirrored = torch.rand(100, generator=generator) < 0.5
    rows = list(zip(degrees.tolist(), right.tolist(), down.tolist(), mirrored, strict=True))
    expected = torch.stack(
        [torchvision_chain(image, *row) for image, row in zip(images, rows, strict=True)]
    )
    ones = torch.ones(1, SIZE, SIZE)
    inside = torch.stack([shifted(ones, right, down) for _, right, down, _ in rows]).bool()
    return images, matrices(degrees, right, down, mirrored), expected, inside


def test_equals_torchvisions_chain(hundred):
    images, drawn, expected, inside = hundred
    ours = NEAREST(images, drawn)
    assert (ours == expected)[inside].float().mean() >= 0.995
    # The comparison has power: turning the other way agrees on far less than that.
    reverse = affine_matrices(torch.tensor([-0.1]), torch.zeros(1, 2), torch.tensor([False]))
    turned = TF.rotate(images[0], math.degrees(0.1), TF.InterpolationMode.NEAREST)
    assert (NEAREST(images[:1], reverse)[0] == turned).float().mean() < 0.5


def test_differs_from_torchvisions_chain_only_in_corners_that_a_shift_brings_back(hundred):
    images, drawn, expected, inside = hundred
    outside = ~inside
    assert (expected[outside] == 0).all()
    ours = NEAREST(images, drawn)[outside]
    assert 0 < (ours != 0).float().mean() < 0.25


def test_positive_angles_turn_counter_clockwise_as_in_torchvision():
    image = torch.zeros(1, 1, SIZE, SIZE)
    image[..., 13:15, 24] = 1  # right of the centre
    turned = NEAREST(image, matrices(45.0, 0, 0, False))[0, 0]
    rows, columns = turned.nonzero().double().mean(0).tolist()
    assert rows < 8  # above
    assert columns > 19


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (0, -2), (-4, 4)])
def test_without_rotation_every_pixel_equals_flip_and_padded_crop(right, down, mirrored):
    image = noise(1)
    expected = torchvision_chain(image, 0.0, right, down, mirrored)
    assert torch.equal(NEAREST(image, matrices(0.0, right, down, mirrored)), expected)


def test_bilinear_rotation_equals_torchvisions():
    image = noise(1)
    expected = TF.rotate(image, 12.5, TF.InterpolationMode.BILINEAR)
    ours = BILINEAR(image, matrices(12.5, 0, 0, False))
    torch.testing.assert_close(ours, expected, rtol=0, atol=0.05)


def test_bilinear_shift_by_half_a_pixel_averages_neighbours_and_black():
    image = noise(1)
    left = shifted(image, 1, 0)  # the neighbour on the left; black for the first column
    ours = BILINEAR(image, matrices(0.0, 0.5, 0, False))
    torch.testing.assert_close(ours, (image + left) / 2, rtol=0, atol=0.01)


def test_each_image_is_transformed_by_its_own_matrix():
    images = noise(1).expand(3, 1, SIZE, SIZE)
    ours = NEAREST(images, matrices([0.0] * 3, [0, 2, 0], [0, 0, 0], [False, False, True]))
    assert torch.equal(ours[0], images[0])
    assert torch.equal(ours[1], shifted(images[1], 2, 0))
    assert torch.equal(ours[2], TF.hflip(images[2]))


@pytest.fixture(scope="module")
def drawn():
    """Parameters of 20,000 images under S1's policy."""
    generator = torch.Generator().manual_seed(2)
    return parameters(RandomAffine(10, 4, 0.5).draw(20_000, SIZE, generator))


def test_angles_are_uniform_within_their_range(drawn):
    degrees = drawn[0]
    assert 9.99 < degrees.abs().max() <= 10.0001
    shares = torch.histc(degrees, bins=10, min=-10, max=10) / len(degrees)
    assert (shares - 0.1).abs().max() < 0.01


@pytest.mark.parametrize("axis", [1, 2])
def test_shifts_are_whole_pixels_with_equal_probability(drawn, axis):
    pixels = drawn[axis]
    torch.testing.assert_close(pixels, pixels.round(), rtol=0, atol=1e-4)
    values, counts = pixels.round().long().unique(return_counts=True)
    assert values.tolist() == list(range(-4, 5))
    assert (counts / len(pixels) - 1 / 9).abs().max() < 0.01


def test_flips_come_with_their_probability(drawn):
    assert abs(drawn[3].double().mean() - 0.5) < 0.015
    generator = torch.Generator().manual_seed(3)
    rare = parameters(RandomAffine(flip=0.1).draw(20_000, SIZE, generator))[3]
    assert abs(rare.double().mean() - 0.1) < 0.01


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_alternating_flips_show_every_image_from_both_sides_in_two_epochs(share):
    policy = RandomAffine(10, 4, share, alternate=True)
    turns, rights, _, sides = zip(
        *(
            parameters(policy.draw(20_000, SIZE, torch.Generator().manual_seed(epoch), epoch))
            for epoch in range(3)
        ),
        strict=True,
    )
    assert torch.equal(sides[0], ~sides[1])
    assert torch.equal(sides[0], sides[2])
    assert abs(sides[0].double().mean() - share) < 0.015
    for drawn in (turns, rights):  # the rest is left to chance
        assert abs(torch.corrcoef(torch.stack([drawn[0], drawn[2]]))[0, 1]) < 0.03


def test_parameters_are_independent_of_one_another_and_of_the_neighbour(drawn):
    table = torch.stack([column.double() for column in drawn])
    pairs = torch.corrcoef(torch.cat([table[:, 1:], table[:, :-1]]))
    assert (pairs - torch.eye(8)).abs().max() < 0.04
    assert len(drawn[0].unique()) > 19_000


def test_bilinear_shifts_are_fractions_uniform_within_their_range():
    generator = torch.Generator().manual_seed(4)
    policy = RandomAffine(shift=5.6, interpolation="bilinear")
    for pixels in parameters(policy.draw(20_000, SIZE, generator))[1:3]:
        assert 5.59 < pixels.abs().max() <= 5.6001
        shares = torch.histc(pixels, bins=10, min=-5.6, max=5.6) / len(pixels)
        assert (shares - 0.1).abs().max() < 0.01


def test_draw_is_a_function_of_the_generator():
    policy = RandomAffine(10, 4, 0.5)
    first, again, other = (
        policy.draw(50, SIZE, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_draw_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    RandomAffine(10, 4, 0.5).draw(50, SIZE, torch.Generator().manual_seed(0))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_truth_says_whether_anything_changes():
    assert bool(RandomAffine()) is False
    assert bool(RandomAffine(interpolation="bilinear")) is False
    changing = {"degrees": 1}, {"shift": 1}, {"flip": 0.1}, {"alternate": True}
    assert all(bool(RandomAffine(**setting)) for setting in changing)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_draw_without_ranges_is_the_identity(interpolation):
    policy = RandomAffine(interpolation=interpolation)
    drawn = policy.draw(8, SIZE, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, torch.eye(2, 3).expand(8, 2, 3))
    torch.testing.assert_close(policy(noise(8), drawn), noise(8), rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("arguments", "offender"),
    [
        ({"degrees": -1.0}, "degrees=-1.0"),
        ({"degrees": math.nan}, "degrees=nan"),
        ({"shift": -0.5}, "shift=-0.5"),
        ({"shift": 5.6}, "shift=5.6"),  # of whole pixels: would be 5 without a word
        ({"flip": 1.1}, "flip=1.1"),
        ({"flip": -0.1}, "flip=-0.1"),
        ({"interpolation": "bicubic"}, "interpolation='bicubic'"),
    ],
)
def test_impossible_values_are_refused_by_name(arguments, offender):
    with pytest.raises(ValueError, match=offender):
        RandomAffine(**arguments)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("off", (0.0, 0.0, 0.0, "nearest")),
        ("on", (10.0, 4.0, 0.5, "nearest")),  # study S1
        ("s4", (15.0, 5.6, 0.5, "bilinear")),  # study S4
    ],
)
def test_options_are_the_policies_of_their_studies(option, expected):
    policy = instantiate(composed(f"aug={option}", "data=synthetic")["aug"])
    assert (policy.degrees, policy.shift, policy.flip, policy.interpolation) == expected
    assert bool(policy) is (option != "off")


class Own:
    """An augmentation of one's own, wrong in one way or another."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong

    def draw(self, count, size, generator, epoch=0):
        return torch.rand(1 if self.wrong == "drawn" else count, generator=generator)

    def __call__(self, images, drawn, mean):
        torch.rand(())
        match self.wrong:
            case "size":
                return images.repeat_interleave(2, -1)
            case "larger" if images.shape[1] == 3:  # which only the data show
                return torch.nn.functional.pad(images, (1, 1, 1, 1))
            case "bytes":
                return images.byte()
            case "nothing":
                return None
            case "raises":
                raise KeyError("drawn")
        return images


WRONG = {
    "size": "Own gives a tensor float32 [2, 1, 28, 56] for images [2, 1, 28, 28]: should be float "
    "[2, 1, S, S]",
    "bytes": "Own gives a tensor uint8 [2, 1, 28, 28] for images [2, 1, 28, 28]: should be float "
    "[2, 1, S, S]",
    "nothing": "Own gives None for images [2, 1, 28, 28]: should be float [2, 1, S, S]",
    "drawn": "Own.draw gives a tensor float32 [1] for 2 images: should be a tensor [2, ...], "
    "a row for every image",
    "raises": f"Own: KeyError: 'drawn', at {__file__}:LINE; images were [2, 1, 28, 28]",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_augmentation_of_ones_own_is_tried_and_blamed_before_a_run(wrong):
    keys = ("degrees", "shift", "flip", "interpolation")
    nodes = f"aug._target_={__name__}.Own", *(f"~aug.{key}" for key in keys)
    try_out(composed(*nodes))
    with pytest.raises(ConfigError) as caught:
        try_out(composed(*nodes, f"+aug.wrong={wrong}"))
    assert re.sub(r"py:\d+", "py:LINE", str(caught.value)) == f"aug: {WRONG[wrong]}"


def test_what_only_the_data_show_of_an_augmentation_is_said_before_a_run():
    def load(**settings):
        data = ImageData("synthetic", train_size=60, test_size=20, val_size=20, **settings)
        data.load()
        return data

    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    load(augment=Own("larger"))
    load(augment=Own(), channels=3)
    assert torch.random.get_rng_state().equal(before)
    larger = load(augment=Own("larger"), channels=3)
    with pytest.raises(ConfigError) as caught:
        try_net_on(larger, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, 10)))
    assert str(caught.value).startswith(
        "aug: Own gives images [3, 30, 30], on which model: Sequential: RuntimeError: "
    )
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))
    try_net_on(larger, lambda: pooled)  # which takes images of any size
