"""Before a run or a sweep: a mistake leaves no folder behind, and no run ends in another's.

Hydra makes the folder, its log and its own files before anything of ours is asked; a hook of its
comes first.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.core.utils import env_override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from fmnist.config.command import check_command
from fmnist.config.explain import fail
from fmnist.config.schema import config_hash
from fmnist.config.trial import check_all
from fmnist.errors import ConfigError, RunBusy, RunError
from fmnist.runs.lock import LOCK, is_locked
from fmnist.runs.record import RESULT
from fmnist.runs.recording import refuse_other_run

HYDRA = ".hydra"
# What Hydra leaves of a run that was killed before it had a record.
HYDRAS = ("config.yaml", "hydra.yaml", "overrides.yaml")

# By run directory of this process, the folders that are made for it: itself first.
_made: dict[Path, list[Path]] = {}


class CheckBeforeRun(Callback):
    """Hydra's hook: what is wrong with command, configuration, machine or folder."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        with _one_line():
            # Hydra sets the job's variables later, where PyTorch has read its own.
            with env_override(config.hydra.job.env_set):
                check_command(config)
                plain = check_all(config)
            folder = _named_folder(config, "hydra.run.dir")
            check_folder(folder, f"{config.hydra.job.name}.log", config_hash(plain))
            _made[folder] = [path for path in (folder, *folder.parents) if not path.exists()]

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """The cells are checked by the sweeper, all of them before the first is trained."""
        with _one_line():
            check_command(config)
            folder = _named_folder(config, "hydra.sweep.dir")
            if folder.exists() and not folder.is_dir():
                raise RunError(f"{folder}: not a folder; choose another hydra.sweep.dir")


@contextmanager
def _one_line() -> Iterator[None]:
    """An error ends the command here: of a hook's Hydra makes a warning, unless it is this one."""
    try:
        yield
    except Exception as error:
        raise SystemExit(fail(error)) from error


def _named_folder(config: DictConfig, key: str) -> Path:
    """The folder that a setting of Hydra's names, absolute."""
    name = OmegaConf.select(config, key, throw_on_missing=True)
    if not isinstance(name, str) or not name.strip():
        shown = "null" if name is None else name
        raise ConfigError(f"{key}={shown}: should name a folder; leave it out to have one made")
    return Path(name).absolute()


def check_folder(run_dir: Path, log: str, config_hash: str) -> None:
    """Whether a run of this configuration may go there.

    Args:
        run_dir: the folder, which need not exist.
        log: name of the log file.
        config_hash: of the run's configuration.

    Raises:
        RunError: it holds other things, or a run that is finished or of another configuration.
        RunBusy: somebody trains there.
    """
    if not run_dir.exists():
        return
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: not a folder; choose another hydra.run.dir")
    names = {path.name for path in run_dir.iterdir()}
    others = sorted(names - {HYDRA, LOCK, log})
    if RESULT not in names and others:
        listed = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise RunError(f"{run_dir}: holds other things ({listed}); choose another hydra.run.dir")
    if is_locked(run_dir):
        raise RunBusy(f"{run_dir}: another process is training this run")
    refuse_other_run(run_dir, config_hash)


def remove_untouched(run_dir: Path, log: str) -> None:
    """Take away the directory of a run that ended before it had a record: what Hydra made.

    Anything else in it stays, and with it the directory; and all of it where another process has
    begun to train there and has no record yet.
    """
    if (run_dir / RESULT).exists() or is_locked(run_dir):
        return
    with suppress(OSError):  # not empty, not ours
        for path in (*(run_dir / HYDRA / name for name in HYDRAS), run_dir / log, run_dir / LOCK):
            path.unlink(missing_ok=True)
        if (run_dir / HYDRA).is_dir():
            (run_dir / HYDRA).rmdir()
        for path in _made.get(run_dir, [run_dir]):
            path.rmdir()


def remove_all_untouched(log: str) -> None:
    """The same of every directory that Hydra was about to make in this process."""
    for run_dir in list(_made):
        remove_untouched(run_dir, log)
        del _made[run_dir]
