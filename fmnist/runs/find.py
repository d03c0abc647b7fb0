"""From directories to runs, and from runs to the factors in which they differ."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmnist.config.hashing import BATCHES
from fmnist.config.readings import key_of
from fmnist.config.schema import COSMETIC, look_up
from fmnist.errors import RunError
from fmnist.runs.manifest import SWEEP, read_manifest
from fmnist.runs.plain import Damaged
from fmnist.runs.record import RESULT
from fmnist.runs.rows import ADDED, flatten, is_value, share_or_count
from fmnist.runs.run import Run, load_run

# Settings that earlier records lack, as they are where nobody sets them.
BEFORE = ADDED | {"trainer.precision": "auto", "channels_last": "null"}


@dataclass(frozen=True)
class Found:
    """What lies below some directories.

    Args:
        runs: readable records of any status, ordered by path.
        damaged: run directories that cannot be read, with the reason.
        missing: cells that a sweep lists and that have not begun: (directory, overrides), those of
            a sweep in the order in which it runs them.
        asked: directories among the damaged that were named themselves.
    """

    runs: list[Run]
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    missing: list[tuple[Path, list[str]]] = field(default_factory=list)
    asked: list[Path] = field(default_factory=list)

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.record.status == "finished"]

    @property
    def exit_code(self) -> int:
        """Of a command that shows the rest: 2 where nothing can be read, or not what was named."""
        return 2 if self.damaged and (self.asked or not self.runs) else 0


def find_runs(paths: Iterable[str | Path]) -> Found:
    """Every run at or below the paths, each once, also behind symbolic links.

    A sweep directory keeps cells of earlier configurations: where `sweep.json` stands, only the
    cells that it lists count.

    Raises:
        RunError: a path does not exist, or there is nothing at all below it.
    """
    runs: dict[Path, Run] = {}
    damaged: dict[Path, str] = {}
    missing: dict[Path, list[str]] = {}
    named = list(map(Path, paths))
    for given in named:
        if not given.is_dir():
            raise RunError(f"{given}: no such directory")
        folders, absent, closed = _run_folders(given)
        if not folders and not absent and not closed:
            raise RunError(f"{given}: holds no run")
        missing.update(absent)
        damaged.update(closed)
        for folder in folders:
            try:
                runs[folder] = load_run(folder)
            except RunError as error:
                damaged[folder] = _without_path(str(error), folder)
    ordered = [runs[path] for path in sorted(runs)]
    asked = [path for path in {_real(given) for given in named} if path in damaged]
    in_order = sorted(missing.items(), key=lambda cell: cell[0].parent)
    return Found(ordered, sorted(damaged.items()), in_order, asked)


def _without_path(message: str, folder: Path) -> str:
    for name in (str(folder / RESULT), str(folder)):
        message = message.removeprefix(f"{name}: ")
    return message.removeprefix("damaged: ")


def _real(path: Path) -> Path:
    """Without links; of a loop of links the path itself."""
    return Path(os.path.realpath(path))


def _walk(top: Path, closed: dict[Path, str]) -> Iterator[tuple[Path, set[str]]]:
    """Every folder at or below the top with the names in it, each once; links are followed.

    Args:
        closed: receives the folders that cannot be listed, and why.
    """
    left, seen = [top], set[Path]()
    while left:
        folder = left.pop()
        if (real := _real(folder)) in seen:
            continue
        seen.add(real)
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            closed[real] = f"cannot be listed: {error.strerror}"
            continue
        yield folder, {entry.name for entry in entries}
        for entry in entries:
            try:
                if entry.is_dir():
                    left.append(folder / entry.name)
            except OSError:  # a loop of links
                continue


def _run_folders(given: Path) -> tuple[list[Path], dict[Path, list[str]], dict[Path, str]]:
    """Run directories at or below one path, listed cells that have none, and closed folders."""
    closed: dict[Path, str] = {}
    inside: dict[Path, set[Path]] = {}  # by run directory: the folders in which it, or a link, lies
    sweeps: dict[Path, dict[Path, list[str]]] = {}
    for folder, names in _walk(given, closed):
        if RESULT in names:
            record = _real(folder / RESULT)
            place = record.parent if record.name == RESULT else _real(folder)
            inside.setdefault(place, set()).add(_real(folder.parent))
        if SWEEP in names:
            try:
                cells = read_manifest(folder / SWEEP).cells
            except (OSError, Damaged):
                continue  # a damaged list hides no run
            sweeps[_real(folder)] = {_real(folder / cell.dir): cell.overrides for cell in cells}
    missing: dict[Path, list[str]] = {}
    for sweep, listed in sweeps.items():
        missing |= {path: text for path, text in listed.items() if path not in inside}
        for place in [place for place, parents in inside.items() if parents == {sweep}]:
            if place not in listed:
                del inside[place]
    return sorted(inside), {k: v for k, v in missing.items() if k not in inside}, closed


def setting(run: Run, key: str) -> Any:
    """The option of a group ("model"), or a value of the configuration ("optim.lr"); or None."""
    if key in run.record.choices:
        return run.record.choices[key]
    value = look_up(run.config, key)
    return share_or_count(value) if tuple(key.split(".")) in BATCHES else value


def factors(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """What was varied: every overridden key with its values, in order of appearance.

    The seed is among them when it was varied. Keys with the same value in all runs are not. Then
    follows what nobody overrode, and what differs all the same where the others are the same: a
    file of conf/ was edited between two runs, and they are not of one setting.
    """
    keys = dict.fromkeys(
        key_of(override)
        for run in runs
        for override in run.record.overrides
        if not override.startswith("hydra")
        and tuple(key_of(override).split(".")) not in COSMETIC  # which changes no result
    )
    varied = _varied(runs, keys)
    sets = _varied(runs, ["data.name"])  # of data=npz and data=folder the file gives the name
    if sets and len(varied.get("data", [])) != len(sets["data.name"]):
        varied |= sets
    return varied | _varied(runs, _edited(runs, [key for key in varied if key != "seed"]))


def _varied(runs: Sequence[Run], keys: Iterable[str]) -> dict[str, list[Any]]:
    values = {key: list(dict.fromkeys(plain(setting(run, key)) for run in runs)) for key in keys}
    return {key: levels for key, levels in values.items() if len(levels) > 1}


def _edited(runs: Sequence[Run], varied: Sequence[str]) -> list[str]:
    """Settings that differ between runs with the same levels of what was varied, by name."""
    groups: dict[tuple[Any, ...], list[frozenset[tuple[str, str]]]] = {}
    for run in runs:
        # As `Row.did` has them, without what takes longer to read.
        pairs = (BEFORE | flatten(run.config)).items()
        levels = tuple(plain(setting(run, key)) for key in varied)
        groups.setdefault(levels, []).append(frozenset(p for p in pairs if is_value(p[0])))
    sides = groups.values()
    return sorted({k for s in sides for k, _ in frozenset.union(*s) - frozenset.intersection(*s)})


def plain(value: Any) -> Any:
    """A setting as a key of a dictionary: lists and groups as text."""
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value
