"""Folds, label noise and long tails: functions of labels and a seed."""

import pytest
import torch

from fmnist.data.datamodule import ImageData
from fmnist.data.split import fold_split, long_tail, noisy_labels
from fmnist.errors import ConfigError, DataError
from tests.conftest import composed

LABELS = torch.arange(1003) % 7


def test_every_image_validates_in_one_of_the_folds():
    folds = [fold_split(LABELS, 5, fold, seed=0) for fold in range(5)]
    together = torch.cat([val for _, val in folds])
    assert together.sort().values.equal(torch.arange(1003))
    assert {len(val) for _, val in folds} == {200, 201}
    for train, val in folds:
        assert torch.cat([train, val]).sort().values.equal(torch.arange(1003))
        counts = torch.bincount(LABELS[val])
        assert counts.max() - counts.min() <= 2
    assert not torch.equal(folds[0][1], fold_split(LABELS, 5, 0, seed=1)[1])


def test_a_fold_that_is_none_is_refused_also_without_a_configuration():
    data = ImageData("synthetic", train_size=30, test_size=10, folds=3, fold=3)
    with pytest.raises(DataError, match=r"^data.fold=3: should be less than data.folds=3"):
        data.load()


def test_a_share_of_the_labels_becomes_any_other_class():
    noisy = noisy_labels(LABELS, 7, 0.2, seed=0)
    wrong = noisy != LABELS
    assert wrong.sum() == 201
    assert set(noisy[wrong].tolist()) == set(range(7))
    assert torch.equal(noisy, noisy_labels(LABELS, 7, 0.2, seed=0))
    assert not torch.equal(noisy, noisy_labels(LABELS, 7, 0.2, seed=1))


def test_a_long_tail_falls_by_the_ratio_from_the_first_class_to_the_last():
    labels = torch.arange(1000) % 10
    kept = long_tail(labels, 10, 100, seed=0)
    counts = torch.bincount(labels[kept]).tolist()
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (100, 1)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.fold=1", "data.fold=1: should be 0, or data.folds=... say of how many"),
        ("data.folds=5 data.fold=5", "data.fold=5: should be less than data.folds=5"),
        ("data.label_noise=1", "data.label_noise=1: should be at least 0 and less than 1"),
        ("data.imbalance=0.5", "data.imbalance=0.5: should be at least 1"),
        ("data.split_seed=x", "data.split_seed=x: should be seed or a whole number"),
        ("data.channels=2", "data.channels=2: should be 1, 3 or null"),
    ],
)
def test_what_cannot_be_is_refused(override, words):
    with pytest.raises(ConfigError) as error:
        composed(*override.split())
    assert words in str(error.value)
