"""What the tests share: small data, composed configurations, whole runs, the command line."""

import functools
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# One thread a process, before torch is imported: the tests run in parallel, and threads of several
# processes that share few cores wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import pytest
from hydra import compose, initialize_config_dir

from fmnist.config.check import check
from fmnist.config.schema import CONF_DIR
from fmnist.runs.job import Job
from fmnist.runs.run import Run, load_run

CHECKOUT = Path(__file__).parents[1]

# Files of minutes, most first: begun last, they would keep one processor waiting for the other.
LONG = (
    "kills", "full_disk", "ddp", "sweep", "dashboards", "search", "launchers", "train", "report",
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


@functools.cache
def shared_fixtures(path: Path) -> frozenset[str]:
    """The fixtures that tests of a file have together."""
    found = re.findall(r'fixture\(scope="module"[^)]*\)\s+def (\w+)', path.read_text())
    return frozenset(found)


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

    Every test may run on any processor, except that those with a fixture in common stay together.
    """
    order = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))
    for item in items:
        if shared_fixtures(item.path) & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(autouse=True)
def no_key_and_no_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B finds no account, and nothing is written to the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("API_KEY", "MODE", "DIR", "DATA_DIR", "CACHE_DIR", "BASE_URL"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)


@pytest.fixture(autouse=True)
def loggers_speak() -> None:
    """Whatever an earlier test of the same process has configured."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("fmnist")]:
        logging.getLogger(name).disabled = False
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def real_root() -> Path:
    """Data root of the real Fashion-MNIST; skips where there is none."""
    candidates = [os.environ.get("FMNIST_DATA") or "data", CHECKOUT.parent / "shared/datasets"]
    for root in map(Path, candidates):
        if (root / "FashionMNIST" / "raw").is_dir():
            return root.absolute()
    pytest.skip("the real Fashion-MNIST is not here: set FMNIST_DATA to its data root")


def composed(*overrides: str) -> dict[str, Any]:
    """The checked, resolved configuration of these overrides."""
    with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
        return check(compose("config", overrides=list(overrides)))


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
