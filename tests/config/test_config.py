"""Configuration: every option composes, what is impossible is refused, the hash names a result."""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException

from fmnist.config.explain import explain
from fmnist.config.schema import CONF_DIR, SEVERAL, config_hash
from fmnist.errors import ConfigError, DataUnavailable
from tests.conftest import CHECKOUT, composed

FILES = sorted(CONF_DIR.rglob("*.yaml"))
# Every experiment and every study is composed, and asked for more, in test_experiments.py.
OPTIONS = sorted(
    f"{path.parent.name}={path.stem}"
    for path in CONF_DIR.glob("*/*.yaml")
    if path.parent.name not in ("experiment", "ablation")
)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_every_group_composes_and_passes_the_checks(option: str) -> None:
    group = option.partition("=")[0]
    if option in ("data=folder", "data=npz"):  # which say what they lack: tests/data
        assert composed(option, "data.root=a/roses.npz")["data"]["name"] == "roses"
    elif option == "without=nothing":
        assert composed(option) == composed()
    elif group == "without":  # a part of a recipe
        assert composed("experiment=speedrun_95", option) != composed("experiment=speedrun_95")
    elif group == "search":
        assert composed(option)  # every cell of it: test_search.py
    elif group in SEVERAL:
        assert all(node["_target_"] for node in composed(option)[group].values())
    else:
        assert composed(option)[group]["_target_"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF_DIR)))
def test_every_file_opens_with_a_comment_that_says_what_it_is(path: Path) -> None:
    lines = path.read_text().splitlines()
    directives = ("# @package _global_", "# yaml-language-server")  # Hydra's, editors'
    first = next(line for line in lines if not line.startswith(directives))
    assert first.startswith("# ")
    assert len(first.split()) >= 3


def test_data_root_is_the_environment_variable_and_data_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FMNIST_DATA", "/somewhere")
    assert composed()["data"]["root"] == "/somewhere"
    monkeypatch.delenv("FMNIST_DATA")
    assert composed()["data"]["root"] == "data"


