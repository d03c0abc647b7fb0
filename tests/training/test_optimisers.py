"""Groups of parameters, and Muon with AdamW: who is trained how, and that a run goes on from it."""

from pathlib import Path

import pytest
import torch
from torch import nn

from fmnist.config.schema import config_hash
from fmnist.config.trial import try_out
from fmnist.errors import ConfigError
from fmnist.models.googlenet import GoogLeNet
from fmnist.runs.run import load_run
from fmnist.runs.text import optimizer_text
from fmnist.training.build import build
from fmnist.training.groups import parameter_groups
from fmnist.training.muon import MuonAdamW
from fmnist.training.schedule import peaks
from tests.conftest import TINY, composed, here


def a_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(),
        nn.Linear(4 * 16, 8), nn.Linear(8, 10),
    )  # fmt: skip


def step(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    torch.manual_seed(1)
    optimizer.zero_grad()
    net(torch.randn(8, 1, 8, 8)).square().mean().backward()
    optimizer.step()


def test_biases_and_norms_are_spared_decay_and_the_head_has_its_own_rate() -> None:
    net = a_net()
    groups = list(parameter_groups(net, no_decay=True, head_lr=0.5))
    told = {
        id(tensor): (group.get("lr"), group.get("weight_decay"))
        for group in groups
        for tensor in group["params"]
    }
    said = {name: told[id(tensor)] for name, tensor in net.named_parameters()}
    assert said["0.weight"] == (None, None)
    assert said["0.bias"] == said["1.weight"] == said["1.bias"] == (None, 0.0)
    assert said["6.weight"] == (0.5, None)
    assert said["6.bias"] == (0.5, 0.0)
    assert list(parameter_groups(net)) == list(net.parameters())
    with pytest.raises(ConfigError, match=r"head_lr=0\.5: Conv2d has no linear layer"):
        parameter_groups(nn.Conv2d(1, 1, 1), head_lr=0.5)


def test_the_head_of_a_net_is_not_an_auxiliary_one() -> None:
    net = GoogLeNet(0.0625, aux_heads=True)
    heads = [group for group in parameter_groups(net, head_lr=0.5) if "lr" in group]
    assert [id(tensor) for tensor in heads[0]["params"]] == [
        id(net.head[3].weight), id(net.head[3].bias),
    ]  # fmt: skip
    (adamw,) = (group for group in MuonAdamW(net.parameters()).param_groups if not group["muon"])
    matrices = [tensor for tensor in adamw["params"] if tensor.ndim > 1]
    assert [id(tensor) for tensor in matrices] == [id(net.head[3].weight)]


def test_they_are_settings_that_change_the_hash_only_where_they_are_used() -> None:
    usual = composed()
    without = composed()
    for key in ("no_decay", "head_lr"):
        del without["optim"][key]
    assert config_hash(usual) == config_hash(without)
    assert config_hash(composed("optim.no_decay=true")) != config_hash(usual)
    for wrong, words in (
        ("optim.no_decay=3", r"optim\.no_decay=3: should be true or false"),
        ("optim.head_lr=-1", r"optim\.head_lr=-1: should be greater than 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            composed(wrong)


def test_the_optimiser_of_a_configuration_has_these_groups_and_a_peak_for_each() -> None:
    settings = (*TINY, "optim=adamw", "optim.no_decay=true", "optim.head_lr=0.01", "optim.lr=0.001")
    module = build(composed(*settings))[0]
    optimizer = module.configure_optimizers()
    rates = [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups]
    assert rates == [(0.001, 0.01), (0.001, 0.0), (0.01, 0.01), (0.01, 0.0)]
    module = build(composed(*settings, "scheduler=onecycle"))[0]
    assert peaks(module.schedule, optimizer) == {"max_lr": [0.001, 0.001, 0.01, 0.01]}


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_muon_turns_a_step_of_a_hidden_matrix_into_an_orthogonal_one(
    format: torch.memory_format,
) -> None:
    """All singular values of the change are near the rate, whatever the gradient's are."""
    net = a_net().to(memory_format=format)
    before = {name: tensor.detach().clone() for name, tensor in net.named_parameters()}
    step(net, MuonAdamW(net.parameters(), lr=0.1, adamw_lr=0.001, weight_decay=0.0))
    after = dict(net.named_parameters())
    change = {name: (after[name] - before[name]).detach().flatten(1) for name in before
              if before[name].ndim > 1}  # fmt: skip
    for name in ("0.weight", "3.weight", "5.weight"):
        values = torch.linalg.svdvals(change[name])
        assert 0.02 < values.min() <= values.max() < 0.2, name
    assert change["6.weight"].abs().max() < 0.0011  # the head is AdamW's
    assert (after["1.bias"] - before["1.bias"]).abs().max() < 0.0011


LAYOUTS = {
    "transposed": lambda like: like.transpose(0, 1).contiguous().transpose(0, 1),
    "of a larger tensor": lambda like: nn.functional.pad(like, (1, 1))[..., 1:-1],
    "moved since": lambda like: like,
}


@pytest.mark.parametrize("case", LAYOUTS)
@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3), (6, 8, 3, 3), (6, 8, 3, 3, 3)])
def test_muon_trains_a_weight_however_its_memory_lies(shape: tuple[int, ...], case: str) -> None:
    torch.manual_seed(0)
    start, head = torch.randn(shape), torch.randn(2, 2)
    plain, laid = nn.Parameter(start.clone()), nn.Parameter(LAYOUTS[case](start))
    optimizers = [MuonAdamW([tensor, nn.Parameter(head)]) for tensor in (plain, laid)]
    if case == "moved since":
        laid.data = start.clone()
    for _ in range(2):
        plain.grad = torch.randn(shape)
        laid.grad = plain.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    assert not torch.equal(plain, start)
    torch.testing.assert_close(laid, plain)


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_muon_goes_on_from_its_saved_state_as_if_it_had_never_stopped(
    format: torch.memory_format,
) -> None:
    """Also in another memory format, whose rounding is another."""
    whole, first, second = a_net(), a_net(), a_net().to(memory_format=format)
    one = MuonAdamW(whole.parameters())
    for _ in range(4):
        step(whole, one)
    two = MuonAdamW(first.parameters())
    step(first, two)
    step(first, two)
    second.load_state_dict(first.state_dict())
    three = MuonAdamW(second.parameters())
    three.load_state_dict(two.state_dict())
    step(second, three)
    step(second, three)
    again = MuonAdamW(second.parameters())
    again.load_state_dict(three.state_dict())
    step(whole, one)
    step(second, again)
    tolerance = 0.0 if format == torch.contiguous_format else 1e-3
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


