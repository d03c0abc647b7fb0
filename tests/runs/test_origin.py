"""Which code a result was made by."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from fmnist.runs import origin


def git(checkout: Path, *arguments: str) -> None:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", "-C", str(checkout), *who, *arguments], check=True, capture_output=True)


def copied_to(checkout: Path):
    """The module, as it lies in another checkout."""
    path = checkout / "fmnist" / "runs" / "origin.py"
    path.parent.mkdir(parents=True)
    shutil.copy(origin.__file__, path)
    spec = importlib.util.spec_from_file_location("copied_origin", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_of_results_are_no_change_of_the_code(tmp_path):
    copied = copied_to(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.csv").write_text("a\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    assert copied.code_version()[1] is False
    (tmp_path / "results" / "a.csv").write_text("b\n")
    (tmp_path / "results" / "b.csv").write_text("b\n")
    assert copied.code_version()[1] is False
    Path(copied.__file__).write_text("changed = True\n")
    assert copied.code_version()[1] is True


def test_nothing_is_written_to_the_repository(tmp_path):
    """A process that is killed while it writes leaves a lock there."""
    copied = copied_to(tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    before = (tmp_path / ".git" / "index").read_bytes()
    os.utime(copied.__file__, (1, 1))  # git would note that its content is still the same
    assert copied.code_version()[1] is False
    assert (tmp_path / ".git" / "index").read_bytes() == before


def test_outside_a_checkout_no_commit_is_known(tmp_path):
    copied = copied_to(tmp_path / "inner")  # in somebody else's repository
    git(tmp_path, "init", "-q")
    assert copied.code_version() == (None, None)
