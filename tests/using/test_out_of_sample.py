"""What nets say of images that they have not trained on, and the labels that they doubt."""

import csv

import numpy as np
import pytest
import torch

from fmnist.errors import RunError
from fmnist.report import main
from fmnist.reporting.label_check import check_labels
from fmnist.runs.run import load_run
from fmnist.using.out_of_sample import of_test_images, of_training_images

FOLDS = ("data.folds=2", "model=logistic", "data.val_size=null", "data.split_seed=seed")


@pytest.fixture
def folds(run_tiny):
    return [run_tiny(*FOLDS, f"data.fold={fold}") for fold in range(2)]


def test_every_training_image_is_judged_by_the_net_that_did_not_train_on_it(folds):
    found = of_training_images(folds)
    assert found.part == "training"
    assert found.probabilities.sum(1) == pytest.approx(np.ones(640))
    pixels = found.pixels()
    for run in folds:
        data = run.data()
        facts = data.load()
        images = (data.val_images.pixels[:20].unsqueeze(1) / 255 - facts.mean) / facts.std
        with torch.inference_mode():
            wanted = run.net()(images).double().softmax(1).numpy()
        for image, label, shares in zip(data.val_images.pixels, data.val_images.labels, wanted,
                                        strict=False):  # fmt: skip
            (place,) = np.flatnonzero((pixels == image.numpy()).all((1, 2)))
            assert found.labels[place] == int(label)
            assert found.probabilities[place] == pytest.approx(shares, abs=1e-5)
    assert of_training_images(folds[:1]) is None


def test_folds_that_chose_on_the_test_images_are_asked_of_their_fold(run_tiny, folds):
    leaking = [run_tiny(*FOLDS, f"data.fold={fold}", "data.select_on=test") for fold in range(2)]
    ours, theirs = of_training_images(leaking), of_training_images(folds)
    assert ours.probabilities.shape == theirs.probabilities.shape
    held = [run.data() for run in folds]
    for data in held:
        data.load()
    # One epoch: best and last net are one, whatever chose it.
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-6)


def test_folds_of_other_numbers_of_images_are_not_one_set_of_folds(run_tiny):
    runs = [run_tiny(*FOLDS, f"data.fold={fold}", f"data.train_size={size}")
            for fold, size in enumerate((400, 640))]  # fmt: skip
    assert of_training_images(runs) is None


def npz(path, labels):
    """Forty images of noise with these labels, a file; the settings that read it."""
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    np.savez(path, train_images=images, train_labels=labels)
    return ("data=npz", f"data.root={path}", "data.train_size=null", "data.test_size=8")


def test_folds_of_corrected_labels_and_of_other_sets_are_not_taken_for_the_runs_own(
    run_tiny, tmp_path, folds
):
    labels = np.arange(40) % 2
    ours = npz(tmp_path / "a.npz", labels)
    runs = [run_tiny(*FOLDS, *ours, f"data.fold={fold}") for fold in range(2)]
    assert of_training_images([*runs, *folds]).probabilities.shape == (32, 2)
    assert of_training_images([runs[0], folds[1]]) is None
    found = of_test_images(runs)
    labels[:3] = 1 - labels[:3]
    npz(tmp_path / "a.npz", labels)
    for judge in (lambda: of_training_images(runs), found.pixels):
        with pytest.raises(RunError, match="was made with other data files"):
            judge()
    for run in runs:  # a record of before labels had sums
        del run.record.dataset.checksums["train_labels"]
    with pytest.raises(RunError, match="validated on other images than its fold has now"):
        of_training_images(runs)


@pytest.mark.usefixtures("undrawn")
def test_a_flipped_test_label_is_on_the_list_of_the_report(run_tiny, tmp_path, capsys):
    runs = [run_tiny("trainer.max_epochs=4", f"seed={seed}") for seed in range(2)]
    for run in runs:
        logits, labels = run.predictions()
        labels[7] = (logits[7].argmax() + 1) % 10
        with (run.dir / "predictions.npz").open("wb") as file:
            np.savez(file, logits=logits + 9 * np.eye(10, dtype=np.float32)[logits.argmax(1)],
                     labels=labels)  # fmt: skip
    found = of_test_images([load_run(run.dir) for run in runs])
    assert found.runs == 2
    (check,) = check_labels([load_run(run.dir) for run in runs])
    assert 7 in [one.index for one in check.suspects]
    assert check.without > check.accuracy
    assert main([*(str(run.dir) for run in runs), "--out", str(tmp_path / "report"),
                 "--no-latency"]) == 0  # fmt: skip
    page = (tmp_path / "report/report.html").read_text()
    assert f"Test images of {check.data}: {len(check.suspects)} of 200" in page
    with (tmp_path / "report/labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == [one.index for one in check.suspects]
