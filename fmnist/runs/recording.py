"""A run's record from its first line to its last: begun, gone on with, ended by an error."""

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmnist.config.schema import look_up, other_setting
from fmnist.config.words import show
from fmnist.data.facts import same_sums
from fmnist.errors import RunError, UserError
from fmnist.process.terminal import signal_exit_code
from fmnist.runs.origin import code_version, package_versions
from fmnist.runs.own_code import changed_code, code_digests
from fmnist.runs.plain import Damaged
from fmnist.runs.record import RESULT, STOPPED, Newer, Record, Resumption, read_record
from fmnist.runs.run import Run

log = logging.getLogger(__name__)


def start_run(run_dir: Path, new: Record) -> Run:
    """A run with what is known before it begins: status "running".

    A run of the same configuration that was stopped is continued from checkpoints/last.ckpt, if
    it came so far: `resumed` in the record then lists when, and after how many epochs. Where its
    net's code was changed meanwhile, the run begins anew.

    Args:
        new: by what code and when, is filled in here.

    Raises:
        RunError: the directory holds a finished run, or one of another configuration or a newer
            version, or one that would go on with other data files.
    """
    earlier = refuse_other_run(run_dir, new.config_hash, new.config)
    if earlier and (changed := changed_code(earlier)):
        words = "changed since the run was stopped, which begins anew"
        log.warning("WARNING %s: %s", ", ".join(changed), words)
        (run_dir / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
        earlier = replace(earlier, dashboard_id=None)  # whose rows are of the other code
    now, (commit, dirty) = datetime.now(UTC).isoformat(timespec="seconds"), code_version()
    record = replace(
        new,
        status="running",
        started=earlier.started if earlier else now,
        dashboard_id=earlier.dashboard_id if earlier else None,
        git_commit=commit,
        git_dirty=dirty,
        versions=package_versions(),
        code=code_digests(new.config),
    )
    run = Run(run_dir, record, own=True)
    if not earlier:
        if (run_dir / RESULT).exists():  # damaged: nothing that could be continued
            os.replace(run_dir / RESULT, run_dir / f"{RESULT}.damaged")
        (run.checkpoints / "last.ckpt").unlink(missing_ok=True)
    elif (run.checkpoints / "last.ckpt").exists():
        _refuse_other_data(run, earlier)
        was = earlier.device or None, earlier.threads
        again = Resumption(now, earlier.trained, commit, *was)
        run.record = _continued(run.record, earlier, again)
    run.write(run.record)
    return run


def _refuse_other_data(run: Run, earlier: Record) -> None:
    """A run cannot go on with other images: its record would be true of neither."""
    before, now = earlier.dataset, run.record.dataset
    if before and now and not same_sums(before.checksums, now.checksums):
        raise RunError(
            f"{run.dir}: was begun with other data files than those found now "
            f"(data.root={show(look_up(run.config, 'data.root'))}); choose another hydra.run.dir"
        )


def _continued(new: Record, earlier: Record, again: Resumption) -> Record:
    """The record of a run that goes on: what it is now, and what it has already."""
    return replace(
        new,
        resumed=[*earlier.resumed, again],
        epochs=earlier.epochs,
        precision=earlier.precision,
        channels_last=earlier.channels_last,
        origin=earlier.origin,
        inherited_seconds=earlier.inherited_seconds,
        inherited_on=earlier.inherited_on,
    )


def refuse_other_run(
    run_dir: Path, config_hash: str, config: dict[str, Any] | None = None
) -> Record | None:
    """The record of a run that can go on there; None where there is none, or a damaged one.

    Args:
        config: of that hash; it tells, too, whether a default has become another since then.

    Raises:
        RunError: the directory holds a finished run, or one of another configuration or a newer
            version.
    """
    try:
        earlier = read_record(run_dir / RESULT)
    except FileNotFoundError:
        return None
    except Newer as error:
        raise RunError(f"{run_dir / RESULT}: {error}") from error
    except Damaged:
        return None
    except OSError as error:
        raise RunError(f"{run_dir / RESULT}: cannot be read: {error.strerror}") from error
    if earlier.config_hash != config_hash:
        raise RunError(
            f"{run_dir}: holds a run of another configuration; choose another hydra.run.dir"
        )
    if config is not None and (key := other_setting(config, earlier.config)):
        before, now = (show(look_up(each, key)) for each in (earlier.config, config))
        raise RunError(
            f"{run_dir}: holds a run of another configuration, with {key}={before}, not {now}: its "
            "default has changed since; choose another hydra.run.dir"
        )
    if earlier.status == "finished":
        raise RunError(f"{run_dir}: holds a finished run; choose another hydra.run.dir")
    return earlier


def goes_on(run_dir: Path, config_hash: str, config: dict[str, Any]) -> bool:
    """Whether `start_run` will find a run there that it continues.

    Raises:
        RunError: see `start_run`.
    """
    earlier = refuse_other_run(run_dir, config_hash, config)
    begun = earlier is not None and (run_dir / "checkpoints" / "last.ckpt").exists()
    return begun and not (earlier and changed_code(earlier))


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Whatever ends the run other than its end: the record says "failed", and why."""
    try:
        yield
    except BaseException as error:  # SystemExit and KeyboardInterrupt end a run as well
        if run.record.status == "finished":  # what comes after cannot take that back
            raise
        signalled = STOPPED.get(signal_exit_code(error) or 0)
        message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        with suppress(OSError):  # a full disk: the error itself is the one to show
            words = (signalled or message, traceback.format_exc())
            why, trace = (text.encode(errors="replace").decode() for text in words)
            run.write(replace(run.record, status="failed", error=why, traceback=trace))
        raise
