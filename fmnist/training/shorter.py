"""A cell of a sweep that is a longer run of a finished one: it goes on from there.

Where two configurations differ in trainer.max_epochs alone, and nothing in them depends on it, the
longer run's first epochs are the shorter one: it takes over its checkpoints and ends bit for bit as
if it had trained them (on one machine, with one version of the code). A study's grid over 1, 2, 5,
10 and 20 epochs then trains 20 epochs a cell of the others, not 38.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from fmnist.config.readings import key_of
from fmnist.config.schema import config_hash
from fmnist.data.facts import same_sums
from fmnist.errors import RunError
from fmnist.process.machine import processor_name
from fmnist.runs.manifest import SWEEP, Cell, listed_cells
from fmnist.runs.origin import code_version, package_versions
from fmnist.runs.own_code import changed_code
from fmnist.runs.record import Record
from fmnist.runs.run import Run, finished_run, read_checkpoint

log = logging.getLogger(__name__)

EPOCHS = "trainer.max_epochs"
PACKAGE = Path(__file__).parents[1]


def shorter_run(config: dict[str, Any], run_dir: Path, checksums: Mapping[str, str]) -> Run | None:
    """The longest finished run of the same sweep of which this one is a longer run.

    Args:
        config: checked and resolved.
        run_dir: of the run that is about to begin, a cell of a sweep.
        checksums: of its data files.
    """
    most = config["trainer"].get("max_epochs")
    if not config["reuse_shorter"] or not most or depends_on_length(config):
        return None
    beside = list(_cells_beside(run_dir))
    cells = {cell.config_hash: folder / cell.dir for folder, cell in beside}
    levels = {level for _, cell in beside for level in _epochs_of(cell)}
    for epochs in sorted((level for level in levels if 0 < level < most), reverse=True):
        trainer = {**config["trainer"], "max_epochs": epochs}
        hashed = config_hash({**config, "trainer": trainer})
        run = finished_run(cells[hashed], hashed) if hashed in cells else None
        if run is None or not _came_to_its_end(run.record, epochs):
            continue
        facts = run.record.dataset
        if facts is not None and same_sums(facts.checksums, checksums) and _is_whole(run):
            return run
    return None


def depends_on_length(config: dict[str, Any]) -> bool:
    """Whether an epoch may be another one where a run has more of them, for all that is known.

    Callbacks are anybody's; a validation that is not every epoch's end is also made at a run's end.
    """
    trainer = config["trainer"]
    return bool(
        config["scheduler"].get("horizon")
        or config["callbacks"]
        or config["init_from"]
        or config["ckpt_path"]
        or trainer.get("max_time")
        or trainer.get("max_steps", -1) not in (None, -1)
        or trainer.get("check_val_every_n_epoch", 1) != 1
    )


def _cells_beside(run_dir: Path) -> Iterator[tuple[Path, Cell]]:
    """The cells of the sweep that a run directory lies in, with the sweep's folder."""
    sweep = next((folder for folder in run_dir.parents if (folder / SWEEP).is_file()), run_dir)
    yield from ((sweep, cell) for cell in listed_cells(sweep))


def _epochs_of(cell: Cell) -> Iterator[int]:
    for text in cell.overrides:
        value = text.partition("=")[2]
        if key_of(text) == EPOCHS and value.isdecimal():
            yield int(value)


def _came_to_its_end(record: Record, epochs: int) -> bool:
    """Every epoch trained and validated once, by this code on such a machine, on one device."""
    kind, _, name = record.device.partition(" ")
    here = processor_name()
    if kind != "cpu":
        here = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return (
        [row.epoch for row in record.epochs] == list(range(epochs))
        and record.cut_short is None
        and record.devices == 1
        and (kind != "cpu" or record.threads == torch.get_num_threads())
        and name == f"({here})"
        and _by_this_code(record)
        and record.versions == package_versions()
        and not changed_code(record)
    )


def _by_this_code(record: Record) -> bool:
    """Of the same commit; where a tree was changed, by files that are older than the run.

    What a sweep's server imported before a file was changed under it, cannot be seen here.
    """
    commit, dirty = code_version()
    if commit != record.git_commit:
        return False
    if (dirty, record.git_dirty) == (False, False):
        return True
    began = datetime.fromisoformat(record.started).timestamp()
    return all(file.stat().st_mtime < began for file in PACKAGE.rglob("*.py"))


def _is_whole(run: Run) -> bool:
    """Whether its checkpoints can be read: somebody may have made room."""
    try:
        for name in ("last", "best"):
            read_checkpoint(run.checkpoints / f"{name}.ckpt")
    except RunError as error:
        log.info("%s: not gone on from: %s", run.dir, error)
        return False
    return True
