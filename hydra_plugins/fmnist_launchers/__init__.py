"""Launchers: settings come from conf/hydra/launcher/; those of joblib and Ray are our own.

The plugins of joblib, submitit and Optuna register configurations under the names of our files.
Hydra would merge the files into those and warn at every start that this is deprecated: they are
removed.

joblib has a Hydra plugin, whose worker processes each import everything that a cell needs. A cell
has a process of its own anyway (`fmnist.sweeps.process`), forked from one that has imported
everything once: all that is left to do is to start them and to wait.

Ray has a Hydra plugin, which pins cloudpickle < 3 and brings boto3; joblib and others here need
newer packages. What is needed of it is this module.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import (
    SlurmLauncher as SubmititSlurmLauncher,
)
from omegaconf import DictConfig, OmegaConf, open_dict

if TYPE_CHECKING:
    from fmnist.sweeps.process import CellProcess

SETTLED = 20  # seconds after which a job that is said to have ended has


class OwnSettings(SearchPathPlugin):  # type: ignore[misc]
    """Called once all plugins have registered their configurations, before any is composed."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        registered = getattr(ConfigStore.instance(), "repo", {}).get("hydra", {})
        for name in ("joblib", "submitit_local", "submitit_slurm", "ray"):
            registered.get("launcher", {}).pop(f"{name}.yaml", None)
        registered.get("sweeper", {}).pop("optuna.yaml", None)


class SlurmLauncher(SubmititSlurmLauncher):  # type: ignore[misc]
    """The plugin's, but patient: a job that is being requeued is not a job that has ended."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """What every job returned.

        Raises:
            submitit's UncompletedJobError: a job ended without a result.
        """
        with _ended_jobs_stay_ended():
            returned: Sequence[JobReturn] = super().launch(job_overrides, initial_job_idx)
            return returned


@contextmanager
def _ended_jobs_stay_ended() -> Iterator[None]:
    """For a moment of its requeuing Slurm says of a job that it is cancelled or failed."""
    from submitit.slurm.slurm import SlurmInfoWatcher

    original, since = getattr(SlurmInfoWatcher, "is_done", None), dict[str, float]()
    if original is None:
        yield
        return

    def is_done(self: SlurmInfoWatcher, job_id: str, mode: str = "standard") -> bool:
        if not original(self, job_id, mode):
            since.pop(job_id, None)
            return False
        return time.monotonic() - since.setdefault(job_id, time.monotonic()) > SETTLED

    SlurmInfoWatcher.is_done = is_done
    try:
        yield
    finally:
        SlurmInfoWatcher.is_done = original


class OneByOneLauncher(BasicLauncher):  # type: ignore[misc]
    """hydra/launcher=basic: Hydra's own, one cell after another in this terminal.

    Args:
        timeout: seconds after which a cell that has not ended is ended; None: never.
    """

    def __init__(self, timeout: float | None = None) -> None:
        super().__init__()
        self.timeout = timeout  # `fmnist.runs.job` hands it to the cells

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Before anything is launched.

        Raises:
            ConfigError: the timeout is no time.
        """
        check_timeout(self.timeout)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)


# In the place of Hydra's entry: a YAML file of this name would be merged into that.
ConfigStore.instance().store(
    "basic",
    {"_target_": f"{__name__}.{OneByOneLauncher.__name__}", "timeout": None},
    group="hydra/launcher",
    provider="fmnist",
)


def check_timeout(seconds: float | None) -> None:
    """Refuse what is no time.

    Raises:
        ConfigError: it is neither null nor a number greater than 0.
    """
    from fmnist.errors import ConfigError

    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and 0 < seconds < float("inf")):
        message = "null, or the seconds that a cell may take"
        raise ConfigError(f"hydra.launcher.timeout={seconds}: should be {message}")


