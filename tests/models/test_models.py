"""The nets against their papers, and what every net must do, whoever adds it."""

import re

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from fmnist.config.explain import explain
from fmnist.config.schema import CONF_DIR
from fmnist.models.alexnet import AlexNet
from fmnist.models.alternativecnn import AlternativeCNN
from fmnist.models.cnnmodel4 import CNNModel4
from fmnist.models.cnnmodel5 import CNNModel5
from fmnist.models.fashioncnn import FashionCNN
from fmnist.models.googlenet import INCEPTION, GoogLeNet, Inception
from fmnist.models.lenet5 import LeNet5
from fmnist.models.normalization import NORMALIZATIONS, normalization
from fmnist.models.twoconv import INITIALIZATIONS, TwoConv
from fmnist.training.cost import flops, parameter_count
from tests.conftest import composed

MODELS = sorted(path.stem for path in (CONF_DIR / "model").glob("*.yaml"))


def configured(model: str, *overrides: str) -> nn.Module:
    return instantiate(composed(f"model={model}", *overrides)["model"])


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_gets_a_gradient(model):
    torch.manual_seed(0)
    net = configured(model).train()
    nn.functional.cross_entropy(net(torch.randn(4, 1, 28, 28)), torch.arange(4)).backward()
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


def test_alternativecnn_has_the_parameters_of_the_layers_that_s1_trained():
    convolutions = 16 * (25 + 1) + 32 * (16 * 25 + 1)
    assert parameter_count(AlternativeCNN()) == (
        convolutions + 2 * (16 + 32) + 128 * (1568 + 1) + 10 * (128 + 1)
    )


def test_alexnet_at_width_1_has_the_papers_layers():
    net = AlexNet(width=1.0)
    convolutions = [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)]
    linear = [m.out_features for m in net.modules() if isinstance(m, nn.Linear)]
    assert convolutions == [96, 256, 384, 384, 256]
    assert linear == [4096, 4096, 10]
    pools = [m for m in net.modules() if isinstance(m, nn.MaxPool2d)]
    assert [(m.kernel_size, m.stride) for m in pools] == [(3, 2)] * 3


def test_alexnets_dropout_acts_on_both_hidden_layers_and_not_on_the_output():
    layers = list(AlexNet(dropout=0.5).classifier)
    dropped = [i for i, layer in enumerate(layers) if isinstance(layer, nn.Dropout)]
    assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == [0.5, 0.5]
    assert all(isinstance(layers[i + 1], nn.Linear) for i in dropped)
    assert isinstance(layers[-1], nn.Linear)


def test_cross_entropy_of_logits_is_s3s_negative_log_likelihood_of_log_softmax():
    logits, labels = torch.randn(5, 10), torch.arange(5)
    source = nn.functional.nll_loss(nn.functional.log_softmax(logits, dim=1), labels)
    torch.testing.assert_close(nn.functional.cross_entropy(logits, labels), source)


def test_s4s_nets_have_the_layers_that_it_lists():
    for net, convolutions, pools, linear in (
        (CNNModel5(), [64, 64, 128, 256], 2, 2),
        (CNNModel4(), [32, 64, 128], 3, 1),
    ):
        modules = list(net.modules())
        assert [m.out_channels for m in modules if isinstance(m, nn.Conv2d)] == convolutions
        assert sum(isinstance(m, nn.BatchNorm2d) for m in modules) == len(convolutions)
        assert sum(isinstance(m, nn.MaxPool2d) for m in modules) == pools
        assert sum(isinstance(m, nn.Linear) for m in modules) == linear


def test_dropout_rate_reaches_every_dropout_of_s4s_nets():
    for net in (CNNModel5(dropout=0.4), CNNModel4(dropout=0.4)):
        assert {m.p for m in net.modules() if isinstance(m, nn.Dropout)} == {0.4}


# What each kind averages over: dimensions of [B, groups, channels of a group, H, W].
AVERAGED = {"batch": (0, 3, 4), "layer": (1, 2, 3, 4), "group": (2, 3, 4), "instance": (3, 4)}


