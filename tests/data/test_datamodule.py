"""The split, the batches and the data module: what every run sees, and what it must never see."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmnist.data.augment import RandomAffine
from fmnist.data.batches import EvalBatches, Normalize, TrainBatches, mean_and_std
from fmnist.data.datamodule import ImageData
from fmnist.data.erasing import AffineThenErasing, RandomErasing
from fmnist.data.source import Images, md5
from fmnist.data.split import stratified_split
from fmnist.errors import DataError
from tests.data.test_files import small_data_set, write

CPU = torch.device("cpu")
POLICY = RandomAffine(10, 4, 0.5)
RAW = Normalize(0.0, 1 / 255)  # pixels as they are


# Split


def test_five_thousand_of_sixty_thousand_are_five_hundred_a_class():
    labels = torch.arange(60_000) % 10
    train, val = stratified_split(labels, 5000, seed=0)
    assert torch.bincount(labels[val]).tolist() == [500] * 10
    assert torch.bincount(labels[train]).tolist() == [5500] * 10
    # Published results rest on this choice: it must be the same with any version of NumPy.
    assert md5(val.numpy().astype("<i8")) == "c631f3c7a3a139a163bc4de48655ec79"


def unbalanced(*sizes):
    """Shuffled labels, so many of each class."""
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("val_size", [1, 9, 45, 50, 333, 990, 999])
@pytest.mark.parametrize(
    "labels",
    [
        unbalanced(*[100] * 10),
        unbalanced(910, *[10] * 9),
        unbalanced(1, 2, 4, 8, 16, 32, 64, 128, 256, 489),
        unbalanced(0, 500, 0, 500),
    ],
    ids=["balanced", "one large", "powers", "absent"],
)
def test_classes_are_within_one_image_of_proportional(labels, val_size):
    train, val = stratified_split(labels, val_size, seed=3)
    assert len(val) == val_size
    assert torch.equal(torch.cat([train, val]).sort().values, torch.arange(1000))
    assert torch.equal(train, train.sort().values)
    assert torch.equal(val, val.sort().values)
    sizes = torch.bincount(labels, minlength=10)
    given = torch.bincount(labels[val], minlength=10)
    assert (given - sizes * val_size / 1000).abs().max() < 1


def test_classes_that_rounding_cost_most_give_the_images_that_are_left():
    labels = unbalanced(910, *[10] * 9)  # 40.95 and nine times 0.45 of 45 images
    _, val = stratified_split(labels, 45, seed=0)
    assert torch.bincount(labels[val]).tolist() == [41, 1, 1, 1, 1]


def test_split_is_a_function_of_its_seed():
    labels = torch.arange(1000) % 10
    first, again, other = (stratified_split(labels, 100, seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    # Two independent choices of a tenth share about a tenth.
    assert len(np.intersect1d(first, other)) < 30


def test_split_takes_images_from_everywhere_in_the_file():
    _, val = stratified_split(torch.arange(6000) % 10, 600, seed=0)
    counts = torch.histc(val.float(), bins=6, min=0, max=6000)
    assert counts.min() > 60


# Pixels


def random_images(count, seed=0):
    """Images whose labels are their indices."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 28, 28), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(count))


@pytest.mark.parametrize("count", [1, 3, 5001])  # 5001: more than one chunk
def test_mean_and_std_equal_numpys(count):
    pixels = random_images(count).pixels // torch.arange(1, count + 1)[:, None, None].clamp(max=9)
    pixels = pixels.to(torch.uint8)
    scaled = pixels.numpy().astype(np.float64) / 255
    assert mean_and_std(pixels) == pytest.approx((scaled.mean(), scaled.std()), rel=1e-9)


def test_normalize_gives_mean_zero_and_deviation_one():
    pixels = random_images(50).pixels
    images = Normalize(*mean_and_std(pixels))(pixels)
    assert images.shape == (50, 1, 28, 28)
    assert images.dtype == torch.float32
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_normalize_leaves_the_resident_pixels_alone():
    pixels = random_images(5).pixels
    before = pixels.clone()
    Normalize(0.3, 0.3, POLICY)(pixels, POLICY.draw(5, 28, torch.Generator()))
    assert torch.equal(pixels, before)


def test_augmentation_brings_in_black_not_grey():
    white = torch.full((1, 28, 28), 255, dtype=torch.uint8)
    right = torch.tensor([[[1.0, 0, -2 * 4 / 28], [0, 1, 0]]])  # by four pixels
    image = Normalize(0.5, 0.25, POLICY)(white, right)[0, 0]
    torch.testing.assert_close(image[:, :4], torch.full((28, 4), -2.0))
    torch.testing.assert_close(image[:, 4:], torch.full((28, 24), 2.0))


