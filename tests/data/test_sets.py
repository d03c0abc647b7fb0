"""Any images: published files, pictures in folders, arrays, drawn ones, and a set of one's own."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fmnist.config.published import published
from fmnist.data import folder as folders
from fmnist.data import source
from fmnist.data.datamodule import ImageData
from fmnist.data.facts import same_sums
from fmnist.data.files import read_published
from fmnist.data.folder import Folder
from fmnist.data.npz import Npz
from fmnist.data.source import DataSet, Images, Wanted
from fmnist.dataset import main as describe
from fmnist.errors import DataError, DataUnavailable
from tests.conftest import CHECKOUT
from tests.data.test_files import idx, md5

RNG = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# Published


def write_published(root: Path, name: str, contents: list[bytes]) -> None:
    facts = published()[name]
    (root / facts.folder).mkdir(parents=True)
    for file, content in zip(facts.files, contents, strict=True):
        (root / facts.folder / file).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "first"), [("EMNIST-balanced", 0), ("EMNIST-letters", 1), ("EMNIST-digits", 0)]
)
def test_emnist_stands_upright_and_its_labels_begin_at_0(tmp_path, name, first):
    images, count = pixels(30, 28, 28), len(published()[name].classes)
    labels = first + np.arange(30) % count
    files = [idx(images), idx(labels)]
    write_published(tmp_path, name, files * 2)
    found = read_published(Wanted(name, tmp_path))
    assert np.array_equal(found.train.pixels, images.transpose(0, 2, 1))
    assert found.train.labels.tolist() == (np.arange(30) % count).tolist()


def test_of_qmnists_eight_numbers_the_first_is_the_digit(tmp_path):
    numbers = np.concatenate([np.arange(10)[:, None], RNG.integers(0, 9999, (10, 7))], axis=1)
    header = bytes([0, 0, 12, 2]) + (10).to_bytes(4, "big") + (8).to_bytes(4, "big")
    files = [idx(pixels(10, 28, 28)), header + numbers.astype(">i4").tobytes()]
    write_published(tmp_path, "QMNIST", files * 2)
    assert read_published(Wanted("QMNIST", tmp_path)).test.labels.tolist() == list(range(10))


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/was-here",)


def change_sums(monkeypatch, name, contents):
    """The sums of these contents are the published ones."""
    facts = published()[name]
    sums = dict(zip(facts.files, map(md5, contents), strict=True))
    parts = {
        part: {file: sums[file] for file in getattr(facts, part)} for part in ("train", "test")
    }
    monkeypatch.setitem(published(), name, replace(facts, **parts))


@pytest.mark.parametrize(("name", "key"), [("CIFAR10", "labels"), ("CIFAR100", "fine_labels")])
def test_cifars_batches_are_read_as_images_in_colour(tmp_path, monkeypatch, name, key):
    files = len(published()[name].files)
    arrays = [pixels(4, 3, 32, 32) for _ in range(files)]
    contents = [
        pickle.dumps({"data": array.reshape(4, -1), key: [0, 1, 2, 9]}, protocol=2)
        for array in arrays
    ]
    write_published(tmp_path, name, contents)
    with pytest.raises(DataError, match=r"MD5 .* should be"):
        read_published(Wanted(name, tmp_path))
    change_sums(monkeypatch, name, contents)
    found = read_published(Wanted(name, tmp_path))
    assert np.array_equal(found.train.pixels, np.concatenate(arrays[:-1]))
    assert np.array_equal(found.test.pixels, arrays[-1])
    assert found.test.labels.tolist() == [0, 1, 2, 9]


def test_a_pickle_that_asks_for_more_than_arrays_is_not_loaded(tmp_path, monkeypatch):
    contents = [pickle.dumps({"data": Hostile(), "labels": [0]})] * 6
    write_published(tmp_path, "CIFAR10", contents)
    change_sums(monkeypatch, "CIFAR10", contents)
    with pytest.raises(DataError, match=r"data_batch_1: .* asks for (posix|nt).system"):
        read_published(Wanted("CIFAR10", tmp_path))
    assert not Path("/tmp/was-here").exists()


# Pictures in folders


def put(path: Path, *shape: int) -> Path:
    """A picture of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(*shape)).save(path)
    return path


def flowers(root: Path, count: int = 6, size: tuple[int, ...] = (20, 20, 3)) -> Path:
    """So many pictures each of two classes."""
    for number in range(count):
        for name in ("rose", "tulip"):
            put(root / name / f"{number}.png", *size)
    return root


