"""What Hydra knows of the job that it started, as plain values."""

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

BASIC_LAUNCHER = "hydra_plugins.fmnist_launchers.OneByOneLauncher"  # hydra/launcher=basic


@dataclass(frozen=True)
class Job:
    """One job of Hydra's.

    Args:
        dir: its run directory, absolute.
        choices: the option chosen in every group.
        overrides: of the command line, as typed.
        group: name of the sweep that the job belongs to; None for a single run.
        alone: whether its output may go to the terminal: no other job runs beside it.
        logging: for `logging.config.dictConfig`, in a process that Hydra has not prepared.
        timeout: seconds after which a cell that has not ended is ended; None: never.
    """

    dir: Path
    choices: dict[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    group: str | None = None
    alone: bool = True
    logging: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None

    @property
    def name(self) -> str:
        """For people: what distinguishes the job from the default one."""
        return ",".join(self.overrides) or "default"

    @property
    def command(self) -> str:
        """The command that repeats the job alone, for a shell."""
        return shlex.join([Path(sys.executable).name, "-m", "fmnist.train", *self.overrides])


def hydra_job() -> Job:
    """The job that Hydra is running."""
    hydra = HydraConfig.get()
    sweep = hydra.mode == RunMode.MULTIRUN
    job_logging = OmegaConf.to_container(hydra.job_logging, resolve=True)
    assert isinstance(job_logging, dict)
    choices = hydra.runtime.choices.items()
    return Job(
        dir=Path(hydra.runtime.output_dir).absolute(),
        choices={key: value for key, value in choices if value and not key.startswith("hydra/")},
        overrides=tuple(hydra.overrides.task),
        group=Path(hydra.sweep.dir).name if sweep else None,
        alone=not sweep or hydra.launcher._target_ == BASIC_LAUNCHER,
        logging={str(key): value for key, value in job_logging.items()},
        timeout=hydra.launcher.get("timeout") if sweep else None,
    )


def hide_from_help(folder: str) -> None:
    """Hydra lists every folder of conf/ as a group; this one holds files of another program."""
    from hydra._internal.hydra import Hydra

    listed = Hydra.list_all_config_groups

    def others(self: Hydra, parent: str = "") -> list[str]:
        return [group for group in listed(self, parent) if group != folder]

    Hydra.list_all_config_groups = others  # type: ignore[method-assign]
