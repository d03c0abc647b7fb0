"""The module and the data in Lightning's own Trainer, without a line of fmnist.train's."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.tuner import Tuner
from torch.utils.data import DataLoader, TensorDataset

import fmnist
from fmnist.data.datamodule import ImageData
from fmnist.errors import ConfigError, RunError
from fmnist.training.build import build
from fmnist.training.classifier import Classifier
from fmnist.training.schedule import run_length
from tests.conftest import TINY, composed, once

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*smaller than the logging interval",
    "ignore:.*directory .* exists and is not empty", "ignore:.*callbacks used to create",
)  # fmt: skip
SMALL = ("data.train_size=192", "data.val_size=64", "data.test_size=50")  # 4 batches an epoch


def built(*overrides: str) -> tuple[Classifier, ImageData]:
    return build(composed(*TINY, *SMALL, *overrides))


def plain(tmp_path, **arguments) -> Trainer:
    quiet = {
        "accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 2,
        "default_root_dir": tmp_path,
    }  # fmt: skip
    return Trainer(**quiet | arguments)


def vector(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in module.state_dict().values()])


def test_it_fits_validates_tests_and_predicts(tmp_path):
    module, data = built()
    trainer = plain(tmp_path)
    trainer.fit(module, data)
    assert trainer.global_step == 8
    logged = trainer.callback_metrics
    assert set(logged) >= {"train/loss", "train/acc", "val/loss", "val/acc", "val/acc_best", "lr"}
    assert float(logged["val/acc"]) == pytest.approx(module.history[-1]["val/acc"])
    (validated,) = trainer.validate(module, data, verbose=False)
    assert validated["val/acc"] == pytest.approx(module.history[-1]["val/acc"])
    with torch.inference_mode():
        module.mean.update(torch.ones(50))  # as spawned processes leave it, which share memory
    (tested,) = trainer.test(module, data, verbose=False)
    logits = torch.cat(trainer.predict(module, data))
    assert logits.shape == (50, 10)
    _, labels = next(iter(data.test_dataloader()))
    assert tested["test/acc"] == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    assert tested["test/loss"] == pytest.approx(float(F.cross_entropy(logits, labels)))


# What fmnist.train has a setting for is tried in a plain loop as well: test_trainer_arguments.py.
@pytest.mark.parametrize(
    "arguments",
    [
        {"precision": "bf16-mixed"},
        {"limit_val_batches": 0},
        {"reload_dataloaders_every_n_epochs": 1},
        {"profiler": "simple"},
        {"barebones": True, "logger": None, "enable_checkpointing": None},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
@pytest.mark.filterwarnings("ignore:.*barebones")
def test_arguments_of_the_trainer_are_carried_out(tmp_path, arguments):
    module, data = built("scheduler=cosine")
    trainer = plain(tmp_path, **arguments)
    trainer.fit(module, data)
    assert trainer.global_step == 8


@pytest.mark.filterwarnings("ignore:.*overriding `LightningModule.optimizer_")
@pytest.mark.parametrize(
    ("interval", "limits", "length"),
    [
        ("step", {}, None),
        ("step", {"max_epochs": -1, "max_steps": 5}, 5),
        ("epoch", {}, 2),
        ("epoch", {"max_steps": 5}, None),
    ],
)
def test_a_schedule_that_steps_of_unequal_epochs_would_end_is_refused(
    tmp_path, interval, limits, length
):
    """It would end at other steps than the run."""
    module, data = built("scheduler=cosine", f"scheduler.interval={interval}")
    adds = GradientAccumulationScheduler({1: 4})
    trainer = plain(tmp_path, callbacks=[adds], **limits)
    if length is None:
        with pytest.raises(ConfigError, match=r"T_max: .* GradientAccumulationScheduler changes"):
            trainer.fit(module, data)
    else:
        assert run_length(module.schedule, trainer, per_epoch=4) == length


@pytest.mark.parametrize("scheduler", ["none", "plateau", "step", "cosine", "onecycle"])
def test_it_is_continued_from_a_checkpoint_as_if_it_had_never_stopped(tmp_path, scheduler):
    chosen = (f"scheduler={scheduler}", "optim.lr=0.01", "model.dropout=0.5", "ema_decay=0.9")
    whole, data = built(*chosen)
    plain(tmp_path, max_epochs=4).fit(whole, data)
    half, data = built(*chosen)

    class Stop(Callback):
        def on_train_epoch_end(self, trainer, module):
            trainer.should_stop = trainer.current_epoch == 1

    keep = ModelCheckpoint(tmp_path, "kept", monitor=None)
    first = plain(tmp_path, callbacks=[keep, Stop()], enable_checkpointing=True, max_epochs=4)
    first.fit(half, data)
    assert len(half.history) == 2
    rest, data = built(*chosen)
    torch.rand(3)
    plain(tmp_path, max_epochs=4).fit(rest, data, ckpt_path=keep.best_model_path, weights_only=True)
    assert torch.equal(vector(rest), vector(whole))
    assert [row["val/loss"] for row in rest.history] == [row["val/loss"] for row in whole.history]


@pytest.mark.parametrize("step", [2, 4, 7], ids=["first epoch", "its end", "second epoch"])
def test_it_is_continued_within_an_epoch_with_the_batches_that_are_left(tmp_path, step):
    chosen = ("optim.lr=0.01", "model.dropout=0.5", "aug=on")
    whole, data = built(*chosen)
    every = ModelCheckpoint(tmp_path / "every", "{step}", save_top_k=-1, every_n_train_steps=1)
    seed_everything(0)
    plain(tmp_path, enable_checkpointing=True, callbacks=[every]).fit(whole, data)
    again, data = built(*chosen)
    seed_everything(1)
    trainer = plain(tmp_path)
    trainer.fit(again, data, ckpt_path=tmp_path / f"every/step={step}.ckpt", weights_only=True)
    assert trainer.global_step == 8
    assert torch.equal(vector(again), vector(whole))


def test_a_checkpoint_with_the_layers_in_another_order_is_not_gone_on_with(tmp_path):
    """The optimiser's state goes by places: it would be another layer's."""
    module, data = built()
    trainer = plain(tmp_path, max_epochs=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "whole.ckpt")
    kept = torch.load(tmp_path / "whole.ckpt", weights_only=True)
    kept["state_dict"] = dict(reversed(kept["state_dict"].items()))
    torch.save(kept, tmp_path / "turned.ckpt")
    again, data = built()
    with pytest.raises(RunError, match="stands elsewhere among the net's layers"):
        plain(tmp_path).fit(again, data, ckpt_path=tmp_path / "turned.ckpt", weights_only=True)


STALLED = ("optim=sgd", "optim.lr=1e-4", "scheduler=plateau", "+scheduler.policy.threshold=0.9")


@pytest.mark.parametrize(
    ("monitor", "arguments", "halved"),
    [
        ("val/acc", {"val_check_interval": 3}, 2),  # the last of four batches is not validated
        ("train/loss", {"limit_val_batches": 0}, 2),
        ("val/acc", {"check_val_every_n_epoch": 2, "max_epochs": 4}, 1),  # not by the earlier one
    ],
)
def test_a_plateau_steps_by_what_its_epoch_has(tmp_path, monitor, arguments, halved):
    """With a threshold that nothing passes, in every epoch after the first."""
    module, data = built(*STALLED, f"scheduler.monitor={monitor}", "scheduler.policy.patience=0")
    trainer = plain(tmp_path, **{"max_epochs": 3, "num_sanity_val_steps": 0} | arguments)
    trainer.fit(module, data)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-4 / 2**halved)


def test_only_training_that_goes_on_takes_rows_and_generators_from_a_checkpoint(tmp_path):
    module, data = built()
    keep = ModelCheckpoint(tmp_path, "first", monitor=None, every_n_epochs=2)
    first = plain(tmp_path, callbacks=[keep], enable_checkpointing=True, max_epochs=2)
    first.fit(module, data)
    again = Classifier.load_from_checkpoint(keep.best_model_path, weights_only=True)
    assert (again.history, again.restored_states) == ([], None)
    plain(tmp_path, max_epochs=1).fit(again, data)
    assert [row["epoch"] for row in again.history] == [0]
    plain(tmp_path).test(again, data, ckpt_path=keep.best_model_path, weights_only=True)
    assert [row["epoch"] for row in again.history] == [0]
    assert again.restored_states is None


def test_means_are_exact_also_in_a_net_of_half_precision():
    module, _ = built()
    module.to(torch.bfloat16)  # as Lightning does it for precision="bf16-true"
    assert module._mean_of(torch.tensor([1.0, 0.0, 0.0])) == pytest.approx(1 / 3, abs=1e-6)


def test_another_trainer_validates_what_was_trained_without_validation(tmp_path):
    module, data = built()
    plain(tmp_path, limit_val_batches=0).fit(module, data)
    (validated,) = plain(tmp_path).validate(module, data, verbose=False)
    assert 0 <= validated["val/acc"] <= 1
    assert module.history == []


def test_a_checkpoint_alone_makes_the_module_again(tmp_path):
    module, data = built("scheduler=cosine", "tta=flip", "ema_decay=0.9", "channels_last=true")
    module = pickle.loads(pickle.dumps(module))  # as processes that are spawned get it
    trainer = plain(tmp_path, max_epochs=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "kept.ckpt")
    again = Classifier.load_from_checkpoint(tmp_path / "kept.ckpt", weights_only=True)
    assert torch.equal(vector(again), vector(module))
    images, _ = next(iter(data.val_dataloader()))
    assert torch.equal(again.eval()(images), module.eval()(images))
    assert again.tta == "flip"
    assert again.hparams["optimizer"]["lr"] == 0.001


def test_callbacks_of_anybody_see_batches_gradients_outputs_and_metrics(tmp_path):
    module, data = built()
    seen = []

    class Watcher(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            images, labels = batch
            assert images.shape == (32, 1, 28, 28)
            assert labels.dtype == torch.int64
            seen.append("batch")

        def on_before_optimizer_step(self, trainer, module, optimizer):
            assert all(p.grad is not None for p in module.net.parameters())
            seen.append("gradient")

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            assert outputs["logits"].shape == (32, 10)
            assert outputs["loss"].requires_grad is False
            seen.append("outputs")

        def on_validation_end(self, trainer, module):
            seen.append(float(trainer.callback_metrics["val/acc"]))

    plain(tmp_path, max_epochs=1, callbacks=[Watcher()], num_sanity_val_steps=0).fit(module, data)
    assert seen[:3] == ["batch", "gradient", "outputs"]
    assert seen.count("batch") == seen.count("gradient") == seen.count("outputs") == 4
    assert seen[-1] == pytest.approx(module.history[0]["val/acc"])


class HalveAt(Callback):
    """Somebody else's: another learning rate from one step on, in the middle of an epoch."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step == self.step:
            for group in trainer.optimizers[0].param_groups:
                group["lr"] /= 2


