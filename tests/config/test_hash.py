"""The hash of a configuration lasts: what a run does not use is not in it."""

import copy
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fmnist.config import schema
from fmnist.config.hashing import lasting_name
from fmnist.config.schema import CONF_DIR, NEUTRAL, Config, config_hash
from fmnist.runs.rows_file import read_rows
from tests.conftest import CHECKOUT, composed


def test_a_setting_that_is_added_later_changes_no_hash_but_of_runs_that_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = composed()
    before = config_hash(plain)
    later = make_dataclass(
        "Config", [("cutmix", float, field(default=0.0, metadata={NEUTRAL: 0.0}))], bases=(Config,)
    )
    monkeypatch.setattr(schema, "Config", later)
    assert config_hash(plain) == before
    assert config_hash(plain | {"cutmix": 0.0}) == config_hash(plain | {"cutmix": 0}) == before
    assert config_hash(plain | {"cutmix": 0.5}) != before


@pytest.mark.parametrize(
    "written",
    [
        "+model.num_classes=10",
        "+optim.betas=[0.9,0.999]",
        "+optim.eps=1e-8",
        "+optim.foreach=null",
        "++trainer.benchmark=null",
        "++trainer.detect_anomaly=false",
        "++trainer.strategy=auto",
        "data.std=null",
        "optim._target_=torch.optim.adam.Adam",
        "label_smoothing=0",
        "ema_decay=null",
        "compile=false",
        "+model._convert_=none",
        "trainer.overfit_batches=0.0",
        "data.eval_batch_size=7",
    ],
)
def test_a_default_that_is_written_down_changes_no_hash(written: str) -> None:
    assert config_hash(composed(written)) == config_hash(composed())


@pytest.mark.parametrize(
    "written",
    [
        "+model.num_classes=11",
        "+optim.betas=[0.9,0.99]",
        "+optim.foreach=false",
        "~optim.fused",
        "+trainer.benchmark=true",
        "optim._target_=torch.optim.AdamW",
        "label_smoothing=0.1",
        "ema_decay=0.5",
        "compile=true",
        "tta=flip",
        "patience=null",
        "seed=1",
    ],
)
def test_what_a_run_uses_is_in_its_hash(written: str) -> None:
    assert config_hash(composed(written)) != config_hash(composed())


@pytest.mark.parametrize(
    "key",
    ["limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches",
     "val_check_interval"],
)  # fmt: skip
def test_one_batch_and_all_batches_are_two_settings(key: str) -> None:
    one, whole = (config_hash(composed(f"trainer.{key}={value}")) for value in ("1", "1.0"))
    assert one != whole
    plain = composed(f"trainer.{key}=2")  # which only counts
    plain["trainer"][key] = 2.0
    assert config_hash(plain) == config_hash(composed(f"trainer.{key}=2"))


@pytest.mark.parametrize("limit", ["limit_val_batches=2", "limit_test_batches=0.5"])
def test_how_large_an_evaluated_batch_is_counts_where_their_number_is_limited(limit: str) -> None:
    limited = f"trainer.{limit}"
    assert config_hash(composed(limited, "data.eval_batch_size=7")) != config_hash(
        composed(limited)
    )


def test_a_module_of_ours_may_move_and_two_nets_of_one_name_elsewhere_are_two() -> None:
    def named(target: str) -> str:
        plain = copy.deepcopy(composed())
        plain["model"] = {"_target_": target, "depth": 3}
        return config_hash(plain)

    assert named("fmnist.models.lenet5.LeNet5") == named("fmnist.nets.small.LeNet5")
    assert named("fmnist.models.lenet5.LeNet5") != named("lenet5.LeNet5")
    assert named("first.Net") != named("second.Net")


def targets(node: Any) -> set[str]:
    """Every `_target_` at any depth."""
    if not isinstance(node, dict):
        return set()
    here = {node["_target_"]} if "_target_" in node else set()
    return here.union(*(targets(value) for value in node.values()))


def test_no_two_classes_of_ours_have_one_name_in_a_hash() -> None:
    found = {
        target
        for path in Path(CONF_DIR).glob("*/*.yaml")
        for target in targets(yaml.safe_load(path.read_text()))
        if target.startswith("fmnist.")
    }
    assert len(found) > 12
    assert len({lasting_name(target) for target in found}) == len(found)


@pytest.mark.parametrize("node", [{}, {"_target_": 5}, {"_target_": "no.such.Net"}, {"a": [1]}])
def test_what_is_no_configuration_has_a_hash_all_the_same(node: dict[str, Any]) -> None:
    assert len(config_hash({"model": node})) == 12


@pytest.mark.parametrize(
    ("experiment", "study"),
    [
        ("accuracy_lenet5", "accuracy_lenet5"),
        ("s0_twoconv", "s0_batch_size_epochs"),
        ("s1_main", "s1_models"),
        ("speedrun_95", "speedrun_95"),
    ],
)
def test_runs_that_were_committed_have_the_hash_that_their_experiment_has_today(
    experiment: str, study: str
) -> None:
    rows = read_rows(CHECKOUT / f"results/{study}.csv")
    assert config_hash(composed(f"experiment={experiment}")) in {
        row.facts["config_hash"] for row in rows
    }
