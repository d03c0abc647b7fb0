"""One run from end to end: what it does, what it records, and that it can be repeated."""

import csv
import json
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fmnist.errors import Diverged, RunError
from fmnist.runs.bits import RIGHT, read_right
from fmnist.runs.job import Job
from fmnist.runs.record import Resumption
from fmnist.runs.run import load_run
from fmnist.train import finish, train
from fmnist.training.average import moving_average
from fmnist.training.classifier import Classifier, Schedule
from fmnist.training.clock import seconds_since
from tests.conftest import TINY, composed

# Every pair of options is in one of these: a net with an optimiser, either with and without.
CELLS = [
    (model, optim, ("off", "on")[(row + column) % 2])
    for row, model in enumerate(("lenet5", "fashioncnn", "googlenet"))
    for column, optim in enumerate(("sgd", "adam", "rmsprop"))
]
SMALLER = ("data.train_size=160", "data.val_size=32", "data.test_size=50", "data.batch_size=16")


@pytest.mark.parametrize(("model", "optim", "aug"), CELLS)
def test_every_pair_of_options_trains(run_tiny, model, optim, aug):
    narrow = ["model.width=0.125"] if model == "googlenet" else []
    run = run_tiny(*SMALLER, f"model={model}", *narrow, f"optim={optim}", f"aug={aug}")
    assert run.record.status == "finished"
    assert run.record.epochs[0].step == 8
    assert np.isfinite(run.record.metrics["test/loss"])


def rates(run):
    """Learning rate at the start of every epoch, and after the last step."""
    state = torch.load(run.checkpoints / "last.ckpt", weights_only=True)
    return [row.lr for row in run.record.epochs], (
        state["optimizer_states"][0]["param_groups"][0]["lr"]
    )


def test_without_a_schedule_the_learning_rate_stays(run_tiny):
    assert rates(run_tiny("trainer.max_epochs=3")) == ([0.001] * 3, 0.001)


def test_step_schedule_multiplies_by_gamma(run_tiny):
    run = run_tiny("scheduler=step", "scheduler.policy.step_size=1", "trainer.max_epochs=3")
    assert rates(run)[0] == pytest.approx([1e-3, 1e-4, 1e-5])


def test_plateau_schedule_halves_when_validation_accuracy_stalls(run_tiny):
    stalled = ("optim.lr=1e-7", "scheduler=plateau", "scheduler.policy.patience=0")
    run = run_tiny(*stalled, "trainer.max_epochs=3")
    assert rates(run)[0] == pytest.approx([1e-7, 1e-7, 0.5e-7])


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_cosine_schedule_ends_at_zero_with_the_run(run_tiny, interval):
    run = run_tiny("scheduler=cosine", f"scheduler.interval={interval}", "trainer.max_epochs=3")
    by_epoch, last = rates(run)
    assert by_epoch == pytest.approx([1e-3, 0.75e-3, 0.25e-3])
    assert last == pytest.approx(0, abs=1e-12)


def test_onecycle_schedule_peaks_at_the_given_rate_and_ends_with_the_run(run_tiny):
    run = run_tiny("scheduler=onecycle", "scheduler.policy.pct_start=0.34", "trainer.max_epochs=3")
    by_epoch, last = rates(run)
    assert by_epoch[0] == pytest.approx(1e-3 / 25)
    assert max(by_epoch) == pytest.approx(1e-3, rel=0.01)
    assert last < 1e-5  # torch goes one step past the end of the cycle after the last step


