"""The nets against their papers, and what every net must do, whoever adds it."""

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from fmnist.classifier import flops, parameter_count
from fmnist.config import CONF_DIR
from fmnist.models.fashioncnn import FashionCNN
from fmnist.models.googlenet import INCEPTION, GoogLeNet, Inception
from fmnist.models.lenet5 import LeNet5
from tests.conftest import composed

MODELS = sorted(path.stem for path in (CONF_DIR / "model").glob("*.yaml"))


def configured(model: str, *overrides: str) -> nn.Module:
    return instantiate(composed(f"model={model}", *overrides)["model"])


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_gets_a_gradient(model):
    torch.manual_seed(0)
    net = configured(model).train()
    nn.functional.cross_entropy(net(torch.randn(8, 1, 28, 28)), torch.arange(8)).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@pytest.mark.parametrize("model", MODELS)
def test_logits_of_every_image_depend_on_that_image_alone(model):
    torch.manual_seed(0)
    net = configured(model).eval()
    images = torch.randn(3, 1, 28, 28)
    together = net(images)
    assert together.shape == (3, 10)
    alone = torch.cat([net(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_channels_last_computes_the_same(model):
    torch.manual_seed(0)
    net, images = configured(model).eval(), torch.randn(4, 1, 28, 28)
    plain = net(images)
    net = net.to(memory_format=torch.channels_last)
    last = net(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, last, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_yaml_tells_the_parameter_count(model):
    opening = (CONF_DIR / "model" / f"{model}.yaml").read_text().partition("_target_")[0]
    assert f"{parameter_count(configured(model)):,} parameters" in opening


def test_lenet5_has_the_61706_parameters_of_its_layers():
    # conv1 6*(25+1), conv2 16*(6*25+1), 120*(400+1), 84*(120+1), 10*(84+1)
    assert parameter_count(LeNet5()) == 156 + 2416 + 48120 + 10164 + 850 == 61_706


def test_lenet5_factors_change_what_they_say():
    names = {type(m).__name__ for m in LeNet5("relu", "max", dropout=0.5).modules()}
    assert {"ReLU", "MaxPool2d", "Dropout"} <= names
    assert not {"Tanh", "AvgPool2d", "Sigmoid"} & names
    assert not any(isinstance(m, nn.Dropout) for m in LeNet5().modules())


def test_fashioncnn_has_the_parameters_of_the_layers_that_s1_lists_and_not_310k():
    convolutions = 32 * (9 + 1) + 64 * (32 * 9 + 1) + 128 * (64 * 9 + 1)
    batch_norms = 2 * (32 + 64 + 128)
    fully_connected = 256 * (6272 + 1) + 10 * (256 + 1)
    assert parameter_count(FashionCNN()) == convolutions + batch_norms + fully_connected
    assert parameter_count(FashionCNN()) == 1_701_578


# "params" of the paper's table 1, thousands of 1024. Its 4c and 5a do not add up to its own
# widths, by 7 and 5 %.
PAPER = {
    "3a": 159, "3b": 380, "4a": 364, "4b": 437, "4c": 463, "4d": 580, "4e": 840, "5a": 1072,
    "5b": 1388,
}  # fmt: skip


def test_inception_modules_have_the_papers_parameter_counts():
    channels = 192
    for name, widths in INCEPTION.items():
        module = Inception(channels, widths)
        weights = sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))
        assert weights / 1024 == pytest.approx(PAPER[name], rel=0.08)
        channels = module.channels_out
    assert channels == 1024


def test_googlenet_width_scales_the_net():
    small, full = parameter_count(GoogLeNet(0.5)), parameter_count(GoogLeNet(1.0))
    assert full / small == pytest.approx(4, rel=0.02)


def test_googlenet_auxiliary_heads_train_and_then_disappear():
    net = GoogLeNet(0.25, aux_heads=True)
    images = torch.randn(4, 1, 28, 28)
    outputs = net.train()(images)
    assert [tuple(o.shape) for o in outputs] == [(4, 10)] * 3
    sum(o.sum() for o in outputs).backward()
    assert all(p.grad is not None for p in net.parameters())
    assert net.eval()(images).shape == (4, 10)


@pytest.mark.parametrize(
    ("make", "offending"),
    [
        (lambda: LeNet5(activation="swish"), "swish"),
        (lambda: LeNet5(pooling="maxx"), "maxx"),
        (lambda: LeNet5(dropout=1.0), "1.0"),
        (lambda: FashionCNN(dropout=-0.1), "-0.1"),
        (lambda: GoogLeNet(width=0.01), "0.01"),
        (lambda: GoogLeNet(dropout=2), "2"),
    ],
)
def test_impossible_arguments_are_refused_by_value(make, offending):
    with pytest.raises(ValueError, match=offending):
        make()


def test_flops_count_a_multiply_add_as_two_and_leave_the_net_alone():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10)).train()
    assert flops(net) == 2 * 784 * 10
    assert net.training
    assert int(net[2].num_batches_tracked) == 0
