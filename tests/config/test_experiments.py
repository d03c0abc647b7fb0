"""The sources' rows and studies: every experiment builds, every level of every sweep composes."""

import logging
import math
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate

from fmnist.config.groups import split_grouping
from fmnist.config.schema import CONF_DIR, config_hash
from fmnist.evidence.readings import readings_of, runs_readings
from fmnist.evidence.study import experiments_of
from fmnist.runs.run import load_run
from fmnist.training.groups import parameter_groups
from tests.conftest import TINY, composed, here

EXPERIMENTS = sorted(path.stem for path in (CONF_DIR / "experiment").glob("*.yaml"))
ABLATIONS = sorted(path.stem for path in (CONF_DIR / "ablation").glob("*.yaml"))

# What the sources say of their rows, in percent on the test set, and the settings that they give.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "s1_main": ("89.95", {"optim.lr": 1e-3, "data.batch_size": 64, "trainer.max_epochs": 10}),
    "s1_no_augmentation": ("92.71", {"aug.degrees": 0, "model.dropout": 0.25, "patience": 5}),
    "s1_no_dropout": ("90.80", {"aug.degrees": 10, "model.dropout": 0, "data.mean": 0.5}),
    "s1_alternative": ("88.31", {"aug.degrees": 10, "model.dropout": 0.25, "patience": 5}),
    "s1_logistic": ("66.98", {"aug.degrees": 10, "scheduler.policy.patience": 2}),
    "s2_best": ("90.94", {"model.activation": "relu", "model.pooling": "max", "aug.flip": 0.5}),
    "s2_worst": ("77.55", {"model.activation": "tanh", "model.pooling": "max", "aug.flip": 0.5}),
    "s3_baseline": ("69.18", {"optim.lr": 1e-3, "trainer.max_epochs": 20, "model.dropout": 0}),
    "s3_better": ("90.89", {"optim.lr": 1e-4, "trainer.max_epochs": 40, "model.dropout": 0.5}),
    "s4_cnnmodel5": (
        "94.28",
        {"model.normalization": "batch", "aug.degrees": 15, "aug.shift": 5.6},
    ),
    "s4_cnnmodel4": (
        "93.06",
        {"scheduler.policy.gamma": 0.1, "aug.degrees": 15, "data.mean": None},
    ),
    "s4_googlenet_adam": ("88.78", {"optim._target_": "torch.optim.Adam", "data.val_size": 5000}),
    "s4_googlenet_sgd": ("86.46", {"optim._target_": "torch.optim.SGD", "scheduler.policy": None}),
}