# Training batches


def batches(images, size=8, seed=0, epoch=0, augment=None, **share):
    prepare = Normalize(0.0, 1 / 255, augment)
    return TrainBatches(images, prepare, size, seed, lambda: epoch, **share)


def joined(loader):
    """An epoch's inputs and labels, in order."""
    inputs, labels = zip(*loader, strict=True)
    return torch.cat(inputs), torch.cat(labels)


def by_label(loader):
    """An epoch's inputs in the order of their labels."""
    inputs, labels = joined(loader)
    return inputs[labels.argsort()]


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_an_epoch_is_every_image_once_with_its_label(epoch):
    images = random_images(43)
    inputs, labels = joined(batches(images, epoch=epoch))
    assert torch.equal(labels.sort().values, images.labels)
    assert not torch.equal(labels, images.labels)
    assert torch.equal(inputs[:, 0], images.pixels[labels].float())


def test_order_and_augmentation_are_functions_of_seed_and_epoch():
    images = random_images(40)
    settings = [(0, 0), (0, 1), (1, 0), (1, 1), (2**32 - 1, 0)]
    epochs = [joined(batches(images, seed=s, epoch=e, augment=POLICY)) for s, e in settings]
    # Other generators and earlier epochs leave no trace, as after a resumption.
    torch.rand(3)
    loader = TrainBatches(images, Normalize(0.0, 1 / 255, POLICY), 8, 1, lambda: 0)
    again = joined(loader)
    assert torch.equal(again[0], epochs[2][0])
    assert torch.equal(again[1], epochs[2][1])
    orders = {tuple(labels.tolist()) for _, labels in epochs}
    assert len(orders) == len(settings)
    sorted_inputs = [inputs[labels.argsort()] for inputs, labels in epochs]
    for i, first in enumerate(sorted_inputs):
        for second in sorted_inputs[:i]:
            assert not torch.equal(first, second)


def test_epoch_is_asked_anew_by_every_iteration():
    current = SimpleNamespace(epoch=0)
    images = random_images(40)
    loader = TrainBatches(images, RAW, 8, 0, lambda: current.epoch)
    for epoch in (0, 1, 0):
        current.epoch = epoch
        assert torch.equal(joined(loader)[1], joined(batches(images, epoch=epoch))[1])


def test_augmentation_belongs_to_the_image_not_to_its_batch():
    images = random_images(40)
    eight, eleven = (by_label(batches(images, size, augment=POLICY)) for size in (8, 11))
    assert torch.equal(eight, eleven)


@pytest.mark.parametrize("policy", ["alone", "before erasing"])
def test_alternating_flips_follow_the_epoch(policy):
    images = random_images(40)
    flip = RandomAffine(flip=0.5, alternate=True)
    augment = flip if policy == "alone" else AffineThenErasing(flip, RandomErasing(0.0))
    even, odd, later = (by_label(batches(images, epoch=e, augment=augment)) for e in (0, 1, 4))
    assert torch.equal(odd, even.flip(3))
    assert torch.equal(even, later)
    mirrored = (even[:, 0] != images.pixels.float()).flatten(1).any(1)
    assert 0 < mirrored.sum() < 40


def test_augmentation_changes_images_but_not_their_order():
    images = random_images(40)
    plain, augmented = joined(batches(images)), joined(batches(images, augment=POLICY))
    assert torch.equal(plain[1], augmented[1])
    changed = (plain[0] != augmented[0]).flatten(1).any(1)
    assert changed.sum() >= 39


def test_a_policy_that_changes_nothing_gives_the_images_themselves():
    images = random_images(40)
    plain, identity = joined(batches(images)), joined(batches(images, augment=RandomAffine()))
    assert torch.equal(plain[0], identity[0])


@pytest.mark.parametrize("augment", [None, POLICY], ids=["plain", "augmented"])
@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_batch_of_one(world, augment):
    images = random_images(43)  # the last batch: 3 images
    single = list(batches(images, augment=augment))
    shares = [
        list(batches(images, augment=augment, rank=rank, world=world)) for rank in range(world)
    ]
    complete = list(zip(*shares, strict=True))
    assert len(complete) == len(single) - 1  # which is too small to be shared out
    for (inputs, labels), parts in zip(single, complete, strict=False):
        assert all(len(part[1]) for part in parts)
        together = torch.cat([part[1] for part in parts])
        assert torch.equal(together.sort().values, labels.sort().values)
        assert torch.equal(
            torch.cat([part[0] for part in parts])[together.argsort()], inputs[labels.argsort()]
        )