def test_the_record_says_everything_about_the_run(run_tiny):
    run = run_tiny("trainer.max_epochs=3", "seed=7", "aug=on")
    record = run.record
    assert record.status == "finished"
    assert record.seed == 7
    assert record.params == 61_706
    assert record.flops > 800_000
    assert record.config["seed"] == 7
    assert len(record.config_hash) == 12
    assert record.dataset.name == "synthetic"
    assert record.dataset.train_size == 512
    assert set(record.dataset.checksums) == {"train", "test"}
    assert record.device.startswith("cpu")
    assert {"python", "torch", "lightning", "hydra-core"} <= set(record.versions)
    assert record.seconds > sum(row.seconds for row in record.epochs)
    assert record.peak_memory_mib > 100
    assert [row.epoch for row in record.epochs] == [0, 1, 2]
    assert [row.step for row in record.epochs] == [16, 32, 48]
    accuracies = [row.val_acc for row in record.epochs]
    assert record.best_epoch == accuracies.index(max(accuracies))
    metrics = record.metrics
    assert metrics["val/acc_best"] == metrics["val/acc"] == max(accuracies)
    assert metrics["val/acc_last"] == accuracies[-1]
    assert all(0 <= value <= 1 for name, value in metrics.items() if "/acc" in name)
    assert run.checkpoints.joinpath("best.ckpt").is_file()
    assert run.checkpoints.joinpath("last.ckpt").is_file()


def test_metrics_csv_has_a_row_an_epoch_and_the_test_at_the_end(run_tiny):
    run = run_tiny("trainer.max_epochs=2")
    with (run.dir / "metrics.csv").open() as file:
        *epochs, last = csv.DictReader(file)
    assert [row["step"] for row in epochs] == ["16", "32"]
    for row, recorded in zip(epochs, run.record.epochs, strict=True):
        assert float(row["val/acc"]) == recorded.val_acc
        assert float(row["train/loss"]) == recorded.train_loss
        assert row["test/acc"] == ""
    assert float(last["test/acc"]) == run.record.metrics["test/acc"]


def test_predictions_agree_with_the_record_and_load_without_pickle(tiny_run):
    logits, labels = tiny_run.predictions()
    assert logits.dtype == np.float32
    assert labels.dtype == np.int64
    assert logits.shape == (200, 10)
    assert (logits.argmax(1) == labels).mean() == pytest.approx(tiny_run.record.metrics["test/acc"])


def test_the_bits_of_right_images_are_those_of_both_nets(run_tiny):
    run = run_tiny("trainer.max_epochs=3", "optim=sgd", "optim.lr=1.0", "data.val_size=20")
    logits, labels = run.predictions()
    (right,) = read_right(run.dir / RIGHT).values()
    assert run.record.best_epoch != 2  # else the two nets are one
    np.testing.assert_array_equal(right.best, logits.argmax(1) == labels)
    assert right.last.mean() == pytest.approx(run.record.metrics["test/acc_last"])
    assert (right.last != right.best).any()


def test_training_metrics_are_those_of_a_plain_loop(run_tiny):
    """The whole path against torch alone: same batches, same net, same updates, same numbers."""
    settings = ("optim=sgd", "aug=on", "gradient_clip_val=0.5", "channels_last=false")
    run = run_tiny("trainer.max_epochs=2", *settings)
    config = run.config
    data = composed_data(config)
    torch.manual_seed(0)
    net = seeded_net(config)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, fused=True)
    batches = data.train_dataloader()
    for epoch in range(2):
        losses, correct, count = 0.0, 0, 0
        for images, labels in batches:
            optimizer.zero_grad()
            logits = net(images)
            loss = torch.nn.functional.cross_entropy(logits, labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
            losses += loss.item() * len(labels)
            correct += int((logits.argmax(1) == labels).sum())
            count += len(labels)
        assert run.record.epochs[epoch].train_loss == pytest.approx(losses / count, rel=1e-5)
        assert run.record.epochs[epoch].train_acc == pytest.approx(correct / count, abs=1e-6)
    for key, value in run.net("last").state_dict().items():
        assert torch.equal(value, net.state_dict()[key]), key


def test_averaged_weights_are_what_is_validated_and_kept(run_tiny):
    """Against the average worked out by hand, batch norm's statistics included."""
    net = ("model=alternativecnn", "optim=sgd", "channels_last=false", "trainer.precision=32-true")
    arguments = (*net, *SMALLER, "patience=null")
    run = run_tiny(*arguments, "ema_decay=0.8")
    data, net = composed_data(run.config), seeded_net(run.config)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, fused=True)
    averages = None
    for images, labels in data.train_dataloader():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
        now = [value.double() for value in net.state_dict().values()]
        averages = now if averages is None else averages
        averages = [0.8 * old + 0.2 * new for old, new in zip(averages, now, strict=True)]
    kept = run.net("last").state_dict()
    for (key, value), expected in zip(kept.items(), averages, strict=True):
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6, msg=key)
    net.load_state_dict(kept)
    images, labels = next(iter(data.val_dataloader()))
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(net.eval()(images), labels)
    assert run.record.epochs[-1].val_loss == pytest.approx(float(loss), rel=1e-5)
    plain = run_tiny(*arguments)
    assert not torch.equal(weights(plain), weights(run))
    metrics = run.record.metrics
    assert metrics["train/loss"] == plain.record.metrics["train/loss"]  # training is the same