def test_without_a_test_folder_the_same_fifth_tests_whatever_the_split(tmp_path):
    flowers(tmp_path, count=10)
    first, other = (
        ImageData("flowers", str(tmp_path), source=Folder(), val_size=None, split_seed=seed)
        for seed in (0, 1)
    )
    facts = first.load()
    assert (facts.train_size, facts.val_size, facts.test_size) == (14, 2, 4)
    assert (facts.classes, facts.shape) == (["rose", "tulip"], [3, 20, 20])
    assert len(facts.mean) == len(facts.std) == 3
    other.load()
    assert torch.equal(first.test_images.pixels, other.test_images.pixels)
    assert not torch.equal(first.train_images.pixels, other.train_images.pixels)


def test_the_test_images_are_the_same_ones_along_a_learning_curve(tmp_path):
    np.savez(tmp_path / "a.npz", train_images=pixels(100, 8, 8), train_labels=np.arange(100) % 4)

    def read(**settings):
        path = str(tmp_path / "a.npz")
        return ImageData("a", path, source=Npz(), val_size=8, **settings).read()

    whole = read(test_size=20)
    tested = {image.tobytes() for image in whole.test.pixels.numpy()}
    for size in (20, 40, 80):
        some = read(test_size=20, train_size=size)
        assert torch.equal(some.test.pixels, whole.test.pixels)
        assert len(some.train) == size
        assert not tested & {image.tobytes() for image in some.train.pixels.numpy()}
    with pytest.raises(DataError, match=r"data.train_size=81: should be between 1 and 80"):
        read(test_size=20, train_size=81)


def test_pictures_of_any_size_are_cut_square_and_scaled(tmp_path):
    path = flowers(tmp_path / "train", count=2, size=(40, 30)).parent
    image = np.zeros((30, 90), dtype=np.uint8)
    image[:, 30:60] = 200  # the middle square
    Image.fromarray(image).save(path / "train/rose/0.png")
    put(path / "test/rose/a.jpg", 64, 64, 3)
    with pytest.raises(DataError, match=r"of 30x40 to 90x30 pixels: .* data.size=28"):
        Folder().read(Wanted("flowers", path))
    found = Folder().read(Wanted("flowers", path, size=10, channels=1))
    assert found.train.pixels.shape == (4, 10, 10)
    assert found.train.pixels[0, :, 1:-1].unique().tolist() == [200]
    assert Folder().read(Wanted("flowers", path, size=10)).test.pixels.shape == (1, 3, 10, 10)


def test_pictures_are_decoded_once_and_again_when_a_file_changes(tmp_path, monkeypatch):
    # A name that is no text, where a folder can have one.
    name = os.fsdecode(b"flowers\xff") if sys.platform == "linux" else "flowers"
    root = flowers(tmp_path / name)
    decoded = []
    decode = folders.decode_pictures
    monkeypatch.setattr(folders, "decode_pictures", lambda *a: decoded.append(1) or decode(*a))
    wanted = Wanted("flowers", root)
    first, again = Folder().read(wanted), Folder().read(wanted)
    assert torch.equal(first.train.pixels, again.train.pixels)
    assert len(decoded) == 1
    put(root / "rose/0.png", 20, 20, 3)
    os.utime(root / "rose/0.png", ns=(1, 1))
    assert Folder().read(wanted).checksums != first.checksums
    assert len(decoded) == 2


