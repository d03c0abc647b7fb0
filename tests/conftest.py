"""What the tests share: small data, composed configurations, whole runs, the command line."""

import gc
import importlib
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Any

# One thread a process, before torch is imported: the tests run in parallel, and threads of several
# processes that share few cores wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import pytest
from hydra import compose, initialize_config_dir
from hydra.conf import __file__ as HYDRA_CONF
from lightning.fabric.utilities import registry
from omegaconf import OmegaConf
from torch import Tensor

from fmnist.config.check import check
from fmnist.config.schema import CONF_DIR
from fmnist.data import drawn
from fmnist.runs import recording
from fmnist.runs.job import Job
from fmnist.runs.run import Run, load_run

# A shell has background processes ignore it, and what they start as well.
signal.signal(SIGINT, signal.default_int_handler)

# Who runs the tests may have an account, or have turned W&B off.
for name in [name for name in os.environ if name.startswith("WANDB_")]:
    del os.environ[name]

CHECKOUT = Path(__file__).parents[1]
TEMPORARY = tempfile.gettempdir()

# Composing makes objects by the ten thousand, and the collector looks through all that there are.
gc.set_threshold(100_000, 50, 50)

# Files that take longest, most first: begun last, they would keep one processor waiting.
LONG = (
    "ddp", "dashboards", "sweep", "kills", "launchers", "startup", "benchmarks", "full_disk",
    "experiments", "config", "claims", "trainer_arguments", "readings", "train", "report",
    "refused", "process", "readme", "export", "models", "shorter", "allocator",
)  # fmt: skip

# A run of a second: 16 steps an epoch on drawn garments.
TINY = (
    "data=synthetic",
    "data.train_size=640",
    "data.val_size=128",
    "data.test_size=200",
    "data.batch_size=32",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "logger=csv",
)


# Pickled: reading that back takes a fifth of the time of a deep copy.
parse, parsed = OmegaConf.load, dict[str, bytes]()
CONF_DIRS = tuple(f"{folder.resolve()}{os.sep}" for folder in (CONF_DIR, Path(HYDRA_CONF).parent))
configurations: dict[Any, bytes] = {}  # by overrides, environment and folders


def load_once(file: Any) -> Any:
    """The files of conf/ stay as they are while tests run, and hundreds of tests compose them."""
    path = str(getattr(file, "name", file))
    if not path.startswith(CONF_DIRS):
        return parse(file)
    if path not in parsed:
        parsed[path] = pickle.dumps(parse(file))
    return pickle.loads(parsed[path])


OmegaConf.load = staticmethod(load_once)

# What every training asks anew, and what stays while tests run: a quarter of a tiny one's time.
registry.entry_points = cache(registry.entry_points)
recording.code_version = cache(recording.code_version)
versions, garments = cache(recording.package_versions), lru_cache(64)(drawn.garments)
recording.package_versions = lambda: dict(versions())


def garments_once(count: int, seed: int) -> tuple[Tensor, Tensor]:
    images, labels = garments(count, seed)
    return images.clone(), labels.clone()


drawn.garments = garments_once


class Later:
    """A module of a library that few tests need: imported when it is first used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest asks for some of whatever a file of tests holds
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self.name), attribute)


def once(*arguments: str) -> list[str]:
    """A command line in which what is said besides TINY takes the place of its words."""
    keys = [text.partition("=")[0] for text in arguments]
    return [
        text
        for text, key in zip(arguments, keys, strict=True)
        if text not in TINY or keys.count(key) == 1
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files keep their order otherwise, and tests theirs in their file.

    A file's tests run in one process (`--dist=loadfile`): they share trainings and imports.
    """
    order = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


def pytest_sessionfinish() -> None:
    """What is left is looked through once: pytest would do it five times, for ten seconds."""
    gc.collect()
    gc.freeze()


@contextmanager
def as_before() -> Iterator[None]:
    """What a command changes in its process for good is put back: other tests follow there."""
    signals = {number: signal.getsignal(number) for number in (SIGHUP, SIGINT, SIGTERM)}
    logged = {each: ([*each.handlers], each.level, each.propagate) for each in _loggers()}
    environment, folder, modules = os.environ.copy(), Path.cwd(), {*sys.modules}
    argv, path, raising = sys.argv, [*sys.path], logging.raiseExceptions
    try:
        yield
    finally:
        for number, handler in signals.items():
            signal.signal(number, handler)
        for each in _loggers():
            handlers, level, each.propagate = logged.get(each, ([], logging.NOTSET, True))
            for handler in {*each.handlers} - {*handlers}:
                handler.close()
            each.handlers[:] = handlers
            if each.level != level:  # which has every logger forget what it found out
                each.setLevel(level)
            each.disabled = False
        logging.disable(logging.NOTSET)
        logging.raiseExceptions = raising
        for name in {*sys.modules} - modules:
            file = str(getattr(sys.modules[name], "__file__", None))
            if file.startswith(TEMPORARY) and not file.startswith(str(CHECKOUT)):
                del sys.modules[name]  # of a test's own folder; the next one may have its like
        sys.argv, sys.path[:] = argv, path
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)


