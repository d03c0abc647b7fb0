"""Which cells a sweep has: each checked before the first is trained, all listed in `sweep.json`."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from omegaconf import DictConfig

from fmnist.config.check import check
from fmnist.config.schema import __file__ as config_module
from fmnist.config.schema import config_hash
from fmnist.errors import ConfigError
from fmnist.runs.find import SWEEP
from fmnist.runs.run import write_atomically
from fmnist.sweeps.names import cell_name, distinct


@dataclass(frozen=True)
class Cell:
    """One cell as `sweep.json` lists it.

    Args:
        dir: name of its folder in the sweep's.
        overrides: that make its configuration.
        config_hash: of that configuration.
        sources: see `fingerprint`; as long as they are the same, so is the configuration.
    """

    dir: str
    overrides: list[str]
    config_hash: str
    sources: str


def fingerprint(folders: Iterable[Path]) -> str:
    """Hash of all that a composed configuration depends on beside its overrides.

    The YAML files of the folders, the environment variables that they name, the schema.
    """
    texts = [Path(config_module).read_text()]
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            texts += [str(path.relative_to(folder)), text := path.read_text(encoding="utf-8")]
            texts += [
                f"{name}={os.environ.get(name)}" for name in re.findall(r"oc\.env:(\w+)", text)
            ]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def plan(
    wanted: Sequence[list[str]],
    compose: Callable[[list[str]], DictConfig],
    varied: Sequence[str],
    known: Sequence[Cell],
    sources: str,
) -> list[Cell]:
    """The cells of a sweep, every one of them checked before the first is trained.

    Args:
        wanted: the overrides of every cell.
        compose: the configuration of one cell; takes Hydra some 50 ms.
        varied: see `varied_keys`.
        known: cells planned earlier: where the sources are the same, they are not composed again.
        sources: see `fingerprint`.

    Raises:
        ConfigError: a setting that does not exist or has a value that it cannot have.
    """
    planned = {tuple(cell.overrides): cell for cell in known if cell.sources == sources}
    cells: dict[str, Cell] = {}
    for overrides in wanted:
        cell = planned.get(tuple(overrides))
        if cell is None:
            try:
                digest = config_hash(check(compose(overrides)))
            except ConfigError as error:
                raise ConfigError(f"{error} (in the cell {' '.join(overrides)})") from error
            cell = Cell(cell_name(overrides, varied, digest), overrides, digest, sources)
        cells.setdefault(cell.config_hash, cell)
    return list(cells.values())


def write_manifest(folder: Path, cells: Sequence[Cell]) -> None:
    """Add the cells to `sweep.json`; a cell of the same overrides replaces the earlier one."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        listed = {tuple(cell.overrides): cell for cell in [*read_manifest(folder), *cells]}
        content = {
            "schema": 1,
            "updated": datetime.now(UTC).isoformat(timespec="seconds"),
            "cells": [asdict(cell) for cell in listed.values()],
        }
        write_atomically(folder / SWEEP, json.dumps(content, indent=1).encode())


def read_manifest(folder: Path) -> list[Cell]:
    """The cells that `sweep.json` lists; none when there is no readable one."""
    try:
        content = json.loads((folder / SWEEP).read_text(encoding="utf-8"))
        return [Cell(**cell) for cell in content["cells"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def names_of(cells: Sequence[Cell]) -> dict[str, str]:
    """What tells the cells apart, by folder."""
    names = distinct([cell.overrides for cell in cells])
    return {cell.dir: name for cell, name in zip(cells, names, strict=True)}