def test_what_is_odd_is_said_in_a_line_and_what_is_broken_refused(tmp_path):
    root = flowers(tmp_path / "train").parent
    (root / "train/rose/Thumbs.db").write_bytes(b"x")
    put(root / "train/rose/.thumbnails/0.png", 5, 5, 3)
    (root / "train/weed").mkdir()
    put(root / "test/rose/new.png", 20, 20, 3)
    (root / "test/rose/old.png").write_bytes((root / "train/rose/1.png").read_bytes())
    assert Folder().read(Wanted("flowers", root)).remarks == [
        "train class weed has no pictures and is left out",
        "train/rose/Thumbs.db: no pictures, left out",
        "1 of 2 test images are training images, too",
    ]
    (root / "train/rose/0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"train/rose/0.png: no picture: delete or mend it"):
        Folder().read(Wanted("flowers", root))
    put(root / "test/weed/0.png", 20, 20)
    with pytest.raises(DataError, match=r"test/weed: no such class in .*train"):
        Folder().read(Wanted("flowers", root))
    if sys.platform == "linux":  # where a folder can have such a name
        put(root / "train" / os.fsdecode(b"iris f\xe9tide") / "0.png", 20, 20)
        with pytest.raises(DataError, match=r"class iris f\\udce9tide: .* is no Unicode: rename"):
            Folder().read(Wanted("flowers", root))


def test_transparent_pictures_are_trained_on_as_they_are_shown_to_a_net(tmp_path, monkeypatch):
    root = flowers(tmp_path / "flowers", count=2, size=(20, 20))
    monkeypatch.setattr(folders, "opaque", lambda image: image, raising=False)
    monkeypatch.setattr(folders, "DECODING", 1, raising=False)
    clear = Image.new("RGBA", (20, 20))
    clear.paste((200, 0, 0, 255), (5, 5, 15, 15))
    clear.save(root / "rose/0.png")
    Folder().read(Wanted("flowers", root))  # leaves in the cache what an earlier version did
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = Folder().read(Wanted("flowers", root)).train.pixels[0]
    assert first[:, 0, 0].tolist() == [255, 255, 255]
    assert first[:, 10, 10].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    "names",
    [("training", "testing"), ("Train", "Test"), ("test", "val"), ("seg_train", "seg_test"),
     ("training_set", "test_set", "meta")],
)  # fmt: skip
def test_parts_that_are_called_otherwise_are_no_classes(tmp_path, names):
    for name in names:
        flowers(tmp_path / name)
    with pytest.raises(DataError, match=rf"holds .*{names[0]}/.*: the parts .* called train/"):
        Folder().read(Wanted("flowers", tmp_path))


def test_a_class_may_be_called_as_a_part_is(tmp_path):
    root = flowers(tmp_path / "vehicles")
    put(root / "freight train/0.png", 20, 20, 3)
    put(root / "passenger train/0.png", 20, 20, 3)
    assert "freight train" in Folder().read(Wanted("vehicles", root)).classes
    with pytest.raises(DataError, match=r"rose: pictures of no class: should hold a folder of pic"):
        Folder().read(Wanted("rose", root / "rose"))


def test_pictures_of_32_bits_are_refused_and_of_16_are_read(tmp_path):
    root = flowers(tmp_path / "scans", size=(20, 20))
    deep = np.linspace(0, 65535, 400).reshape(20, 20)
    Image.fromarray(deep.astype(np.uint16)).save(root / "rose/deep.pgm")
    found = Folder().read(Wanted("scans", root))
    assert any(np.array_equal(one.numpy(), deep.astype(int) >> 8) for one in found.train.pixels)
    for kind in (np.float32, np.int32):
        Image.fromarray((deep / 65535).astype(kind)).save(root / "rose/deep.tif")
        with pytest.raises(DataError, match=r"deep\.tif: not a picture that .* pixels of 32 bits"):
            Folder().read(Wanted("scans", root))


def test_a_reader_that_gives_no_sums_gets_them(tmp_path):
    class Own:
        def read(self, wanted):
            found = Folder().read(wanted)
            return replace(found, checksums={})

    some, others = flowers(tmp_path / "some"), flowers(tmp_path / "others")
    sums = [
        ImageData("own", root=str(root), source=Own(), val_size=2).load().checksums
        for root in (some, some, others)
    ]
    assert sums[0]
    assert [same_sums(sums[0], other) for other in sums] == [True, True, False]