def test_a_callback_may_change_the_learning_rate_in_the_middle_of_an_epoch(tmp_path):
    module, data = built("optim=sgd")
    plain(tmp_path, max_epochs=1, callbacks=[HalveAt(2)]).fit(module, data)
    by_hand, data = built("optim=sgd")
    optimizer = by_hand.configure_optimizers()
    for step, (images, labels) in enumerate(data.train_dataloader()):
        if step == 2:
            optimizer.param_groups[0]["lr"] /= 2
        optimizer.zero_grad()
        F.cross_entropy(by_hand.net(images), labels).backward()
        optimizer.step()
    assert torch.equal(vector(module.net), vector(by_hand.net))


def test_lightnings_own_callbacks_and_loggers_work(tmp_path):
    module, data = built("scheduler=onecycle")
    best = ModelCheckpoint(tmp_path, "best", monitor="val/acc", mode="max")
    callbacks = [
        EarlyStopping("val/loss", patience=9), best, LearningRateMonitor("step"),
    ]  # fmt: skip
    logger = CSVLogger(tmp_path, name="", version="")
    trainer = plain(
        tmp_path, callbacks=callbacks, logger=logger, enable_checkpointing=True,
        log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, data)
    assert torch.load(best.best_model_path, weights_only=True)["epoch"] in (0, 1)
    text = (tmp_path / "metrics.csv").read_text()
    assert "val/acc" in text
    assert "lr-Adam" in text