@pytest.mark.parametrize(
    ("count", "size", "world", "steps"),
    [
        (32, 8, 1, 4), (34, 8, 1, 5), (39, 8, 1, 5), (5, 8, 1, 1), (8, 8, 1, 1),
        (32, 8, 2, 4), (36, 8, 2, 5), (40, 8, 4, 5), (5, 8, 2, 1),
        # A last batch of one image, or of none or one for some process, is left out ...
        (33, 8, 1, 4), (33, 8, 2, 4), (35, 8, 2, 4), (35, 8, 4, 4),
        # ... unless all batches are like that, or there is no other.
        (7, 1, 1, 7), (1, 8, 1, 1), (8, 2, 2, 4), (13, 4, 4, 3),
    ],
)  # fmt: skip
def test_length_is_the_number_of_batches_on_every_process(count, size, world, steps):
    images = random_images(count)
    for rank in range(world):
        loader = batches(images, size, rank=rank, world=world)
        sizes = [len(labels) for _, labels in loader]
        assert len(loader) == len(sizes) == steps
        assert min(sizes) >= 1


# Evaluation batches


@pytest.mark.parametrize("size", [1, 8, 10, 11, 1000])
def test_evaluation_reads_every_image_once_in_file_order(size):
    images = random_images(20)
    loader = EvalBatches(images, RAW, size)
    inputs, labels = joined(loader)
    assert torch.equal(labels, images.labels)
    assert torch.equal(inputs[:, 0], images.pixels.float())
    assert len(loader) == len(list(loader)) == -(-20 // size)


@pytest.mark.parametrize("world", [2, 3])
def test_shares_of_evaluation_cover_every_image_once(world):
    images = random_images(20)
    labels = [joined(EvalBatches(images, RAW, 4, rank, world))[1] for rank in range(world)]
    assert torch.equal(torch.cat(labels).sort().values, images.labels)
    assert max(map(len, labels)) - min(map(len, labels)) <= 1


# Data module


def synthetic(**settings):
    """300 + 50 drawn garments, 60 of the 300 for validation, as a trainer would see them."""
    defaults = {"train_size": 300, "test_size": 50, "val_size": 60, "batch_size": 32}
    data = ImageData("synthetic", **{**defaults, **settings})
    data.trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=CPU),
        global_rank=0,
        world_size=1,
        current_epoch=0,
        overfit_batches=0,
    )
    data.setup("fit")
    return data


def kmnist(root, arrays, **settings):
    """A data module of files that have no sums to match."""
    write(root, "KMNIST", arrays)
    return ImageData("KMNIST", str(root), **{"val_size": 10, **settings})


def training(data):
    """The training batches of an epoch."""
    return iter(data.train_dataloader())


def as_bytes(pixels):
    return {image.numpy().tobytes() for image in pixels}


def test_augmentation_reaches_training_batches_only():
    plain, augmented = synthetic(), synthetic(augment=POLICY)
    assert not torch.equal(joined(training(plain))[0], joined(training(augmented))[0])
    for of in (ImageData.val_dataloader, lambda data: data.test_batches(CPU)):
        first, second = joined(of(plain)), joined(of(augmented))
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])


def test_no_validation_or_test_image_is_trained_on():
    data = synthetic()
    facts = data.load()
    prepare = Normalize(facts.mean, facts.std)
    trained = as_bytes(joined(training(data))[0])
    assert trained == as_bytes(prepare(data.train_images.pixels))
    assert len(trained) == 240
    for loader, count in ((data.val_dataloader(), 60), (data.test_batches(CPU), 50)):
        held_out = as_bytes(joined(loader)[0])
        assert len(held_out) == count
        assert not trained & held_out


def test_selecting_on_test_validates_on_the_test_images_and_trains_on_the_same_batches():
    clean, leaking = synthetic(augment=POLICY), synthetic(augment=POLICY, select_on="test")
    for first, second in zip(training(clean), training(leaking), strict=True):
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1])
    seen, test = joined(leaking.val_dataloader()), joined(clean.test_batches(CPU))
    assert torch.equal(seen[0], test[0])
    assert torch.equal(seen[1], test[1])
    assert joined(clean.val_dataloader())[1].shape != seen[1].shape
    facts = leaking.load()
    assert facts.select_on == "test"
    assert replace(facts, select_on="val") == clean.load()