def setting(config: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        config = config[part]
    return config


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_row_states_its_published_number_and_has_the_sources_settings(name: str) -> None:
    number, settings = PUBLISHED[name]
    head = (CONF_DIR / f"experiment/{name}.yaml").read_text().partition("defaults:")[0]
    assert f"{number} %" in head
    config = composed(f"experiment={name}")
    assert {key: setting(config, key) for key in settings} == settings


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_builds_and_its_net_learns_from_two_images(name: str) -> None:
    torch.manual_seed(0)
    config = composed(f"experiment={name}")
    net = instantiate(config["model"])
    node, grouping = split_grouping(config["optim"])
    optimizer = instantiate(node)(parameter_groups(net, **grouping))
    schedule = instantiate(config["scheduler"])
    length = {schedule.horizon: 100} if schedule.horizon else {}
    assert schedule.policy is None or schedule.policy(optimizer, **length)
    instantiate(config["data"], augment=instantiate(config["aug"]))
    before = [parameter.detach().clone() for parameter in net.parameters()]
    logits = net(torch.randn(2, 1, 28, 28))
    torch.nn.functional.cross_entropy(logits, torch.tensor([3, 8])).backward()
    optimizer.step()
    assert any(not torch.equal(old, new) for old, new in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_tells_what_to_expect(name: str) -> None:
    text = (CONF_DIR / f"experiment/{name}.yaml").read_text()
    stated = yaml.safe_load(text)
    stated.pop("defaults", None)
    assert_holds(stated, composed(f"experiment={name}"))
    # A source's row gives the source's number; a recipe of ours names the file that has ours.
    source = re.match(r"s\d_", name)
    assert ("Published:" if source else "results/") in text
    assert "Cost:" in text


def assert_holds(stated: dict[str, Any], config: dict[str, Any]) -> None:
    """Every value that a file states is the composed one."""
    for key, value in stated.items():
        if isinstance(value, dict):
            assert_holds(value, config[key])
        else:
            assert config[key] == value, key


def test_the_five_rows_of_s1_differ_in_what_their_names_say_only() -> None:
    main = composed("experiment=s1_main")
    for name, groups in (
        ("s1_no_augmentation", {"aug"}),
        ("s1_no_dropout", {"model"}),
        ("s1_alternative", {"model"}),
        ("s1_logistic", {"model"}),
    ):
        row = composed(f"experiment={name}")
        assert {key for key in main if main[key] != row[key]} == groups


def test_s2s_worst_differs_from_its_best_in_the_activation_only() -> None:
    best, worst = composed("experiment=s2_best"), composed("experiment=s2_worst")
    assert best["model"].pop("activation") != worst["model"].pop("activation")
    assert best == worst


# Sweeps


@cache
def axes(name: str, *narrowing: str) -> dict[str, list[str]]:
    """The overrides of every axis, as Hydra's own sweeper reads them, command line included."""
    text = yaml.safe_load((CONF_DIR / f"ablation/{name}.yaml").read_text())
    params = [f"{key}={value}" for key, value in text["hydra"]["sweeper"]["params"].items()]
    parsed = OverridesParser.create().parse_overrides([*params, *narrowing])
    return {
        item.get_key_element(): [
            f"{item.get_key_element()}={value}"
            for value in (
                item.sweep_string_iterator()
                if item.is_sweep_override()
                else [item.get_value_element_as_str()]
            )
        ]
        for item in parsed
    }


def head(name: str) -> str:
    """The opening comment, as running text."""
    lines = (CONF_DIR / f"ablation/{name}.yaml").read_text().splitlines()[1:]
    return " ".join(line[1:].strip() for line in lines if line.startswith("#"))


@pytest.mark.long  # that every study composes its example of narrowing shows, quicker
@pytest.mark.parametrize("name", ABLATIONS)
def test_every_level_of_every_sweep_composes_and_is_a_run_of_its_own(name: str) -> None:
    levels = {**axes(name), "seed": ["seed=0", axes(name)["seed"][-1]]}
    first = {key: values[0] for key, values in levels.items()}
    varied = [{**first, key: value} for key, values in levels.items() for value in values[1:]]
    runs = [composed(f"ablation={name}", *cell.values()) for cell in (first, *varied)]
    assert len({config_hash(run) for run in runs}) == len(runs)


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_sweep_says_what_it_is(name: str) -> None:
    text, levels = head(name), axes(name)
    assert re.search(r"\bClaims?\b.*:", text)
    assert re.search("on 2 cores, (estimated|measured)", text)
    stated = re.search(r"(\d+) cells \(([^)]*)\)", text)
    assert stated is not None
    sizes = {key: len(level) for key, level in levels.items()}
    cells = math.prod(sizes.values())
    if runs_readings(name):
        names = experiments_of(name)
        read = sum(len(readings_of(experiment)) for experiment in names)
        cells = read * cells // sizes.get("experiment", 1)
    assert int(stated[1]) == cells
    assert f"{len(levels['seed'])} seeds" in stated[2]
    assert next(iter(levels)) == "seed"  # a sweep that is cut short has whole seeds


@pytest.mark.parametrize("name", ABLATIONS)
def test_its_example_of_narrowing_leaves_some_of_its_cells(name: str) -> None:
    example = re.search(r"^# {3}python -m fmnist\.train (.*)$",
                        (CONF_DIR / f"ablation/{name}.yaml").read_text(), re.MULTILINE)  # fmt: skip
    assert example is not None
    first, *narrowing = shlex.split(example[1])
    assert first == f"ablation={name}"
    narrow = axes(name, *narrowing)
    assert math.prod(map(len, narrow.values())) < math.prod(map(len, axes(name).values()))
    for key, values in narrow.items():
        if key in axes(name) and key != "trainer.max_epochs":
            assert set(values) <= set(axes(name)[key])
    composed(*(values[0] for values in narrow.values()), f"ablation={name}")


@pytest.mark.parametrize("name", [name for name in ABLATIONS if "experiment" in axes(name)])
def test_a_sweep_over_experiments_leaves_each_as_it_is(name: str) -> None:
    for experiment in axes(name)["experiment"]:
        # A study says besides at how many seeds it is judged.
        assert composed(f"ablation={name}", experiment) | {"looks": None} == composed(experiment)


def test_the_factorial_has_every_level_of_every_experiment_of_s2() -> None:
    factorial = axes("s2_factorial")
    assert [len(levels) for levels in factorial.values()] == [3, 3, 2, 3, 2, 2]
    for name in ("s2_activation", "s2_pooling", "s2_optimizer", "s2_dropout", "s2_augmentation"):
        (key,) = set(axes(name)) - {"seed"}
        assert factorial[key] == axes(name)[key]


def test_a_study_runs_without_multirun_and_the_command_line_narrows_it(tmp_path: Path) -> None:
    narrowed = ("ablation=s2_activation", "seed=3", "model.activation=relu")
    done = here("fmnist.train", *narrowed, *TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.rglob("result.json")
    record = load_run(path.parent).record
    assert record.status == "finished"
    assert record.group is not None  # a cell of a sweep
    assert (record.seed, record.config["model"]["activation"]) == (3, "relu")
    assert record.choices["experiment"] == "s2_base"
    assert record.choices["ablation"] == "s2_activation"


# The leak


def test_selecting_on_test_trains_the_same_and_its_best_epoch_is_its_test_accuracy(
    run_tiny, caplog
):
    arguments = ("trainer.max_epochs=4", "optim.lr=0.01", "patience=null")
    with caplog.at_level(logging.INFO, logger="fmnist.train"):
        clean = run_tiny(*arguments)
        assert "WARNING" not in caplog.text
        leaking = run_tiny(*arguments, "data.select_on=test")
    assert caplog.text.count("WARNING data.select_on=test") == 2  # before and after training
    rows = clean.record.epochs, leaking.record.epochs
    for first, second in zip(*rows, strict=True):
        assert first.train_loss == second.train_loss
    assert clean.record.dataset.select_on == "val"
    assert leaking.record.dataset.select_on == "test"
    metrics, honest = leaking.record.metrics, clean.record.metrics
    assert metrics["val/acc_best"] == metrics["test/acc"]
    assert metrics["test/acc"] >= honest["test/acc"]  # the highest of the same epochs
    assert metrics["test/acc_last"] == honest["test/acc_last"]
    assert clean.record.config_hash != leaking.record.config_hash