@pytest.mark.parametrize("kind", AVERAGED)
def test_normalization_takes_mean_and_variance_over_what_it_says(kind):
    torch.manual_seed(0)
    maps = 3 + 2 * torch.randn(4, 32, 5, 5) * torch.rand(4, 32, 1, 1)
    split = maps.unflatten(1, (2, 16))
    mean = split.mean(AVERAGED[kind], keepdim=True)
    variance = split.var(AVERAGED[kind], correction=0, keepdim=True)
    expected = ((split - mean) / (variance + 1e-5).sqrt()).flatten(1, 2)
    torch.testing.assert_close(normalization(kind, 32).train()(maps), expected, atol=1e-4, rtol=0)


def test_every_normalization_has_the_same_parameters_and_none_has_none():
    counts = {kind: parameter_count(normalization(kind, 64)) for kind in NORMALIZATIONS}
    assert counts == {"batch": 128, "layer": 128, "group": 128, "instance": 128, "none": 0}


@pytest.mark.parametrize("kind", NORMALIZATIONS)
@pytest.mark.parametrize("net", [CNNModel4, CNNModel5])
def test_s4s_nets_use_the_normalization_that_is_asked_for(net, kind):
    built = net(normalization=kind)
    made = type(normalization(kind, 64))
    assert sum(type(module) is made for module in built.modules()) == (3 if net is CNNModel4 else 4)
    assert built(torch.randn(2, 1, 28, 28)).shape == (2, 10)


def test_twoconv_has_the_parameters_of_its_layers():
    # conv1 16*(25+1), conv2 32*(16*25+1), output 10*(32*7*7+1)
    assert parameter_count(TwoConv()) == 416 + 12_832 + 15_690 == 28_938


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding", "size"),
    [(5, 1, 2, 7), (3, 1, 1, 7), (3, 1, 0, 5), (5, 1, 0, 4), (3, 2, 1, 2), (1, 1, 0, 7)],
)
def test_twoconv_fits_its_output_layer_to_kernel_stride_and_padding(
    kernel_size, stride, padding, size
):
    net = TwoConv(4, kernel_size, stride, padding)
    images = torch.randn(2, 1, 28, 28)
    assert net.features(images).shape == (2, 8, size, size)
    assert net(images).shape == (2, 10)


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding", "layer"),
    [
        (29, 1, 0, "first convolution (28x28 -> none)"),
        (28, 1, 0, "first pooling (28x28 -> 1x1 -> none)"),
        (15, 1, 0, "second convolution (28x28 -> 14x14 -> 7x7 -> none)"),
        (3, 4, 0, "second pooling (28x28 -> 7x7 -> 3x3 -> 1x1 -> none)"),
    ],
)
def test_twoconv_says_which_layer_leaves_no_pixels(kernel_size, stride, padding, layer):
    message = (
        f"image_size=28, kernel_size={kernel_size}, stride={stride}, padding={padding}: no pixels "
        f"are left after the {layer}; images should have at least "
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}") as error:
        TwoConv(kernel_size=kernel_size, stride=stride, padding=padding)
    least = int(str(error.value).removesuffix(" pixels").rpartition("x")[2])
    settings = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    assert TwoConv(4, **settings, image_size=least)(torch.zeros(2, 1, least, least)).shape == (
        2,
        10,
    )
    with pytest.raises(ValueError, match="no pixels"):
        TwoConv(4, **settings, image_size=least - 1)


def test_no_pixels_left_is_one_line_for_the_user():
    with pytest.raises(InstantiationException) as error:
        configured("twoconv", "model.kernel_size=29", "model.padding=0")
    line = explain(error.value, [])
    assert line is not None
    assert line.count("\n") == 0
    assert "kernel_size=29, stride=1, padding=0: no pixels are left after the first" in line


# Of each net of the package, the smallest images that it takes.
SMALLEST = {
    "alexnet": 15, "alternativecnn": 4, "cnnmodel4": 8, "cnnmodel5": 4, "fashioncnn": 4,
    "googlenet": 2, "lenet5": 12, "logistic": 1, "resnet9": 8, "twoconv": 4,
}  # fmt: skip


