"""Suspected wrong labels: known flips are found, and cleanlab finds the same."""

import numpy as np
import pytest

from fmnist.evidence.labels import believed, suspects


def flipped(seed: int, share: float = 0.05) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of a net that is mostly right, labels, and which of them are wrong."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 6, 3000)
    logits = rng.normal(size=(3000, 6)) + 4 * np.eye(6)[true]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wrong = rng.random(3000) < share
    labels = np.where(wrong, (true + rng.integers(1, 6, 3000)) % 6, true)
    return probabilities, labels, wrong


def test_flipped_labels_are_found_and_few_others():
    probabilities, labels, wrong = flipped(0)
    found = suspects(probabilities, labels)
    assert wrong[found].mean() > 0.85
    assert wrong[found].sum() > 0.65 * wrong.sum()
    given = probabilities[found, labels[found]]
    assert (np.diff(given) >= 0).all()


def test_without_wrong_labels_there_are_hardly_any():
    probabilities, labels, _ = flipped(1, share=0.0)
    assert len(suspects(probabilities, labels)) < 0.01 * len(labels)


def test_a_class_without_images_and_an_image_of_which_nothing_is_believed():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.4, 0.5, 0.1], [0.1, 0.9, 0.0]])
    labels = np.array([0, 0, 0, 1])
    assert believed(probabilities, labels).tolist() == [0, 0, -1, 1]
    assert suspects(probabilities, labels).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_cleanlab_finds_the_same(seed):
    filters = pytest.importorskip("cleanlab.filter")
    probabilities, labels, _ = flipped(seed)
    theirs = filters.find_label_issues(
        labels, probabilities, filter_by="confident_learning",
        return_indices_ranked_by="self_confidence", n_jobs=1,
    )  # fmt: skip
    assert suspects(probabilities, labels).tolist() == theirs.tolist()
