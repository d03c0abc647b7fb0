"""Sweeps that finish: where their cells lie, which of them are left, and how they ended.

A cell's directory is named by the hash of its configuration, so that the same command finds what
is done: finished cells are skipped, begun ones continue, and a cell whose configuration has changed
(an edited YAML file, say) is a new one. `sweep.json` lists the cells that were asked for.
"""

import hashlib
import json
import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from fmnist.config.check import check
from fmnist.config.schema import COSMETIC, config_hash, resolve
from fmnist.config.schema import __file__ as config_module
from fmnist.errors import ConfigError, RunError
from fmnist.runs.find import SWEEP, key_of
from fmnist.runs.run import Run, finished_run, load_run, signal_exit_code, write_atomically
from fmnist.runs.text import shown

log = logging.getLogger(__name__)

NAMED = ("ablation", "search")  # groups whose options give the sweep its folder
NAME_LENGTH = 120  # of a folder; file systems allow 255 bytes
SIGTERM_CODE = 128 + signal.SIGTERM
POLL = 1.0  # seconds between looks at the records of cells that run elsewhere


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


def counts(override: str) -> bool:
    """Whether an override can change a result."""
    key = key_of(override)
    return not key.startswith("hydra") and tuple(key.split(".")) not in COSMETIC


def folder_name(text: str) -> str:
    """A text as the name of a folder, without what shells and file systems treat specially."""
    name = re.sub(r"[^\w.,=+-]+", "_", text)
    if len(name) <= NAME_LENGTH:
        return name
    return f"{name[: NAME_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def varied_keys(overrides: Sequence[str], params: Iterable[str] | None) -> list[str]:
    """The keys that a sweep varies.

    Args:
        overrides: of the command line.
        params: keys that the ablation's file varies.
    """
    several = re.compile(r"^[^\[{'\"]*,|^(range|glob|choice|interval|shuffle|sort)\(")
    typed = [key_of(text) for text in overrides if several.search(text.partition("=")[2])]
    return list(dict.fromkeys([*(params or []), *typed]))


def sweep_name(overrides: Sequence[str], params: Iterable[str] | None) -> str:
    """The folder of a sweep: the same for the same question, however many levels it has.

    The name of the ablation, or else the keys that vary; and every setting that is fixed. The
    arguments are those of `varied_keys`.
    """
    varied = varied_keys(overrides, params)
    named = [text.partition("=")[2] for text in overrides if key_of(text) in NAMED]
    words = named or [key for key in varied if counts(key)]
    fixed = [text for text in overrides if counts(text) and key_of(text) not in varied]
    words += [text for text in fixed if key_of(text) not in NAMED]
    if named:  # what the command line varies beside the ablation's own factors
        words += [key for key in varied if key not in (params or []) and counts(key)]
    return folder_name(",".join(words)) or "sweep"


def cell_name(overrides: Sequence[str], varied: Iterable[str], digest: str) -> str:
    """The folder of a cell: its levels, for people, then the hash that decides."""
    words = [text for text in overrides if key_of(text) in set(varied) and counts(text)]
    return f"{folder_name(','.join(words)) or 'cell'}-{digest}"


def _cell_name(varied: Sequence[str], *, _root_: DictConfig) -> str:
    overrides, digest = list(_root_.hydra.overrides.task), config_hash(resolve(_root_))
    return cell_name(overrides, varied, digest)


# Cached: Hydra hands the cache of the sweep's configuration on to those of its cells, so that all
# of them see one name.
OmegaConf.register_new_resolver("fmnist.sweep", sweep_name, replace=True, use_cache=True)
OmegaConf.register_new_resolver("fmnist.varied", varied_keys, replace=True, use_cache=True)
OmegaConf.register_new_resolver("fmnist.cell", _cell_name, replace=True)


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


def distinct(overrides: Sequence[Sequence[str]]) -> list[str]:
    """For every cell what tells it from the others: the overrides that not all of them share."""
    common = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
    return [
        " ".join(text for text in cell if text not in common and counts(text)) or "default"
        for cell in overrides
    ]


def names_of(cells: Sequence[Cell]) -> dict[str, str]:
    """What tells the cells apart, by folder."""
    names = distinct([cell.overrides for cell in cells])
    return {cell.dir: name for cell, name in zip(cells, names, strict=True)}


def outcome(folder: Path, cell: Cell) -> tuple[str, str]:
    """How a cell stands (finished, failed, running, killed, missing), and its result or reason."""
    try:
        run = load_run(folder / cell.dir)
    except RunError:
        return "missing", "not begun"
    state = run.status
    if state != "finished":
        return state, unfinished(run, state)
    metrics, seconds = run.record["metrics"], run.record["seconds"]
    return "finished", (
        f"val acc {metrics['val/acc_best']:.4f}, test acc {metrics['test/acc']:.4f}, "
        f"{seconds:.1f} s"
    )


