"""The list of a sweep's cells: sweep.json in the sweep's folder, read and written here only."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmnist.runs.plain import Damaged, decode, encode, read_json, shorten, write_json
from fmnist.runs.record import SCHEMA, check_schema

SWEEP = "sweep.json"


@dataclass(frozen=True)
class Cell:
    """One cell as `sweep.json` lists it.

    Args:
        dir: name of its folder in the sweep's.
        overrides: that make its configuration.
        config_hash: of that configuration.
        sources: see `fmnist.sweeps.plan.fingerprint`; as long as they are the same, so is the
            configuration.
    """

    dir: str
    overrides: list[str]
    config_hash: str = ""
    sources: str = ""


@dataclass(frozen=True)
class Manifest:
    """The cells of a sweep that were asked for."""

    cells: list[Cell]
    updated: str = ""
    others: dict[str, Any] = field(default_factory=dict, metadata={"rest": True})


def read_manifest(path: Path) -> Manifest:
    """The list of a sweep's cells.

    Raises:
        Damaged: it is none, or one of a newer version.
        OSError: it cannot be read.
    """
    content, _ = read_json(path)
    if isinstance(content, dict):
        content = {"schema": 1} | content
    check_schema(content)
    content.pop("schema")
    manifest: Manifest = decode(Manifest, content)
    for cell in manifest.cells:
        parts = Path(cell.dir).parts
        if not parts or Path(cell.dir).is_absolute() or ".." in parts or "\0" in cell.dir:
            raise Damaged(f"lists a cell outside its folder: {shorten(cell.dir)}")
    return manifest


def listed_cells(folder: Path) -> list[Cell]:
    """The cells that a folder's `sweep.json` lists; none when there is no readable one."""
    try:
        return read_manifest(folder / SWEEP).cells
    except (OSError, Damaged):
        return []


def manifest_json(manifest: Manifest) -> bytes:
    """A manifest as it stands on disk."""
    return write_json({"schema": SCHEMA, **encode(manifest)})
