"""A run that starts from another run's weights, or goes on where another one stopped."""

import shutil
from dataclasses import replace

import pytest
import torch
from lightning.pytorch import Trainer
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


def test_a_run_that_goes_on_in_another_memory_format_takes_the_optimiser_along(origin, tmp_path):
    """Its fused steps go through weights and state as they lie in memory."""
    assert origin.config["optim"]["fused"]
    ends = [
        weights(trained(tmp_path / last, *ON, f"ckpt_path={origin.dir}", f"channels_last={last}"))
        for last in ("true", "false")
    ]
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=0, atol=1e-4)


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


def test_a_stopped_run_goes_on_with_its_own_images_only(tmp_path):
    begun = trained(tmp_path / "begun")
    facts = replace(begun.record.dataset, checksums={"train": "another"})
    begun.write(replace(begun.record, status="failed", dataset=facts))
    with pytest.raises(RunError, match=r"begun with other data files .*data\.root=null"):
        trained(begun.dir)
    assert load_run(begun.dir).record == begun.record


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


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_weights_that_fit_a_net_of_other_settings_come_with_a_warning(
    origin, tmp_path, caplog, activation
):
    setting = f"model.activation={activation}"
    trained(tmp_path / "run", "trainer.max_epochs=1", f"init_from={origin.dir}", setting)
    warned = [item.getMessage() for item in caplog.records if item.levelname == "WARNING"]
    said = [text for text in warned if text.startswith("init_from")]
    words = "init_from  the net has other settings now: model.activation is tanh there, relu here"
    assert said == ([words] if activation == "relu" else [])


def test_weights_that_other_images_may_have_trained_come_with_a_warning(origin, tmp_path, caplog):
    """Of one data set split anew: what validates here trained them, in part."""
    given = ("trainer.max_epochs=1", f"init_from={origin.dir}")
    for split in (0, 1):
        trained(tmp_path / str(split), *given, f"data.split_seed={split}")
        assert ("which may have trained these weights" in caplog.text) == (split == 1)


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
    right = "should be a run directory or a checkpoint or pretrained/lenet5 or"
    for wrong in ("nowhere", "pretrained/lenet"):
        with pytest.raises(RunError, match=f"init_from={wrong}: {right}"):
            trained(tmp_path / "run", f"init_from={wrong}")
    assert not (tmp_path / "run/result.json").exists()


def test_both_at_once_contradict_each_other():
    with pytest.raises(ConfigError, match=r"init_from=a: .*should be null"):
        composed("init_from=a", "ckpt_path=b")


def test_a_run_whose_folder_was_moved_keeps_its_best_epoch(tmp_path, monkeypatch):
    """Lightning forgets the best score of a checkpoint that was written elsewhere."""
    accuracies = iter([0.5, 0.7, 0.6])
    monkeypatch.setattr(
        Classifier, "_evaluation_metrics", lambda *_: {"val/loss": 1.0, "val/acc": next(accuracies)}
    )
    first = trained(tmp_path / "first", "trainer.max_epochs=2")
    shutil.move(first.dir, tmp_path / "moved")
    moved = load_run(tmp_path / "moved")
    longer = trained(tmp_path / "longer", "trainer.max_epochs=3", f"ckpt_path={moved.dir}")
    best = read_checkpoint(longer.checkpoints / "best.ckpt")
    assert (longer.record.best_epoch, best["history"][-1]["epoch"]) == (1, 1)


ON = ("trainer.max_epochs=3",)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("optim.lr=0.1",), r"optim\.lr is 0\.001 there, 0\.1 here: should be as there"),
        (("+optim.betas=[0.8,0.99]",), r"optim\.betas is left out there, \[0\.8, 0\.99\] here"),
        (("scheduler=step",), r"scheduler\.policy is null there, torch\..*StepLR here"),
        (("data.val_size=100",), r"data\.val_size is 128 there, 100 here: .*other images"),
        (("seed=1", "data.split_seed=seed"), r"data\.split_seed is 0 there, 1 here"),
        (("data.mean=0.5", "data.std=0.5"), r"data\.mean is null there, 0\.5 here: .*other images"),
        (
            ("model.activation=relu",),
            r"model\.activation is tanh there, relu here: should be as there",
        ),
        (("model.dropout=0.5",), r"model\.dropout is 0\.0 there, 0\.5 here: should be as there"),
        (("tta=flip",), r"tta is none there, flip here: its best epoch was chosen by other views"),
    ],
)
def test_what_a_checkpoint_would_keep_has_to_be_the_same(origin, overrides, message):
    config = composed(*TINY, *ON, f"ckpt_path={origin.dir}", *overrides)
    with pytest.raises(ConfigError, match=f"ckpt_path=.*: {message}.*; init_from takes") as error:
        beginning_of(config, origin.net())
    assert "\n" not in str(error.value)


