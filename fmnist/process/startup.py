"""Imported before anything heavy, this module halves the time that the heavy imports take.

Three things are put off that no run here needs, see `PUT_OFF`. Whoever uses them gets them: they
are imported then. Garbage collection, which finds nothing while modules are being imported, waits
until they are there. What they made stays for good: no later collection looks at it, and processes
forked from this one share it.

It also tells the allocator to keep what it has (`fmnist.process.allocator`), and threads to sleep
soon when they have nothing to do (`fmnist.process.spinning`).
"""

import atexit
import functools
import gc
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fmnist.process.allocator import keep_freed_memory
from fmnist.process.later import Answers, postponed, run
from fmnist.process.spinning import sleep_soon

COMPILER = "torch._dynamo"


def _graph_break(msg: str = "") -> None:
    """Nothing is being compiled."""


def _disable(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Callable[..., Any]:
    """The function; excluded from compilation once there is a compiler."""
    excluded: Callable[..., Any] | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal excluded
        if excluded is None:
            compiler: Any = sys.modules[COMPILER]
            if compiler.disable is _disable:
                return function(*args, **kwargs)
            excluded = compiler.disable(function, *arguments, **keywords)
        return excluded(*args, **kwargs)

    return call


class _Compiled(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        compiler: Any = sys.modules[COMPILER]
        real: type = compiler.OptimizedModule
        return real is not cls and isinstance(instance, real)


class _OptimizedModule(metaclass=_Compiled):
    """The class of compiled nets. Before there is a compiler nothing is one."""


def _plots(name: str) -> Callable[..., Any]:
    """A function of torchmetrics that plots, imported when it is called."""

    def plot(*arguments: Any, **keywords: Any) -> Any:
        module = importlib.import_module(PLOTS)
        run(module)
        return getattr(module, name)(*arguments, **keywords)

    return plot


# What a run needs of what is put off. torchmetrics.utilities comes first: it and Metric import each
# other, and so it can be done.
NEEDED = (
    "torchmetrics.utilities",
    "lightning.pytorch",
    "torchmetrics.aggregation",
    "torchmetrics.classification",
)
PLOTS = "torchmetrics.utilities.plot"
# Every name here may vanish from its library: what is then asked for instead runs the module.
PUT_OFF = {
    # The compiler. Every method of a torch optimiser imports it to say that it should not be
    # compiled (`torch/_compile.py`, `torch/optim/optimizer.py`); Lightning, to ask whether a net
    # is compiled.
    COMPILER: Answers(
        {"graph_break": _graph_break, "disable": _disable, "OptimizedModule": _OptimizedModule}
    ),
    # Metrics of images, sound and text, for which torchmetrics imports torchvision and
    # scipy.signal; Lightning and this project need those of classification.
    "torchmetrics": Answers(
        {"_logger": logging.getLogger("torchmetrics")},
        {
            "Metric": "metric",
            "MetricCollection": "collections",
            "MeanMetric": "aggregation",
            "__version__": "__about__",
        },
    ),
    "torchmetrics.functional": Answers(),
    # matplotlib: every metric has a plot, and its types in a signature.
    PLOTS: Answers(
        {
            "_AX_TYPE": "matplotlib.axes.Axes",
            "_CMAP_TYPE": "matplotlib.colors.Colormap | str",
            "_PLOT_OUT_TYPE": "tuple[matplotlib.figure.Figure, matplotlib.axes.Axes]",
        }
        | {
            name: _plots(name)
            for name in ("plot_single_or_multi_val", "plot_confusion_matrix", "plot_curve")
        }
    ),
}


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
    import torch  # noqa: F401 (it reads the settings)

    keep_freed_memory()
    with postponed(PUT_OFF):
        for name in (COMPILER, *NEEDED):
            with suppress(ImportError):  # whoever needs it says that it is not there
                importlib.import_module(name)


with _no_collection():
    _import()
