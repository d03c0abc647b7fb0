"""Every argument of the Trainer in fmnist.train: what it does in a plain loop of Lightning's.

Steps in groups are the same training as steps one by one, bit for bit; where an argument or a
callback counts or watches steps, they are taken one by one.
"""

import csv
import itertools
import json
import math
from statistics import fmean
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import StrategyRegistry

from fmnist.config.check import STRATEGIES
from fmnist.config.schema import COSMETIC, config_hash
from fmnist.errors import ConfigError, Diverged
from fmnist.runs.job import Job
from fmnist.runs.run import load_run, read_checkpoint
from fmnist.train import train
from fmnist.training.build import build
from fmnist.training.grouped import single_steps_because
from fmnist.training.trainer import build_trainer, callbacks_of
from fmnist.using.reproduce import retest
from tests.conftest import TINY, composed
from tests.training.test_any_trainer import HalveAt, vector

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*smaller than the logging interval", "ignore:.*overfit", "ignore:.*directory .* exists"
)
CALLBACKS = "fmnist.training.trainer.callbacks_of"
# 4 batches an epoch, and a last one of 16 images; 3 of validation.
SMALL = (
    "data.train_size=208", "data.val_size=96", "data.test_size=50", "data.batch_size=32",
    "data.eval_batch_size=32", "trainer.max_epochs=3", "patience=null", "optim.lr=0.01",
    "model.dropout=0.3", "aug=on",
)  # fmt: skip


def weights(run, which="last"):
    return vector(run.net(which))


def plainly(tmp_path, *overrides: str, **arguments):
    """The weights that Lightning's own loop gives, after so many steps."""
    module, data = build(composed(*TINY, *SMALL, *overrides))
    quiet = {
        "accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 3,
        "num_sanity_val_steps": 0, "default_root_dir": tmp_path,
    }  # fmt: skip
    trainer = Trainer(**quiet | arguments)
    trainer.fit(module, data)
    return module, trainer.global_step


LIMITS = {
    "fast_dev_run": "true",
    "val_check_interval": "0.5",
    "check_val_every_n_epoch": "2",
    "num_sanity_val_steps": "2",
    "gradient_clip_val": "0.1",
    "accumulate_grad_batches": "2",
    "max_steps": "5",
    "min_epochs": "1",
    "deterministic": "warn",
    "limit_train_batches": "0.5",
    "limit_val_batches": "1",
    "overfit_batches": "2",
    "detect_anomaly": "true",
    "enable_model_summary": "true",
    "log_every_n_steps": "1",
}
CUT = ("fast_dev_run", "limit_train_batches", "limit_val_batches", "overfit_batches")
# Of three epochs of four batches.
STEPS = {
    "fast_dev_run": 1, "max_steps": 5, "limit_train_batches": 6, "accumulate_grad_batches": 6,
    "overfit_batches": 6,
}  # fmt: skip


def value_of(text: str):
    return {"true": True, "warn": "warn"}.get(text) or json.loads(text)


@pytest.fixture(autouse=True)
def deterministic_algorithms_are_left_as_they_were():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", LIMITS)
def test_an_argument_does_what_it_does_in_a_plain_loop(run_tiny, tmp_path, name):
    run = run_tiny(*SMALL, "scheduler=cosine", f"trainer.{name}={LIMITS[name]}")
    module, steps = plainly(tmp_path, "scheduler=cosine", **{name: value_of(LIMITS[name])})
    assert run.record.status == "finished"
    assert run.record.epochs[-1].step == steps == STEPS.get(name, 12)
    assert torch.equal(weights(run), vector(module.net))
    if name == "val_check_interval":
        assert [row["step"] for row in module.history] == [2, 4, 6, 8, 10, 12]
    if name == "check_val_every_n_epoch":
        assert [row["epoch"] for row in module.history] == [1]
    rows = [row["val/loss"] for row in module.history]  # a plain loop may end without validation
    assert [row.val_loss for row in run.record.epochs][: len(rows)] == rows
    reason = run.record.cut_short
    assert (name in reason) if name in CUT else reason is None