def test_a_process_that_decodes_pictures_and_leaves_at_once_leaks_nothing(tmp_path):
    code = (
        "import multiprocessing, os, sys, pathlib\n"
        "import fmnist.data.folder as f, fmnist.data.source as s\n"
        "multiprocessing.set_start_method('forkserver')\n"
        "f.Folder().read(s.Wanted('flowers', pathlib.Path(sys.argv[1])))\n"
        "os._exit(0)"  # as cells do
    )
    done = subprocess.run(
        [sys.executable, "-c", code, flowers(tmp_path / "flowers")], cwd=CHECKOUT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_folders_beside_train_are_refused_or_said(tmp_path):
    flowers(tmp_path / "train")
    flowers(tmp_path / "test")
    flowers(tmp_path / "more")
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.txt").write_text("flowers")
    assert Folder().read(Wanted("flowers", tmp_path)).remarks == ["more: beside train/, not read"]
    flowers(tmp_path / "valid")
    with pytest.raises(DataError, match=r"holds valid/: the parts of a set should be called"):
        Folder().read(Wanted("flowers", tmp_path))


def test_validation_images_of_its_own_that_are_none_are_one_line(tmp_path):
    root = flowers(tmp_path / "a/train").parent
    for name in ("rose", "tulip"):
        (root / "val" / name).mkdir(parents=True)
    labels = np.arange(30) % 3
    np.savez(tmp_path / "b.npz", train_images=pixels(30, 8, 8), train_labels=labels,
             val_images=pixels(4, 8, 8), val_labels=np.full(4, 2))  # fmt: skip
    for path, reader in ((root, Folder()), (tmp_path / "b.npz", Npz())):
        settings = {"source": reader, "classes": 2}
        with pytest.raises(DataError, match=r"0 validation images of its own; data.val_size=N"):
            ImageData("a", str(path), val_size=None, **settings).load()
        assert ImageData("a", str(path), val_size=2, **settings).load().val_size == 2
    with pytest.raises(DataError, match=r"0 validation images"):  # which have a size, too
        ImageData("a", str(path), val_size=None, size=6, **settings).load()


def test_a_channel_may_be_constant_and_not_all_of_them(tmp_path):
    images = pixels(20, 8, 8, 3)
    images[..., 1] = 7
    labels = np.arange(20) % 2
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=labels)
    data = ImageData("a", str(tmp_path / "a.npz"), source=Npz(), val_size=2)
    assert data.load().std[1] == 1
    assert all(0.2 < data.load().std[channel] < 0.4 for channel in (0, 2))
    np.savez(tmp_path / "a.npz", train_images=np.full_like(images, 9), train_labels=labels)
    with pytest.raises(DataError, match=r"every pixel of .* is 9, 9, 9: no data set"):
        ImageData("a", str(tmp_path / "a.npz"), source=Npz(), val_size=2).load()


def test_labels_have_sums_which_older_records_lack(tmp_path):
    labels, images = np.arange(12) % 3, pixels(12, 8, 8)
    sums = []
    for changed in (labels, labels[::-1]):
        np.savez(tmp_path / "a.npz", train_images=images, train_labels=changed)
        sums.append(Npz().read(Wanted("a", tmp_path / "a.npz")).checksums)
    first, other = sums
    assert set(first) == {"train", "train_labels"}
    assert first["train"] == other["train"]
    assert not same_sums(first, other)
    old = {"train": first["train"]}
    assert all(same_sums(*two) for two in ((first, first), (old, other), (first, old)))
    assert not same_sums(old, {**first, "test": first["train"]})
    assert not same_sums({}, first)
    assert set(Folder().read(Wanted("f", flowers(tmp_path / "f"))).checksums) == set(first)


@pytest.mark.parametrize("reader", [Folder(), Npz()])
def test_where_nothing_is_is_said(tmp_path, reader):
    with pytest.raises(DataUnavailable, match=r"nowhere: no such f.*data.root="):
        reader.read(Wanted("flowers", tmp_path / "nowhere"))


def test_what_does_not_fit_half_of_the_memory_is_refused_with_the_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "memory_bytes", lambda: 2**20)
    root = flowers(tmp_path)
    words = r"12 images of 3x512x512 bytes are 0.0 GiB, more than half of this machine's 0.0 GiB"
    with pytest.raises(DataError, match=words):
        Folder().read(Wanted("flowers", root, size=512))


# Arrays


def test_arrays_in_medmnists_form_have_their_own_validation_and_test_images(tmp_path):
    arrays = {}
    for part, count in (("train", 30), ("val", 6), ("test", 9)):
        arrays[f"{part}_images"] = pixels(count, 12, 12, 3)
        arrays[f"{part}_labels"] = (np.arange(count) % 3)[:, None]
    np.savez(tmp_path / "blood.npz", **arrays)
    data = ImageData("blood", str(tmp_path / "blood.npz"), source=Npz(), val_size=None)
    facts = data.load()
    assert (facts.train_size, facts.val_size, facts.test_size) == (30, 6, 9)
    assert facts.classes == ["0", "1", "2"]
    assert np.array_equal(data.val_images.pixels.permute(0, 2, 3, 1), arrays["val_images"])


