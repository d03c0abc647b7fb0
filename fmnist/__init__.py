"""fmnist: CNN ablation studies on Fashion-MNIST that hold up.

What is named in `__all__` is for notebooks and other people's code; everything else is private by
its room. Importing this costs nothing: torch is imported when something is first built or read.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmnist.data.datamodule import ImageData
    from fmnist.runs.find import Found
    from fmnist.runs.run import Run
    from fmnist.training.classifier import Classifier

__version__ = "0.1.0"
__all__ = ["build", "compose", "find_runs", "load_run"]

if sys.platform == "win32":  # files are locked, and processes forked, in the ways of Unix
    sys.exit("error: fmnist needs Linux, macOS or WSL: this is Windows")


def compose(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The configuration of `python -m fmnist.train OVERRIDE ...`, checked, as plain values.

    Raises:
        ConfigError: a setting that does not exist or has a value that it cannot have.
    """
    from fmnist.config.compose import compose as composed

    return composed(overrides)


def build(config: dict[str, Any]) -> "tuple[Classifier, ImageData]":
    """The LightningModule and the LightningDataModule of a configuration, for any Trainer.

    Args:
        config: of `compose`.

    Raises:
        UserError: data that are not there, or not what they should be.
    """
    from fmnist.training.build import build as built

    return built(config)


def load_run(path: str | Path) -> "Run":
    """A run from its directory: its record, its nets, its data, its predictions.

    Raises:
        RunError: there is no readable record.
    """
    from fmnist.runs.run import load_run as loaded

    return loaded(path)


def find_runs(paths: Iterable[str | Path]) -> "Found":
    """Every run at or below the paths, each once.

    Raises:
        RunError: a path does not exist, or there is nothing at all below it.
    """
    from fmnist.runs.find import find_runs as found

    return found(paths)
