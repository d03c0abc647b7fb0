"""From directories to runs, and from runs to the factors in which they differ."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmnist.errors import RunError
from fmnist.runs.run import RESULT, Run, load_run

SWEEP = "sweep.json"  # the list of a sweep's cells, see `fmnist.sweeps.plan`


@dataclass(frozen=True)
class Found:
    """What lies below some directories.

    Args:
        runs: readable records of any status, ordered by path.
        damaged: run directories that cannot be read, with the reason.
        missing: cells that a sweep lists and that have not begun: (directory, overrides).
    """

    runs: list[Run]
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    missing: list[tuple[Path, list[str]]] = field(default_factory=list)

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.record.get("status") == "finished"]


def find_runs(paths: Iterable[str | Path]) -> Found:
    """Every run at or below the paths, each once.

    A sweep directory keeps cells of earlier configurations: where `sweep.json` stands, only the
    cells that it lists count.

    Raises:
        RunError: a path does not exist, or there is nothing at all below it.
    """
    runs: dict[Path, Run] = {}
    damaged: dict[Path, str] = {}
    missing: dict[Path, list[str]] = {}
    for given in map(Path, paths):
        if not given.is_dir():
            raise RunError(f"{given}: no such directory")
        folders, absent = _run_folders(given)
        if not folders and not absent:
            raise RunError(f"{given}: holds no run")
        missing.update(absent)
        for folder in folders:
            try:
                runs[folder] = load_run(folder)
            except RunError as error:
                damaged[folder] = str(error)
    ordered = [runs[path] for path in sorted(runs)]
    return Found(ordered, sorted(damaged.items()), sorted(missing.items()))


def _run_folders(given: Path) -> tuple[list[Path], dict[Path, list[str]]]:
    """Run directories at or below one path, and the listed cells that have none."""
    folders = {path.parent.resolve() for path in given.rglob(RESULT)}
    missing: dict[Path, list[str]] = {}
    for manifest in given.rglob(SWEEP):
        sweep = manifest.parent.resolve()
        try:
            cells = json.loads(manifest.read_text(encoding="utf-8"))["cells"]
            listed = {sweep / cell["dir"]: list(cell["overrides"]) for cell in cells}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged list hides no run
        folders -= {folder for folder in folders if folder.parent == sweep} - set(listed)
        missing |= {path: overrides for path, overrides in listed.items() if path not in folders}
    return sorted(folders), missing


def key_of(override: str) -> str:
    """ "optim.lr" of "+optim.lr=1"."""
    return override.lstrip("+~").partition("=")[0]


def setting(run: Run, key: str) -> Any:
    """The option of a group ("model"), or a value of the configuration ("optim.lr"); or None."""
    choices = run.record.get("choices", {})
    if key in choices:
        return choices[key]
    node: Any = run.config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return None if isinstance(node, dict) else node


def factors(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """What was varied: every overridden key with its values, in order of appearance.

    The seed is among them when it was varied. Keys with the same value in all runs are not.
    """
    keys = dict.fromkeys(
        key_of(override)
        for run in runs
        for override in run.record.get("overrides", [])
        if not override.startswith("hydra")
    )
    values = {key: list(dict.fromkeys(_plain(setting(run, key)) for run in runs)) for key in keys}
    return {key: levels for key, levels in values.items() if len(levels) > 1}


def _plain(value: Any) -> Any:
    """Lists cannot be keys of a dictionary."""
    return json.dumps(value) if isinstance(value, list | dict) else value