def composed_data(config):
    """Its training batches are those of the next epoch each time that they are iterated."""
    from fmnist.training.build import build

    return build(config)[1]


def seeded_net(config):
    from hydra.utils import instantiate
    from lightning.pytorch import seed_everything

    seed_everything(config["seed"], verbose=False)
    return instantiate(config["model"])


def weights(run, which="last"):
    return torch.cat([p.flatten() for p in run.net(which).state_dict().values()])


def test_same_seed_same_weights_and_zero_is_a_seed(run_tiny):
    arguments = ("aug=on", "model.dropout=0.5", "trainer.max_epochs=2")
    first = run_tiny(*arguments, "seed=0")
    torch.rand(3)  # whatever happened before in the process must not matter
    again = run_tiny(*arguments, "seed=0")
    other = run_tiny(*arguments, "seed=1")
    assert torch.equal(weights(first), weights(again))
    assert first.record.metrics == again.record.metrics
    assert first.record.config_hash == again.record.config_hash
    assert not torch.equal(weights(first), weights(other))
    assert first.record.dataset.split_md5 == other.record.dataset.split_md5
    assert first.record.config_hash != other.record.config_hash


def test_it_learns(run_tiny):
    run = run_tiny("data.train_size=3000", "trainer.max_epochs=4", "model.activation=relu")
    assert run.record.metrics["test/acc"] > 0.6
    assert run.record.epochs[-1].train_loss < run.record.epochs[0].train_loss


def test_early_stopping_waits_for_its_patience(run_tiny):
    run = run_tiny(*SMALLER, "optim.lr=1e-9", "patience=2", "trainer.max_epochs=20")
    assert len(run.record.epochs) == 3
    assert run.record.best_epoch == 0
    longer = run_tiny(*SMALLER, "optim.lr=1e-9", "patience=null", "trainer.max_epochs=5")
    assert len(longer.record.epochs) == 5


def test_before_min_epochs_early_stopping_decides_nothing(run_tiny, monkeypatch):
    """A stall in the first epochs is over when the fifth is the best; the next one counts."""
    accuracies = iter([0.5, 0.4, 0.4, 0.4, 0.6, 0.5, 0.5, 0.5, 0.5])
    monkeypatch.setattr(
        Classifier, "_evaluation_metrics", lambda *_: {"val/loss": 1.0, "val/acc": next(accuracies)}
    )
    run = run_tiny(*SMALLER, "patience=2", "+trainer.min_epochs=5", "trainer.max_epochs=9")
    assert len(run.record.epochs) == 7


def test_within_the_last_epoch_that_there_has_to_be_early_stopping_decides_nothing(
    run_tiny, monkeypatch
):
    accuracies = iter([0.5, 0.4, 0.3, 0.6, 0.5, 0.5, 0.5, 0.5])
    monkeypatch.setattr(
        Classifier, "_evaluation_metrics", lambda *_: {"val/loss": 1.0, "val/acc": next(accuracies)}
    )
    halves = ("+trainer.val_check_interval=0.5", "+trainer.min_epochs=2", "trainer.max_epochs=4")
    run = run_tiny(*SMALLER, *halves, "patience=2")
    assert [row.val_acc for row in run.record.epochs] == [0.5, 0.4, 0.3, 0.6, 0.5, 0.5]