def test_what_takes_effect_may_change(origin):
    """The split's seed too, where it is the run's, and that is the same."""
    changed = ("data.batch_size=16", "aug=on", "label_smoothing=0.1", "patience=9", "seed=1",
               "data.eval_batch_size=50")  # fmt: skip
    for overrides in (changed, ("data.split_seed=seed", "optim.lr=1e-3", "optim.weight_decay=0")):
        config = composed(*TINY, *ON, f"ckpt_path={origin.dir}", *overrides)
        assert beginning_of(config, origin.net()).files


def test_a_checkpoint_without_a_record_says_itself_how_it_was_trained(origin, tmp_path):
    folder = shutil.copytree(origin.checkpoints, tmp_path / "checkpoints")
    given = (*TINY, *ON, f"ckpt_path={folder / 'last.ckpt'}")
    assert beginning_of(composed(*given), origin.net()).files
    with pytest.raises(ConfigError, match=r"optim\.lr is 0\.001 there, 0\.1 here"):
        beginning_of(composed(*given, "optim.lr=0.1"), origin.net())


def test_a_schedule_that_ends_with_the_run_keeps_its_length(tmp_path):
    torn = trained(tmp_path / "torn", "scheduler=cosine", "trainer.max_epochs=1")
    longer = {**torn.config, "trainer": {**torn.config["trainer"], "max_epochs": 3}}
    torn.write(replace(torn.record, config=longer))  # as if stopped after the first of three
    given = (*TINY, "scheduler=cosine", f"ckpt_path={torn.dir}")
    assert beginning_of(composed(*given, *ON), torn.net()).files
    for other, message in (
        (("trainer.max_epochs=4",), r"trainer\.max_epochs is 3 there, 4 here"),
        ((*ON, "data.batch_size=16"), r"data\.batch_size is 32 there, 16 here"),
        ((*ON, "trainer.accumulate_grad_batches=2"), r"accumulate_grad_batches is 1 there, 2 here"),
    ):
        with pytest.raises(ConfigError, match=f"{message}, and scheduler.horizon=T_max ends the"):
            beginning_of(composed(*given, *other), torn.net())


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")  # at the half epoch's end
def test_a_checkpoint_from_within_an_epoch_is_nothing_to_go_on_from(tmp_path):
    """The epoch's other images would never be seen."""
    torn = trained(tmp_path / "torn", "trainer.max_epochs=2", "trainer.max_steps=4")
    config = composed(*TINY, *ON, f"ckpt_path={torn.dir}")
    with pytest.raises(ConfigError, match="was written within an epoch, whose other images"):
        beginning_of(config, torn.net())