def unfinished(run: Run, state: str) -> str:
    """Why a run failed, or how far it is."""
    if state == "failed":
        return str(run.record.get("error")).partition("\n")[0]
    epochs, most = run.record.get("epochs", []), run.config["trainer"]["max_epochs"]
    accuracy = f", val acc {epochs[-1]['val/acc_best']:.4f}" if epochs else ""
    return f"{len(epochs)} of up to {most} epochs{accuracy}"


def launch(launcher: Any, folder: Path, cells: Sequence[Cell], size: int | None) -> int:
    """Run the cells that have not finished. The command's exit code.

    Args:
        launcher: Hydra's, set up.
        folder: of the sweep.
        cells: all of them.
        size: how many cells the launcher is given at once; None: all; 1: they run one after
            another in this terminal and speak for themselves.
    """
    write_manifest(folder, cells)
    left = [cell for cell in cells if finished_run(folder / cell.dir, cell.config_hash) is None]
    done = len(cells) - len(left)
    log.info("sweep  %s", shown(folder))
    log.info("cells  %d, of which %d finished before, %d to run", len(cells), done, len(left))
    size, names = size or max(len(left), 1), names_of(cells)
    errors: dict[str, str | None] = {}
    with sigterm_exits(), nullcontext() if size == 1 else watched(folder, left, names):
        for start in range(0, len(left), size):
            batch = left[start : start + size]
            if size == 1:
                log.info("\n[%d/%d] %s", start + 1, len(left), names[batch[0].dir])
            try:
                jobs = launcher.launch([cell.overrides for cell in batch], initial_job_idx=start)
                errors |= {cell.dir: error_of(job) for cell, job in zip(batch, jobs, strict=True)}
            except (KeyboardInterrupt, SystemExit) as stop:
                code = signal_exit_code(stop) or SIGTERM_CODE
                word = "terminated" if code == SIGTERM_CODE else "interrupted"
                log.info("%s: the same command continues where it stopped", word)
                return code
            except Exception as error:  # the records tell what became of each cell
                log.error("launcher: %s: %s", type(error).__name__, error)
                errors |= {cell.dir: f"{type(error).__name__}: {error}" for cell in batch}
            if size == 1 and (error_text := errors[batch[0].dir]):
                log.error("failed: %s", error_text.partition("\n")[0])
    return report(folder, cells, errors)


def error_of(job: JobReturn) -> str | None:
    """What a job says of its failure."""
    if job.status != JobStatus.FAILED:
        return None
    return str(job._return_value)  # return_value raises it


@contextmanager
def sigterm_exits() -> Iterator[None]:
    """SIGTERM as an exception, so that a cell that is running can be stopped first."""

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(SIGTERM_CODE)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def report(folder: Path, cells: Sequence[Cell], errors: Mapping[str, str | None]) -> int:
    """Say how the cells ended: 0 when all of them finished, else 1 and a table of the others.

    Args:
        errors: by folder, for cells whose record could not be written.
    """
    bad: list[tuple[str, str, str]] = []  # state, folder, reason
    for cell in cells:
        state, reason = outcome(folder, cell)
        if state in ("missing", "killed") and (error := errors.get(cell.dir)):
            state, reason = "failed", error.partition("\n")[0]
        if state != "finished":
            bad.append((state, cell.dir, reason))
    log.info("\n%d of %d cells finished: %s", len(cells) - len(bad), len(cells), shown(folder))
    if not bad:
        return 0
    names = names_of(cells)
    width = min(60, max(len(names[name]) for _, name, _ in bad))
    for state, name, reason in bad:
        log.error("%-8s  %-*s  %s", state, width, names[name], reason)
        log.error("%-8s  %s", "", shown(folder / name))
    log.error("the same command runs the unfinished cells again")
    return 1


@contextmanager
def watched(folder: Path, left: Sequence[Cell], names: dict[str, str]) -> Iterator[None]:
    """Say which cell began and ended, from the records: the same on every launcher."""
    stop = threading.Event()
    states = {cell.dir: outcome(folder, cell)[0] for cell in left}

    def look() -> None:
        for cell in left:
            state, words = outcome(folder, cell)
            if state != states[cell.dir] and state != "missing":
                states[cell.dir] = state
                ended = sum(state in ("finished", "failed") for state in states.values())
                where = "began" if state == "running" else state
                log.info("[%d/%d] %-8s %s  %s", ended, len(left), where, names[cell.dir], words)

    def keep_looking() -> None:
        while not stop.wait(POLL):
            look()

    thread = threading.Thread(target=keep_looking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        look()
