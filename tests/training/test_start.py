"""A run that starts from another run's weights, or goes on where another one stopped."""

import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

from fmnist.errors import ConfigError, RunError
from fmnist.runs.job import Job
from fmnist.runs.run import Run, load_run, read_checkpoint, read_weights
from fmnist.train import train
from fmnist.training import start
from fmnist.training.classifier import Classifier
from fmnist.training.start import beginning_of, start_from
from tests.conftest import TINY, composed


def trained(folder, *overrides: str) -> Run:
    train(composed(*TINY, *overrides), Job(folder))
    return load_run(folder)


def weights(run: Run, which: str = "last") -> dict[str, torch.Tensor]:
    return read_checkpoint(run.checkpoints / f"{which}.ckpt")["state_dict"]


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Run:
    return trained(tmp_path_factory.mktemp("origin") / "run", "trainer.max_epochs=2")


def test_more_epochs_in_a_new_folder_end_as_if_trained_in_one_go(origin, tmp_path):
    whole = trained(tmp_path / "whole", "trainer.max_epochs=3")
    longer = trained(tmp_path / "longer", "trainer.max_epochs=3", f"ckpt_path={origin.dir}")
    ours, theirs = weights(longer), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert longer.record.metrics == whole.record.metrics
    assert [row.val_acc for row in longer.record.epochs] == [
        row.val_acc for row in whole.record.epochs
    ]
    assert longer.record.origin == f"ckpt_path={origin.dir} ({origin.record.config_hash})"
    assert longer.record.config_hash != whole.record.config_hash
    best = [run.checkpoints / "best.ckpt" for run in (longer, whole)]
    assert all(
        torch.equal(value, read_checkpoint(best[1])["state_dict"][name])
        for name, value in read_checkpoint(best[0])["state_dict"].items()
    )


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_run_goes_on_in_the_formats_that_it_began_with(monkeypatch, tmp_path, elsewhere):
    """Where they are left to net and machine, and later code chooses others."""
    choice = "fmnist.training.build.chosen_formats"
    monkeypatch.setattr(choice, lambda *_: ("bf16-mixed", True))
    begun = trained(tmp_path / "begun")
    begun.write(replace(begun.record, status="failed"))  # begun again, it goes on
    later = {"auto": "32-true", None: False}
    monkeypatch.setattr(choice, lambda *asked: tuple(later.get(one, one) for one in asked[:2]))
    if elsewhere:
        made = trained(tmp_path / "on", "trainer.max_epochs=2", f"ckpt_path={begun.dir}")
    else:
        made = trained(begun.dir)
        assert len(made.record.resumed) == 1
    assert (made.record.precision, made.record.channels_last) == ("bf16-mixed", True)
    assert made.config["channels_last"] is None  # what was asked for, which its hash is of


def test_a_run_starts_from_another_ones_best_weights(origin, tmp_path):
    config = composed(*TINY, f"init_from={origin.dir}")
    from fmnist.training.build import build_classifier, build_data

    classifier = build_classifier(config, build_data(config))
    start_from(beginning_of(config, classifier.net), classifier, tmp_path)
    best = origin.net("best").state_dict()
    assert all(
        torch.equal(value, best[name]) for name, value in classifier.net.state_dict().items()
    )
    assert not list(tmp_path.iterdir())


def test_the_checkpoint_may_be_named_itself_and_is_read_once(origin, tmp_path, monkeypatch):
    file, read = origin.checkpoints / "best.ckpt", []
    monkeypatch.setattr(start, "read_weights", lambda path: read.append(path) or read_weights(path))
    run = trained(tmp_path / "run", "trainer.max_epochs=1", f"init_from={file}")
    assert run.record.origin == f"init_from={file} ({origin.record.config_hash})"
    assert run.record.epochs[0].epoch == 0
    assert read == [file]


def bare(net: nn.Module) -> Classifier:
    from functools import partial

    return Classifier(net, partial(torch.optim.SGD, lr=0.1))


def test_a_head_of_another_size_stays_new(origin, tmp_path, caplog):
    from fmnist.models.lenet5 import LeNet5

    classifier = bare(LeNet5(num_classes=7))
    before = classifier.net.state_dict()["classifier.4.weight"].clone()
    with caplog.at_level("INFO", logger="fmnist"):
        beginning = beginning_of({"init_from": str(origin.dir)}, classifier.net)
        start_from(beginning, classifier, tmp_path)
    state = classifier.net.state_dict()
    assert torch.equal(state["classifier.4.weight"], before)
    assert torch.equal(state["features.0.weight"], origin.net().state_dict()["features.0.weight"])
    assert "classifier.4.weight stays new: [10, 84] there, [7, 84] here" in caplog.text


@pytest.mark.parametrize(
    ("key", "net", "message"),
    [
        ("init_from", nn.Linear(2, 2), "init_from=.*: is of another net: only here is bias"),
        ("ckpt_path", nn.Linear(2, 2), "ckpt_path=.*: is of another net"),
    ],
)
def test_another_net_is_refused(origin, key, net, message):
    config = {"init_from": None, "ckpt_path": None} | {key: str(origin.dir)}
    with pytest.raises(ConfigError, match=message):
        beginning_of(config, net)


def test_another_optimiser_cannot_go_on_and_as_many_epochs_leave_nothing_to_do(origin, tmp_path):
    with pytest.raises(ConfigError, match=r"was trained with torch\.optim\.Adam.*init_from"):
        trained(tmp_path / "a", "optim=sgd", "trainer.max_epochs=3", f"ckpt_path={origin.dir}")
    with pytest.raises(ConfigError, match="max_epochs=2: should be more than 2"):
        trained(tmp_path / "b", "trainer.max_epochs=2", f"ckpt_path={origin.dir}")
    with pytest.raises(ConfigError, match="was trained without ema_decay"):
        trained(tmp_path / "c", "trainer.max_epochs=3", "ema_decay=0.9", f"ckpt_path={origin.dir}")
    with pytest.raises(ConfigError, match="is of another net"):
        trained(tmp_path / "d", "model=logistic", f"init_from={origin.dir}")
    assert not list(tmp_path.glob("*/result.json"))  # before there is a record


def test_nothing_there_is_one_line(tmp_path):
    with pytest.raises(RunError, match="init_from=nowhere: should be a run directory or a check"):
        trained(tmp_path / "run", "init_from=nowhere")
    assert not (tmp_path / "run/result.json").exists()


def test_both_at_once_contradict_each_other():
    with pytest.raises(ConfigError, match=r"init_from=a: .*should be null"):
        composed("init_from=a", "ckpt_path=b")


def test_a_run_whose_folder_was_moved_keeps_its_best_epoch(tmp_path):
    """Lightning forgets the best score of a checkpoint that was written elsewhere."""
    first = trained(tmp_path / "first", "trainer.max_epochs=2")
    shutil.move(first.dir, tmp_path / "moved")
    moved = load_run(tmp_path / "moved")
    longer = trained(tmp_path / "longer", "trainer.max_epochs=3", f"ckpt_path={moved.dir}")
    history = [row.val_acc for row in longer.record.epochs]
    best = read_checkpoint(longer.checkpoints / "best.ckpt")
    assert best["history"][-1]["epoch"] == history.index(max(history))