# What test_cli.py does not show already: overrides, and the whole message.
REFUSED = [
    ("seed=4294967296", "seed=4294967296: should be at least 0 and less than 4294967296"),
    ("patience=0", "patience=0: should be at least 1"),
    ("label_smoothing=1", "label_smoothing=1.0: should be at least 0 and less than 1"),
    ("optim.lr=0", "optim.lr=0: should be greater than 0"),
    ("optim.lr=nan", "optim.lr=nan: should be greater than 0 and finite"),
    ("optim.lr=inf", "optim.lr=inf: should be greater than 0 and finite"),
    ("optim.lr=true", "optim.lr=true: should be a number"),
    ("optim.lr=null", "optim.lr=null: should be a number"),
    ("optim.lr=???", "optim.lr: Missing mandatory value: lr"),
    ("data.batch_size=1.5", "data.batch_size=1.5: should be a whole number"),
    ("data.batch_size=true", "data.batch_size=true: should be a whole number"),
    ("data.train_size=x", "data.train_size=x: should be a whole number or null"),
    ("data.mean=0.5", "data.mean and data.std: give both, or neither to compute them"),
    (
        "data.name=FMNIST",
        "data.name=FMNIST: should be FashionMNIST, MNIST, KMNIST, QMNIST, EMNIST-balanced, "
        "EMNIST-bymerge, EMNIST-byclass, EMNIST-letters, EMNIST-digits, CIFAR10, CIFAR100 or "
        "synthetic; did you mean MNIST?",
    ),
    ("model.dropout='0.1'", "model.dropout=0.1: should be a number"),
    ("model.pooling=[avg]", "model.pooling=['avg']: should be avg or max; did you mean avg?"),
    ("model.pooling=null", "model.pooling=null: should be avg or max"),
    (
        "trainer.strategy=dpp",
        "trainer.strategy=dpp: should be one of auto, ddp, ddp_find_unused_parameters_true, "
        "or another that Lightning has; did you mean ddp?",
    ),
    (
        "scheduler.monitor=val/accc",
        "scheduler.monitor=val/accc: should be one of val/acc, val/loss, train/loss; "
        "did you mean val/acc?",
    ),
    (
        "scheduler=cosine scheduler.horizon=T_maxx",
        "scheduler.horizon=T_maxx: torch.optim.lr_scheduler.CosineAnnealingLR takes no such "
        "argument; did you mean T_max?",
    ),
    ("+trainer.foo=1", "trainer.foo: lightning.pytorch.Trainer takes no such argument"),
    (
        "+model.kernel=3",
        "model.kernel: fmnist.models.lenet5.LeNet5 takes no such argument; "
        "there are activation, dropout, image_size, in_channels, num_classes, pooling",
    ),
    (
        "model._target_=fmnist.models.lenet5.LeNet6",
        "model._target_=fmnist.models.lenet5.LeNet6: fmnist.models.lenet5 has no LeNet6; "
        "did you mean LeNet5?",
    ),
    (
        "model._target_=fmnist.models.lenet6.LeNet5",
        "model._target_=fmnist.models.lenet6.LeNet5: fmnist.models has no lenet6; "
        "did you mean lenet5?",
    ),
    (
        "optim._target_=torch.optim.Adamm",
        "optim._target_=torch.optim.Adamm: torch.optim has no Adamm; did you mean Adam?",
    ),
    (
        "optim._target_=tourch.optim.Adam",
        "optim._target_=tourch.optim.Adam: no package tourch is installed, and no tourch.py lies "
        "in this folder",
    ),
    ("optim._target_=NAdam", "optim._target_=NAdam: should be a dotted name, MODULE.NAdam"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_an_impossible_configuration_is_refused(overrides: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        composed(*overrides.split())
    assert str(error.value) == message


@pytest.mark.parametrize(
    "overrides",
    [
        "patience=null",
        "label_smoothing=0",
        "optim.lr=1",  # an int where a float is meant
        "model.dropout=0",
        "data.batch_size=63 trainer.devices=3",
        "data.mean=0.5 data.std=0.5",
        "data.train_size=null",
        "trainer.devices=auto",
        "gradient_clip_val=1",
        "scheduler=step scheduler.policy.step_size=3",
        "+model.num_classes=5",
        "+optim.betas=[0.9,0.95]",
        "+trainer.limit_train_batches=0.5",
        "optim.weight_decay=${label_smoothing}",
        "optim._target_=torch.optim.adam.Adam",
        "+optim.foreach=null",
    ],
)
def test_what_is_possible_is_not_refused(overrides: str) -> None:
    composed(*overrides.split())


# What Hydra itself refuses, and what is made of it.
REFUSED_BY_HYDRA = [
    (
        "scheduler.policy.step_size=3",
        "scheduler.policy.step_size: no such setting; there are none under scheduler.policy here",
    ),
    (
        "optim.momentum=0.9",
        "optim.momentum: no such setting; there are fused, head_lr, lr, no_decay, weight_decay",
    ),
    (
        "model.num_classes=5",
        "model.num_classes: not in the configuration; +model.num_classes=... adds it",
    ),
    ("hydra.run.dirr=x", "hydra.run.dirr: no such setting; did you mean hydra.run.dir?"),
    ("model=null", "model=null: should be the name of an option"),
    ("patience=abc", "patience=abc: should be a whole number or null"),
    ("adam", "adam: should be key=value, brackets closed, special characters quoted"),
    (
        "optim.lr=1,2",
        "optim.lr=1,2: several values need --multirun; one value that is a list needs [ ]",
    ),
]


def explained(*overrides: str) -> str | None:
    with pytest.raises(Exception) as error:  # noqa: PT011
        composed(*overrides)
    return explain(error.value, list(overrides))


@pytest.mark.parametrize(
    ("override", "message"), REFUSED_BY_HYDRA, ids=[case[0] for case in REFUSED_BY_HYDRA]
)
def test_a_complaint_of_hydra_becomes_one_line(override: str, message: str) -> None:
    assert explained(override) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sed: 3", "In 'experiment/mine': sed: no such setting; did you mean seed?"),
        ("seed: abc", "In 'experiment/mine': seed=abc: should be a whole number"),
        (
            "optim:\n  lrr: 3",
            "optim.lrr: torch.optim.Adam takes no such argument; did you mean optim.lr?",
        ),
        ("defaults:\n  - override /optim: adm", "optim=adm: no such option; did you mean adam?"),
    ],
)
def test_a_mistake_in_a_file_becomes_one_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text(f"# @package _global_\n{content}\n")
    assert explained(f"hydra.searchpath=['file://{tmp_path}']", "experiment=mine") == message


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (AttributeError("a bug"), "my.Net: AttributeError: a bug"),
        (ValueError("width=-1: should be positive"), "my.Net: ValueError: width=-1: should be "),
    ],
)
def test_what_a_constructor_says_is_one_line(cause: Exception, line: str) -> None:
    error = InstantiationException("Error in call to target 'my.Net':\nmore")
    error.__cause__ = cause
    explained_as = explain(error, [])
    assert explained_as is not None
    assert explained_as.startswith(line)
    assert "\n" not in explained_as


