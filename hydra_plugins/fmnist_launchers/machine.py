"""hydra/launcher=machine, the default: as many cells at a time as fill this machine; and `basic`.

joblib has a Hydra plugin, whose worker processes each import everything that a cell needs. A cell
has a process of its own anyway (`fmnist.sweeps.process`), forked from one that has imported
everything once: all that is left to do is to start them and to wait.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from hydra._internal.callbacks import Callbacks
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus, env_override, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fmnist.errors import ConfigError, UserError
from hydra_plugins.fmnist_launchers.common import job_config

if TYPE_CHECKING:
    from fmnist.sweeps.process import CellProcess
    from fmnist.sweeps.share import CellShare

    Running = dict[CellProcess, tuple[DictConfig, JobReturn]]


class MachineLauncher(Launcher):
    """Several cells at a time on this machine, from one process. See `fmnist.sweeps.share`.

    Args:
        n_jobs: at most so many; -1: one a core, -2: all cores but one; None: what fills the
            machine.
        cells_per_gpu: at a time, where cells compute on GPUs.
        timeout: seconds after which a cell that has not ended is ended; None: never.
    """

    def __init__(
        self, n_jobs: int | None = None, cells_per_gpu: Annotated[int, "[1, inf)"] = 1,
        timeout: float | None = None,
    ) -> None:  # fmt: skip
        self.n_jobs, self.cells_per_gpu, self.timeout = n_jobs, cells_per_gpu, timeout
        self.cells: int | None = None  # of the whole sweep; the sweeper knows
        self.composed: dict[tuple[str, ...], DictConfig] = {}  # by it, by the cells' overrides

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Before anything is launched.

        Raises:
            ConfigError: there is no such number of cells.
        """
        if self.n_jobs == 0:
            message = "a number of cells, -1 for one a core, or null for what fills the machine"
            raise ConfigError(f"hydra.launcher.n_jobs={self.n_jobs}: should be {message}")
        self.context, self.config, self.task = hydra_context, config, task_function

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        """What every job returned, or how it failed; of those that were started, if a failure
        stops the sweep. The next one is made ready while others run."""
        from fmnist.sweeps.process import CellProcess, stopped_together

        setup_globals()
        share = self._share(self.cells or len(job_overrides))
        jobs, running = list[JobReturn](), dict["CellProcess", tuple[DictConfig, JobReturn]]()
        with stopped_together(running):
            for number, overrides in enumerate(job_overrides, initial_job_idx):
                composed = self.composed.pop(tuple(overrides), None)
                config = job_config(self.context, self.config, overrides, number, composed)
                job = self._make_ready(config)
                while not share.has_room(running):
                    self._wait_for_one(running, share)
                if self.config.hydra.sweeper.get("stop_on_failure") and any(map(failed, jobs)):
                    break
                jobs.append(job)
                self._start(job, config, share.variables(running))
                if job.status != JobStatus.FAILED and isinstance(job.return_value, CellProcess):
                    running[job.return_value] = config, job
                else:
                    self.context.callbacks.on_job_end(config=config, job_return=job)
            while running:
                self._wait_for_one(running, share)
        return jobs

    def _share(self, cells: int) -> "CellShare":
        from fmnist.config.schema import resolve
        from fmnist.sweeps.share import share_out

        env = {str(k): str(v) for k, v in self.config.hydra.job.env_set.items()}
        return share_out(cells, resolve(self.config), self.n_jobs, self.cells_per_gpu, env)

    def _make_ready(self, config: DictConfig) -> JobReturn:
        """A job that returns what `start_cell` needs of it; its folder has what Hydra composed."""
        from fmnist.config.check import check
        from fmnist.runs.job import Job, hydra_job

        def task(plain: DictConfig) -> tuple[dict[str, Any], Job]:
            return check(plain), hydra_job()

        return run_job(
            # Without callbacks: the job has not begun when this returns.
            hydra_context=replace(self.context, callbacks=Callbacks()),
            task_function=task, config=config, configure_logging=False,  # the cell's process does
            job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
        )  # fmt: skip

    def _start(self, job: JobReturn, config: DictConfig, variables: dict[str, str]) -> None:
        """The job's value is now the cell that was started; of a finished cell, its result."""
        from fmnist.sweeps.process import start_cell
        from fmnist.sweeps.share import GPUS
        from fmnist.train import train

        self.context.callbacks.on_job_start(config=config, task_function=self.task)
        if job.status == JobStatus.FAILED:
            return
        plain, cell = job.return_value
        # Of the GPUs that a variable of all cells names, each is given one.
        own = {name: value for name, value in variables.items() if name == GPUS}
        env = variables | cell.env | own
        try:
            with env_override(cell.env):
                job.return_value = start_cell(train, plain, replace(cell, env=env))
        except Exception as error:
            job.return_value, job.status = error, JobStatus.FAILED

    def _wait_for_one(self, running: "Running", share: "CellShare") -> None:
        """Wait until a cell has ended, or several, and complete their jobs, or try them again."""
        from fmnist.runs.run import finished_run
        from fmnist.sweeps.process import CellProcess, wait_for_one

        for cell in wait_for_one(running):
            config, job = running.pop(cell)
            try:
                came = cell.result_or_again()
            except UserError as error:
                job.return_value, job.status = error, JobStatus.FAILED
            else:
                if isinstance(came, CellProcess):
                    running[came] = config, job
                    continue
                job.return_value = came
            if run := finished_run(cell.job.dir, cell.config_hash):
                share.peak = max(share.peak, round((run.record.peak_memory_mib or 0) * 2**20))
            self.context.callbacks.on_job_end(config=config, job_return=job)


def failed(job: JobReturn) -> bool:
    return bool(job.status == JobStatus.FAILED)


class OneByOneLauncher(MachineLauncher):
    """hydra/launcher=basic: one cell after another, each with the threads of a single run.

    Args:
        timeout: seconds after which a cell that has not ended is ended; None: never.
    """

    def __init__(self, timeout: float | None = None) -> None:
        super().__init__(n_jobs=1, timeout=timeout)


# In the place of Hydra's entry: a YAML file of this name would be merged into that.
ConfigStore.instance().store(
    "basic",
    {"_target_": f"{__name__}.{OneByOneLauncher.__name__}", "timeout": None},
    group="hydra/launcher",
    provider="fmnist",
)
