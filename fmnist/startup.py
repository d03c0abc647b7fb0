"""Imported before anything heavy, this module halves the time that the heavy imports take.

Two things are left out that no run here needs, five of ten seconds on a small machine:

- `torch._dynamo`, the compiler. Every method of a torch optimiser imports it to say that it should
  not be compiled (`torch/_compile.py`, `torch/optim/optimizer.py`). Who compiles still gets it.
- torchvision and scipy.signal, which torchmetrics imports for its metrics of images and audio.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
LEFT_OUT = ("torchvision", "scipy")


class _NoCompiler(ModuleType):
    """Answers what optimisers ask; gives way to the real module when anybody asks for more."""

    @staticmethod
    def graph_break(msg: str = "") -> None:
        """Nothing is being compiled."""

    @staticmethod
    def disable(fn: Callable[..., Any], *arguments: Any, **keywords: Any) -> Callable[..., Any]:
        """Nothing is being compiled."""
        return fn

    class OptimizedModule:
        """What Lightning asks whether a net is: a compiled one."""

    importing = True  # Lightning: `from ... import OptimizedModule` would ask for more

    def __getattr__(self, name: str) -> Any:
        if self.importing or name in ("__spec__", "__file__", "__loader__"):  # of a list of modules
            raise AttributeError(name)
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER]
        return getattr(importlib.import_module(COMPILER), name)


@contextmanager
def _said_to_be_missing() -> Iterator[None]:
    """lightning-utilities, which torchmetrics and Lightning ask what is installed, says no."""
    from lightning_utilities.core import imports

    has, met = imports.package_available, imports.RequirementCache.__bool__

    def has_wanted(name: str) -> bool:
        return name not in LEFT_OUT and has(name)

    def met_wanted(self: imports.RequirementCache) -> bool:
        return not str(self.requirement).startswith(LEFT_OUT) and met(self)

    imports.package_available = has_wanted  # type: ignore[assignment]
    imports.RequirementCache.__bool__ = met_wanted  # type: ignore[method-assign]
    try:
        yield
    finally:
        imports.package_available = has
        imports.RequirementCache.__bool__ = met  # type: ignore[method-assign]


def _import() -> None:
    import torch

    if COMPILER not in sys.modules:
        sys.modules[COMPILER] = torch._dynamo = _NoCompiler(COMPILER)
    with _said_to_be_missing():
        importlib.import_module("lightning.pytorch")
        importlib.import_module("torchmetrics")
    _NoCompiler.importing = False


_import()