def test_the_learning_rate_finder_finds_one_and_training_uses_it(tmp_path):
    module, data = built()
    trainer = plain(tmp_path, max_epochs=9)
    found = Tuner(trainer).lr_find(module, datamodule=data, num_training=30, max_lr=0.1)
    assert module.lr == found.suggestion() != 0.001
    assert module.configure_optimizers().param_groups[0]["lr"] == module.lr


@pytest.mark.parametrize("by", ["tuner", "callback"])
def test_the_peak_of_a_cycle_is_the_rate_that_the_finder_found(tmp_path, by):
    module, data = built("scheduler=onecycle")
    found = {"num_training": 30, "max_lr": 0.1}
    finder = [LearningRateFinder(num_training_steps=30, max_lr=0.1)] if by == "callback" else []
    trainer = plain(tmp_path, max_epochs=9, callbacks=finder)
    if by == "tuner":
        Tuner(trainer).lr_find(module, datamodule=data, **found)
    trainer.fit(module, data)
    assert module.lr is not None
    assert module.lr != 0.001
    (optimizer,) = trainer.optimizers
    assert optimizer.param_groups[0]["max_lr"] == pytest.approx(module.lr)
    assert len(module.history) == 9
    assert module.lr / 2 < max(row["lr"] for row in module.history) <= module.lr


