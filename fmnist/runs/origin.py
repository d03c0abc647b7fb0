"""By which code a result was made, and on what it is built."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "lightning", "torchmetrics", "hydra-core", "omegaconf", "numpy", "wandb")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def code_version() -> tuple[str | None, bool | None]:
    """The commit of this checkout, and whether its code was changed since; None outside one."""
    checkout = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        # A run that is killed while git writes would leave a lock: nobody could commit then.
        command = ["git", "--no-optional-locks", "-C", str(checkout), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        folder, commit = git("rev-parse", "--show-toplevel", "HEAD").splitlines()
        # An installed package may lie inside somebody else's repository.
        if Path(folder).resolve() == checkout:
            # Rows of results are no code: measuring writes them one after another.
            dirty = bool(git("status", "--porcelain", "--", ".", ":(exclude)results"))
            return commit, dirty
    except (OSError, ValueError, subprocess.SubprocessError):
        pass
    return None, None
