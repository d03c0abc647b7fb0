"""hydra/sweeper=optuna: a search by Optuna that continues: asks for a trial, runs a cell, tells.

The study lies in the search's directory. The same command counts the trials that ended, takes up
those that were running when it was stopped (their cells go on from their last epoch), and asks for
the rest.
"""

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Transformer
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)
TAKEN_UP = "taken_up"  # the study's: numbers of trials that were asked for again


class SearchSweeper(Sweeper):  # type: ignore[misc]
    """See conf/hydra/sweeper/optuna.yaml.

    Args:
        sampler: the configuration of one of Optuna's samplers.
        direction: maximize or minimize.
        storage: URL of the study's database.
        study_name: its name there.
        n_trials: how many are to have ended, failed ones included.
        n_jobs: how many are asked for, and launched, together.
        params: the search space: setting -> choice, range or interval of Hydra's grammar.
        max_batch_size: the other sweeper's.
    """

    def __init__(
        self,
        sampler: DictConfig,
        direction: str,
        storage: str,
        study_name: str,
        n_trials: int,
        n_jobs: int,
        params: Mapping[str, Any] | None,
        max_batch_size: None = None,
        zip: Sequence[Any] = (),
        exclude: Sequence[Any] = (),
        retries: int = 0,
        stop_on_failure: bool = False,
        readings: bool = False,
    ) -> None:
        self.sampler, self.direction = sampler, direction
        self.storage, self.study_name = storage, study_name
        self.n_trials, self.n_jobs, self.params = n_trials, n_jobs, params or {}

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Before anything is launched.

        Raises:
            ConfigError: Optuna is not installed, or there is no such number of trials.
        """
        from fmnist.errors import ConfigError

        try:
            import optuna
        except ModuleNotFoundError as error:
            message = "hydra/sweeper=optuna: Optuna is not installed: pip install 'fmnist[optuna]'"
            raise ConfigError(message) from error
        for name in ("n_trials", "n_jobs"):
            number = getattr(self, name)
            if not isinstance(number, int) or number < 1:
                raise ConfigError(f"hydra.sweeper.{name}={number}: a number of trials, 1 or more")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # TPE's `multivariate` has been experimental since 2020.
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.config, self.context = config, hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        from fmnist.runs.run import signal_exit_code
        from fmnist.runs.text import shown
        from fmnist.sweeps.launch import SIGTERM_CODE, sigterm_exits

        space, fixed = search_space([*(f"{k}={v}" for k, v in self.params.items()), *arguments])
        folder = Path(self.config.hydra.sweep.dir).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        study = self._study()
        ended = take_up(study)
        log.info("search  %s", shown(folder))
        log.info("trials  %d, of which %d ended before", self.n_trials, ended)
        try:
            with sigterm_exits():
                while ended < self.n_trials:
                    ended += self._batch(study, space, fixed, ended)
        except (KeyboardInterrupt, SystemExit) as stop:
            log.info("stopped: the same command continues where it stopped")
            raise SystemExit(signal_exit_code(stop) or SIGTERM_CODE) from stop
        if code := report(study):
            raise SystemExit(code)

    def _study(self) -> "Study":
        """The study in the search's directory, new or with its trials.

        Raises:
            ConfigError: another version of Optuna made it, or there is no such direction.
        """
        import optuna
        from hydra.utils import instantiate

        from fmnist.errors import ConfigError

        try:
            return optuna.create_study(
                study_name=self.study_name, storage=self.storage, direction=self.direction,
                sampler=instantiate(self.sampler), load_if_exists=True,
            )  # fmt: skip
        except (RuntimeError, ValueError) as error:  # Optuna says which
            message = " ".join(str(error).split())
            raise ConfigError(f"hydra.sweeper.storage={self.storage}: {message}") from error

    def _batch(
        self,
        study: "Study",
        space: "dict[str, BaseDistribution]",
        fixed: Sequence[str],
        ended: int,
    ) -> int:
        """Ask for trials, run their cells and tell what came of them; how many."""
        import optuna

        count = min(self.n_jobs, self.n_trials - ended)
        trials = [study.ask(space) for _ in range(count)]
        cells = [[*(f"{k}={v}" for k, v in trial.params.items()), *fixed] for trial in trials]
        for trial, job in zip(trials, self._launch(cells, ended), strict=True):
            value = value_of(job)
            if value is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, value)
        return count

    def _launch(self, wanted: list[list[str]], ended: int) -> Sequence[JobReturn]:
        """What the launcher returns, after the cells are listed in sweep.json and announced."""
        from fmnist.config.readings import key_of
        from fmnist.sweeps.names import is_own_name, varied_keys
        from fmnist.sweeps.plan import plan, write_manifest
        from fmnist.sweeps.watch import watch

        hydra, loader = self.config.hydra, self.context.config_loader
        folder = Path(hydra.sweep.dir).absolute()
        varied = varied_keys(list(hydra.overrides.task), hydra.sweeper.params)
        subdir = OmegaConf.to_container(hydra.sweep, resolve=False)["subdir"]
        cells = plan(
            wanted, lambda cell: loader.load_sweep_config(self.config, cell), varied, [], "",
            own_names=is_own_name(subdir),
        )  # fmt: skip
        write_manifest(folder, cells)
        names = {
            cell.dir: " ".join(text for text in cell.overrides if key_of(text) in varied)
            for cell in cells
        }
        for number, cell in enumerate(cells, ended + 1):
            log.info("\n[%d/%d] %s", number, self.n_trials, names[cell.dir])
        with watch(folder, cells, names):
            jobs: Sequence[JobReturn] = self.launcher.launch(wanted, initial_job_idx=ended)
            return jobs


def search_space(texts: Sequence[str]) -> "tuple[dict[str, BaseDistribution], list[str]]":
    """What is searched, and the overrides that every trial has. A later text replaces an earlier.

    Args:
        texts: overrides in Hydra's grammar; those that name several values are searched.

    Raises:
        ConfigError: an interval or range that Optuna cannot draw from, or nothing to search.
    """
    from fmnist.errors import ConfigError

    space, fixed = dict[str, "BaseDistribution"](), dict[str, str]()
    for override in OverridesParser.create().parse_overrides(list(texts)):
        key = override.get_key_element().lstrip("+~")
        space.pop(key, None)
        fixed.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = override.input_line
            continue
        try:
            space[key] = distribution(override)
        except ValueError as error:
            raise ConfigError(f"{override.input_line}: {error}") from error
    if not space:
        message = "nothing to search: give a setting an interval, a range or a choice"
        raise ConfigError(f"hydra/sweeper=optuna: {message}")
    return space, list(fixed.values())


def distribution(override: Override) -> "BaseDistribution":
    """Optuna's for one of Hydra's: an interval has integers only where it is cast (`int(interval(
    1, 9))`), and a range has the values that it has in a grid.

    Raises:
        ValueError: there is nothing to draw from.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    value: Any = override.value()
    if override.is_interval_sweep():
        ends = (value.start, value.end)
        kind = IntDistribution if all(isinstance(end, int) for end in ends) else FloatDistribution
        return kind(*ends, log="log" in value.tags)
    values = list(override.sweep_iterator(transformer=Transformer.encode))
    if not values:
        raise ValueError("no value")
    if not override.is_range_sweep() or value.shuffle:
        return CategoricalDistribution(values)
    start, step = Decimal(str(value.start)), Decimal(str(value.step))  # 0.1 is a tenth
    first, last = sorted((start, start + (len(values) - 1) * step))
    step = abs(step)
    if all(isinstance(number, int) for number in (value.start, value.stop, value.step)):
        return IntDistribution(int(first), int(last), step=int(step))
    return FloatDistribution(float(first), float(last), step=float(step))


def value_of(job: JobReturn) -> float | None:
    """What a cell returned; None: it failed, which its record and its log explain."""
    try:
        value = float(job.return_value)
    except Exception:  # the cell's own
        return None
    return value if math.isfinite(value) else None


def take_up(study: "Study") -> int:
    """How many trials have ended; those that were running are asked for again, as they were."""
    import optuna

    state = optuna.trial.TrialState
    taken_up = set(study.user_attrs.get(TAKEN_UP, []))
    for trial in study.get_trials(states=[state.RUNNING]):
        taken_up.add(trial.number)
        study.set_user_attr(TAKEN_UP, sorted(taken_up))
        study.tell(trial.number, state=state.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    ended = study.get_trials(states=[state.COMPLETE, state.FAIL])
    return sum(trial.number not in taken_up for trial in ended)


def report(study: "Study") -> int:
    """Say which trial is the best: 0, or 1 when none has a result."""
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if not done:
        log.error("no trial has a result")
        return 1
    best = study.best_trial
    words = " ".join(f"{key}={value}" for key, value in best.params.items())
    log.info("\n%d trials with a result; the best: val acc %.4f\n%s", len(done), best.value, words)
    return 0