def test_an_average_of_weights_keeps_a_nets_whole_numbers():
    """An index is no number to be averaged, as that of Swin's relative positions."""
    net = nn.Linear(2, 2)
    net.register_buffer("order", torch.arange(1000))
    net.register_buffer("scale", torch.ones(3))
    average = moving_average(net, 0.9)
    average.update_parameters(net)  # the first one copies
    net.scale.mul_(2)
    average.update_parameters(net)
    assert torch.equal(average.module.order, torch.arange(1000))
    torch.testing.assert_close(average.module.scale, torch.full((3,), 1.1))


def test_best_and_last_checkpoints_are_those_of_their_epochs(run_tiny):
    # Sigmoid and SGD: every image gets the same class, so that no epoch beats an early one.
    stuck = ("model.activation=sigmoid", "optim=sgd", "optim.lr=0.1", "patience=null")
    run = run_tiny(*stuck, "trainer.max_epochs=6")
    best = run.record.best_epoch
    assert best != 5
    assert not torch.equal(weights(run, "best"), weights(run, "last"))
    for which, epoch in (("best", best), ("last", 5)):
        checkpoint = torch.load(run.checkpoints / f"{which}.ckpt", weights_only=True)
        assert checkpoint["global_step"] == run.record.epochs[epoch].step
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize(
    ("settings", "readings"),
    [(["trainer.max_epochs=1"], 1), (["trainer.max_epochs=2", "optim.lr=1e-9"], 2)],
)
def test_the_test_set_is_read_again_only_for_other_weights(
    run_tiny, monkeypatch, settings, readings
):
    """With a learning rate of nothing the first of two equal epochs is the best."""
    import fmnist.training.predict

    read, calls = fmnist.training.predict.predict, []

    def counted(net, *arguments, **formats):
        calls.append(net)
        return read(net, *arguments, **formats)

    monkeypatch.setattr(fmnist.training.predict, "predict", counted)
    run = run_tiny(*settings, "patience=null")
    metrics = run.record.metrics
    assert len(calls) == readings
    assert (run.record.best_epoch == len(run.record.epochs) - 1) == (readings == 1)
    for name in ("test/acc", "test/loss", "val/acc"):
        assert metrics[f"{name}_last"] == pytest.approx(metrics[name], abs=1e-4)


def test_label_smoothing_raises_the_training_loss_only(run_tiny):
    plain, smooth = run_tiny("optim.lr=1e-9"), run_tiny("optim.lr=1e-9", "label_smoothing=0.5")
    # Nothing is learned, so that both evaluate the same net, up to 1e-9 times a step.
    assert smooth.record.epochs[0].val_loss == pytest.approx(
        plain.record.epochs[0].val_loss, rel=1e-4
    )
    assert smooth.record.epochs[0].train_loss != pytest.approx(
        plain.record.epochs[0].train_loss, rel=1e-4
    )


def test_bf16_and_channels_last_are_used_and_recorded(run_tiny):
    run = run_tiny(
        "model=fashioncnn", "trainer.precision=bf16-mixed", "channels_last=true", *SMALLER
    )
    assert run.record.precision == "bf16-mixed"
    assert run.net("last").features[0].weight.dtype == torch.float32
    full = run_tiny("model=fashioncnn", "trainer.precision=32-true", *SMALLER)
    losses = [r.record.metrics["test/loss"] for r in (run, full)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.2)


@pytest.mark.filterwarnings("ignore:.*AMP with fp16 is not supported on CPU")
def test_fp16_on_a_cpu_becomes_bf16_and_the_record_says_so(run_tiny):
    run = run_tiny("trainer.precision=16-mixed", *SMALLER)
    assert run.config["trainer"]["precision"] == "16-mixed"
    assert run.record.precision == "bf16-mixed"


def test_debug_trainer_goes_through_every_stage(run_tiny):
    run = run_tiny("trainer=debug", "trainer.accelerator=cpu", "data.eval_batch_size=50")
    assert run.record.status == "finished"
    assert len(run.record.epochs) == 1


def test_auxiliary_heads_change_the_training_loss(run_tiny):
    arguments = ("model=googlenet", "model.width=0.125", "optim.lr=1e-9", *SMALLER)
    plain, heads = run_tiny(*arguments), run_tiny(*arguments, "model.aux_heads=true")
    ratio = heads.record.epochs[0].train_loss / plain.record.epochs[0].train_loss
    assert ratio == pytest.approx(1 + 2 * 0.3, abs=0.15)
    assert heads.record.params > plain.record.params


