"""Policies, optimisers and callbacks of one's own, and Lightning's that change what they go by."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning, BatchSizeFinder
from torch.optim import Optimizer

from fmnist.errors import ConfigError
from tests.training.test_any_trainer import built, plain

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")
HERE = "tests.training.test_own_policies"


class Halve:
    """Halves the rate by every metric that it is told, as one that is no class of torch's."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def step(self, metrics: float | None = None) -> None:
        for group in self.optimizer.param_groups if metrics is not None else []:
            group["lr"] /= 2

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


POLICY = (
    "optim=sgd", "optim.lr=0.1", "scheduler=plateau", f"scheduler.policy._target_={HERE}.Halve",
    "~scheduler.policy.mode", "~scheduler.policy.factor", "~scheduler.policy.patience",
)  # fmt: skip


def test_a_policy_of_ones_own_is_told_its_metric(tmp_path, run_tiny):
    module, data = built(*POLICY)
    trainer = plain(tmp_path, max_epochs=3)
    trainer.fit(module, data)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 / 2**3)
    run = run_tiny(*POLICY, "trainer.max_epochs=3", "data.train_size=192", "data.val_size=64")
    assert [row.lr for row in run.record.epochs] == pytest.approx([0.1, 0.05, 0.025])


def test_a_metric_that_nothing_logs_is_one_line(run_tiny):
    watch = "+callbacks.watch._target_=lightning.pytorch.Callback"  # which might log something
    with pytest.raises(ConfigError, match=r"^scheduler.monitor=val/top22: nothing logs it: should"):
        run_tiny(
            watch, "scheduler=plateau", "scheduler.monitor=val/top22", "scheduler.policy.mode=max"
        )


class Bare(Optimizer):
    """Has its rate in its groups alone."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__([{"params": [*params], "lr": lr}], {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        return None if closure is None else torch.enable_grad()(closure)()


def test_an_optimiser_may_have_its_rate_in_its_groups_alone(tmp_path):
    given = (f"optim._target_={HERE}.Bare", "optim.lr=0.2", "~optim.weight_decay", "~optim.fused")
    module, data = built(*given, "scheduler=onecycle")
    plain(tmp_path, max_epochs=1).fit(module, data)
    assert module.history[0]["lr"] == pytest.approx(0.2 / 25)


def test_a_schedule_ends_with_the_run_also_where_the_batch_size_is_found(tmp_path):
    module, data = built("scheduler=cosine")
    finder = BatchSizeFinder(init_val=16, max_trials=3)
    trainer = plain(tmp_path, callbacks=[finder])
    trainer.fit(module, data)
    assert data.batch_size == 64
    assert trainer.global_step == 4
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0)


class Find(Callback):
    """As Lightning's finders do, in no time."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.datamodule.batch_size, pl_module.lr = 64, 0.02


def test_a_run_says_what_a_callback_trained_with_in_place_of_its_settings(run_tiny, caplog):
    run = run_tiny(f"+callbacks.find._target_={HERE}.Find", "patience=null")
    said = [record.getMessage() for record in caplog.records]
    words = "a callback trained with {} instead, and the record has the setting"
    assert f"WARNING data.batch_size=32: {words.format(64)}" in said
    assert f"WARNING optim.lr=0.001: {words.format(0.02)}" in said
    assert run.record.epochs[0].lr == 0.02


class Thaw(BaseFinetuning):
    """The convolutions train from the second epoch on, at a rate of their own."""

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        self.freeze(pl_module.net.features)

    def finetune_function(
        self, pl_module: LightningModule, epoch: int, optimizer: Optimizer
    ) -> None:
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.net.features, optimizer, lr=1e-4)


def test_what_is_frozen_is_left_to_the_callback_that_thaws_it(tmp_path):
    module, data = built("optim.no_decay=true")
    frozen = module.net.features[0].weight.clone()
    trainer = plain(tmp_path, callbacks=[Thaw()])
    trainer.fit(module, data)
    groups = trainer.optimizers[0].param_groups
    assert [(len(group["params"]), group["lr"]) for group in groups] == [
        (3, 1e-3),
        (3, 1e-3),
        (4, 1e-4),
    ]
    assert not torch.equal(module.net.features[0].weight, frozen)