def test_an_array_alone_and_names_of_classes_that_are_none_are_one_line(tmp_path):
    arrays = {"train_images": pixels(12, 8, 8), "train_labels": np.arange(12) % 3}
    np.save(tmp_path / "alone.npy", arrays["train_images"])
    with pytest.raises(DataError, match=r"alone\.npy: not an \.npz file of plain arrays"):
        Npz().read(Wanted("alone", tmp_path / "alone.npy"))
    large = arrays | {"train_images": pixels(200, 8, 8) // 6}
    np.savez_compressed(tmp_path / "damaged.npz", **large)
    damaged = bytearray((tmp_path / "damaged.npz").read_bytes())
    damaged[500:540] = b"\xff" * 40
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(DataError, match=r"damaged\.npz: not an \.npz file .*decompressing"):
        Npz().read(Wanted("damaged", tmp_path / "damaged.npz"))
    np.savez(tmp_path / "named.npz", **arrays, classes=np.array([b"a", b"b", b"c"]))
    assert Npz().read(Wanted("named", tmp_path / "named.npz")).classes == ["a", "b", "c"]
    for classes, words in (
        (["a", "a", "b"], "two classes are called a"),
        (3, "label 2: should be 0 to 0, for 1 classes"),
    ):
        np.savez(tmp_path / "odd.npz", **arrays, classes=classes)
        data = ImageData("odd", root=str(tmp_path / "odd.npz"), source=Npz(), val_size=2)
        with pytest.raises(DataError, match=f"odd: .*{words}"):
            data.read()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_images": np.zeros((6, 4, 4))}, "train_images are float64"),
        ({"train_labels": np.zeros((6, 14), int)}, r"train_labels are int64 \[6, 14\]"),
        ({"train_labels": np.arange(5)}, "5 labels for 6 train images"),
        ({"train_labels": np.zeros(6, int)}, "1 class: should have 2 or more"),
        ({"train_images": pixels(6, 4, 5)}, "images of 4x5: should be square"),
        ({"train_images": np.array([None])}, "not an .npz file of plain arrays"),
    ],
)
def test_arrays_that_are_no_data_set_are_one_line(tmp_path, change, words):
    arrays = {"train_images": pixels(6, 4, 4), "train_labels": np.arange(6) % 2} | change
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=words) as error:
        ImageData("a", str(tmp_path / "a.npz"), source=Npz(), val_size=2).load()
    assert "\n" not in str(error.value)


# Any set


class Two:
    """A reader of one's own: dark images and light ones."""

    def read(self, wanted: Wanted) -> DataSet:
        labels = torch.arange(40) % 2
        images = (labels * 200)[:, None, None] + torch.arange(256).view(16, 16) % 50
        return DataSet(Images(images.to(torch.uint8), labels), ["dark", "light"])


class Given:
    """A reader that gives what it was told to give."""

    def __init__(self, given: object) -> None:
        self.given = given

    def read(self, wanted: Wanted) -> object:
        return self.given


GREY, HALVES = torch.zeros(40, 8, 8, dtype=torch.uint8), torch.arange(40) % 2
TENSOR = "should be a tensor uint8 [N, S, S] or [N, 3, S, S]"
LABELS = "should be a tensor int64 [N]"
ARRAYS = "; torch.from_numpy makes tensors of arrays"
ANSWERS = {
    "its reader gives a tuple of 2: should be a DataSet of fmnist.data.source: "
    "DataSet(Images(pixels, labels), classes)": (GREY, HALVES),
    "its reader gives None: should be a DataSet of fmnist.data.source: "
    "DataSet(Images(pixels, labels), classes)": None,
    "train is a tuple of 2: should be Images(pixels, labels) of fmnist.data.source": DataSet(
        (GREY, HALVES), ["a", "b"]
    ),
    f"train images are a NumPy array uint8 [40, 8, 8]: {TENSOR}{ARRAYS}": DataSet(
        Images(GREY.numpy(), HALVES.numpy()), ["a", "b"]
    ),
    f"train images are a tensor float32 [40, 8, 8]: {TENSOR}": DataSet(
        Images(GREY.float(), HALVES), ["a", "b"]
    ),
    f"train images are a tensor uint8 [40, 8, 8, 3]: {TENSOR}": DataSet(
        Images(GREY[..., None].repeat(1, 1, 1, 3), HALVES), ["a", "b"]
    ),
    f"train labels are a NumPy array int64 [40]: {LABELS}{ARRAYS}": DataSet(
        Images(GREY, HALVES.numpy()), ["a", "b"]
    ),
    f"train labels are a tensor int32 [40]: {LABELS}": DataSet(
        Images(GREY, HALVES.int()), ["a", "b"]
    ),
    f"test labels are a tensor int64 [40, 1]: {LABELS}": DataSet(
        Images(GREY, HALVES), ["a", "b"], test=Images(GREY, HALVES[:, None])
    ),
    "classes are an int: should be a list of names, by label": DataSet(Images(GREY, HALVES), 2),
    "class 0 is an int: should be its name": DataSet(Images(GREY, HALVES), [0, 1]),
}


