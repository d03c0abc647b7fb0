"""Which test images a run was right about, one bit each."""

import numpy as np
import pytest

from fmnist.errors import RunError
from fmnist.runs.bits import Right, read_right, write_right


def right(count: int, seed: int) -> Right:
    drawn = np.random.default_rng(seed).random((2, count)) < 0.9
    return Right(drawn[0], drawn[1])


@pytest.mark.parametrize("count", [1, 7, 8, 10_000])
def test_bits_are_read_back_as_they_were(tmp_path, count):
    runs = {"a1": right(count, 0), "b2": right(count, 1)}
    write_right(tmp_path / "right.npz", runs)
    found = read_right(tmp_path / "right.npz")
    assert list(found) == ["a1", "b2"]
    for name in runs:
        np.testing.assert_array_equal(found[name].best, runs[name].best)
        np.testing.assert_array_equal(found[name].last, runs[name].last)


def test_ten_thousand_images_take_two_and_a_half_kilobytes_a_run(tmp_path):
    runs = {f"{seed:012x}": right(10_000, seed) for seed in range(100)}
    write_right(tmp_path / "right.npz", runs)
    assert (tmp_path / "right.npz").stat().st_size < 100 * 2_800


def test_runs_of_other_test_sets_do_not_share_a_file(tmp_path):
    with pytest.raises(ValueError, match=r"\[8, 9\]"):
        write_right(tmp_path / "right.npz", {"a": right(8, 0), "b": right(9, 0)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": np.zeros((2, 1), np.uint8)},  # no count
        {"images": np.array(9), "a": np.zeros((2, 1), np.uint8)},  # bits of eight
        {"images": np.array(8), "a": np.zeros((2, 1), np.int64)},
        {"images": np.array(-8), "a": np.zeros((2, 1), np.uint8)},
        {"images": np.array([8, 8]), "a": np.zeros((2, 1), np.uint8)},
        {"images": np.array(10**12), "a": np.zeros((2, 1), np.uint8)},
        {"images": np.array(8), "a": np.array([None], dtype=object)},  # a pickle
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, arrays):
    path = tmp_path / "right.npz"
    np.savez(path, **arrays)
    with pytest.raises(RunError, match=r"right\.npz: damaged: ") as error:
        read_right(path)
    assert "\n" not in str(error.value)


def test_half_a_file_and_no_file_are_one_line(tmp_path):
    path = tmp_path / "right.npz"
    write_right(path, {"a": right(100, 0)})
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(RunError, match="damaged"):
        read_right(path)
    with pytest.raises(RunError, match="cannot be read"):
        read_right(tmp_path / "none.npz")
