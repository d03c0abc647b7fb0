"""Files on disk: read, refused when they are not what they should be, and downloaded whole."""

import gc
import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch

from fmnist.config.published import published
from fmnist.data import files
from fmnist.data.datamodule import ImageData
from fmnist.data.files import read_published
from fmnist.data.source import Wanted
from fmnist.errors import DataError, DataUnavailable
from fmnist.runs.text import unchecked
from tests.conftest import CHECKOUT, Later

datasets = Later("torchvision.datasets")
FILES = TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = tuple(published()["MNIST"].files)
WAYS_OUT = ("data.root=", "FMNIST_DATA", "data=synthetic")


def idx(array):
    """uint8 array in IDX form: 0, 0, type 8 (unsigned byte), rank, big-endian sizes, content."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def small_data_set(train=40, test=20, seed=0):
    """Four arrays by file name: random pixels, balanced labels."""
    rng = np.random.default_rng(seed)
    return {
        TRAIN_IMAGES: rng.integers(0, 256, (train, 28, 28), dtype=np.uint8),
        TRAIN_LABELS: np.arange(train, dtype=np.uint8) % 10,
        TEST_IMAGES: rng.integers(0, 256, (test, 28, 28), dtype=np.uint8),
        TEST_LABELS: np.arange(test, dtype=np.uint8)[::-1] % 10,
    }


def write(root, name, arrays):
    """A data set below a root, in torchvision's layout; its folder."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    for file, array in arrays.items():
        (folder / file).write_bytes(idx(array))
    return folder


def read_data_set(name, root, fetch=True):
    """Tensors and sums, by file."""
    found = read_published(Wanted(name, root, fetch=fetch))
    parts = (found.train.pixels, found.train.labels, found.test.pixels, found.test.labels)
    return dict(zip(FILES, parts, strict=True)), found.checksums


def change(monkeypatch, name="FashionMNIST", **facts):
    """Other facts of a published data set."""
    monkeypatch.setitem(published(), name, replace(published()[name], **facts))


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def arrays():
    return small_data_set()


@pytest.fixture
def official(tmp_path, arrays, monkeypatch):
    """Folder of a small FashionMNIST whose MD5 sums are the expected ones."""
    sums = {file: md5(idx(arrays[file])) for file in FILES}
    parts = {"train": dict([*sums.items()][:2]), "test": dict([*sums.items()][2:])}
    change(monkeypatch, **parts)
    return write(tmp_path, "FashionMNIST", arrays)


@pytest.fixture
def kmnist(tmp_path, arrays):
    """Folder of a small KMNIST, which has no sums to expect."""
    return write(tmp_path, "KMNIST", arrays)


# Reading


def test_reads_what_was_written(tmp_path, arrays, official):
    tensors, sums = read_data_set("FashionMNIST", tmp_path)
    assert list(tensors) == list(sums) == list(FILES)
    for file, array in arrays.items():
        assert tensors[file].dtype == (torch.uint8 if array.ndim == 3 else torch.int64)
        assert np.array_equal(tensors[file].numpy(), array)
        assert sums[file] == md5((official / file).read_bytes())


def test_files_that_are_there_are_not_downloaded(tmp_path, kmnist, monkeypatch):
    monkeypatch.setattr(files, "download", lambda *_: pytest.fail("asked for a download"))
    read_data_set("KMNIST", tmp_path)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("harm", ["truncated", "one byte changed", "one byte more", "empty"])
def test_wrong_sum_is_refused_with_the_files_name(tmp_path, official, file, harm):
    content = (official / file).read_bytes()
    changed = content[:-1] + bytes([content[-1] ^ 1])
    harmed = {
        "truncated": content[:-1], "one byte changed": changed,
        "one byte more": content + b"\0", "empty": b"",
    }  # fmt: skip
    (official / file).write_bytes(harmed[harm])
    with pytest.raises(DataError, match=f"{official / file}: MD5 .* should be {md5(content)}"):
        read_data_set("FashionMNIST", tmp_path)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"",
        lambda content: content[:3],
        lambda content: content[:7],
        lambda content: content[:8],
        lambda content: gzip.compress(content),
        lambda content: b"\0\0\x09" + content[3:],  # signed bytes
        lambda content: content[:7] + bytes([content[7] + 1]) + content[8:],  # one more item
    ],
    ids=["short", "long", "empty", "3 bytes", "7 bytes", "8 bytes", "gzip", "type", "count"],
)
def test_without_sums_a_file_is_checked_by_its_form(tmp_path, kmnist, file, harm):
    path = kmnist / file
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match=f"{path}: "):
        read_data_set("KMNIST", tmp_path)