def test_the_runs_seed_changes_order_but_not_the_data():
    first, second = synthetic(seed=0), synthetic(seed=1)
    assert first.load() == second.load()
    assert torch.equal(first.train_images.pixels, second.train_images.pixels)
    assert torch.equal(first.val_images.pixels, second.val_images.pixels)
    assert torch.equal(first.test_images.pixels, second.test_images.pixels)
    orders = [joined(training(data))[1] for data in (first, second)]
    assert not torch.equal(*orders)


def test_training_follows_the_trainers_epoch_and_share():
    data = synthetic()
    loader = data.train_dataloader()
    first = joined(loader)[1]
    data.trainer.current_epoch = 1
    assert not torch.equal(joined(loader)[1], first)
    data.trainer.global_rank, data.trainer.world_size = 1, 2
    assert sum(len(labels) for _, labels in training(data)) == 120
    assert sum(len(labels) for _, labels in data.val_dataloader()) == 30


def test_setup_brings_training_and_validation_images_to_the_device():
    data = synthetic()
    data.trainer.strategy.root_device = torch.device("meta")
    data.setup("fit")
    for images in (data.train_images, data.val_images):
        assert images.pixels.device.type == images.labels.device.type == "meta"


def test_a_batch_is_left_where_it_was_made():
    batch = next(training(synthetic()))
    assert synthetic().transfer_batch_to_device(batch, CPU, 0) is batch
    moved = synthetic().transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert [part.device.type for part in moved] == ["meta", "meta"]


def test_facts_of_files(tmp_path):
    arrays = small_data_set(train=100, test=30)
    data = kmnist(tmp_path, arrays, split_seed=4)
    facts = data.load()
    labels = torch.from_numpy(arrays["train-labels-idx1-ubyte"]).long()
    train, val = stratified_split(labels, 10, seed=4)
    pixels = arrays["train-images-idx3-ubyte"][train] / 255
    folder = tmp_path / "KMNIST" / "raw"
    assert asdict(facts) == {
        "name": "KMNIST",
        "checksums": {
            file: md5(np.frombuffer((folder / file).read_bytes(), np.uint8)) for file in arrays
        },
        "classes": ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
        "train_size": 90,
        "val_size": 10,
        "test_size": 30,
        "split_seed": 4,
        "split_md5": md5(val.numpy()),
        "mean": pytest.approx(pixels.mean()),
        "std": pytest.approx(pixels.std()),
        "select_on": "val",
        "checked": False,
        "shape": [1, 28, 28],
        "look": {"background": [], "content": 1.0},
    }
    assert np.array_equal(data.val_images.pixels, arrays["train-images-idx3-ubyte"][val])
    assert torch.equal(data.val_images.labels, labels[val])


def test_facts_of_drawn_garments():
    data = synthetic()
    facts = data.load()
    assert (facts.train_size, facts.val_size, facts.test_size) == (240, 60, 50)
    assert facts.classes[0] == "T-shirt/top"
    assert facts.classes[9] == "Ankle boot"
    assert facts.checksums["test"] == md5(data.test_images.pixels.numpy())
    assert facts.checksums == synthetic(split_seed=1).load().checksums
    assert facts.split_md5 != synthetic(split_seed=1).load().split_md5
    assert facts.checksums["train"] != synthetic(train_size=310).load().checksums["train"]


def test_only_training_images_enter_mean_and_deviation(tmp_path):
    arrays = small_data_set(train=100, test=30)
    before = kmnist(tmp_path / "before", arrays).load()
    _, val = stratified_split(torch.arange(100) % 10, 10, seed=0)
    arrays["train-images-idx3-ubyte"][val] = 255
    arrays["t10k-images-idx3-ubyte"][:] = 255
    after = kmnist(tmp_path / "after", arrays).load()
    assert before.checksums != after.checksums
    assert (before.mean, before.std) == (after.mean, after.std)


def test_given_mean_and_deviation_are_used():
    computed, given = synthetic(), synthetic(mean=0.5, std=0.25)
    assert (given.load().mean, given.load().std) == (0.5, 0.25)
    for of in (training, ImageData.val_dataloader):
        inputs = joined(of(given))[0]
        black = inputs.min().item()
        assert black == -2.0
        assert joined(of(computed))[0].min().item() != black
    assert joined(given.test_batches(CPU))[0].min().item() == -2.0