@pytest.mark.parametrize(("line", "given"), ANSWERS.items(), ids=[*ANSWERS])
def test_what_a_reader_of_ones_own_gives_is_refused_in_one_line(line, given):
    with pytest.raises(DataError) as caught:
        ImageData("own", source=Given(given), val_size=4).load()
    assert str(caught.value) == f"own: {line}"


@pytest.mark.parametrize("line", ["raise KeyError('x')", "b'\\xe9'.decode()"])
def test_a_reader_of_ones_own_that_fails_is_a_line_with_its_place(
    line, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "failing.py"
    path.write_text(f"class Reader:\n    def read(self, wanted):\n        {line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "failing", raising=False)
    assert describe(["data.name=mine", "+data.source._target_=failing.Reader"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(("error: KeyError: 'x'", "error: UnicodeDecodeError: "))
    assert said.endswith(f", at {path}:3 (HYDRA_FULL_ERROR=1 shows more)")


def test_a_source_that_is_no_reader_is_refused_in_one_line():
    with pytest.raises(DataError) as caught:
        ImageData("own", source=(GREY, HALVES), val_size=4).load()
    words = "data.source is a tuple of 2: should be an object with a method read(wanted)"
    assert str(caught.value) == f"own: {words}"


def test_size_colours_and_classes_are_settings_of_every_set():
    data = ImageData("two", source=Two(), val_size=4, size=8, channels=3)
    facts = data.load()
    assert facts.shape == [3, 8, 8]
    assert data.train_images.pixels[:, 0].equal(data.train_images.pixels[:, 2])
    drawn = ImageData("synthetic", train_size=300, test_size=60, val_size=30, classes=3)
    assert drawn.load().classes == ["T-shirt/top", "Trouser", "Pullover"]
    with pytest.raises(DataError, match=r"data.classes=3: should be at most 2"):
        ImageData("two", source=Two(), val_size=4, classes=3).load()


def test_fewer_images_of_a_set_that_lies_by_class_are_of_every_class(tmp_path):
    labels = np.repeat(np.arange(4), 20)
    np.savez(tmp_path / "a.npz", train_images=pixels(80, 8, 8), train_labels=labels)
    data = ImageData("a", str(tmp_path / "a.npz"), source=Npz(), train_size=40, val_size=8)
    assert data.load().train_size == 32  # 40 of those that do not test, less 8
    assert torch.bincount(data.train_images.labels).tolist() == [8] * 4


def test_a_split_seed_that_is_the_runs_varies_with_it():
    def chosen(**settings):
        return ImageData("two", source=Two(), val_size=4, **settings).load().split_md5

    assert chosen(split_seed="seed", seed=3) == chosen(split_seed=3, seed=0)
    assert chosen(split_seed="seed", seed=4) != chosen(split_seed="seed", seed=3)


def test_classes_without_images_are_said(tmp_path, caplog):
    labels = np.array([0] * 10 + [1] * 10 + [2])
    np.savez(tmp_path / "a.npz", train_images=pixels(21, 8, 8), train_labels=labels,
             test_images=pixels(2, 8, 8), test_labels=np.array([0, 3]))  # fmt: skip
    ImageData("a", str(tmp_path / "a.npz"), source=Npz(), val_size=4).load()
    assert "a: no training images of 3: nothing can be learnt of them" in caplog.text
    assert "a: one image of 2: it trains, and none validates" in caplog.text


def test_the_command_says_what_a_set_holds_and_shows_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = flowers(tmp_path / "flowers", count=8)
    (root / "tulip/0.png").write_bytes((root / "rose/0.png").read_bytes())
    assert describe(["data=folder", f"data.root={root}", "data.size=28", "data.test_size=4"]) == 0
    shown = capsys.readouterr().out
    assert "flowers (files unchecked: no published checksums): 2 classes, 28x28, colour" in shown
    assert "11 train, 1 val, 4 test" in shown
    assert "tulip" in shown
    with Image.open("data-flowers.png") as sheet:
        assert sheet.size[1] == 2 * 58
    assert describe(["data=folder"]) == 2
    assert capsys.readouterr().err.startswith("error: data.root=null: should be where")