@pytest.mark.parametrize("model", SMALLEST)
@pytest.mark.parametrize(("channels", "size", "classes"), [(3, 32, 100), (1, 64, 2), (4, 28, 10)])
def test_every_net_fits_colour_sizes_and_classes(model, channels, size, classes):
    shape = {"in_channels": channels, "image_size": size, "num_classes": classes}
    net = instantiate(composed(f"model={model}")["model"], **shape).eval()
    assert net(torch.zeros(2, channels, size, size)).shape == (2, classes)


@pytest.mark.parametrize("model", SMALLEST)
def test_a_size_that_a_net_cannot_take_is_refused_with_the_sizes(model):
    node, least = composed(f"model={model}")["model"], SMALLEST[model]
    net = instantiate(node, image_size=least).eval()
    assert net(torch.zeros(1, 1, least, least)).shape == (1, 10)
    if least > 1:
        wanted = f"image_size={least - 1}.*at least {least}x{least} pixels"
        with pytest.raises(InstantiationException, match=wanted):
            instantiate(node, image_size=least - 1)


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_initialization_draws_weights_of_the_right_size(initialization):
    torch.manual_seed(0)
    layer = TwoConv(initialization=initialization).features[3]  # fan in 400, fan out 800
    deviation = {
        "default": (1 / 3 / 400) ** 0.5,  # uniform in +-1/sqrt(fan in)
        "xavier_uniform": (2 / 1200) ** 0.5,
        "xavier_normal": (2 / 1200) ** 0.5,
        "kaiming_uniform": (2 / 400) ** 0.5,
        "kaiming_normal": (2 / 400) ** 0.5,
        "orthogonal": (1 / 400) ** 0.5,  # 32 orthonormal rows of 400
        "normal": 0.01,
    }[initialization]
    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.05)
    assert bool(layer.bias.any()) == (initialization == "default")
    if initialization == "orthogonal":
        rows = layer.weight.detach().flatten(1)
        torch.testing.assert_close(rows @ rows.T, torch.eye(32), atol=1e-5, rtol=0)


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
        (lambda: TwoConv(initialization="glorot"), "glorot"),
        (lambda: TwoConv(channels=0), "channels=0"),
        (lambda: TwoConv(stride=0), "stride=0"),
        (lambda: TwoConv(padding=-1), "padding=-1"),
        (lambda: AlternativeCNN(dropout=1), "1"),
        (lambda: AlexNet(width=0.001), "0.001"),
        (lambda: AlexNet(dropout=-1), "-1"),
        (lambda: CNNModel5(normalization="weight"), "weight"),
        (lambda: CNNModel4(normalization="weight"), "weight"),
        (lambda: CNNModel5(dropout=1), "1"),
        (lambda: CNNModel4(dropout=1), "1"),
        (lambda: normalization("group", 40), "40"),
    ],
)
def test_impossible_arguments_are_refused_by_value(make, offending):
    with pytest.raises(ValueError, match=offending):
        make()


def test_flops_count_a_multiply_add_as_two_and_leave_the_net_alone():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10)).train()
    assert flops(net, (1, 28, 28)) == 2 * 784 * 10
    assert net.training
    assert int(net[2].num_batches_tracked) == 0
    net[2].eval()  # frozen
    flops(net, (1, 28, 28))
    assert [part.training for part in net] == [True, True, False]


def test_flops_are_counted_of_layers_in_one_piece_and_of_nets_that_take_no_single_image():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    per_token = 2 * (3 * 8 * 8 + 8 * 8 + 2 * 8 * 16)  # projections, and the two linear layers
    attention = 2 * 2 * 28 * 28 * 8
    net = nn.Sequential(nn.Flatten(1, 2), nn.Linear(28, 8), layer)
    assert flops(net, (1, 28, 28)) == 28 * (2 * 28 * 8 + per_token) + attention
    assert torch.backends.mha.get_fastpath_enabled()
    plain = nn.BatchNorm1d(10, track_running_stats=False)
    assert flops(nn.Sequential(nn.Flatten(), nn.Linear(784, 10), plain), (1, 28, 28)) == 15680