def test_a_run_with_muon_and_a_schedule_trains(run_tiny) -> None:
    run = run_tiny("optim=muon", "scheduler=onecycle", "optim.no_decay=true", "patience=null")
    assert run.record.status == "finished"
    assert run.record.metrics["test/acc"] > 0.2
    state = torch.load(run.checkpoints / "last.ckpt", weights_only=True)["optimizer_states"][0]
    assert len(state["inner"]) == len(state["param_groups"])


def test_an_optimiser_whose_file_gives_no_rate_trains_with_its_own_and_says_so(
    tmp_path: Path,
) -> None:
    file = tmp_path / "conf/optim/nadam.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("_target_: torch.optim.NAdam\n_partial_: true\n")
    typed = [*TINY, "--config-dir=conf", "optim=nadam", "hydra.run.dir=run"]
    done = here("fmnist.train", *typed, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\noptim   NAdam lr=0.002, batch 32," in done.stdout
    assert load_run(tmp_path / "run").record.epochs[0].lr == 0.002
    # Settings of every optimiser, which this file does not list.
    done = here("fmnist.train", *typed, "optim.no_decay=true", cwd=tmp_path)
    words = "optim.no_decay: not in the configuration; +optim.no_decay=... adds it"
    assert done.stderr == f"error: {words}\n"


RATES = {
    "torch.optim.Adam": ({"lr": 1e-3}, "Adam lr=0.001"),
    "torch.optim.SGD": ({}, "SGD lr=0.001"),
    "tests.training.test_optimisers.Rateless": ({}, "Rateless"),
    "tests.training.test_optimisers.Finder": ({"lr": None}, "Finder"),
    "nowhere.Other": ({}, "Other"),
}


@pytest.mark.parametrize(("target", "said"), RATES.items(), ids=[*RATES])
def test_the_announcement_says_a_rate_where_there_is_a_number(
    target: str, said: tuple[dict[str, float | None], str]
) -> None:
    assert optimizer_text({"_target_": target, **said[0]}) == said[1]


class Finder(torch.optim.SGD):
    """Takes a rate, or chooses one."""

    def __init__(self, params: object, lr: float | None = None) -> None:
        super().__init__(params, lr or 0.1)  # type: ignore[arg-type]


class Rateless(torch.optim.Optimizer):
    """Calls its rate something else."""

    def __init__(self, params: object, speed: float = 0.1) -> None:
        super().__init__(params, {"speed": speed})  # type: ignore[arg-type]

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        """Nothing."""


def test_an_optimiser_without_a_rate_is_refused_before_the_run_begins() -> None:
    target = f"{__name__}.Rateless"
    plain = composed(f"optim._target_={target}", "~optim.lr", "~optim.weight_decay", "~optim.fused")
    with pytest.raises(ConfigError, match=r"^optim: \S+Rateless: has no lr in its groups, which"):
        try_out(plain)
