"""Callbacks and loggers are groups: several at once, anybody's, each one YAML."""

import pytest
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger

from fmnist.errors import ConfigError
from fmnist.runs.job import Job
from fmnist.runs.run import load_run
from fmnist.train import train
from tests.conftest import TINY, composed

SEEN: list[str] = []


class Watcher(Callback):
    """Somebody's own: sees epochs and logs a metric of its own."""

    def __init__(self, word: str = "epoch") -> None:
        self.word = word

    def on_validation_end(self, trainer, module):
        SEEN.append(f"{self.word} {trainer.current_epoch}")


class Forgetful(CSVLogger):
    """A logger of Lightning's kind that fails."""

    def log_metrics(self, metrics, step=None):
        raise OSError("no space left")


def run(tmp_path, *overrides: str):
    train(composed(*TINY, *overrides), Job(tmp_path / "run"))
    return load_run(tmp_path / "run")


def test_somebodys_callback_is_called(tmp_path):
    SEEN.clear()
    done = run(tmp_path, f"+callbacks.mine._target_={__name__}.Watcher", "+callbacks.mine.word=saw")
    assert [f"saw {row.epoch}" for row in done.record.epochs] == SEEN


def test_several_options_of_the_group_stand_side_by_side():
    config = composed("callbacks=[lr_monitor,device_stats]", "logger=[wandb,tensorboard]")
    assert list(config["callbacks"]) == ["lr_monitor", "device_stats"]
    assert list(config["logger"]) == ["wandb", "tensorboard"]
    assert composed("callbacks=none", "logger=none")["logger"] == {}


def test_any_logger_of_lightnings_gets_the_curves_and_the_configuration(tmp_path):
    node = ["_target_=lightning.pytorch.loggers.CSVLogger", f"save_dir={tmp_path}", "name=mine"]
    done = run(tmp_path, *(f"+logger.mine.{text}" for text in node))
    (metrics,) = tmp_path.glob("mine/*/metrics.csv")
    text = metrics.read_text()
    assert str(done.record.epochs[0].val_acc) in text
    assert "test/acc" in text.partition("\n")[0]
    (hparams,) = tmp_path.glob("mine/*/hparams.yaml")
    assert "LeNet5" in hparams.read_text()


def test_its_trouble_costs_nothing(tmp_path):
    node = [f"_target_={__name__}.Forgetful", f"save_dir={tmp_path}"]
    done = run(tmp_path, *(f"+logger.mine.{text}" for text in node))
    assert done.status == "finished"
    assert done.record.dashboard_error == "OSError: no space left"


def test_tags_go_to_the_record_and_change_no_hash(tmp_path):
    done = run(tmp_path, "tags=[first,second]")
    assert done.record.tags == ["first", "second"]
    from fmnist.config.schema import config_hash

    assert config_hash(composed("tags=[a]")) == config_hash(composed())
    assert config_hash(composed("logger=[wandb,tensorboard]")) == config_hash(composed())
    assert config_hash(composed("callbacks=lr_monitor")) != config_hash(composed())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "+callbacks._target_=lightning.pytorch.callbacks.Timer",
            r"callbacks: has a _target_ but no name: should be below one, as in conf/callbacks/",
        ),
        ("+callbacks.mine=3", r"callbacks\.mine=3: should be a node with a _target_"),
        ("+logger.mine.project=x", r"logger\.mine=.*should be a node with a _target_"),
        ("+callbacks.mine._target_=fmnist.nope.Nope", r"callbacks\.mine\._target_=.*nope"),
        ("+logger.wandb.projekt=x", r"logger\.wandb\.projekt: .*did you mean"),
    ],
)
def test_a_mistake_in_a_node_is_one_line(override, message):
    with pytest.raises(ConfigError, match=message) as error:
        composed(override)
    assert "\n" not in str(error.value)
