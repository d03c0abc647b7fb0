"""Imported before anything heavy, this module halves the time that the heavy imports take.

Three things are left out that no run here needs, more than half of that time:

- `torch._dynamo`, the compiler. Every method of a torch optimiser imports it to say that it should
  not be compiled (`torch/_compile.py`, `torch/optim/optimizer.py`). Who compiles still gets it.
- What torchmetrics imports for its metrics of images and audio and for plots (torchvision,
  scipy.signal, matplotlib), and Lightning for a progress bar (rich). Who imports them still gets
  them.
- Garbage collection, which finds nothing while modules are being imported. What they made stays
  for good: no later collection looks at it, and processes forked from this one share it.

It also tells the allocator to keep what it has (`fmnist.process.allocator`), and threads to sleep
soon when they have nothing to do (`fmnist.process.spinning`).
"""

import atexit
import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from fmnist.process.allocator import keep_freed_memory
from fmnist.process.spinning import sleep_soon

COMPILER = "torch._dynamo"
LEFT_OUT = ("torchvision", "scipy", "matplotlib", "rich")


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


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection meanwhile, and never of what is there afterwards."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # or libraries call what is left then a leak
        if enabled:
            gc.enable()


def _import() -> None:
    sleep_soon()
    import torch

    keep_freed_memory()
    if COMPILER not in sys.modules:
        sys.modules[COMPILER] = torch._dynamo = _NoCompiler(COMPILER)
    with _said_to_be_missing():
        importlib.import_module("lightning.pytorch")
        importlib.import_module("torchmetrics")
    _NoCompiler.importing = False


with _no_collection():
    _import()