def test_a_best_checkpoint_is_that_of_the_best_row_or_refused(origin, tmp_path):
    """A run that was killed may have written one that its last checkpoint does not know of."""
    torn = load_run(shutil.copytree(origin.dir, tmp_path / "torn"))
    last = read_checkpoint(torn.checkpoints / "last.ckpt")
    first, second = last["history"]
    last["history"] = [{**first, "val/acc": 1.0}, second]
    torch.save(last, torn.checkpoints / "last.ckpt")
    best = read_checkpoint(torn.checkpoints / "best.ckpt")
    torch.save({**best, "history": [first, second]}, torn.checkpoints / "best.ckpt")
    config = composed(*TINY, *ON, f"ckpt_path={torn.dir}")
    with pytest.raises(ConfigError, match="is of step 32, and the best of its epochs of step 16"):
        beginning_of(config, torn.net())


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")  # of an epoch without one
def test_the_best_epoch_stays_where_a_closing_validation_found_it(tmp_path, monkeypatch):
    """No callback sees that one, and a run that goes on would keep a worse checkpoint.

    Nor is it lost where a kill comes between the two checkpoints that follow it.
    """
    accuracies = iter([0.5, 0.7, 0.7, 0.6])
    monkeypatch.setattr(
        Classifier, "_evaluation_metrics", lambda *_: {"val/loss": 1.0, "val/acc": next(accuracies)}
    )
    save, closing = Trainer.save_checkpoint, []

    def killed_at_the_second(trainer, path, *given, **named):
        closing.extend([path] * (trainer.state.fn != "fit"))
        if len(closing) == 2:
            raise RuntimeError("power cut")
        save(trainer, path, *given, **named)

    every = "trainer.check_val_every_n_epoch=2"
    short = (every, "trainer.max_epochs=3", "trainer.max_steps=1000")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save_checkpoint", killed_at_the_second)
        with pytest.raises(RuntimeError, match="power cut"):
            trained(tmp_path / "first", *short)
    first = trained(tmp_path / "first", *short)
    assert [row.epoch for row in first.record.epochs] == [1, 2]
    longer = trained(tmp_path / "longer", every, "trainer.max_epochs=4", f"ckpt_path={first.dir}")
    rows = longer.record.epochs
    assert [row.val_acc for row in rows] == [0.5, 0.7, 0.6]
    best = read_checkpoint(longer.checkpoints / "best.ckpt")
    assert best["global_step"] == rows[longer.record.best_epoch].step == first.record.epochs[1].step
    assert longer.record.seconds > longer.record.train_seconds > first.record.train_seconds
    assert longer.record.inherited_seconds == pytest.approx(first.record.train_seconds)


def test_an_epoch_that_a_kill_took_back_is_not_the_best(tmp_path, monkeypatch):
    """Trained again it scores less, as it may on hardware that does not repeat itself."""
    accuracies = iter([0.5, 0.7, 0.4])
    monkeypatch.setattr(
        Classifier, "_evaluation_metrics", lambda *_: {"val/loss": 1.0, "val/acc": next(accuracies)}
    )
    save, written = Trainer.save_checkpoint, []

    def killed_at_the_second_last(trainer, path, *given, **named):
        written.append(path)
        if len(written) == 4:
            raise RuntimeError("power cut")
        save(trainer, path, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save_checkpoint", killed_at_the_second_last)
        with pytest.raises(RuntimeError, match="power cut"):
            trained(tmp_path / "run", "trainer.max_epochs=2")
    run = trained(tmp_path / "run", "trainer.max_epochs=2")
    assert [row.val_acc for row in run.record.epochs] == [0.5, 0.4]
    best = read_checkpoint(run.checkpoints / "best.ckpt")
    assert (best["global_step"], run.record.best_epoch) == (run.record.epochs[0].step, 0)
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]


STUCK = ("optim.lr=1e-9", "trainer.max_epochs=6")  # the first of equal epochs is the best


def test_patience_is_this_runs_own(tmp_path):
    """The checkpoint's is used up, and a longer one goes on from there, counting."""
    first = trained(tmp_path / "first", *STUCK, "patience=1")
    assert len(first.record.epochs) == 2
    given = (*STUCK, f"ckpt_path={first.dir}")
    longer = trained(tmp_path / "longer", *given, "patience=3")
    assert len(longer.record.epochs) == 4
    with pytest.raises(ConfigError, match="patience=1: should be more than 1, the validations"):
        trained(tmp_path / "none", *given, "patience=1")
    assert beginning_of(
        composed(*TINY, *given, "patience=1", "+trainer.min_epochs=3"), first.net()
    ).files


def test_of_equal_epochs_the_first_is_the_best_also_of_a_checkpoint(tmp_path):
    first = trained(tmp_path / "first", "optim.lr=1e-9", "trainer.max_epochs=2")
    config = composed(*TINY, *STUCK, f"ckpt_path={first.dir}")
    assert beginning_of(config, first.net()).files["best"] == first.checkpoints / "best.ckpt"
