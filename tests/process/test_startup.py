"""Imports are quick, and nothing is missing afterwards."""

import subprocess
import sys

from tests.conftest import CHECKOUT


def run(code: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", code],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def said(code: str) -> str:
    return run(code).stdout.strip()


def test_training_imports_neither_compiler_nor_torchvision_nor_matplotlib():
    """They take seconds. If a new version of a library asks for them again, this says so."""
    code = """
import fmnist.training.callbacks, fmnist.training.classifier, fmnist.data.datamodule, sys, torch
net = torch.nn.Linear(1, 1)
for name in ("SGD", "Adam", "RMSprop"):
    optimizer = getattr(torch.optim, name)(net.parameters(), lr=0.1)
    optimizer.zero_grad(); net(torch.ones(1, 1)).sum().backward(); optimizer.step()
heavy = (
    "torchvision", "scipy", "matplotlib", "rich", "torch._inductor", "torch._dynamo.utils"
)
print([name for name in heavy if name in sys.modules])
"""
    assert said(code) == "[]"


def test_whoever_compiles_gets_the_real_compiler():
    code = """
import fmnist.process.startup, torch
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1)
double = torch.compile(lambda x: 2 * x, backend="eager")
print(double(torch.ones(1)).item(), hasattr(torch._dynamo, "optimize"))
from torch._dynamo.utils import is_compile_supported
optimizer.step()
import torchvision, scipy.signal, matplotlib.pyplot
"""
    assert said(code) == "2.0 True"


def test_what_imports_made_is_not_collected_until_the_end_and_then_quietly():
    code = "import fmnist.training.callbacks, torch.utils.flop_counter, gc; print(gc.isenabled()); "
    done = run(code + "print(gc.get_freeze_count() > 100_000)")
    assert done.stdout.split() == ["True", "True"]
    assert done.stderr == ""  # extension modules that find their objects alive say so
