"""Installed from a wheel, from any folder; and `make train` where there is no data."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fmnist.runs.run import load_run
from tests.conftest import CHECKOUT, TINY, command


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with nothing but the wheel's content."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *build, str(CHECKOUT)], check=True, timeout=120)
    (wheel,) = folder.glob("fmnist-*.whl")
    install = ["install", "--no-deps", "--target", str(folder / "site"), str(wheel)]
    subprocess.run([*pip, *install], check=True, timeout=120)
    return folder / "site"


def test_a_plain_wheel_trains_from_any_directory(site, tmp_path):
    done = command("fmnist.train", *TINY, "hydra.run.dir=run", cwd=tmp_path, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    record = load_run(tmp_path / "run").record
    assert record.status == "finished"
    assert record.git_commit is None  # the wheel belongs to no checkout


def test_the_wheel_carries_every_option_and_nothing_else(site):
    packed = {p.relative_to(site / "fmnist/conf") for p in site.glob("fmnist/conf/**/*.yaml")}
    assert packed == {p.relative_to(CHECKOUT / "conf") for p in CHECKOUT.glob("conf/**/*.yaml")}
    assert {path.name for path in site.iterdir() if "dist-info" not in path.name} == {
        "bin",
        "fmnist",
        "hydra_plugins",
    }
    assert [path.name for path in site.glob("bin/*")] == ["fmnist"]
    (wheel,) = site.parent.glob("fmnist-*.whl")
    assert wheel.stat().st_size <= 3e6  # weights included


def test_constraints_pin_every_dependency_by_name_and_version_only():
    lines = (CHECKOUT / "constraints.txt").read_text().splitlines()[1:]
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in lines)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    import tomllib

    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = [text for group in project["optional-dependencies"].values() for text in group]
    names = {re.split(r"[<>\[]", text)[0] for text in [*project["dependencies"], *extras]}
    assert names - {"fmnist"} <= pinned


@pytest.fixture
def made(tmp_path):
    """A copy of the checkout whose .venv is this one: `make` finds nothing to install."""
    copy = tmp_path / "home" / "checkout"
    for name in ("fmnist", "conf"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(CHECKOUT / name, copy / name)
    binaries = copy / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (binaries / "python").chmod(0o755)
    (copy / ".venv/installed").touch()
    return copy


def make(copy: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy), **env}
    environment.pop("MAKEFLAGS", None)
    return subprocess.run(
        ["make", *arguments], cwd=copy, env=environment, capture_output=True, text=True,
        timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.long
def test_make_train_falls_back_to_synthetic_garments_with_a_banner(made):
    arguments = " ".join(text for text in TINY if text != "data=synthetic")
    unreachable = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    done = make(made, "train", f"ARGS={arguments}", FMNIST_DATA="nowhere", **unreachable)
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" in done.stdout
    (finished,) = (made / "outputs").glob("*/*")  # the one without data left none behind
    assert load_run(finished).record.dataset.name == "synthetic"
    # The three ways out were named, in one line.
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert all(way in line for way in ("data.root=", "FMNIST_DATA", "data=synthetic"))


def test_make_train_does_not_fall_back_for_another_mistake(made):
    done = make(made, "train", "ARGS=optm=adam")
    assert done.returncode != 0
    assert "SYNTHETIC" not in done.stdout
    assert not (made / "outputs").exists()


@pytest.mark.long
def test_make_train_gives_no_other_data_set_than_the_one_that_was_named(made):
    arguments = " ".join(text for text in TINY if text != "data=synthetic")
    unreachable = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
    done = make(made, "train", f"ARGS=data=cifar10 {arguments}", FMNIST_DATA="none", **unreachable)
    assert done.returncode != 0
    assert "SYNTHETIC" not in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "CIFAR10" in line


def test_make_help_names_every_target():
    done = make(CHECKOUT, "help")
    names = {"help", "setup", "train", "test", "lint", "format", "clean"}
    assert names <= {line.split()[0] for line in done.stdout.splitlines()}
