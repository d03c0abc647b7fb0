"""fmnist: CNN ablation studies on Fashion-MNIST that hold up.

What is named in `__all__` is for notebooks and other people's code; everything else is private by
its room. Importing this costs nothing: torch is imported when something is first built or read.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from fmnist.data.datamodule import ImageData
    from fmnist.evidence.effects import Comparison
    from fmnist.evidence.settings import Runs
    from fmnist.runs.find import Found
    from fmnist.runs.run import Run
    from fmnist.training.classifier import Classifier
    from fmnist.using.classify import Answer

__version__ = "0.1.0"
__all__ = ["build", "compare", "compose", "find_runs", "load_run", "predict", "rows", "train_run"]

if sys.platform == "win32":  # files are locked, and processes forked, in the ways of Unix
    sys.exit("error: fmnist needs Linux, macOS or WSL: this is Windows")


class _Face(ModuleType):
    """This package: importing a command does not put its module in the place of its function."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face


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

    Args:
        path: also "pretrained/lenet5": a net that comes with fmnist.

    Raises:
        RunError: there is no readable record.
    """
    from fmnist.runs.pretrained import load_named as loaded

    return loaded(path)


def find_runs(paths: str | Path | Iterable[str | Path]) -> "Found":
    """Every run at or below the paths, each once.

    Args:
        paths: run directories, sweeps, or folders of them; one, or several.

    Raises:
        RunError: a path does not exist, or there is nothing at all below it.
    """
    from fmnist.runs.find import find_runs as found

    return found(_several(paths))


def train_run(overrides: Sequence[str] = (), folder: str | Path | None = None) -> "Run":
    """Train, validate and test one net, as `python -m fmnist.train OVERRIDE ...` does, in here.

    Args:
        overrides: as on the command line, each of one value.
        folder: of the run; None: one by date and time below outputs/.

    Raises:
        UserError: what the command would refuse, and how a run can fail.
    """
    from fmnist.train import train_here

    return train_here(overrides, folder)


def rows(paths: "str | Path | Iterable[str | Path]") -> "DataFrame":
    """A row a run that has ended: facts, settings and metrics, the columns of results/*.csv.

    Args:
        paths: run directories, sweeps, or folders of them.

    Raises:
        RunError: a path does not exist, or there is nothing at all below it.
        ImportError: pandas is not installed.
    """
    from fmnist.runs.frame import frame

    return frame(_several(paths))


def compare(first: "Runs", second: "Runs", metric: str = "test/acc") -> "Comparison":
    """Whether one setting is higher than another, over the seeds that both have.

    A failed run's accuracy is that of chance; of other metrics failed runs allow no verdict.

    Args:
        first, second: runs of one setting each: a folder of seeds, a run, or runs.
        metric: a column of `rows`; in percent, and differences in points, where it is a share.

    Raises:
        RunError: a side has several settings or none, or they have no seed in common.
    """
    from fmnist.evidence.settings import compare as compared

    return compared(first, second, metric)


def predict(run: "Run | str | Path", pictures: str | Path | Iterable[str | Path]) -> "list[Answer]":
    """What a run's best net says of pictures, prepared as its data set was made.

    Args:
        run: also "pretrained/lenet5".
        pictures: files, and folders of them; one, or several. What cannot be read is said on
            stderr and left out.

    Raises:
        RunError: the run cannot be read or has not finished.
        DataError: a picture that is not there.
    """
    from fmnist.data.pictures import find_pictures
    from fmnist.runs.run import Run as Loaded
    from fmnist.using.answers import answers_of

    loaded = run if isinstance(run, Loaded) else load_run(run)
    return answers_of(loaded, find_pictures(map(Path, _several(pictures))))[0]


def _several(paths: str | Path | Iterable[str | Path]) -> Iterable[str | Path]:
    """A path alone, too: the characters of a string are no paths."""
    return [paths] if isinstance(paths, str | Path) else paths
