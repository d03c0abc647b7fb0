"""What only a constructor or a first step would refuse is refused before a run has a directory."""

import inspect
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object

from fmnist.config import devices
from fmnist.config.check import ACCELERATORS, STRATEGIES, TESTED
from fmnist.config.known import RANGES, is_known, public_name
from fmnist.config.schema import CONF_DIR
from fmnist.config.signature import read_signature, takes_metric
from fmnist.config.trial import try_out
from fmnist.errors import ConfigError
from tests.conftest import CHECKOUT, TINY, composed


def checked(*overrides: str) -> dict[str, Any]:
    """The configuration after everything that a run is asked before it has a directory."""
    plain = composed(*overrides)
    devices.check_devices(plain)
    try_out(plain)
    return plain


NO_MODEL = "~model.activation ~model.pooling ~model.dropout"
LIMIT = "should be a whole number, at least 1, or a share of all, greater than 0.0 and at most 1.0"
DEVICES = "should be a whole number, at least 1, or auto: as many as there are"
GPUS = f"{DEVICES}, or a list of GPU numbers, as [0,1]"
METRICS = "should be one of val/acc, val/loss, train/loss"

REFUSED = {
    # Policies and what they follow.
    "scheduler=plateau scheduler.monitor=val/loss scheduler.policy.mode=max": (
        "scheduler.policy.mode=max contradicts scheduler.monitor=val/loss, which is better the "
        "lower it is: should be min"
    ),
    "scheduler=plateau scheduler.policy.mode=min": (
        "scheduler.policy.mode=min contradicts scheduler.monitor=val/acc, which is better the "
        "higher it is: should be max"
    ),
    "scheduler=plateau ~scheduler.policy.mode": (
        "scheduler.policy.mode=min, ReduceLROnPlateau's default, contradicts "
        "scheduler.monitor=val/acc, which is better the higher it is: should be max"
    ),
    "scheduler=plateau scheduler.monitor=null": (
        f"scheduler.monitor=null: ReduceLROnPlateau follows a metric: {METRICS}"
    ),
    "scheduler=plateau scheduler.monitor=val/top2 callbacks=lr_monitor": (
        "scheduler.policy.mode=null: should be max where a higher val/top2 is better, min where a "
        "lower one is"
    ),
    "scheduler=step scheduler.monitor=val/acc": (
        "scheduler.monitor=val/acc: StepLR follows no metric: should be null"
    ),
    "scheduler=plateau scheduler.interval=step": (
        "scheduler.interval=step: val/acc is there once an epoch: should be epoch"
    ),
    # The length of the run.
    "scheduler=cosine scheduler.horizon=null": (
        "scheduler.horizon=null: CosineAnnealingLR needs T_max: scheduler.horizon=T_max gives it "
        "the length of the run, +scheduler.policy.T_max=... a number"
    ),
    "scheduler=onecycle scheduler.horizon=null": (
        "scheduler.horizon=null: OneCycleLR needs total_steps: scheduler.horizon=total_steps gives "
        "it the length of the run, +scheduler.policy.total_steps=... a number"
    ),
    "scheduler=onecycle +scheduler.policy.total_steps=5": (
        "scheduler.policy.total_steps=5: is the length of the run, as "
        "scheduler.horizon=total_steps says: should be left out, or scheduler.horizon=null"
    ),
    "scheduler=cosine trainer.max_epochs=null": (
        "trainer.max_epochs=null: scheduler.horizon=T_max needs the length of the run: should be a "
        "whole number"
    ),
    "scheduler=step ~scheduler.policy.step_size": (
        "scheduler.policy.step_size: missing: StepLR needs it: +scheduler.policy.step_size=..."
    ),
    # Numbers of a policy.
    "scheduler=step scheduler.policy.step_size=0": (
        "scheduler.policy.step_size=0: should be at least 1"
    ),
    "scheduler=step scheduler.policy.gamma=-1": (
        "scheduler.policy.gamma=-1: should be greater than 0"
    ),
    "scheduler=plateau scheduler.policy.factor=1.5": (
        "scheduler.policy.factor=1.5: should be greater than 0 and less than 1"
    ),
    "scheduler=onecycle scheduler.policy.pct_start=1.5": (
        "scheduler.policy.pct_start=1.5: should be greater than 0 and less than 1"
    ),
    "scheduler=plateau +scheduler.policy.min_lr=[0,0]": (
        "scheduler.policy: torch.optim.lr_scheduler.ReduceLROnPlateau: expected 1 min_lrs, got 2"
    ),
    "scheduler=step scheduler.policy._target_=torch.optim.lr_scheduler.ExponentialLR "
    "~scheduler.policy.step_size scheduler.policy.gamma=-2": (
        "scheduler.policy: torch.optim.lr_scheduler.ExponentialLR: gives a learning rate of -0.002"
    ),
    # Optimisers.
    "optim=sgd optim.nesterov=true optim.momentum=0": (
        "optim.nesterov=true: needs a momentum: optim.momentum=0 should be greater than 0"
    ),
    "optim=sgd optim.nesterov=true ~optim.momentum": (
        "optim.nesterov=true: needs a momentum: optim.momentum=0 should be greater than 0"
    ),
    "optim=sgd optim.nesterov=true +optim.dampening=0.5": (
        "optim.dampening=0.5: should be 0 with optim.nesterov=true"
    ),
    "+optim.betas=[0.9]": "optim.betas=[0.9]: should be a list of 2 numbers, as [0.9,0.999]",
    "+optim.betas=0.9": "optim.betas=0.9: should be a list of 2 numbers, as [0.9,0.999]",
    "+optim.betas=[0.9,1.5]": (
        "optim: torch.optim.Adam: Invalid beta parameter at index 1: 1.5"
    ),
    "+optim.eps=-1": "optim: torch.optim.Adam: Invalid epsilon value: -1",
    "+optim.foreach=true": (
        "optim: torch.optim.Adam: `fused` and `foreach` cannot be `True` together."
    ),
    "optim._target_=torch.optim.SparseAdam ~optim.fused ~optim.weight_decay": (
        "optim: torch.optim.SparseAdam: SparseAdam does not support dense gradients, please "
        "consider Adam instead"
    ),
    "optim._target_=torch.optim.LBFGS ~optim.fused ~optim.weight_decay optim.head_lr=0.1": (
        "optim.head_lr=0.1: torch.optim.LBFGS takes no groups of parameters with settings of their "
        "own"
    ),
    "optim._target_=torch.optim.Muon ~optim.fused": (
        "optim: torch.optim.Muon: Muon only supports 2D parameters whereas we found a parameter "
        "with size: torch.Size([6, 1, 5, 5])"
    ),
    "optim._target_=torch.optim.NAdam ~optim.fused optim.lr=inf": (
        "optim.lr=inf: should be greater than 0 and finite"
    ),
    # What code gives, and what nothing can stand in for.
    "optim._partial_=false": (
        "optim._partial_=false: should be true: fmnist.train gives it what is lacking"
    ),
    "~optim._partial_": (
        "optim._partial_: missing: should be true: fmnist.train gives it what is lacking"
    ),
    "+model._partial_=true": (
        "model._partial_=true: should be left out: fmnist.train makes it whole"
    ),
    "~trainer.max_epochs": "trainer.max_epochs: missing; should be a whole number or null",
    "~data.batch_size": "data.batch_size: missing; should be a whole number",
    "~patience": "patience: missing; should be a whole number or null",
    "~model._target_": (
        "model: has no _target_, the dotted name of what it describes; an option of the group has "
        "one: conf/model/"
    ),
    "~scheduler.interval": (
        "scheduler.interval: missing: fmnist.training.classifier.Schedule needs it; should be step "
        "or epoch: +scheduler.interval=..."
    ),
    f"model._target_=tests.bad_nets.BadNet {NO_MODEL}": (
        "model.how: missing: tests.bad_nets.BadNet needs it; should be no, raise, exit, kill, "
        "diverge or memory: +model.how=..."
    ),
    # The Trainer.
    **{
        f"++trainer.limit_{stage}_batches={value}": (
            f"trainer.limit_{stage}_batches={value}: {LIMIT}"
        )
        for stage, value in itertools.product(("train", "val"), ("0", "0.0", "-1", "1.5"))
    },
    **{
        f"trainer.val_check_interval={value}": f"trainer.val_check_interval={value}: {LIMIT}"
        for value in ("0", "0.0", "-1")
    },
    "trainer.max_steps=0": "trainer.max_steps=0: should be at least 1, or -1: no limit",
    "trainer.check_val_every_n_epoch=0": (
        "trainer.check_val_every_n_epoch=0: should be at least 1"
    ),
    "++trainer.min_epochs=20": "trainer.min_epochs=20: should be at most trainer.max_epochs=10",
    "++trainer.num_nodes=2": "trainer.num_nodes=2: should be 1",
    "++trainer.profiler=simpel": (
        "trainer.profiler=simpel: should be one of simple, advanced, pytorch, xla; "
        "did you mean simple?"
    ),
    "++trainer.deterministic=yes": (
        "trainer.deterministic=yes: should be one of true, false, warn"
    ),
    "++trainer.max_time=1h": (
        "trainer.max_time=1h: should be days:hours:minutes:seconds, as '00:01:30:00', or a number "
        "for some of weeks, days, hours, minutes, seconds"
    ),
    "trainer.strategy=fsdp": (
        "trainer: lightning.pytorch.Trainer: The strategy `fsdp` requires a GPU accelerator, but "
        "received `accelerator='cpu'`. Please set `accelerator='cuda'`, `accelerator='gpu'`, or "
        "pass a `CUDAAccelerator()` instance to use FSDP."
    ),
    # Devices.
    "trainer.devices=two": f"trainer.devices=two: {GPUS}",
    "trainer.devices=null": f"trainer.devices=null: {GPUS}",
    "trainer.devices=0": f"trainer.devices=0: {GPUS}",
    "trainer.devices=-2": f"trainer.devices=-2: {GPUS}",
    "trainer.devices=1.5": f"trainer.devices=1.5: {GPUS}",
    "trainer.devices=true": f"trainer.devices=true: {GPUS}",
    "trainer.devices=[]": f"trainer.devices=[]: {GPUS}",
    "trainer.devices=[0,0]": "trainer.devices=[0, 0]: should name every GPU once",
    "trainer.devices=[0,1] trainer.accelerator=cpu": f"trainer.devices=[0, 1]: {DEVICES}",
    # Data and augmentation.
    "data.train_size=100 data.val_size=100": (
        "data.val_size=100: should be less than data.train_size=100, the images that are split "
        "into those that train and those that validate"
    ),
    "data.mean=nan data.std=1": "data.mean=nan: should be at least 0 and at most 1 and finite",
    "data.mean=127 data.std=70": "data.mean=127: should be at least 0 and at most 1",
    "data.mean=0.5 data.std=0": "data.std=0: should be greater than 0 and at most 1",
    "data.mean=[a,b,c] data.std=[1,1,1]": (
        "data.mean=['a', 'b', 'c']: should be a number, a list of numbers or null"
    ),
    "data.mean=[0,0,0] data.std=[0.2,0,0.2]": (
        "data.std=[0.2, 0, 0.2]: each should be greater than 0 and at most 1"
    ),
    # Nodes without a target.
    "+scheduler.policy.gamma=0.5": (
        "scheduler.policy: has no _target_, the dotted name of what takes gamma; options such as "
        "scheduler=step have one"
    ),
    "+data.source.width=2": (
        "data.source: has no _target_, the dotted name of what takes width; "
        "+data.source._target_=... gives one"
    ),
    "+callbacks.mine._target_=lightning.pytorch.callbacks.GradientAccumulationScheduler "
    "+callbacks.mine.scheduling={0:4}": (
        "callbacks.mine.scheduling: has the key 0, which should be text: '0'"
    ),
    "aug.shift=0.5": (
        "aug: fmnist.data.augment.RandomAffine: shift=0.5: nearest moves by whole pixels; bilinear "
        "by any part"
    ),
    "aug=flip_shift_erase aug.erasing.probability=2": (
        "aug.erasing.probability=2: should be at least 0 and at most 1"
    ),
    "model=twoconv model.channels=0": "model.channels=0: should be at least 1",
    "model=twoconv model.padding=same": "model.padding=same: should be a whole number",
    "model.dropout=nan": "model.dropout=nan: should be at least 0 and less than 1 and finite",
}  # fmt: skip


