"""Launchers: settings come from conf/hydra/launcher/, and hydra/launcher=ray runs cells on Ray.

The plugins of joblib, submitit and Optuna register configurations under the names of our files.
Hydra would merge the files into those and warn at every start that this is deprecated: they are
removed.

Ray has a Hydra plugin, which pins cloudpickle < 3 and brings boto3; joblib and others here need
newer packages. What is needed of it is this module.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict


class OwnSettings(SearchPathPlugin):  # type: ignore[misc]
    """Called once all plugins have registered their configurations, before any is composed."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        registered = ConfigStore.instance().repo["hydra"]
        for name in ("joblib", "submitit_local", "submitit_slurm", "ray"):
            registered["launcher"].pop(f"{name}.yaml", None)
        registered["sweeper"].pop("optuna.yaml", None)


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
        from hydra.core.utils import JobStatus

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
    cell = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(cell.hydra.job):
        cell.hydra.job.id, cell.hydra.job.num = f"{cell.hydra.job.name}_{number}", number
    HydraConfig.instance().set_config(cell)
    return run_job(
        hydra_context=context, task_function=task, config=cell,
        job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
    )  # fmt: skip