def test_divergence_is_one_clear_error_and_a_failed_record(run_tiny, tmp_path):
    with pytest.raises(Diverged, match=r"epoch 0, step \d+: .*lower optim.lr"):
        run_tiny("model.activation=relu", "optim=sgd", "optim.lr=1e30")
    record = load_run(tmp_path / "run1").record
    assert record.status == "failed"
    assert "diverged" in record.error
    assert "Traceback" in record.traceback


def test_any_exception_leaves_a_failed_record(tmp_path, monkeypatch):
    def explode(*_):
        raise RuntimeError("out of something")

    monkeypatch.setattr(Classifier, "validation_step", explode)
    with pytest.raises(RuntimeError, match="out of something"):
        train(composed(*TINY), Job(tmp_path / "run"))
    record = load_run(tmp_path / "run").record
    assert record.status == "failed"
    assert record.error == "RuntimeError: out of something"
    assert "explode" in record.traceback
    assert not list((tmp_path / "run").glob(".result*"))


def test_a_run_directory_is_never_overwritten(tiny_run):
    before = (tiny_run.dir / "result.json").read_bytes()
    with pytest.raises(RunError, match="holds a finished run"):
        train(composed(*TINY), Job(tiny_run.dir))
    assert (tiny_run.dir / "result.json").read_bytes() == before


def test_the_record_can_be_watched_while_the_run_goes_on(tmp_path, monkeypatch):
    seen = []
    original = Classifier.on_train_epoch_start

    def watch(self):
        record = json.loads((tmp_path / "run" / "result.json").read_text())
        seen.append((record["status"], len(record.get("epochs", []))))
        original(self)

    monkeypatch.setattr(Classifier, "on_train_epoch_start", watch)
    train(composed(*TINY, "trainer.max_epochs=3"), Job(tmp_path / "run"))
    assert seen == [("running", 0), ("running", 1), ("running", 2)]


def test_the_test_set_is_read_once_after_training(tmp_path, monkeypatch):
    from fmnist.data.datamodule import ImageData

    events = []
    test_batches, epoch_start = ImageData.test_batches, Classifier.on_train_epoch_start
    monkeypatch.setattr(
        ImageData, "test_batches", lambda self, d: events.append("test") or test_batches(self, d)
    )
    monkeypatch.setattr(
        Classifier, "on_train_epoch_start", lambda self: events.append("train") or epoch_start(self)
    )
    train(composed(*TINY, "trainer.max_epochs=2"), Job(tmp_path / "run"))
    assert events == ["train", "train", "test"]


def test_seconds_of_a_run_that_was_stopped_are_those_of_all_its_epochs(tiny_run):
    """Whichever of them were inherited."""
    resumed, (row,) = [Resumption("now", 1)], tiny_run.record.epochs
    tiny_run.write(replace(tiny_run.record, resumed=resumed, inherited_seconds=row.seconds / 2))
    csv_only = [SimpleNamespace(log_metrics=lambda *_, **__: None, save=lambda: None)]
    finish(tiny_run, SimpleNamespace(global_step=16, fast_dev_run=False), None, csv_only, 0.25)
    assert tiny_run.record.seconds == pytest.approx(0.25 + row.seconds)


def test_schedule_without_policy_is_a_bare_optimiser():
    net = torch.nn.Linear(2, 2)
    schedule = Schedule(policy=None, interval="epoch", horizon=None, monitor=None)
    classifier = Classifier(net, lambda params: torch.optim.SGD(params, lr=0.5), schedule)
    assert isinstance(classifier.configure_optimizers(), torch.optim.SGD)


def test_seconds_of_a_gpu_are_until_it_is_done(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    began = time.perf_counter()
    assert 0 <= seconds_since(began, torch.device("cpu")) < 60
    assert waited == []
    seconds_since(began, torch.device("cuda", 0))
    assert waited == [torch.device("cuda", 0)]
