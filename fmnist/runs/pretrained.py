"""Nets that come with the package: run directories whose weights are a file of tensors alone.

    fmnist/weights/NAME/model.safetensors    the weights of the chosen epoch, by the net's names
    fmnist/weights/NAME/result.json          the record of the run that made them
    fmnist/weights/NAME/README.md            what they were trained on, and how good they are
    fmnist/weights/SHA256SUMS                of these files, as `sha256sum` writes it

`python -m benchmarks.pretrained RUN NAME` makes them of a run.
"""

import hashlib
from pathlib import Path

from fmnist.config.words import near_or_all
from fmnist.errors import RunError
from fmnist.runs.run import WEIGHTS, Run, load_run

FOLDER = Path(__file__).parents[1] / "weights"
SUMS = "SHA256SUMS"
PREFIX = "pretrained/"  # of their names where a run's directory is expected


def pretrained_names() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{WEIGHTS}"))


PRETRAINED_HELP = f"a net that comes with fmnist, instead of a run: {', '.join(pretrained_names())}"


def pretrained(name: str) -> Run:
    """One of them.

    Raises:
        RunError: there is none of this name, or its files are not those that were published.
    """
    names = pretrained_names()
    if name not in names:
        raise RunError(f"{name}: no such pretrained net{near_or_all(name, names)}")
    for line in (FOLDER / SUMS).read_text(encoding="utf-8").splitlines():
        digest, _, file = line.partition("  ")
        path = FOLDER / file
        if file.startswith(f"{name}/") and (
            not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest
        ):
            raise RunError(f"{path}: is not the file that was published: install fmnist again")
    return load_run(FOLDER / name)


def load_named(path: str | Path) -> Run:
    """A run from its directory, or "pretrained/NAME".

    Raises:
        RunError: there is no readable record, or no such net.
    """
    text = str(path)
    if text in pretrained_names() and not Path(text).exists():
        raise RunError(f"{text}: no such folder; {PREFIX}{text} is a net that comes with fmnist")
    return pretrained(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else load_run(path)
