"""Imports are quick, and every library is as it was."""

import subprocess
import sys

import pytest

from tests.conftest import CHECKOUT

LONG = pytest.mark.long


def run(code: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", code],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def said(code: str) -> str:
    return run(code).stdout.strip()


STEPS = """
import sys, torch
net = torch.nn.Linear(1, 1)
for name in ("SGD", "Adam", "RMSprop"):
    optimizer = getattr(torch.optim, name)(net.parameters(), lr=0.1)
    optimizer.zero_grad(); net(torch.ones(1, 1)).sum().backward(); optimizer.step()
"""
TRAINING = "import fmnist.training.callbacks, fmnist.training.classifier, fmnist.data.datamodule\n"


def test_training_imports_neither_compiler_nor_torchvision_nor_matplotlib():
    """They take seconds. If a new version of a library asks for them again, this says so.

    What imports made is not collected until the end, and then quietly.
    """
    code = """
import gc
heavy = ("torchvision", "scipy", "matplotlib", "torch._inductor", "torch._dynamo.utils")
print([name for name in heavy if name in sys.modules])
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""
    done = run(TRAINING + STEPS + code)
    assert done.stdout.splitlines() == ["[]", "True True"]
    assert done.stderr == ""  # extension modules that find their objects alive say so


USED = """
import torch
def outcome(of):
    try: return str(of())
    except Exception as error: return repr(error)

def plotted():
    metric = torchmetrics.classification.MulticlassAccuracy(num_classes=3)
    metric.update(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1]))
    return [type(part).__name__ for part in metric.plot()]

def compiled():
    from lightning.pytorch import LightningModule
    from lightning.pytorch.utilities.compile import to_uncompiled
    class Net(LightningModule):
        def forward(self, x): return 2 * x
    net = Net()
    made = torch.compile(net, backend="eager")
    import lightning.fabric.wrappers as wrappers, lightning.pytorch.utilities.compile as utilities
    real = torch._dynamo.OptimizedModule
    return (
        made(torch.ones(1)).item(), isinstance(made, real), to_uncompiled(made) is net,
        wrappers.OptimizedModule is real, utilities.OptimizedModule is real,
    )

def shown():
    from lightning.pytorch.callbacks import RichProgressBar
    from rich.console import Console
    return RichProgressBar.__name__, Console.__name__

import torchmetrics
print(outcome(plotted))
print(outcome(compiled))
print(outcome(shown))
print(outcome(lambda: [name for name in torchmetrics.__all__ if not hasattr(torchmetrics, name)]))
import torchmetrics.functional, torchmetrics.image, torchmetrics.detection, torchmetrics.text
print(torchmetrics.image.LearnedPerceptualImagePatchSimilarity.__name__)
print(torchmetrics.functional.image.structural_similarity_index_measure.__name__)
print(torchmetrics.Metric is torchmetrics.metric.Metric, torchmetrics.__version__)
print(torchmetrics.utilities.plot._AX_TYPE)
names = ("torchmetrics", "torchmetrics.functional", "torch._dynamo", "numpy", "scipy.signal")
import importlib, inspect, sys
for name in names:
    module = importlib.import_module(name)
    print(name, type(module), type(module.__loader__).__name__, hasattr(module, "__path__"))
    print(sorted(n for n in vars(module) if not n.startswith("__")))
print("stand-ins left:", [
    (module, name) for module in sys.modules if not module.startswith("fmnist")
    for name, value in vars(sys.modules[module]).items()
    if getattr(value, "__module__", "") == "fmnist.process.startup"
])
"""


@LONG
def test_after_our_imports_every_library_does_what_it_did_and_has_the_names_that_it_had():
    before = said(USED)
    assert "NameError" not in before
    assert said(TRAINING + STEPS + USED) == before
    assert "stand-ins left: []" in before


# What is done once our imports are there, and what it says.
AFTERWARDS = {
    "from torch._dynamo.utils import counters; print(len(counters))": "0",
    "from torchmetrics.image import PeakSignalNoiseRatio as P; print(P.__name__)": (
        "PeakSignalNoiseRatio"
    ),
}
# Each in a child of one process that has made the imports.
IN_TURN = """
import os
for code in {codes}:
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        exec(code)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, code
"""


@LONG
def test_a_module_within_one_that_was_put_off_can_be_imported_first():
    lines = said(TRAINING + STEPS + IN_TURN.format(codes=[*AFTERWARDS])).splitlines()
    assert lines == [*AFTERWARDS.values()]


COMPILED = """
before = torch.optim.Optimizer.zero_grad
torch.compile(lambda x: x, backend="eager")(torch.ones(1))
optimizer.step()
excluded = [v for v in vars(before.__wrapped__).values() if hasattr(v, "__closure__")]
print(type(sys.modules["torch._dynamo"]).__name__, len(excluded))
"""


@LONG
def test_an_optimiser_that_stepped_before_is_excluded_from_what_is_compiled_later():
    assert said(TRAINING + STEPS + COMPILED) == "module 1"


@LONG
def test_what_is_put_off_may_be_there_already():
    assert said("import torchvision, torchmetrics\n" + TRAINING + STEPS + "print(1)") == "1"


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param("import torch; sys.modules['torch._dynamo'] = None", id="the compiler"),
        pytest.param("sys.modules['torchmetrics.utilities.plot'] = None", id="plots", marks=LONG),
        pytest.param("sys.modules['torchmetrics.__about__'] = None", id="the version", marks=LONG),
    ],
)
def test_when_a_private_name_has_gone_the_imports_say_no_more_than_the_library(missing):
    """Ours adds no failure of its own: what the library cannot do without, it cannot do without."""
    alone = (
        f"import sys\n{missing}\nimport fmnist.process.startup, torch; print(torch.ones(1).item())"
    )
    assert said(alone) == "1.0"