def images_and_labels(count: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randn(count, 1, 28, 28, generator=generator),
        torch.randint(0, 10, (count,), generator=generator),
    )


def test_the_module_trains_on_anybodys_data_loader(tmp_path):
    module, _ = built()
    loader = DataLoader(images_and_labels(100), batch_size=20, shuffle=True)
    trainer = plain(tmp_path)
    trainer.fit(module, loader, DataLoader(images_and_labels(40), batch_size=20))
    assert trainer.global_step == 10
    assert len(module.history) == 2


class Linear(LightningModule):
    """Somebody else's module."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(784, 10)

    def training_step(self, batch, batch_idx):
        images, labels = batch
        return F.cross_entropy(self.layer(images.flatten(1)), labels)

    validation_step = test_step = training_step

    def predict_step(self, batch, batch_idx):
        return self.layer(batch[0].flatten(1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_the_data_serve_anybodys_module(tmp_path):
    _, data = built("aug=on")
    seed_everything(0, verbose=False)
    module, trainer = Linear(), plain(tmp_path)
    trainer.fit(module, data)
    assert trainer.global_step == 8
    trainer.validate(module, data, verbose=False)
    trainer.test(module, data, verbose=False)
    assert sum(map(len, trainer.predict(module, data))) == 50


def test_the_data_serve_without_a_trainer():
    _, data = built()
    data.setup("fit")
    loader = data.train_dataloader()
    first, second = (torch.cat([labels for _, labels in loader]) for _ in range(2))
    assert len(first) == 128
    assert not torch.equal(first, second)  # another epoch
    assert torch.equal(first.sort().values, second.sort().values)
    for loader, count in ((data.val_dataloader(), 64), (data.test_dataloader(), 50)):
        images, labels = next(iter(loader))
        assert images.shape == (count, 1, 28, 28)
        assert labels.shape == (count,)


def test_a_notebook_composes_and_builds_what_the_command_trains(tmp_path, run_tiny):
    config = fmnist.compose(once(*TINY, *SMALL, "optim=sgd"))
    module, data = fmnist.build(config)
    plain(tmp_path, max_epochs=1).fit(module, data)
    run = run_tiny(*SMALL, "optim=sgd")
    assert config == run.config
    for key, value in run.net("last").state_dict().items():
        assert torch.equal(value, module.net.state_dict()[key])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epoch=3", "trainer.max_epoch"),
        ("optim=sdg", "optim"),
        ("optim.lr=-1", "optim.lr=-1: should be"),
    ],
)
def test_a_notebooks_mistake_is_one_line(override, message):
    with pytest.raises(ConfigError, match=message) as error:
        fmnist.compose([override])
    assert "\n" not in str(error.value)
