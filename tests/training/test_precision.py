"""bf16 and channels-last: where they pay, and nowhere else."""

import pytest
import torch
from torch import nn

from fmnist.errors import ConfigError
from fmnist.runs.run import read_checkpoint
from fmnist.training import precision
from fmnist.training.cost import flops
from fmnist.training.precision import PAYS_FROM, chosen_formats, multiplies_bf16
from fmnist.training.preflight import takes_channels_last
from tests.conftest import composed
from tests.models.test_models import MODELS, configured

FORMATS = "32-true", "bf16-mixed"


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_auto_needs_the_hardware_and_the_size(monkeypatch, fast, large):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda accelerator: fast)
    size = PAYS_FROM if large else PAYS_FROM - 1
    assert chosen_formats("auto", None, size, "cpu") == (FORMATS[fast and large], True)


@pytest.mark.parametrize("accelerator", ["auto", "gpu"])
def test_on_a_gpu_only_half_precision_is_channels_last(monkeypatch, accelerator):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert chosen_formats("auto", None, PAYS_FROM, accelerator) == ("bf16-mixed", True)
    assert chosen_formats("auto", None, PAYS_FROM - 1, accelerator) == ("32-true", False)
    assert chosen_formats("auto", None, PAYS_FROM - 1, "cpu") == ("32-true", True)


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "mps"])
def test_on_apples_gpu_nothing_is_chosen_that_was_not_measured(monkeypatch, accelerator):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert chosen_formats("auto", None, PAYS_FROM, accelerator) == ("32-true", False)


def test_what_the_user_says_is_done(monkeypatch):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda accelerator: True)
    assert chosen_formats("32-true", None, 10**9, "cpu") == ("32-true", True)
    assert chosen_formats("32-true", False, 10, "cpu") == ("32-true", False)
    assert chosen_formats("auto", False, 10**9, "cpu") == ("bf16-mixed", False)
    assert chosen_formats("bf16-mixed", None, 10, "cpu") == ("bf16-mixed", True)
    assert chosen_formats("64-true", None, 10, "cpu") == ("64-true", False)  # not measured
    assert chosen_formats("64-true", True, 10, "cpu") == ("64-true", True)


@pytest.mark.parametrize("capable", [False, True])
def test_a_processor_is_asked_for_its_instructions(monkeypatch, capable):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": capable})
    assert multiplies_bf16("cpu") is capable


def test_a_torch_that_cannot_tell_means_no(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert multiplies_bf16("cpu") is False


def test_only_the_smallest_nets_stay_in_fp32():
    small = {model for model in MODELS if flops(configured(model), (1, 28, 28)) < PAYS_FROM}
    assert small == {"logistic", "lenet5"}


def test_a_run_records_what_was_chosen(run_tiny, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    small, large = run_tiny("model=lenet5"), run_tiny("model=alternativecnn")
    assert (small.record.precision, small.record.channels_last) == (FORMATS[0], True)
    assert (large.record.precision, large.record.channels_last) == (FORMATS[1], True)
    assert large.formats()["channels_last"] is True
    plain = run_tiny("channels_last=false")
    assert plain.record.channels_last is plain.formats()["channels_last"] is False


def test_a_net_that_takes_a_view_trains_in_contiguous_memory(run_tiny):
    """The form that most tutorials have: x.view(-1, features) after a convolution."""
    net = ("model._target_=tests.training.test_precision.Views",
           *(f"~model.{name}" for name in ("activation", "pooling", "dropout")))  # fmt: skip
    run = run_tiny(*net)
    assert run.record.channels_last is False
    with pytest.raises(ConfigError, match="channels_last=true: should be false: Views takes a"):
        run_tiny(*net, "channels_last=true")


def test_trying_channels_last_leaves_a_net_as_it_was():
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 10))
    net[1].eval()  # frozen
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    assert takes_channels_last(net, (2, 4, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in (net, *net)] == [True, True, False, True, True]
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.is_contiguous()


class Views(nn.Module):
    """A convolution, and what it gives as rows."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Linear(2 * 26 * 26, 10)

    def forward(self, x):
        return self.head(self.conv(x).view(-1, 2 * 26 * 26))


def test_equal_formats_give_equal_weights_whoever_chose_them(tiny_run, run_tiny):
    chosen, given = tiny_run, run_tiny("channels_last=true", "trainer.precision=32-true")
    ours, theirs = (read_checkpoint(run.checkpoints / "last.ckpt") for run in (chosen, given))
    for name, tensor in ours["state_dict"].items():
        assert torch.equal(tensor, theirs["state_dict"][name]), name
    assert chosen.record.metrics == given.record.metrics


@pytest.mark.parametrize("trainer", ["default", "ddp"])
def test_the_formats_are_left_to_the_hardware(trainer):
    config = composed(f"trainer={trainer}")
    assert (config["trainer"]["precision"], config["channels_last"]) == ("auto", None)