class JobsLauncher(Launcher):  # type: ignore[misc]
    """Several cells at a time on this machine, from one process.

    Args:
        n_jobs: how many; as joblib has it, -1: one a core, -2: all cores but one.
        timeout: seconds after which a cell that has not ended is ended; None: never.
    """

    def __init__(self, n_jobs: int, timeout: float | None = None) -> None:
        self.n_jobs, self.timeout = n_jobs, timeout

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Before anything is launched.

        Raises:
            ConfigError: there is no such number of jobs.
        """
        from fmnist.errors import ConfigError

        if not isinstance(self.n_jobs, int) or self.n_jobs == 0:
            message = "a number of cells, or -1 for one a core"
            raise ConfigError(f"hydra.launcher.n_jobs={self.n_jobs}: should be {message}")
        check_timeout(self.timeout)
        self.context, self.config, self.task = hydra_context, config, task_function

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        """What every job returned, or how it failed."""
        from fmnist.process.machine import jobs_at_a_time
        from fmnist.sweeps.process import CellProcess, stopped_together

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        most, jobs = jobs_at_a_time(self.n_jobs), list[JobReturn]()
        running: dict[CellProcess, tuple[DictConfig, JobReturn]] = {}
        with stopped_together(running):
            for number, overrides in enumerate(job_overrides, initial_job_idx):
                if len(running) == most:
                    self._wait_for_one(running)
                config = _job_config(self.context, self.config, overrides, number)
                jobs.append(job := self._start(config))
                if job.status != JobStatus.FAILED and isinstance(job.return_value, CellProcess):
                    running[job.return_value] = config, job
                else:
                    self.context.callbacks.on_job_end(config=config, job_return=job)
            while running:
                self._wait_for_one(running)
        return jobs

    def _start(self, config: DictConfig) -> JobReturn:
        """A job that returns the cell that it has started; of a finished cell, its result."""
        from fmnist.config.check import check
        from fmnist.runs.job import hydra_job
        from fmnist.sweeps.process import CellProcess, start_cell
        from fmnist.train import train

        def task(plain: DictConfig) -> CellProcess | float:
            self.context.callbacks.on_job_start(config=config, task_function=self.task)
            return start_cell(train, check(plain), hydra_job())

        return run_job(
            # Without callbacks: the job has not ended when this returns.
            hydra_context=replace(self.context, callbacks=Callbacks()),
            task_function=task, config=config, configure_logging=False,  # the cell's process does
            job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
        )  # fmt: skip

    def _wait_for_one(self, running: "dict[CellProcess, tuple[DictConfig, JobReturn]]") -> None:
        """Wait until a cell has ended, or several, and complete their jobs."""
        from fmnist.errors import UserError
        from fmnist.sweeps.process import wait_for_one

        for cell in wait_for_one(running):
            config, job = running.pop(cell)
            try:
                job.return_value = cell.result()
            except UserError as error:
                job.return_value, job.status = error, JobStatus.FAILED
            self.context.callbacks.on_job_end(config=config, job_return=job)


class RayLauncher(Launcher):  # type: ignore[misc]
    """Every cell is a task of a Ray cluster: one on this machine, or one that runs already.

    Args:
        init: arguments of `ray.init`.
        remote: those of `ray.remote`: what a cell occupies, and how often it is retried.
    """

    def __init__(self, init: DictConfig, remote: DictConfig) -> None:
        self.init: Any = OmegaConf.to_container(init, resolve=True)
        self.remote: Any = OmegaConf.to_container(remote, resolve=True)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Before anything is launched.

        Raises:
            ConfigError: Ray is not installed.
        """
        try:
            import ray.exceptions  # noqa: F401 (a folder ./ray would pass for a package)
        except ModuleNotFoundError as error:
            from fmnist.errors import ConfigError

            message = "hydra/launcher=ray: Ray is not installed: pip install 'fmnist[ray]'"
            raise ConfigError(message) from error
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        """What every job returned, or how it failed."""
        import ray

        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        if not ray.is_initialized():
            ray.init(**self.init)
        task = ray.remote(**self.remote)(_run)
        state = Singleton.get_state()
        jobs = [
            task.remote(self.context, self.config, self.task, list(overrides), number, state)
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        return [_result(job, ray) for job in jobs]


def _result(job: Any, ray: Any) -> JobReturn:
    """A job's return; of a worker that died (or a node that was lost), the error."""
    try:
        result: JobReturn = ray.get(job)
    except ray.exceptions.RayError as error:
        logging.getLogger(__name__).error("ray: %s", str(error).partition("\n")[0])
        result = JobReturn(status=JobStatus.FAILED)
        result.return_value = error
    return result


def _run(
    context: HydraContext, config: DictConfig, task: TaskFunction, overrides: list[str],
    number: int, state: dict[Any, Any],
) -> JobReturn:  # fmt: skip
    """In a worker of Ray's: what Hydra's other launchers do for a job."""
    setup_globals()
    Singleton.set_state(state)
    cell = _job_config(context, config, overrides, number)
    HydraConfig.instance().set_config(cell)
    return run_job(
        hydra_context=context, task_function=task, config=cell,
        job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip


def _job_config(
    context: HydraContext, config: DictConfig, overrides: Sequence[str], number: int
) -> DictConfig:
    """The configuration of one job of a sweep."""
    cell = context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(cell.hydra.job):
        cell.hydra.job.id, cell.hydra.job.num = f"{cell.hydra.job.name}_{number}", number
    return cell
