"""hydra/sweeper=optuna: Hydra's Optuna plugin, made to continue.

The study lies in the search's directory. The same command counts the trials that ended, takes up
those that were running when it was stopped (their cells go on from their last epoch), and asks for
the rest.
"""

import logging
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)


class SearchSweeper(Sweeper):  # type: ignore[misc]
    """The settings are those of Hydra's Optuna plugin, see conf/hydra/sweeper/optuna.yaml."""

    def __init__(self, max_batch_size: None = None, **settings: Any) -> None:
        self.settings = settings  # max_batch_size: the other sweeper's

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Before anything is launched.

        Raises:
            ConfigError: Optuna or its plugin is not installed.
        """
        try:
            import optuna
            from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl
        except ModuleNotFoundError as error:
            from fmnist.errors import ConfigError

            message = "hydra/sweeper=optuna: Optuna is not installed: pip install 'fmnist[optuna]'"
            raise ConfigError(message) from error
        from hydra.utils import instantiate

        # The plugin names distributions as Optuna 2 did, which says so at every trial.
        warnings.filterwarnings("ignore", category=FutureWarning, module="hydra_plugins|optuna")
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        logging.getLogger(OptunaSweeperImpl.__module__).setLevel(logging.WARNING)  # see `report`
        sampler = instantiate(self.settings["sampler"])
        self.plugin = OptunaSweeperImpl(**{**self.settings, "sampler": sampler})
        self.plugin.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.config, self.context = config, hydra_context

    def sweep(self, arguments: list[str]) -> None:
        import optuna

        from fmnist.runs.run import signal_exit_code
        from fmnist.runs.text import shown
        from fmnist.sweeps.launch import SIGTERM_CODE, sigterm_exits

        folder = Path(self.config.hydra.sweep.dir).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            study_name=self.plugin.study_name, storage=self.plugin.storage,
            direction=self.plugin.direction, load_if_exists=True,
        )  # fmt: skip
        ended = take_up(study)
        total = self.plugin.n_trials
        self.plugin.n_trials, self.plugin.job_idx = max(total - ended, 0), ended
        self.plugin.launcher = _Trials(self.plugin.launcher, self, folder, total)
        log.info("search  %s", shown(folder))
        log.info("trials  %d, of which %d ended before", total, ended)
        try:
            if total > ended:
                with sigterm_exits():
                    self.plugin.sweep(arguments)
        except (KeyboardInterrupt, SystemExit) as stop:
            log.info("stopped: the same command continues where it stopped")
            raise SystemExit(signal_exit_code(stop) or SIGTERM_CODE) from stop
        except ValueError:  # the plugin wants a best trial
            if any(trial.state.name == "COMPLETE" for trial in study.trials):
                raise
        if code := report(study):
            raise SystemExit(code)


def take_up(study: Any) -> int:
    """How many trials have ended; those that were running are asked for again, as they were."""
    import optuna

    for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        study._storage.set_trial_user_attr(trial._trial_id, "taken_up", True)
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)
    trials = study.get_trials(states=states)
    return sum("taken_up" not in trial.user_attrs for trial in trials)


def report(study: Any) -> int:
    """Say which trial is the best: 0, or 1 when none has a result."""
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if not done:
        log.error("no trial has a result")
        return 1
    best = study.best_trial
    words = " ".join(f"{key}={value}" for key, value in best.params.items())
    log.info("\n%d trials with a result; the best: val acc %.4f\n%s", len(done), best.value, words)
    return 0


class _Trials:
    """The launcher, which says what becomes of each trial and lists the cells in sweep.json."""

    def __init__(self, launcher: Launcher, sweeper: SearchSweeper, folder: Path, total: int):
        self.launcher, self.folder, self.total = launcher, folder, total
        self.config, self.loader = sweeper.config, sweeper.context.config_loader

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Any:
        from fmnist.runs.find import key_of
        from fmnist.runs.job import BASIC_LAUNCHER
        from fmnist.sweeps.names import is_own_name, varied_keys
        from fmnist.sweeps.plan import plan, write_manifest
        from fmnist.sweeps.watch import watch

        hydra, wanted = self.config.hydra, [list(overrides) for overrides in job_overrides]
        varied = varied_keys(list(hydra.overrides.task), hydra.sweeper.params)
        cells = plan(
            wanted, lambda cell: self.loader.load_sweep_config(self.config, cell), varied, [], "",
            own_names=is_own_name(OmegaConf.to_container(hydra.sweep, resolve=False)["subdir"]),
        )  # fmt: skip
        write_manifest(self.folder, cells)
        alone = hydra.launcher._target_ == BASIC_LAUNCHER
        names = {
            cell.dir: " ".join(text for text in cell.overrides if key_of(text) in varied)
            for cell in cells
        }
        for number, cell in enumerate(cells, initial_job_idx + 1):
            log.info("\n[%d/%d] %s", number, self.total, names[cell.dir])
        with nullcontext() if alone else watch(self.folder, cells, names):
            return self.launcher.launch(wanted, initial_job_idx=initial_job_idx)