@pytest.fixture(autouse=True)
def a_machine_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_count_gpus", lambda accelerator: 0)
    monkeypatch.setattr(devices, "allowed_cores", lambda: 4)


@pytest.mark.parametrize(("overrides", "message"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_trained_is_refused_with_its_key_and_what_would_be_right(
    overrides: str, message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        checked(*overrides.split())
    assert str(error.value) == message


@pytest.mark.parametrize(
    "overrides",
    [
        "scheduler=plateau scheduler.monitor=val/loss",
        "scheduler=plateau scheduler.monitor=a scheduler.policy.mode=max callbacks=lr_monitor",
        "optim._target_=torch.optim.LBFGS ~optim.fused ~optim.weight_decay scheduler=cosine",
        "scheduler=plateau scheduler.monitor=val/loss +scheduler.policy.threshold_mode=abs",
        "scheduler=onecycle scheduler.horizon=null +scheduler.policy.epochs=3 "
        "+scheduler.policy.steps_per_epoch=900",
        "scheduler=cosine scheduler.horizon=null +scheduler.policy.T_max=7",
        "optim=sgd optim.nesterov=true",
        "optim._target_=torch.optim.NAdam ~optim.fused +optim.betas=[0.8,0.99]",
        "optim._target_=torch.optim.ASGD ~optim.fused",
        "optim._target_=torch.optim.Adamax ~optim.fused optim.weight_decay=0.1",
        f"optim._target_=torch.optim.Muon ~optim.fused model._target_=torch.nn.Linear {NO_MODEL} "
        "+model.in_features=4 +model.out_features=3 +model.bias=false",
        "trainer.devices=auto",
        "trainer=ddp trainer.strategy=ddp_find_unused_parameters_false",
        "++trainer.limit_train_batches=3",
        "++trainer.limit_train_batches=1.0",
        "trainer.val_check_interval=0.5",
        "trainer.val_check_interval='00:00:01:00'",
        "data.mean=[0.1,0.2,1] data.std=[1,0.5,0.2]",
        "++trainer.max_time='00:00:01:00'",
        "++trainer.max_time={hours:1,minutes:30}",
        "++trainer.deterministic=warn",
        "++trainer.profiler=simple",
        "trainer.max_epochs=null",
        "aug.shift=0.5 aug.interpolation=bilinear",
        "aug=flip_shift_erase",
    ],
)
def test_what_can_be_trained_is_not_refused(overrides: str) -> None:
    checked(*overrides.split())


def test_the_mode_of_a_policy_is_that_of_the_metric_it_follows() -> None:
    modes = {
        monitor: composed("scheduler=plateau", f"scheduler.monitor={monitor}")["scheduler"][
            "policy"
        ]["mode"]
        for monitor in ("val/acc", "val/loss", "train/loss")
    }
    assert modes == {"val/acc": "max", "val/loss": "min", "train/loss": "min"}


@pytest.mark.parametrize(
    ("gpus", "overrides", "message"),
    [
        (0, "trainer.devices=5 data.batch_size=5", "trainer.devices=5: should be at most 4, "
         "the number of processor cores here"),
        (0, "trainer.devices=99 data.batch_size=99 trainer.accelerator=cpu",
         "trainer.devices=99: should be at most 4, the number of processor cores here"),
        (2, "trainer.devices=4 trainer.accelerator=gpu",
         "trainer.devices=4: should be at most 2, the number of GPUs here"),
        (2, "trainer.devices=4", "trainer.devices=4: should be at most 2, the number of GPUs here"),
        (2, "trainer.devices=[0,2]",
         "trainer.devices=[0, 2]: should be numbers below 2, of the GPUs here"),
        (0, "trainer.devices=[0,1]", "trainer.devices=[0, 1]: should be a number: no GPU is here"),
        (0, "trainer.devices='0,1'", "trainer.devices=[0, 1]: should be a number: no GPU is here"),
        (0, "trainer.accelerator=gpu", "trainer.accelerator=gpu: PyTorch finds no such device "
         "here; auto takes what there is"),
        (0, "trainer.accelerator=mps", "trainer.accelerator=mps: PyTorch finds no such device "
         "here; auto takes what there is"),
        (2, "trainer.devices=2", None),
        (2, "trainer.devices=[0,1] trainer.accelerator=cuda", None),
        (0, "trainer.devices=4", None),
        (0, "trainer.devices=4 trainer.accelerator=cpu", None),
        (1, "trainer.devices=4 trainer.accelerator=cpu", None),
    ],
)  # fmt: skip
def test_devices_that_are_not_there_are_refused(
    gpus: int, overrides: str, message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        devices, "_count_gpus", lambda accelerator: 0 if accelerator == "mps" else gpus
    )
    plain = composed(*overrides.split())
    if message is None:
        devices.check_devices(plain)
        return
    with pytest.raises(ConfigError) as error:
        devices.check_devices(plain)
    assert str(error.value) == message


def test_one_device_and_as_many_as_there_are_ask_no_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def count(accelerator: str) -> int:
        raise AssertionError(accelerator)

    monkeypatch.setattr(devices, "_count_gpus", count)
    for overrides in ("trainer.devices=1", "trainer.devices=auto", "trainer=ddp"):
        devices.check_devices(composed(overrides))


OWN_NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, channels, kernel_size, padding, dropout=None, stride: int = 1):
        super().__init__()
"""


def test_the_settings_of_ones_own_net_are_judged_by_its_own_annotations(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_net.py").write_text(OWN_NET)
    monkeypatch.syspath_prepend(str(tmp_path))
    net = [
        "model._target_=own_net.Net", "~model.activation", "~model.pooling", "model.dropout=[0.1]",
        "+model.channels=[16,32]", "+model.kernel_size=[3,5]", "+model.padding=same",
    ]  # fmt: skip
    assert checked(*net)["model"]["channels"] == [16, 32]
    assert checked(*net, "+model.stride=-1")["model"]["stride"] == -1
    with pytest.raises(ConfigError, match=r"model\.stride=same: should be a whole number"):
        checked(*net, "+model.stride=same")


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("model=lenet5", "dropout", 1.0),
        ("model=fashioncnn", "dropout", -0.1),
        ("model=alexnet", "width", 0.001),
        ("model=googlenet", "width", 0.01),
        ("model=twoconv", "channels", 0),
        ("model=twoconv", "padding", -1),
        ("aug=on", "degrees", -1.0),
        ("aug=on", "flip", 1.5),
    ],
)
def test_constructors_refuse_themselves_what_their_annotations_do(
    option: str, key: str, value: float
) -> None:
    group = option.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"{group}\.{key}={value}"):
        composed(option, f"{group}.{key}={value}")
    node = composed(option)[group]
    arguments = {name: node[name] for name in node if not name.startswith("_")}
    with pytest.raises(ValueError, match=key):
        get_object(node["_target_"])(**{**arguments, key: value})


def test_lightnings_own_words_are_accepted_and_those_tested_are_among_them() -> None:
    from lightning.pytorch.accelerators import AcceleratorRegistry
    from lightning.pytorch.strategies import StrategyRegistry

    assert set(StrategyRegistry.available_strategies()) == set(STRATEGIES) - {"auto"}
    assert set(AcceleratorRegistry.available_accelerators()) == (
        set(ACCELERATORS) - {"auto", "gpu"}
    )
    assert set(TESTED["trainer.strategy"]) < set(STRATEGIES)
    assert set(TESTED["trainer.accelerator"]) < set(ACCELERATORS)


@pytest.mark.parametrize("target", RANGES)
def test_what_is_known_of_torch_are_arguments_that_it_has(target: str) -> None:
    assert set(RANGES[target]) <= set(inspect.signature(get_object(target)).parameters)
    real = get_object(target)
    assert public_name(f"{real.__module__}.{real.__name__}") == target


@pytest.mark.parametrize("group", ["optim", "scheduler"])
def test_nothing_that_conf_offers_needs_a_trial(group: str) -> None:
    for path in (CONF_DIR / group).glob("*.yaml"):
        node = composed(f"{group}={path.stem}")[group]
        assert is_known(node) or node.get("policy", 0) is None or is_known(node["policy"])


def test_which_policies_follow_a_metric_is_read_from_their_source() -> None:
    import torch

    for name in dir(torch.optim.lr_scheduler):
        policy = getattr(torch.optim.lr_scheduler, name)
        if (isinstance(policy, type) and name.endswith("LR")) or name == "ReduceLROnPlateau":
            wants = "metrics" in inspect.signature(policy.step).parameters
            assert takes_metric(f"torch.optim.lr_scheduler.{name}") == wants
    assert takes_metric("no.such.Policy") is None


def test_a_class_without_a_constructor_has_that_of_its_base() -> None:
    base = read_signature("lightning.pytorch.loggers.CSVLogger")
    assert base
    assert read_signature("tests.tracking.test_several.Forgetful") == base


def a_checkout(folder: Path) -> None:
    """A copy of what a command needs, to be changed."""
    for part in ("fmnist", "conf", "hydra_plugins"):
        shutil.copytree(
            CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__")
        )


def in_checkout(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_copy_of_a_net_of_ours_under_its_name_is_refused(tmp_path: Path) -> None:
    """By its hash it would be that net: of a sweep over both only one would be trained."""
    a_checkout(tmp_path)
    for folder in ("fmnist/models/{}.py", "conf/model/{}.yaml"):
        text = (tmp_path / folder.format("lenet5")).read_text()
        text = text.replace("models.lenet5", "models.mylenet")
        (tmp_path / folder.format("mylenet")).write_text(text)
    done = in_checkout(tmp_path, "fmnist.train", "-m", *TINY, "model=lenet5,mylenet")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: model._target_=fmnist.models.lenet5.LeNet5: fmnist.models.lenet5 and "
        "fmnist.models.mylenet both define such a name, by which alone a run's hash knows what is "
        "in fmnist: one of them should have another (in the cell "
    )
    assert not (tmp_path / "multirun").exists()


def test_what_an_editor_leaves_beside_a_net_is_no_copy_of_it(tmp_path: Path) -> None:
    """Nothing can import it: Jupyter's state of before, a file manager's copy, Emacs's lock."""
    a_checkout(tmp_path)
    nets = tmp_path / "fmnist" / "models"
    (nets / ".ipynb_checkpoints").mkdir()
    for name in (".ipynb_checkpoints/lenet5-checkpoint.py", "lenet5 (copy).py"):
        shutil.copy(nets / "lenet5.py", nets / name)
    (nets / ".#lenet5.py").symlink_to("somebody@somewhere.1:2")
    done = in_checkout(tmp_path, "fmnist.plan", *TINY, "model=lenet5")
    assert (done.returncode, done.stderr) == (0, "")
