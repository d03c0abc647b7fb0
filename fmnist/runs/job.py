"""What Hydra knows of the job that it started, as plain values."""

import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from fmnist.config.compose import chosen_options
from fmnist.config.schema import CONF_DIR

# Settings of Hydra's that a run may depend on, and that its command therefore repeats.
REPEATED = ("hydra.job.env_set.",)


@dataclass(frozen=True)
class Job:
    """One job of Hydra's.

    Args:
        dir: its run directory, absolute.
        choices: the option chosen in every group.
        overrides: of the command line, as typed.
        flags: of the command line, those that say where the configuration comes from; folders
            are absolute.
        group: name of the sweep that the job belongs to; None for a single run.
        logging: for `logging.config.dictConfig`, in a process that Hydra has not prepared.
        timeout: seconds after which a cell that has not ended is ended; None: never.
        retries: how often a cell that crashed is begun again.
        env: variables of a cell's process, among them its number of threads.
        dashboard_id: by which dashboards know the run.
        cwd: the folder in which the command was given, absolute: relative paths start there.
        log: name of the log file.
        config_hash: of the configuration; None: not worked out yet.
    """

    dir: Path
    choices: dict[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    group: str | None = None
    logging: dict[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    retries: int = 0
    env: dict[str, str] = field(default_factory=dict)
    dashboard_id: str | None = None
    cwd: Path = field(default_factory=Path.cwd)
    log: str = "train.log"
    config_hash: str | None = None

    @property
    def name(self) -> str:
        """For people: what distinguishes the job from the default one."""
        return ",".join(self.overrides) or "default"

    @property
    def command(self) -> str:
        """The command that repeats the job alone, for a shell, from any folder.

        It goes to the job's own folder first: relative paths in settings start there, and there
        Python finds nets that belong to no package. A PYTHONPATH is repeated for the same reason,
        and where Python is, if the shell would find another one, as after `make train`.
        """
        path, name = os.environ.get("PYTHONPATH"), Path(sys.executable).name
        python = name if shutil.which(name) == sys.executable else sys.executable
        words = [python, "-m", "fmnist.train", *self.flags, *self.overrides]
        if self.group is not None:  # an ablation's file asks for a sweep
            words.append("hydra.mode=RUN")
        prefix = f"PYTHONPATH={shlex.quote(path)} " if path else ""
        return f"cd {shlex.quote(str(self.cwd))} && {prefix}{shlex.join(words)}"

    @property
    def resume_command(self) -> str:
        """The command that goes on with the job's own run."""
        return f"{self.command} {shlex.quote(f'hydra.run.dir={hydra_value(str(self.dir))}')}"


def hydra_value(text: str) -> str:
    """A text as the value of an override, quoted for Hydra's grammar; a plain path needs none."""
    if re.fullmatch(r"/[\w/.+-]+", text, flags=re.ASCII):
        return text
    escaped = re.sub(r"(\\*)'", r"\1\1\'", text)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped).replace("${", "\\${")
    return f"'{escaped}'"


def hydra_job() -> Job:
    """The job that Hydra is running."""
    hydra = HydraConfig.get()
    sweep = hydra.mode == RunMode.MULTIRUN
    job_logging = OmegaConf.to_container(hydra.job_logging, resolve=True)
    assert isinstance(job_logging, dict)
    return Job(
        dir=Path(hydra.runtime.output_dir).absolute(),
        choices=chosen_options(hydra),
        overrides=tuple(hydra.overrides.task),
        flags=_flags(hydra),
        group=Path(hydra.sweep.dir).name if sweep else None,
        logging={str(key): value for key, value in job_logging.items()},
        timeout=hydra.launcher.get("timeout") if sweep else None,
        retries=hydra.sweeper.get("retries", 0) if sweep else 0,
        env={str(name): str(value) for name, value in hydra.job.env_set.items()} if sweep else {},
        cwd=Path(hydra.runtime.cwd),
        log=f"{hydra.job.name}.log",
    )


def _flags(hydra: Any) -> tuple[str, ...]:
    """What of the command line beside its overrides decides the configuration."""
    flags: list[str] = []
    if hydra.job.config_name != "config":
        flags += ["--config-name", str(hydra.job.config_name)]
    searched = []
    for source in hydra.runtime.config_sources:
        path = str(source.path)
        if source.provider == "main" and path != str(CONF_DIR):
            flags += ["--config-path", path]
        elif source.provider == "command-line":
            flags += ["--config-dir", path]
        elif source.provider == "hydra.searchpath in command-line":
            searched.append(hydra_value(f"{source.schema}://{path}"))
    if searched:
        flags.append(f"hydra.searchpath=[{','.join(searched)}]")
    return (*flags, *(text for text in hydra.overrides.hydra if text.startswith(REPEATED)))
