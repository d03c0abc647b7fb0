"""From a notebook: configurations, modules and runs without a command line."""

import subprocess
import sys

import lightning
import pytest
import torch

import fmnist
from fmnist.errors import ConfigError
from tests.conftest import CHECKOUT, TINY


def test_a_configuration_is_composed_and_checked_as_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = fmnist.compose(["model=lenet5", "optim=sgd", "optim.lr=0.5"])
    assert config["optim"]["lr"] == 0.5
    with pytest.raises(ConfigError, match=r"optim\.lr=-1: should be greater than 0"):
        fmnist.compose(["optim.lr=-1"])
    with pytest.raises(ConfigError, match="model=lenet6: no such option; did you mean lenet5"):
        fmnist.compose(["model=lenet6"])


def test_what_is_built_trains_in_a_trainer_of_ones_own():
    module, data = fmnist.build(fmnist.compose(TINY))
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", logger=False,
                                enable_checkpointing=False, enable_progress_bar=False,
                                enable_model_summary=False)  # fmt: skip
    trainer.fit(module, data)
    assert 0 <= float(trainer.callback_metrics["val/acc"]) <= 1
    images, labels = next(iter(data.val_dataloader()))
    assert module.eval()(images).shape == (len(labels), 10)
    assert isinstance(module(images), torch.Tensor)


def test_importing_the_package_costs_nothing_and_names_what_is_public():
    code = (
        "import sys, fmnist; print(sorted(fmnist.__all__)); "
        "print([name for name in ('torch', 'hydra', 'lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout == f"{sorted(fmnist.__all__)}\n[]\n"
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        fmnist.nope  # noqa: B018
