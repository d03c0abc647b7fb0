"""Which cells a sweep has: each checked before the first is trained, all listed in `sweep.json`."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath

from omegaconf import DictConfig

from fmnist.config.folders import read_yaml, yaml_files
from fmnist.config.readings import key_of
from fmnist.config.schema import __file__ as config_module
from fmnist.config.schema import config_hash
from fmnist.config.signature import source_files
from fmnist.config.trial import check_all
from fmnist.errors import ConfigError, RunError
from fmnist.runs.lock import locked
from fmnist.runs.manifest import SWEEP, Cell, Manifest, listed_cells, manifest_json
from fmnist.runs.run import finished_run, load_run, write_atomically
from fmnist.sweeps.names import cell_name, distinct, own_cell_name


def fingerprint(folders: Iterable[Path]) -> str:
    """Hash of all that a composed configuration depends on beside its overrides.

    The YAML files of the folders, the environment variables and the classes that they name (whose
    defaults the hash leaves out), the schema.
    """
    texts, targets = [Path(config_module).read_text()], set[str]()
    for folder in folders:
        for path in yaml_files(folder):
            texts += [str(path.relative_to(folder)), text := read_yaml(path)]
            texts += [
                f"{name}={os.environ.get(name)}" for name in re.findall(r"oc\.env:(\w+)", text)
            ]
            targets |= {*re.findall(r"_target_: *([\w.]+)", text)}
    files = set().union(*map(source_files, targets))
    texts += [file.read_text(encoding="utf-8", errors="replace") for file in sorted(files)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def plan(
    wanted: Sequence[list[str]],
    compose: Callable[[list[str]], DictConfig],
    varied: Sequence[str],
    known: Sequence[Cell],
    sources: str,
    here: bool = False,
    own_names: bool = False,
) -> list[Cell]:
    """The cells of a sweep, every one of them checked before the first is trained.

    Args:
        wanted: the overrides of every cell.
        compose: the configuration of one cell; takes Hydra some 70 ms.
        varied: see `varied_keys`.
        known: cells planned earlier: where the sources are the same, they are not composed again.
        sources: see `fingerprint`.
        here: whether the cells will run on this machine, whose devices are then counted.
        own_names: whether the cells' configurations name their folders, see `own_cell_name`.

    Raises:
        ConfigError: a setting that does not exist or has a value that it cannot have; or two
            cells would lie in one folder, or be one run though their data lie in two places.
    """
    if not wanted:
        raise ConfigError("the sweep has no cell: a setting has no value, or no reading is left")
    planned = {
        tuple(cell.overrides): cell
        for cell in known
        if cell.sources == sources
        and not own_names
        # Of what it refers to, a variable or the code of a target, the sources know nothing.
        and not any("${" in text or "_target_" in text for text in cell.overrides)
    }
    cells: dict[str, Cell] = {}
    for overrides in wanted:
        cell = planned.get(tuple(overrides))
        if cell is None:
            try:
                plain = check_all(config := compose(overrides), here)
            except ConfigError as error:
                raise ConfigError(f"{error} (in the cell {' '.join(overrides)})") from error
            digest = config_hash(plain)
            name = own_cell_name(config) if own_names else cell_name(overrides, varied, digest)
            cell = Cell(name, overrides, digest, sources)
        _refuse_two_roots(cells.setdefault(cell.config_hash, cell).overrides, overrides)
    _refuse_shared_folders(list(cells.values()))
    return list(cells.values())


def _refuse_two_roots(one: Sequence[str], other: Sequence[str]) -> None:
    """Cells of one hash have one data root: the second of two would not be run."""
    places = [[text for text in cell if key_of(text) == "data.root"] for cell in (one, other)]
    if places[0] != places[1]:
        words = " and ".join(text for place in places for text in place)
        raise ConfigError(
            f"{words}: would be one run, for a root is a place and no setting; data.name=... "
            "tells data sets apart"
        )


def _refuse_shared_folders(cells: Sequence[Cell]) -> None:
    """No cell lies in another's folder."""
    names = distinct([cell.overrides for cell in cells])
    taken: dict[PurePath, str] = {}
    for cell, name in zip(cells, names, strict=True):
        path = PurePath(cell.dir)
        for other in (taken.get(place) for place in (path, *path.parents)):
            if other is not None:
                raise ConfigError(f"hydra.sweep.subdir: {other} and {name} would lie in {path}")
        taken[path] = name


def where_finished(folder: Path, cells: Sequence[Cell], known: Iterable[Cell]) -> list[Cell]:
    """The cells, each in the folder of an earlier one of equal hash where that has finished.

    What a sweep varies names its cells: once a factor is added, a cell that has its default level
    has another name than it had, and is the same run.

    Args:
        folder: of the sweep.
        known: the cells that its list has.
    """
    places: dict[str, list[str]] = {}
    for cell in known:
        places.setdefault(cell.config_hash, []).append(cell.dir)
    found = []
    for cell in cells:
        others = [name for name in places.get(cell.config_hash, []) if name != cell.dir]
        done = (
            name for name in [cell.dir, *others] if finished_run(folder / name, cell.config_hash)
        )
        found.append(replace(cell, dir=next(done, cell.dir)) if others else cell)
    return found


def refuse_other_runs(folder: Path, cells: Sequence[Cell]) -> None:
    """No cell's folder holds a run of another configuration. Of names with the hash none does.

    Raises:
        RunError: one does.
    """
    for cell in cells:
        try:
            run = load_run(folder / cell.dir)
        except RunError:
            continue
        if run.record.config_hash != cell.config_hash:
            raise RunError(
                f"{folder / cell.dir}: holds a run of another configuration than the cell "
                f"{' '.join(cell.overrides)}; choose another hydra.sweep.dir"
            )


def write_manifest(folder: Path, cells: Sequence[Cell]) -> None:
    """Add the cells to `sweep.json`.

    A cell replaces the earlier ones of the same overrides, and that of its hash in another folder.

    Raises:
        RunError: the folder cannot be written, as somebody else's, and does not list them yet.
    """
    if all(cell in (there := listed_cells(folder)) for cell in cells) and there:
        return
    with locked(folder, "listing the cells of this sweep", seconds=60):
        places = {cell.config_hash: cell.dir for cell in cells}
        kept = [
            cell
            for cell in listed_cells(folder)
            if places.get(cell.config_hash, cell.dir) == cell.dir
        ]
        listed = {tuple(cell.overrides): cell for cell in [*kept, *cells]}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        content = manifest_json(Manifest(list(listed.values()), now))
        write_atomically(folder / SWEEP, content)


def names_of(cells: Sequence[Cell]) -> dict[str, str]:
    """What tells the cells apart, by folder."""
    names = distinct([cell.overrides for cell in cells])
    return {cell.dir: name for cell, name in zip(cells, names, strict=True)}