def _loggers() -> list[logging.Logger]:
    known = logging.root.manager.loggerDict.values()
    return [logging.root, *(each for each in known if isinstance(each, logging.Logger))]


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """Whatever a test configures in its process."""
    with as_before():
        yield


@pytest.fixture(scope="session")
def real_root() -> Path:
    """Data root of the real Fashion-MNIST; skips where there is none."""
    candidates = [os.environ.get("FMNIST_DATA") or "data", CHECKOUT.parent / "shared/datasets"]
    for root in map(Path, candidates):
        if (root / "FashionMNIST" / "raw").is_dir():
            return root.absolute()
    pytest.skip("the real Fashion-MNIST is not here: set FMNIST_DATA to its data root")


def composed(*overrides: str) -> dict[str, Any]:
    """The checked, resolved configuration of these overrides.

    Composed once: what else it may depend on is the environment, but for pytest's own variable,
    which is another one in every test, and where classes of a test's own are looked for.
    """
    variables = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    key = overrides, tuple(variables.items()), tuple(sys.path), Path.cwd()
    if key not in configurations:  # what is refused is refused each time
        with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
            checked = check(compose("config", overrides=list(overrides)))
        configurations[key] = pickle.dumps(checked)
    return pickle.loads(configurations[key])


@pytest.fixture
def run_tiny(tmp_path: Path) -> Callable[..., Run]:
    """`run_tiny("model=lenet5", ...)` trains in this process and gives the run read back."""
    from fmnist.train import train

    count = 0

    def run(*overrides: str) -> Run:
        nonlocal count
        count += 1
        job = Job(tmp_path / f"run{count}", overrides=overrides)
        train(composed(*TINY, *overrides), job)
        return load_run(job.dir)

    return run


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are made without their figures, which other tests look at: drawing costs time."""
    monkeypatch.setattr("fmnist.reporting.charts.Chart.files", lambda chart: {"svg": b"<svg />"})


@contextmanager
def without_png() -> Iterator[None]:
    """Figures are drawn as pages show them, in SVG, and not again as PNG."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fmnist.reporting.charts.Chart.png", lambda chart: b"")
        yield


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished run of TINY alone, one a process."""
    from fmnist.train import train

    job = Job(tmp_path_factory.mktemp("tiny") / "run")
    with as_before():
        train(composed(*TINY), job)
    return job.dir


@pytest.fixture
def tiny_run(trained_once: Path, tmp_path: Path) -> Run:
    """A finished run of TINY, for a test to read, to change or to damage: a copy."""
    return load_run(shutil.copytree(trained_once, tmp_path / "tiny"))


def command(
    *arguments: str, cwd: Path, timeout: float = 300, **env: str | None
) -> subprocess.CompletedProcess[str]:
    """`python -m fmnist.<arguments>` in a folder of its own, with the checkout importable.

    A variable that is None is left out of the environment.
    """
    variables = {**os.environ, "PYTHONPATH": str(CHECKOUT), **env}
    environment = {name: value for name, value in variables.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-m", *once(*arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def here(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """What `command` gives, of a command that this process runs, which has imported everything.

    Cells of sweeps are processes of their own also here, of one server for all tests.
    """
    module, *words = once(*arguments)
    main = importlib.import_module(module).main
    code: object = None
    with as_before(), tempfile.TemporaryDirectory() as folder:
        os.chdir(cwd)
        os.environ.update(env)
        sys.path.insert(0, str(cwd))
        sys.argv = [module, *words]
        files = [Path(folder, name) for name in ("out", "err")]
        with output_to(*files):
            try:
                code = main()
            except SystemExit as end:
                code = end.code
        said = [file.read_text(encoding="utf-8") for file in files]
    if isinstance(code, str):  # sys.exit("a message")
        code, said[1] = 1, f"{said[1]}{code}\n"
    assert isinstance(code, int | None)
    return subprocess.CompletedProcess([module, *words], code or 0, *said)


@contextmanager
def output_to(*files: Path) -> Iterator[None]:
    """Standard output and standard error are these files, for Python and for everybody else."""
    streams, kept = (sys.stdout, sys.stderr), [os.dup(number) for number in (1, 2)]
    for number, file in enumerate(files, 1):
        opened = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout, sys.stderr = (
        open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        for number in (1, 2)
    )
    try:
        yield
    finally:
        for number, old in enumerate(kept, 1):
            (sys.stdout, sys.stderr)[number - 1].flush()
            os.dup2(old, number)
            os.close(old)
        sys.stdout, sys.stderr = streams