@pytest.mark.parametrize("shape", [(40, 32, 32), (40, 14, 56), (40, 28)])
def test_images_of_another_size_are_refused(tmp_path, kmnist, shape):
    (kmnist / TRAIN_IMAGES).write_bytes(idx(np.zeros(shape)))
    with pytest.raises(DataError, match=TRAIN_IMAGES):
        read_data_set("KMNIST", tmp_path)


def test_images_in_place_of_labels_are_refused(tmp_path, kmnist):
    (kmnist / TEST_LABELS).write_bytes((kmnist / TEST_IMAGES).read_bytes())
    with pytest.raises(DataError, match=TEST_LABELS):
        read_data_set("KMNIST", tmp_path)


@pytest.mark.parametrize(("file", "count"), [(TRAIN_LABELS, 40), (TEST_LABELS, 20)])
def test_as_many_labels_as_images(tmp_path, kmnist, file, count):
    (kmnist / file).write_bytes(idx(np.zeros(count - 1)))
    message = f"{kmnist / file}: {count - 1} labels for {count} images"
    with pytest.raises(DataError, match=message):
        read_data_set("KMNIST", tmp_path)


def test_labels_of_more_than_ten_classes_are_refused(tmp_path, kmnist):
    """EMNIST's files, say, have the same names and form."""
    (kmnist / TRAIN_LABELS).write_bytes(idx(np.arange(40)))
    with pytest.raises(DataError, match=f"{kmnist / TRAIN_LABELS}: .*39"):
        read_data_set("KMNIST", tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (TRAIN_IMAGES, idx(np.zeros((0, 28, 28))), "holds no images"),
        (TRAIN_LABELS, idx(np.zeros(0)), "holds no labels"),
        (TEST_IMAGES, b"", "0 bytes: empty"),
        (TEST_IMAGES, b"\x89PNG" + bytes(20), "begins with 0x89504e47: not an IDX file"),
        (TEST_IMAGES, idx(np.zeros((20, 32, 32))), "images of 32x32: should be of 28x28"),
        (TEST_LABELS, idx(np.zeros(20))[:-5], "23 bytes: should be 28 for the 20 labels"),
        (TEST_LABELS, bytes([0, 0, 8, 1]) + b"\xff" * 4, "for the 4294967295 labels"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_line(tmp_path, kmnist, file, content, words):
    (kmnist / file).write_bytes(content)
    with pytest.raises(DataError) as error:
        read_data_set("KMNIST", tmp_path)
    assert str(error.value).startswith(f"{kmnist / file}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pixel", [0, 255])
def test_images_of_one_colour_are_no_data_set(tmp_path, kmnist, pixel):
    (kmnist / TRAIN_IMAGES).write_bytes(idx(np.full((40, 28, 28), pixel)))
    with pytest.raises(DataError, match=f"KMNIST: every pixel .* is {pixel}: no data set"):
        ImageData("KMNIST", root=str(tmp_path), val_size=10).load()


def test_files_without_published_sums_are_said_to_be_unchecked(tmp_path, kmnist, official):
    for name, checked in (("KMNIST", False), ("FashionMNIST", True)):
        facts = ImageData(name, root=str(tmp_path), val_size=10).load()
        assert facts.checked is checked
        assert ("unchecked" in unchecked(facts)) is not checked
    assert ImageData("synthetic", train_size=20, val_size=10, test_size=10).load().checked


# Finding


def pack(folder, *names):
    """Files as their authors publish them."""
    for name in names:
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()


@pytest.mark.parametrize("packed", [FILES, FILES[1:2]])
def test_packed_files_that_were_put_there_are_unpacked(tmp_path, official, arrays, packed):
    pack(official, *packed)
    tensors, sums = read_data_set("FashionMNIST", tmp_path)
    for file, array in arrays.items():
        assert np.array_equal(tensors[file].numpy(), array)
        assert sums[file] == md5(idx(array))


@pytest.mark.parametrize("harm", [lambda c: c[:-9], lambda c: c[:12] + b"\xff" * 9 + c[21:],
                                  lambda c: b"nonsense", lambda c: b""])  # fmt: skip
def test_a_damaged_packed_file_is_one_line(tmp_path, kmnist, harm):
    pack(kmnist, TEST_LABELS)
    path = kmnist / f"{TEST_LABELS}.gz"
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match=f"{path}: "):
        read_data_set("KMNIST", tmp_path)


def test_fashion_mnist_is_found_where_debian_puts_it(tmp_path, official, arrays, monkeypatch):
    pack(official, *FILES)
    change(monkeypatch, elsewhere=str(official))
    monkeypatch.setattr(files, "download", lambda *_: pytest.fail("asked for a download"))
    tensors, _ = read_data_set("FashionMNIST", tmp_path / "elsewhere")
    assert np.array_equal(tensors[TEST_IMAGES].numpy(), arrays[TEST_IMAGES])
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_missing_and_where_it_was_looked_for_is_said(tmp_path, official, monkeypatch):
    (official / TEST_LABELS).unlink()
    (official / TRAIN_LABELS).unlink()
    debian = tmp_path / "debian"
    change(monkeypatch, elsewhere=str(debian))
    monkeypatch.setenv("FMNIST_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataUnavailable) as error:
        read_data_set("FashionMNIST", tmp_path, fetch=False)
    assert f"{official} ({TRAIN_LABELS}, {TEST_LABELS} missing)" in str(error.value)
    for folder in (tmp_path / "mine/FashionMNIST/raw", debian):
        assert f"{folder} (none of its 4 files)" in str(error.value)
    assert "FMNIST_DATA=DIR" in str(error.value)


def test_to_read_a_run_the_data_root_of_this_machine_counts(tmp_path, kmnist, monkeypatch):
    monkeypatch.setenv("FMNIST_DATA", str(tmp_path))
    tensors, _ = read_data_set("KMNIST", tmp_path / "of another machine", fetch=False)
    assert len(tensors[TRAIN_IMAGES]) == 40
    assert not (tmp_path / "of another machine").exists()


def test_real_files_pass_their_sums(real_root):
    tensors, sums = read_data_set("FashionMNIST", real_root)
    assert sums == published()["FashionMNIST"].files
    assert [len(tensor) for tensor in tensors.values()] == [60_000, 60_000, 10_000, 10_000]
    for file, share in ((TRAIN_LABELS, 6_000), (TEST_LABELS, 1_000)):
        assert torch.bincount(tensors[file]).tolist() == [share] * 10


# Downloading


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content` by path and notes what is asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        time.sleep(self.server.seconds)
        content = self.server.content.get(self.path)
        if content == b"nonsense":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            return
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_):
        pass


class Mirror(ThreadingHTTPServer):
    """On 127.0.0.1. `content`: bytes by path; `resources`: what torchvision should expect."""

    daemon_threads = True

    def __init__(self, arrays):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.content = {f"/{file}.gz": gzip.compress(idx(arrays[file])) for file in FILES}
        self.resources = [(path[1:], md5(content)) for path, content in self.content.items()]
        self.asked = []
        self.seconds = 0.0  # that an answer takes

    def handle_error(self, *_):
        """torchvision asks for every file twice and may hang up on the first answer."""


@pytest.fixture
def mirror(arrays, monkeypatch):
    """A server with the small data set, and torchvision sent there for KMNIST."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Mirror(arrays) as server:
        monkeypatch.setattr(datasets.KMNIST, "mirrors", [server.url])
        monkeypatch.setattr(datasets.KMNIST, "resources", server.resources)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    gc.collect()  # what a failed request leaves open, before it troubles another test


def left_behind(root):
    """What lies below a root, without the lock."""
    paths = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return paths - {".KMNIST.lock"}


def test_downloads_into_torchvisions_layout(tmp_path, arrays, mirror):
    root = tmp_path / "new" / "root"
    tensors, _ = read_data_set("KMNIST", root)
    for file, array in arrays.items():
        assert np.array_equal(tensors[file].numpy(), array)
        assert (root / "KMNIST" / "raw" / file).read_bytes() == idx(array)
    assert {path.name for path in root.iterdir()} <= {"KMNIST", ".KMNIST.lock"}
    # torchvision itself finds them there.
    assert len(datasets.KMNIST(root)) == 40


def test_one_missing_file_is_enough_to_download(tmp_path, kmnist, arrays, mirror):
    (kmnist / TEST_LABELS).unlink()
    tensors, _ = read_data_set("KMNIST", tmp_path)
    assert np.array_equal(tensors[TEST_LABELS].numpy(), arrays[TEST_LABELS])


def assert_names_ways_out(error):
    message = str(error.value)
    assert "KMNIST" in message
    assert all(way in message for way in WAYS_OUT)
    assert "\n" not in message
    assert error.value.exit_code == 3


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # urllib's, of a failed request
@pytest.mark.parametrize("content", [b"not what it should be", None, b"nonsense"])
@pytest.mark.parametrize("number", [0, 3])
def test_failed_download_leaves_nothing(tmp_path, mirror, content, number):
    path = f"/{FILES[number]}.gz"
    mirror.content[path] = content
    with pytest.raises(DataUnavailable) as error:
        read_data_set("KMNIST", tmp_path)
    assert_names_ways_out(error)
    assert path in mirror.asked
    assert not left_behind(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} <= {".KMNIST.lock"}


def test_unreachable_names_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    monkeypatch.setattr(datasets.KMNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
    with pytest.raises(DataUnavailable) as error:
        read_data_set("KMNIST", tmp_path)
    assert_names_ways_out(error)
    assert "refused" in str(error.value)


@pytest.mark.parametrize("below", [".", "deeper/root"])
def test_root_that_cannot_be_written(tmp_path, mirror, below):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataUnavailable) as error:
        read_data_set("KMNIST", tmp_path / "file" / below)
    assert_names_ways_out(error)
    assert not mirror.asked


# With a stand-in for torchvision, whose import takes longer than all the rest.
TWO_PROCESSES = """
import gzip, json, multiprocessing, sys
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

from fmnist.config.published import published
from fmnist.data.files import read_published
from fmnist.data.source import Wanted

url, root = sys.argv[1:]

def fetch(temporary, download):
    folder = Path(temporary, "KMNIST", "raw")
    folder.mkdir(parents=True)
    for file in published()["KMNIST"].files:
        with urlopen(url + file + ".gz") as response:
            (folder / file).write_bytes(gzip.decompress(response.read()))

sys.modules["torchvision"] = SimpleNamespace(datasets=SimpleNamespace(KMNIST=fetch))
context = multiprocessing.get_context("fork")  # imports are paid once
barrier, results = context.Barrier(2), context.SimpleQueue()

def read():
    barrier.wait()
    found = read_published(Wanted("KMNIST", Path(root)))
    results.put([[len(found.train), len(found.test)], found.checksums])

processes = [context.Process(target=read) for _ in range(2)]
for process in processes:
    process.start()
for process in processes:
    process.join()
assert [process.exitcode for process in processes] == [0, 0]
print(json.dumps([results.get() for _ in processes]))
"""


def test_two_processes_at_once_download_once(tmp_path, arrays, mirror):
    mirror.seconds = 0.05  # time enough to collide
    done = subprocess.run(
        [sys.executable, "-c", TWO_PROCESSES, mirror.url, str(tmp_path / "root")],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sums = {file: md5(idx(array)) for file, array in arrays.items()}
    assert json.loads(done.stdout) == 2 * [[[40, 20], sums]]
    assert sorted(mirror.asked) == sorted(mirror.content)