def test_inputs_are_normalised_by_the_training_images():
    inputs = joined(training(synthetic()))[0]
    assert inputs.mean().item() == pytest.approx(0, abs=1e-5)
    assert inputs.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_train_size_and_test_size_take_the_first_images(tmp_path):
    arrays = small_data_set(train=100, test=30)
    data = kmnist(tmp_path, arrays, train_size=50, test_size=7)
    facts = data.load()
    assert (facts.train_size, facts.val_size, facts.test_size) == (40, 10, 7)
    assert as_bytes(data.train_images.pixels) | as_bytes(data.val_images.pixels) == as_bytes(
        torch.from_numpy(arrays["train-images-idx3-ubyte"][:50])
    )
    assert np.array_equal(data.test_images.pixels, arrays["t10k-images-idx3-ubyte"][:7])
    assert np.array_equal(data.test_images.labels, arrays["t10k-labels-idx1-ubyte"][:7])


@pytest.mark.parametrize("val_size", [-1, 0, 40, 41])
def test_impossible_val_size_is_refused(tmp_path, val_size):
    data = kmnist(tmp_path, small_data_set(train=40), val_size=val_size)
    with pytest.raises(DataError, match=rf"data.val_size={val_size}: .* 1 and 39.* 40 training"):
        data.load()


@pytest.mark.parametrize("val_size", [1, 39])
def test_extreme_val_sizes_are_possible(tmp_path, val_size):
    facts = kmnist(tmp_path, small_data_set(train=40), val_size=val_size).load()
    assert (facts.train_size, facts.val_size) == (40 - val_size, val_size)


@pytest.mark.parametrize("count", [-1, 0, 41])
@pytest.mark.parametrize("setting", ["train_size", "test_size"])
def test_impossible_sizes_are_refused(tmp_path, setting, count):
    data = kmnist(tmp_path, small_data_set(train=40, test=40), **{setting: count})
    with pytest.raises(DataError, match=rf"data.{setting}={count}: .* between 1 and 40"):
        data.load()


class Brighter:
    """An augmentation of one's own, whose shift is one of brightness."""

    def __init__(self, shift):
        self.shift = shift

    def draw(self, count, size, generator, epoch=0):
        return torch.rand(count, 1, 1, 1, generator=generator)

    def __call__(self, images, drawn, mean):
        return images + drawn


@pytest.mark.parametrize(
    ("augment", "key"),
    [
        (RandomAffine(shift=28), "aug.shift"),
        (AffineThenErasing(RandomAffine(shift=28), RandomErasing(0.5)), "aug.affine.shift"),
        (Brighter(40.0), None),
        (Brighter((2, 3)), None),
    ],
)
def test_a_shift_that_leaves_nothing_of_an_image_is_refused_if_it_is_one_of_pixels(augment, key):
    data = ImageData("synthetic", train_size=60, test_size=20, val_size=20, augment=augment)
    if key is None:
        data.load()
    else:
        with pytest.raises(DataError, match=rf"^{key}=28: should be less than 28, the images' "):
            data.load()


def test_loads_once(monkeypatch):
    data = synthetic()
    monkeypatch.setattr(data, "read", lambda: pytest.fail("read again"))
    assert data.load() is data.load()


def test_real_split_is_balanced(real_root):
    data = ImageData("FashionMNIST", str(real_root))
    facts = data.load()
    assert (facts.train_size, facts.val_size, facts.test_size) == (55_000, 5_000, 10_000)
    assert torch.bincount(data.val_images.labels).tolist() == [500] * 10
    assert facts.mean == pytest.approx(0.2860, abs=1e-3)  # widely quoted, of all 60,000
    assert facts.std == pytest.approx(0.3530, abs=1e-3)


@pytest.mark.parametrize(
    ("count", "size", "world"), [(21, 10, 2), (5, 1, 2), (20, 4, 3), (7, 3, 3), (3, 8, 3)]
)
def test_every_process_evaluates_as_many_batches(count, size, world):
    """With an image less, too, and never an empty one: the others would wait for ever."""
    images = random_images(count)
    parts = [EvalBatches(images, RAW, size, rank, world) for rank in range(world)]
    sizes = [[len(labels) for _, labels in part] for part in parts]
    assert {len(part) for part in parts} == {len(each) for each in sizes} == {len(sizes[0])}
    assert min(map(min, sizes)) > 0
    assert max(map(max, sizes)) <= size + 1
    labels = torch.cat([joined(part)[1] for part in parts])
    assert torch.equal(labels.sort().values, images.labels.sort().values)
