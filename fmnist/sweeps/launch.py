"""The cells that are left are given to a launcher; then how all of them ended."""

import io
import logging
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus

from fmnist.process.terminal import SIGTERM_CODE, signal_exit_code, sigterm_exits
from fmnist.runs.manifest import Cell
from fmnist.runs.own_code import outdated
from fmnist.runs.run import Run, finished_run
from fmnist.runs.starts import made_anew
from fmnist.runs.text import in_eighty, shown
from fmnist.sweeps.plan import names_of, write_manifest
from fmnist.sweeps.watch import report, watch

log = logging.getLogger(__name__)


def finished(folder: Path, cells: Sequence[Cell]) -> dict[str, Run]:
    """The runs of the cells that have finished, by the cell's folder."""
    runs = {cell.dir: finished_run(folder / cell.dir, cell.config_hash) for cell in cells}
    return {name: run for name, run in runs.items() if run is not None}


def shorter_first(cells: Sequence[Cell]) -> list[Cell]:
    """Within a seed, cells of fewer epochs first: longer ones go on from them.

    Several run at a time, and a cell can only go on from one that has finished; see
    `fmnist.training.shorter`. Where no lengths are compared, the order stays.
    """
    settings = [
        dict(text.split("=", 1) for text in cell.overrides if "=" in text) for cell in cells
    ]
    lengths = [one.get("trainer.max_epochs", "") for one in settings]
    if len(set(lengths)) < 2 or not all(length.isdecimal() for length in lengths):
        return list(cells)
    seeds = list(dict.fromkeys(one.get("seed", "") for one in settings))
    places = [
        (seeds.index(one.get("seed", "")), int(length))
        for one, length in zip(settings, lengths, strict=True)
    ]
    return [cells[place] for place in sorted(range(len(cells)), key=places.__getitem__)]


def launch(
    launcher: Any, folder: Path, cells: Sequence[Cell], size: int | None, stop: bool = False
) -> int:
    """Run the cells that have not finished. The command's exit code.

    Args:
        launcher: Hydra's, set up.
        folder: of the sweep.
        cells: all of them.
        size: how many cells the launcher is given at once; None: all.
        stop: after a cell that fails no other begins.
    """
    write_manifest(folder, cells)
    done = finished(folder, cells)
    unfinished = shorter_first([cell for cell in cells if cell.dir not in done])
    words = "cells  %d, of which %d finished before, %d to run"
    log.info("sweep  %s", shown(folder))
    log.info(words, len(cells), len(cells) - len(unfinished), len(unfinished))
    records = [run.record for run in done.values()]
    for line in [*outdated(records), *made_anew(records)]:
        log.warning("%s", in_eighty(line))
    launcher.cells = len(cells)  # of which a machine is shared out
    size, errors = size or max(len(unfinished), 1), dict[str, str | None]()
    with sigterm_exits(), watch(folder, unfinished, names_of(cells)):
        for start in range(0, len(unfinished), size):
            batch = unfinished[start : start + size]
            try:
                jobs = launcher.launch([cell.overrides for cell in batch], initial_job_idx=start)
                # Fewer where a failure has stopped them.
                errors |= {cell.dir: error_of(job) for cell, job in zip(batch, jobs, strict=False)}
            except (KeyboardInterrupt, SystemExit) as reason:
                code = signal_exit_code(reason) or SIGTERM_CODE
                word = "terminated" if code == SIGTERM_CODE else "interrupted"
                log.info("%s: the same command continues where it stopped", word)
                return code
            except Exception as error:  # the records tell what became of each cell
                log.error("launcher: %s: %s", type(error).__name__, error)
                errors |= {cell.dir: f"{type(error).__name__}: {error}" for cell in batch}
            if stop and any(errors.values()):
                log.info("stopped: a cell has failed, and hydra.sweeper.stop_on_failure=true")
                break
    return report(folder, cells, errors)


def error_of(job: JobReturn) -> str | None:
    """What a job says of its failure."""
    if job.status != JobStatus.FAILED:
        return None
    try:
        with redirect_stderr(io.StringIO()):  # Hydra's own words about it
            return str(job.return_value)
    except Exception as error:  # the job's own
        return str(error)
