"""Launchers: settings come from conf/hydra/launcher/; those of one machine are in `.machine`.

The plugins of joblib, submitit and Optuna register configurations under the names of our files.
Hydra would merge the files into those and warn at every start that this is deprecated: they are
removed.

Hydra imports what lies beside this for every application of an environment. Modules of ours that
register a schema or resolvers are therefore imported in functions.

Ray has a Hydra plugin, which pins cloudpickle < 3 and brings boto3; joblib and others here need
newer packages. What is needed of it is this module.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
from omegaconf import DictConfig, OmegaConf

from fmnist.errors import ConfigError
from hydra_plugins.fmnist_launchers.common import job_config

SETTLED = 20  # seconds after which a job that is said to have ended has


class OwnSettings(SearchPathPlugin):
    """Called once all plugins have registered their configurations, before any is composed."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        registered = getattr(ConfigStore.instance(), "repo", {}).get("hydra", {})
        for name in ("joblib", "submitit_local", "submitit_slurm", "ray"):
            registered.get("launcher", {}).pop(f"{name}.yaml", None)
        registered.get("sweeper", {}).pop("optuna.yaml", None)


class LocalLauncher(BaseSubmititLauncher):  # type: ignore[misc]
    """submitit's jobs on this machine, as the plugin has them.

    Args:
        timeout: seconds after which a cell that has not ended is ended; None: never.
        params: the plugin's.
    """

    _EXECUTOR = "local"

    def __init__(self, timeout: float | None = None, **params: Any) -> None:
        super().__init__(**params)
        self.timeout = timeout


class SlurmLauncher(LocalLauncher):
    """The plugin's, but patient: a job that is being requeued is not a job that has ended."""

    _EXECUTOR = "slurm"

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

    SlurmInfoWatcher.is_done = is_done  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        SlurmInfoWatcher.is_done = original  # type: ignore[method-assign]


class RayLauncher(Launcher):
    """Every cell is a task of a Ray cluster: one on this machine, or one that runs already.

    Args:
        init: arguments of `ray.init`.
        remote: those of `ray.remote`: what a cell occupies, and how often it is retried.
        timeout: seconds after which a cell that has not ended is ended; None: never.
    """

    def __init__(self, init: DictConfig, remote: DictConfig, timeout: float | None = None) -> None:
        self.timeout = timeout
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
            message = "hydra/launcher=ray: Ray is not installed: pip install 'fmnist[ray]'"
            raise ConfigError(message) from error
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        """What every job returned, or how it failed."""
        import ray

        setup_globals()
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        if not ray.is_initialized():
            ray.init(**self.init)
        task = ray.remote(**self.remote)(_run)
        state = Singleton.get_state()
        jobs = [
            task.remote(self.context, self.config, self.task, list(overrides), number, state)
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        if self.config.hydra.sweeper.get("stop_on_failure"):
            _cancel_after_failure(jobs, ray)
        return [_result(job, ray) for job in jobs]


def _cancel_after_failure(jobs: list[Any], ray: Any) -> None:
    """Wait until all have ended, or one has failed: then the others stop, or never begin."""
    left = list(jobs)
    while left:
        ended, left = ray.wait(left)
        if any(_result(job, ray).status == JobStatus.FAILED for job in ended):
            for job in left:
                ray.cancel(job)
            return


def _result(job: Any, ray: Any) -> JobReturn:
    """A job's return; of a worker that died (or a node that was lost), the error; of a job that was
    cancelled, which has not failed, one without a status."""
    try:
        result: JobReturn = ray.get(job)
    except ray.exceptions.TaskCancelledError:
        result = JobReturn()
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
    cell = job_config(context, config, overrides, number)
    HydraConfig.instance().set_config(cell)
    return run_job(
        hydra_context=context, task_function=task, config=cell,
        job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip
