"""Nets on images of any size, in colour, of many classes: built, trained, read back, shown."""

import json

import numpy as np
import pytest
import torch

from fmnist.config.build import build_node, sized
from fmnist.config.schema import CONF_DIR, config_hash
from fmnist.errors import ConfigError
from fmnist.reporting.detail import detail_of
from fmnist.reporting.table import Entry
from fmnist.training.classifier import Classifier
from fmnist.training.preflight import try_net
from fmnist.using.reproduce import retest
from tests.conftest import TINY, Later, composed, here

samples = Later("sklearn.datasets")

MODELS = sorted(path.stem for path in (CONF_DIR / "model").glob("*.yaml"))
COLOUR = ("data.size=32", "data.channels=3", "data.classes=30", "data.train_size=320")


@pytest.mark.parametrize("model", MODELS)
def test_every_net_takes_colour_other_sizes_and_a_hundred_classes(model):
    node = composed(f"model={model}")["model"]
    for size in (32, 64):
        shape = (3, size, size)
        try_net(lambda: build_node(sized(node, shape, 100)), shape, 100)  # noqa: B023
    assert sized(node, (1, 28, 28), 10) == node


@pytest.mark.parametrize("model", [model for model in MODELS if model != "logistic"])
def test_a_net_says_which_sizes_it_cannot_take(model):
    shape = (1, 1, 1)
    node = sized(composed(f"model={model}")["model"], shape, 10)
    with pytest.raises(ConfigError, match="image_size=1") as error:
        try_net(lambda: build_node(node), shape, 10)
    assert "1x1" in str(error.value)


def test_a_run_in_colour_is_trained_tested_read_back_and_shown(run_tiny):
    run = run_tiny(*COLOUR, "model=twoconv", "aug=flip_shift_erase", "tta=flip_shift")
    facts = run.record.dataset
    assert (facts.shape, len(facts.classes), len(facts.mean)) == ([3, 32, 32], 30, 3)
    assert run.record.params == 16 * (3 * 25 + 1) + 32 * (16 * 25 + 1) + 30 * (32 * 8 * 8 + 1)
    numbers = run.record.metrics
    assert retest(run) == (numbers["test/loss"], numbers["test/acc"])
    path = run.checkpoints / "best.ckpt"
    alone = Classifier.load_from_checkpoint(path, weights_only=True)
    assert alone(torch.zeros(2, 3, 32, 32)).shape == (2, 30)
    detail = detail_of(Entry("run", "finished", run=run))
    assert not detail.notes
    assert {"confusion_counts", "class_scores", "grad_cam"} <= {c.name for c in detail.charts}
    assert "20 of 30 classes" in detail.matrices[0].caption


def test_a_run_whose_split_and_noise_are_its_seeds_is_read_back(run_tiny):
    run = run_tiny("data.split_seed=seed", "data.label_noise=0.2", "data.folds=5", "seed=3")
    assert (run.record.dataset.split_seed, run.record.dataset.val_size) == (3, 128)
    assert retest(run) == (run.record.metrics["test/loss"], run.record.metrics["test/acc"])


def test_noise_folds_and_long_tails_are_settings_with_hashes_of_their_own():
    plain = config_hash(composed())
    neutral = ["label_noise=0", "imbalance=1", "fold=0", "folds=null", "size=null", "classes=null"]
    assert config_hash(composed(*(f"data.{text}" for text in neutral))) == plain
    others = ["label_noise=0.2", "imbalance=10", "folds=5", "size=32", "split_seed=seed"]
    assert len({config_hash(composed(f"data.{text}")) for text in others} | {plain}) == 6


def test_lenet5_learns_real_digits_of_a_file(tmp_path, run_tiny):
    digits = samples.load_digits()  # 1,797 of 8x8, 0 to 16
    images = (digits.images * 15).astype(np.uint8)
    np.savez(tmp_path / "digits.npz", train_images=images, train_labels=digits.target)
    run = run_tiny(
        "data=npz", f"data.root={tmp_path}/digits.npz", "data.size=28", "data.batch_size=32",
        "data.train_size=null", "data.test_size=300", "data.val_size=null",
        "trainer.max_epochs=3", "optim.lr=0.003",
    )  # fmt: skip
    assert run.record.dataset.name == "digits"
    assert run.record.metrics["test/acc"] > 0.85


READER = '''
import torch
from fmnist.data.source import DataSet, Images, Wanted


class Stripes:
    """Stripes across and down."""

    def __init__(self, width: int = 2) -> None:
        self.width = width

    def read(self, wanted: Wanted) -> DataSet:
        labels = torch.arange(240) % 2
        ramp = torch.arange(16) // self.width % 2 * 200
        across, down = ramp.view(1, 16).expand(16, 16), ramp.view(16, 1).expand(16, 16)
        noise = torch.randint(50, (240, 16, 16), generator=torch.Generator().manual_seed(0))
        pixels = torch.where(labels.view(-1, 1, 1) == 0, across, down) + noise
        images = Images(pixels.to(torch.uint8), labels)
        return DataSet(images, ["across", "down"])
'''
NODE = """
_target_: fmnist.data.datamodule.ImageData
source:
  _target_: stripes.Stripes
  width: 2
name: stripes
batch_size: 32
val_size: 40
"""


def test_a_set_of_ones_own_is_one_file_and_one_yaml_outside_the_package(tmp_path):
    (tmp_path / "stripes.py").write_text(READER)
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/stripes.yaml").write_text(NODE)
    settings = [text for text in TINY if not text.startswith("data")]
    own = ["--config-dir", "conf", "data=stripes", "hydra.run.dir=run"]
    done = here("fmnist.train", *settings, *own, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run/result.json").read_text())
    assert record["dataset"]["classes"] == ["across", "down"]
    assert record["dataset"]["test_size"] == 48
    assert record["metrics"]["test/acc"] > 0.9