LBFGS = ("optim._target_=torch.optim.LBFGS", "~optim.fused", "~optim.weight_decay")


def test_the_loggers_get_the_loss_of_every_nth_step_grouped_or_not(run_tiny):
    def logged(*settings):
        run = run_tiny(*SMALL, *settings)
        with (run.dir / "metrics.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row.get("train/loss_step")]
        return {int(row["step"]): float(row["train/loss_step"]) for row in rows}, run.record

    assert logged()[0] == {}
    every, record = logged("trainer.log_every_n_steps=1", "data.train_size=192")  # equal batches
    assert list(every) == [*range(1, 10)]
    assert fmean(list(every.values())[:3]) == pytest.approx(record.epochs[0].train_loss, rel=1e-5)
    third = logged("trainer.log_every_n_steps=3", "data.train_size=192")[0]
    assert third == {step: every[step] for step in (3, 6, 9)}
    single = ("steps_per_execution=1", "data.train_size=192")
    assert logged("trainer.log_every_n_steps=1", *single)[0] == every
    halves = logged("trainer.log_every_n_steps=1", "trainer.accumulate_grad_batches=2", *single)[0]
    assert list(halves) == [*range(1, 7)]
    # An evaluation cuts an accumulated step in two; one of these evaluates each loss twice.
    cut = ("trainer.accumulate_grad_batches=2", "trainer.val_check_interval=1")
    assert list(logged("trainer.log_every_n_steps=1", *cut, *single)[0]) == [*range(1, 7)]
    lbfgs = (*LBFGS, "+optim.max_iter=2", "trainer.log_every_n_steps=1", "data.train_size=192")
    assert list(logged(*lbfgs)[0]) == [*range(1, 10)]


COSMETICS = {
    ("logger",): ["logger=none"],
    ("tags",): ["tags=[first]"],
    ("looks",): ["looks=[3,5]"],
    ("reuse_shorter",): ["reuse_shorter=false"],
    ("readings",): ["readings={aug:[off,flip]}"],
    ("data", "eval_batch_size"): ["data.eval_batch_size=96"],
    ("steps_per_execution",): ["steps_per_execution=1", "steps_per_execution=3"],
    ("trainer", "num_sanity_val_steps"): ["trainer.num_sanity_val_steps=1"],
    ("trainer", "log_every_n_steps"): ["trainer.log_every_n_steps=2"],
    ("trainer", "enable_model_summary"): ["trainer.enable_model_summary=true"],
    ("trainer", "enable_progress_bar"): ["+trainer.enable_progress_bar=false"],
    ("trainer", "detect_anomaly"): ["trainer.detect_anomaly=true"],
    ("trainer", "profiler"): ["trainer.profiler=simple"],
    ("trainer", "limit_predict_batches"): ["+trainer.limit_predict_batches=1"],
}


def test_no_cosmetic_setting_is_forgotten_here():
    assert {*COSMETICS, ("data", "root")} == COSMETIC


STEPWISE = ["steps_per_execution=1"]
TOGETHER = [text for texts in COSMETICS.values() for text in texts if text not in STEPWISE]


def test_what_is_cosmetic_changes_no_hash():
    whole = config_hash(composed(*TINY, *SMALL))
    for texts in COSMETICS.values():
        for text in texts:
            assert config_hash(composed(*TINY, *SMALL, text)) == whole, text


@pytest.mark.parametrize(
    "limit", ["", "limit_train_batches=3", "max_steps=5", "val_check_interval=2"]
)
def test_what_is_cosmetic_changes_no_bit(run_tiny, limit):
    """Nor do all of them at once, in groups of three steps, nor steps one by one."""
    limits = [f"trainer.{limit}"] if limit else []
    expected = run_tiny(*SMALL, *limits)
    for settings in (STEPWISE, TOGETHER if not limit else ["steps_per_execution=3"]):
        run = run_tiny(*SMALL, *limits, *settings)
        assert torch.equal(weights(run), weights(expected)), settings
        assert torch.equal(weights(run, "best"), weights(expected, "best")), settings
        steps = [(row.epoch, row.step) for row in run.record.epochs]
        assert steps == [(row.epoch, row.step) for row in expected.record.epochs], settings


def test_the_training_of_an_epoch_that_steps_end_is_counted_once(run_tiny, monkeypatch):
    """By a clock that goes on by one whenever it is read. Validation follows the epoch's end."""
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    for module in ("classifier", "clock"):
        monkeypatch.setattr(f"fmnist.training.{module}.time", clock)
    rows = run_tiny(*SMALL, "trainer.max_steps=5").record.epochs
    assert [row.seconds for row in rows] == [2.0, 2.0]  # a tick of training, one of validation


def test_a_callback_that_watches_steps_gets_each_of_them(run_tiny, monkeypatch):
    seen = []

    class Watcher(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            seen.append(len(batch[1]))

    original = callbacks_of
    alone = run_tiny(*SMALL)
    monkeypatch.setattr(CALLBACKS, lambda *a: [*original(*a), Watcher()])
    assert torch.equal(weights(run_tiny(*SMALL)), weights(alone))
    assert seen == [32, 32, 32, 16] * 3
    monkeypatch.setattr(CALLBACKS, lambda *a: [*original(*a), HalveAt(2)])
    assert not torch.equal(weights(run_tiny(*SMALL)), weights(alone))


@pytest.mark.parametrize(("first", "most"), [(1, -1), (16, -1), (16, 1000)])
def test_a_stopped_run_goes_on_in_either_way_of_stepping(
    run_tiny, tmp_path, monkeypatch, first, most
):
    """Also with a limit of steps, by which Lightning counts an epoch twice that has ended."""
    settings = (*SMALL, "scheduler=onecycle", "ema_decay=0.9", f"trainer.max_steps={most}")
    whole = run_tiny(*settings)

    class Fail(Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 2:
                raise RuntimeError("power cut")

    original, job = callbacks_of, Job(tmp_path / "torn")
    with monkeypatch.context() as patch:
        patch.setattr(CALLBACKS, lambda *a: [*original(*a), Fail()])
        with pytest.raises(RuntimeError, match="power cut"):
            train(composed(*TINY, *settings, f"steps_per_execution={first}"), job)
    train(composed(*TINY, *settings, f"steps_per_execution={17 - first}"), job)
    run = load_run(job.dir)
    assert run.record.resumed[0].epochs == 2
    assert torch.equal(weights(run), weights(whole))
    assert [row.step for row in run.record.epochs] == [4, 8, 12]
    last = [torch.load(r.checkpoints / "last.ckpt", weights_only=True) for r in (run, whole)]
    assert last[0]["global_step"] == last[1]["global_step"] == 12


def test_steps_of_an_optimiser_that_evaluates_the_loss_again_are_single(run_tiny):
    run = run_tiny(*SMALL, *LBFGS, "aug=off", "model.dropout=0", "+optim.max_iter=2")
    assert run.record.epochs[-1].step == 12


def scaling(clip):
    """A trainer in fp16, as a GPU has it, that clips."""
    scaler = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    return Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, gradient_clip_val=clip, plugins=[scaler],
    )  # fmt: skip


@pytest.mark.parametrize(("clip", "reason"), [(0.5, "gradient_clip_val=0.5 in fp16"), (None, None)])
def test_scaled_gradients_are_clipped_step_by_step(clip, reason):
    module, _ = build(composed(*TINY, *SMALL))
    assert single_steps_because(scaling(clip), module, {}) == reason


def test_evaluations_within_one_step_have_a_checkpoint_each(run_tiny):
    """Of four batches a step: the first of equal rows is before any, the last within the second."""
    cut = ("trainer.accumulate_grad_batches=4", "trainer.val_check_interval=1", "optim.lr=1e-9")
    run = run_tiny(*SMALL, *cut, "patience=5")
    assert [row.step for row in run.record.epochs] == [0, 0, 0, 1, 1, 1]
    kept = [read_checkpoint(run.checkpoints / f"{name}.ckpt") for name in ("best", "last")]
    assert [len(one["history"]) for one in kept] == [1, 6]


def test_in_bf16_a_fused_optimiser_is_clipped_as_another_one(run_tiny):
    """Its gradients are not scaled. SGD, where a small clip shows.

    In groups of steps as one by one: batches are made, and augmented, within Lightning's step.
    """
    settings = ("trainer.precision=bf16-mixed", "optim=sgd", "gradient_clip_val=0.01")
    single, grouped, unfused = (
        weights(run_tiny(*SMALL, *settings, text))
        for text in ("steps_per_execution=1", "seed=0", "optim.fused=false")
    )
    assert torch.equal(single, grouped)
    torch.testing.assert_close(single, unfused, rtol=0, atol=1e-4)
    assert torch.linalg.vector_norm(single - weights(run_tiny(*SMALL, *settings[:2]))) > 0.1


def test_a_fused_step_of_scaled_gradients_cannot_clip(monkeypatch, tmp_path):
    monkeypatch.setattr("fmnist.training.trainer.maker", lambda _: lambda **_: scaling(0.5))
    for fused in (False, True):
        config = composed(*TINY, *SMALL, f"optim.fused={fused}")
        arguments = (config, "16-mixed", [], tmp_path, None)
        if fused:
            with pytest.raises(ConfigError, match=r"optim\.fused=true: should be false"):
                build_trainer(*arguments)
        else:
            assert build_trainer(*arguments).gradient_clip_val == 0.5


def test_a_run_without_a_number_of_epochs_ends_by_early_stopping(run_tiny, capsys):
    stuck = ("trainer.max_epochs=null", "optim.lr=1e-9", "patience=2")
    run = run_tiny(*SMALL, *stuck)
    assert len(run.record.epochs) == 3
    with pytest.raises(ConfigError, match=r"max_epochs=null: nothing would end the run"):
        composed("trainer.max_epochs=null", "patience=null")
    assert composed("trainer.max_epochs=null", "patience=null", "trainer.max_steps=5")


def test_a_run_that_time_ends_in_the_middle_of_an_epoch_says_so(run_tiny, monkeypatch):
    from lightning.pytorch.callbacks import Timer

    asked = []
    monkeypatch.setattr(
        Timer,
        "time_elapsed",
        lambda self, stage="train": asked.append(1) or 20.0 * (len(asked) > 5),
    )
    run = run_tiny(*SMALL, "trainer.max_time='00:00:00:10'")
    assert run.record.status == "finished"
    assert "trainer.max_time=00:00:00:10 in epoch " in run.record.cut_short


REFUSED = {
    "+trainer.barebones=true": "benchmarks.throughput",
    "+trainer.use_distributed_sampler=true": "shares out the batches itself",
    "+trainer.enable_checkpointing=false": "continued from its checkpoints",
    "+trainer.default_root_dir=x": "use hydra.run.dir",
    "trainer.limit_val_batches=0": "at least 1",
    "trainer.strategy=ddp_spawn": "use trainer.strategy=ddp",
    "trainer.limit_test_batches=0": "at least 1",
    "gradient_clip_val=1 trainer.gradient_clip_val=2": "two names of one setting",
}


@pytest.mark.parametrize("overrides", REFUSED)
def test_what_cannot_be_is_refused_with_what_to_use_instead(overrides):
    with pytest.raises(ConfigError) as error:
        composed(*overrides.split())
    assert REFUSED[overrides] in str(error.value)
    assert "\n" not in str(error.value)


def test_the_strategies_are_lightnings():
    assert {*STRATEGIES} - {"auto"} == {*StrategyRegistry.available_strategies()}


def test_a_share_that_is_no_batch_is_one_line(run_tiny):
    with pytest.raises(ConfigError, match="limit_train_batches"):
        run_tiny(*SMALL, "trainer.limit_train_batches=0.1")


@pytest.mark.parametrize("logger", ["none", "csv", "tensorboard"])
def test_divergence_that_only_validation_shows_is_divergence(run_tiny, tmp_path, logger):
    huge = ("data.train_size=200", "data.val_size=100", "data.batch_size=100", "optim=sgd")
    with pytest.raises(Diverged, match="validation l"):
        run_tiny(*huge, "optim.lr=1e38", "trainer.max_epochs=1", f"logger={logger}")
    record = load_run(tmp_path / "run1").record
    assert record.status == "failed"
    assert "diverged" in record.error


def test_an_absurd_loss_is_said(run_tiny, caplog):
    caplog.set_level("WARNING", logger="fmnist")
    sizes = [text for text in SMALL if "dropout" not in text]
    run = run_tiny(*sizes, "model=logistic", "optim=sgd", "optim.lr=1e9", "trainer.max_epochs=1")
    assert run.record.status == "finished"
    assert math.isfinite(run.record.metrics["test/loss"])
    assert "finite, but absurd" in caplog.text


def test_a_last_batch_of_one_image_is_left_out_and_said_once(run_tiny, caplog):
    caplog.set_level("INFO", logger="fmnist")
    sizes = ("data.train_size=161", "data.val_size=32", "data.batch_size=32", "aug=off")
    run = run_tiny(
        *sizes, "trainer.max_epochs=2", "model=alternativecnn", "trainer.precision=32-true"
    )
    assert [row.step for row in run.record.epochs] == [4, 8]
    assert caplog.text.count("too small for batch normalisation") == 1


def test_a_share_that_is_no_test_batch_is_refused_before_training(tmp_path):
    config = composed(*TINY, "data.eval_batch_size=20", "trainer.limit_test_batches=0.05")
    with pytest.raises(ConfigError) as error:
        train(config, Job(tmp_path))
    assert str(error.value) == (
        "trainer.limit_test_batches=0.05: is less than one of the 10 test batches: should be at "
        "least 0.1, or a whole number of batches"
    )
    assert not (tmp_path / "result.json").exists()


def test_a_run_that_tests_on_some_batches_can_be_tested_again_on_those(run_tiny):
    some = ("data.eval_batch_size=60", "trainer.limit_test_batches=2")
    run = run_tiny(*some)
    assert len(run.predictions()[1]) == 120
    assert retest(run)[1] == pytest.approx(run.record.metrics["test/acc"])
    whole = run_tiny("data.eval_batch_size=60")
    assert len(whole.predictions()[1]) == 200


def test_a_callback_that_adds_up_gradients_needs_single_steps():
    module, _ = build(composed(*TINY, *SMALL))
    adds = GradientAccumulationScheduler({0: 4})
    trainer = Trainer(callbacks=[adds], accelerator="cpu", logger=False, enable_checkpointing=False)
    assert single_steps_because(trainer, module, {}) == "GradientAccumulationScheduler"


SWA = ("+callbacks.swa._target_=lightning.pytorch.callbacks.StochasticWeightAveraging",
       "+callbacks.swa.swa_lrs=0.05", "+callbacks.swa.swa_epoch_start=1")  # fmt: skip


def test_an_average_that_nothing_would_validate_is_refused(run_tiny):
    with pytest.raises(ConfigError, match="StochasticWeightAveraging: should be ema_decay"):
        run_tiny(*SMALL, *SWA, "trainer.max_epochs=3")


class Sam(torch.optim.SGD):
    """An optimiser of one's own that evaluates again, where it is given a closure."""

    def step(self, closure=None):
        if closure is not None:
            closure()
        return super().step()


@pytest.mark.parametrize(
    "own",
    [
        SWA,
        ("optim._target_=tests.training.test_trainer_arguments.Sam", "optim.fused=false"),
    ],
    ids=["callback", "optimiser"],
)  # fmt: skip
def test_what_steers_the_steps_itself_makes_of_groups_what_it_makes_of_single_ones(run_tiny, own):
    settings = (*SMALL, *own, "model=alternativecnn", "trainer.max_epochs=3")
    groups, single = (run_tiny(*settings, f"steps_per_execution={steps}") for steps in (3, 1))
    assert groups.record.metrics == single.record.metrics