def test_a_mistake_of_the_user_is_explained_and_a_bug_is_not() -> None:
    assert explain(DataUnavailable("no data"), []) == "no data"
    assert explain(KeyError("a bug"), []) is None
    assert explain(ValueError(), []) is None


def leaves(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def changed(plain: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The configuration with another value at one place."""
    other = copy.deepcopy(plain)
    node = other
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = f"not {node[path[-1]]}"
    return other


@pytest.mark.parametrize("scheduler", ["none", "step"])  # without and with a node in a node
def test_the_hash_differs_for_every_setting_that_is_not_cosmetic(scheduler: str) -> None:
    plain = composed(f"scheduler={scheduler}")
    hashes = {path: config_hash(changed(plain, path)) for path in leaves(plain)}
    same = {path for path, value in hashes.items() if value == config_hash(plain)}
    apart = ("logger", "tags", "looks", "readings", "reuse_shorter")
    cosmetic = {path for path in hashes if path[0] in apart}
    cosmetic |= {("data", "root"), ("data", "eval_batch_size"), ("steps_per_execution",)}
    watching = ("num_sanity_val_steps", "log_every_n_steps", "enable_model_summary")
    cosmetic |= {("trainer", key) for key in (*watching, "detect_anomaly", "profiler")}
    cosmetic |= {path for path in hashes if path[-1] == "_partial_"}
    assert same == cosmetic
    assert len({*hashes.values()}) == len(hashes) - len(same) + 1


def test_the_hash_depends_neither_on_the_order_of_keys_nor_on_the_process() -> None:
    plain = composed()
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value
        for key, value in reversed(plain.items())
    }
    assert list(turned) != list(plain)
    assert config_hash(turned) == config_hash(plain)
    code = (
        "import json, sys; from fmnist.config.schema import config_hash\n"
        "print(config_hash(json.load(sys.stdin)))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT, input=json.dumps(plain), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert other.stdout.strip() == config_hash(plain)


def test_the_hash_takes_a_whole_number_for_the_same_float_but_not_for_a_bool() -> None:
    assert config_hash(composed("model.dropout=0")) == config_hash(composed("model.dropout=0.0"))
    assert config_hash({"a": 1}) != config_hash({"a": True})
    assert config_hash({"a": 0}) != config_hash({"a": None})


@pytest.mark.parametrize(
    "key", ["trainer.logger", "trainer.barebones", "data.seed", "optim.params"]
)
def test_what_train_decides_itself_is_no_setting(key):
    with pytest.raises(ConfigError, match=f"{key}: not a setting"):
        composed(f"+{key}=1")
