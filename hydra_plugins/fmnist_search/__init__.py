"""hydra/sweeper=optuna: a search by Optuna that continues: asks for a trial, runs a cell, tells.

The study lies in the search's directory. The same command counts the trials that ended, takes up
those that were running when it was stopped (their cells go on from their last epoch), and asks for
the rest.
"""

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Literal

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from fmnist.config.words import in_one_line
from fmnist.errors import ConfigError
from fmnist.process.terminal import SIGTERM_CODE, signal_exit_code, sigterm_exits
from fmnist.runs.lock import locked
from fmnist.runs.manifest import Cell, listed_cells
from fmnist.runs.text import in_eighty, shown
from hydra_plugins.fmnist_search.space import brief, search_space, with_seeds
from hydra_plugins.fmnist_search.study import (
    examples,
    kind_of,
    require_kind,
    take_up,
    tell_best,
)
from hydra_plugins.fmnist_sweeper import CellSweeper, Options

if TYPE_CHECKING:
    from optuna import Study, Trial

    from hydra_plugins.fmnist_search.space import Space

    Asked = tuple[Trial, list[list[str]]]  # and the overrides of its cells

log = logging.getLogger(__name__)
LOCK = ".search.lock"  # beside `.lock`, which is the list's of the cells


@dataclass(kw_only=True, eq=False)
class SearchOptions(Options):
    """What a search is told besides; its `params` are the space: setting -> choice, range or
    interval of Hydra's grammar.

    Args:
        sampler: the configuration of one of Optuna's samplers.
        direction: maximize or minimize.
        storage: URL of the study's database.
        study_name: its name there.
        n_trials: how many are to have ended, failed ones included; of each search.
        n_jobs: how many are asked for, and launched, together.
        seeds: of a trial, whose value is the mean over them.
        pruner: the configuration of one of Optuna's pruners, which looks at epochs; None: none.
        confirm: fresh seeds on which the winner is held against the default; 0: it is not.
        each: a setting of the space: the others are searched for each of its values apart, and the
            winners are held against each other. None: one search.
    """

    sampler: DictConfig
    direction: Literal["minimize", "maximize"]
    storage: str
    study_name: str
    n_trials: Annotated[int, "[1, inf)"]
    n_jobs: Annotated[int, "[1, inf)"]
    seeds: Annotated[int, "[1, inf)"] = 1
    pruner: DictConfig | None = None
    confirm: Annotated[int, "[0, inf)"] = 0
    each: str | None = None


class SearchSweeper(SearchOptions, CellSweeper):
    """See conf/hydra/sweeper/optuna.yaml."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Before anything is launched.

        Raises:
            ConfigError: Optuna is not installed, too few seeds are to confirm, or a setting is a
                grid's.
        """

        try:
            import optuna
        except ModuleNotFoundError as error:
            message = "hydra/sweeper=optuna: Optuna is not installed: pip install 'fmnist[optuna]'"
            raise ConfigError(message) from error
        if self.confirm in (1, 2):
            message = "should be 0, or 3 or more seeds: fewer show nothing"
            raise ConfigError(f"hydra.sweeper.confirm={self.confirm}: {message}")
        for name in ("zip", "exclude", "readings"):
            if getattr(self, name):
                message = "of a grid's combinations, which a search does not have: leave it out"
                raise ConfigError(f"hydra.sweeper.{name}: {message}")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # TPE's `multivariate` has been experimental since 2020.
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        from fmnist.sweeps.data import refuse_other_data
        from fmnist.sweeps.launch import finished

        given = (self.params or {}).items()
        space, fixed = search_space([*(f"{key}={value}" for key, value in given), *arguments])
        searches = self._searches(space, fixed)
        self.name_cells()
        log.info("search  %s", shown(self.folder))
        try:
            # Who else searched in this folder would take up the trials that run.
            with sigterm_exits(), locked(self.folder, "searching there", LOCK, 0):
                if self.here():
                    cells = listed_cells(self.folder)
                    done = finished(self.folder, cells)
                    refuse_other_data(self.folder, cells, done, self.load)
                best = {name: self._search(name, *each) for name, each in searches.items()}
                winners = {name: cell for name, cell in best.items() if cell}
                if self.confirm and len(winners) == len(searches):
                    sides = winners if len(winners) > 1 else {"the winner": next(
                        iter(winners.values())), "the default": fixed}  # fmt: skip
                    self._confirm(sides)
        except (KeyboardInterrupt, SystemExit) as stop:
            log.info("stopped: the same command continues where it stopped")
            raise SystemExit(signal_exit_code(stop) or SIGTERM_CODE) from stop
        if len(winners) < len(searches):
            raise SystemExit(1)

    def _searches(self, space: "Space", fixed: list[str]) -> "dict[str, tuple[Space, list[str]]]":
        """By name, what is searched and what is fixed.

        Raises:
            ConfigError: there is no such setting to search for each value of.
        """
        from fmnist.config.readings import key_of

        named = {key_of(key): key for key in space}
        if self.seeds > 1 and "seed" in named:
            raise ConfigError("seed: is searched; should be a number, from which seeds are counted")
        each = named.get(self.each or "", "")
        levels = getattr(space.get(each), "choices", None)
        if self.each and not levels and self.each not in map(key_of, fixed):
            message = "should be a setting of the space, with its values"
            raise ConfigError(f"hydra.sweeper.each={self.each}: {message}")
        if not levels:
            return {"": (space, fixed)}
        rest = {key: item for key, item in space.items() if key != each}
        if not rest:
            raise ConfigError(f"hydra.sweeper.each={self.each}: nothing else is searched")
        return {f"{self.each}={value}": (rest, [f"{each}={value}", *fixed]) for value in levels}

    def _search(self, name: str, space: "Space", fixed: list[str]) -> list[str] | None:
        """Run the trials of one search that are left: the overrides of its winner, if any."""
        study = self._study(name)
        self._require_same(study, space, fixed)
        ended = take_up(study)
        said = f" of {name}" if name else ""
        log.info("trials%s  %d, of which %d ended before", said, self.n_trials, ended)
        while ended < self.n_trials:
            if self._batch(study, space, fixed, ended) and self.stop_on_failure:
                log.info("stopped: a trial has failed, and hydra.sweeper.stop_on_failure=true")
                raise SystemExit(1)
            ended = take_up(study)
        if tell_best(study):
            return None
        return [*(f"{key}={value}" for key, value in study.best_trial.params.items()), *fixed]

    def _confirm(self, sides: Mapping[str, list[str]]) -> None:
        """Train every side on fresh seeds, and say which of them is better."""
        from fmnist.runs.run import ended_run
        from fmnist.sweeps.confirm import compare_all, comparison_in_words

        cells = {name: with_seeds(cell, self.seeds, self.confirm) for name, cell in sides.items()}
        wanted = [cell for together in zip(*cells.values(), strict=True) for cell in together]
        planned = self.plan(wanted)
        sides_of = {tuple(cell): name for name, own in cells.items() for cell in own}
        apart = {sides_of[tuple(cell.overrides)] for cell in planned}  # equal settings are one cell
        if same := [name for name in sides if name not in apart]:
            log.info("\nno verdict: %s has the settings of %s", *map(" and ".join, (same, apart)))
            return
        log.info("\nfresh seeds  %d, of %s", self.confirm, " and ".join(sides))
        names = {
            cell.dir: f"{sides_of[tuple(cell.overrides)]} {cell.overrides[-1]}" for cell in planned
        }
        self._launch([cell.overrides for cell in planned], 0, planned, names)
        runs = {
            tuple(cell.overrides): ended_run(self.folder / cell.dir, cell.config_hash)
            for cell in planned
        }
        found = {
            name: [run for cell in own if (run := runs.get(tuple(cell))) is not None]
            for name, own in cells.items()
        }
        lost = [
            name
            for name, own in found.items()
            if all(run.status != "finished" or run.record.cut_short for run in own)
        ]
        if lost:
            log.info("no verdict: %s has no run of its own that finished whole", " and ".join(lost))
            return
        for comparison in compare_all(found):
            log.info("%s", in_eighty(comparison_in_words(comparison), indent=2))

    def _study(self, name: str = "") -> "Study":
        """The study in the search's directory, new or with its trials.

        Raises:
            ConfigError: another version of Optuna made it, or there is no such direction.
        """
        import optuna
        from hydra.utils import instantiate

        sampler = instantiate(self.sampler)
        pruner = instantiate(self.pruner) if self.pruner else optuna.pruners.NopPruner()
        try:
            return optuna.create_study(
                study_name=" ".join(filter(None, [self.study_name, name])), storage=self.storage,
                direction=self.direction, sampler=sampler, load_if_exists=True, pruner=pruner,
            )  # fmt: skip
        except Exception as error:  # Optuna's, the database's or its driver's
            message = in_one_line(error)
            raise ConfigError(f"hydra.sweeper.storage={self.storage}: {message}") from error

    def _require_same(self, study: "Study", space: "Space", fixed: list[str]) -> None:
        """See `require_kind`."""
        from fmnist.config.schema import config_hash, look_up, resolve

        def hash_of(trial: list[str]) -> str:
            plain = resolve(self.load([*trial, *fixed]))
            if look_up(plain, "data.select_on") == "test":
                raise ConfigError(
                    "data.select_on=test: a search chooses by validation, which the test set would "
                    "then be; should be val"
                )
            return config_hash(plain)

        kind = kind_of(space, hash_of, self.seeds)
        require_kind(study, kind, self.direction, self.folder)

    def _batch(
        self,
        study: "Study",
        space: "Space",
        fixed: Sequence[str],
        ended: int,
    ) -> bool:
        """Ask for trials, run their cells and tell what came of them; whether one has failed.

        A trial whose cells did not all come to an end, as after another's failure, is told nothing:
        it is taken up again.

        Raises:
            ConfigError: see `_ask`.
        """
        import optuna

        state = optuna.trial.TrialState
        count = min(self.n_jobs, self.n_trials - ended)
        asked, planned = self._ask(study, space, fixed, ended, count)
        failed = len(asked) < count
        if not asked or (failed and self.stop_on_failure):
            return failed
        jobs, given_up = self._run(asked, planned, ended * self.seeds)
        for trial, cells in asked:
            begun = [jobs[tuple(cell)] for cell in cells if tuple(cell) in jobs]
            begun = [job for job in begun if getattr(job, "status", None) != JobStatus.UNKNOWN]
            values = [value for job in begun if (value := value_of(job)) is not None]
            if len(values) == self.seeds:
                study.tell(trial, fmean(values))
            elif trial.number in given_up:
                study.tell(trial, state=state.PRUNED)
            elif len(values) < len(begun):
                study.tell(trial, state=state.FAIL)
                failed = True
        return failed

    def _ask(
        self, study: "Study", space: "Space", fixed: Sequence[str], ended: int, count: int
    ) -> "tuple[list[Asked], list[Cell]]":
        """So many trials, without those whose configuration is refused, which have failed; and the
        cells of them all.

        Raises:
            ConfigError: no trial can be, as a setting that all of them have is wrong.
        """
        import optuna

        trials = [study.ask(space) for _ in range(count)]
        asked, planned = list["Asked"](), dict[str, "Cell"]()  # by folder: two may be equal
        for number, trial in enumerate(trials, ended + 1):
            drawn = [f"{key}={value}" for key, value in trial.params.items()]
            log.info("\n[%d/%d] %s", number, self.n_trials, brief(drawn))
            cells = with_seeds([*drawn, *fixed], 0, self.seeds)
            try:
                planned |= {cell.dir: cell for cell in self.plan(cells)}
            except ConfigError as error:
                if not self._has_trials(study, space, fixed):
                    raise
                log.error("%s", in_eighty(f"{'failed':8}  {error}", indent=10))
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                asked.append((trial, cells))
        return asked, list(planned.values())

    def _has_trials(self, study: "Study", space: "Space", fixed: Sequence[str]) -> bool:
        """Whether any trial can be; if none, what is wrong is a setting that all of them have."""

        if any(trial.value is not None for trial in study.trials):
            return True
        for example in examples(space):
            with suppress(ConfigError):
                return bool(self.plan([[*example, *fixed]]))
        return False

    def _run(
        self, asked: "Sequence[Asked]", planned: "list[Cell]", number: int
    ) -> tuple[dict[tuple[str, ...], JobReturn], set[int]]:
        """What the launcher returns of the trials' cells; numbers of trials that were pruned.

        Two trials may be equal: their cells run once. Fewer return where a failure has stopped the
        others.
        """
        from fmnist.sweeps.pruning import is_pruned, pruning

        distinct = dict.fromkeys(tuple(cell) for _, cells in asked for cell in cells)
        wanted = list(map(list, distinct))
        if self.pruner is None:
            return dict(zip(distinct, self._launch(wanted, number, planned), strict=False)), set()
        dirs = {tuple(cell.overrides): self.folder / cell.dir for cell in planned}
        watched = [
            (trial, [dirs[tuple(cell)] for cell in cells if tuple(cell) in dirs])
            for trial, cells in asked
        ]
        with pruning(watched):
            jobs = self._launch(wanted, number, planned)
        given_up = {trial.number for trial, cells in watched if is_pruned(cells)}
        return dict(zip(distinct, jobs, strict=False)), given_up

    def _launch(
        self, wanted: list[list[str]], number: int, cells: "list[Cell]",
        names: Mapping[str, str] | None = None,
    ) -> Sequence[JobReturn]:  # fmt: skip
        """What the launcher returns, after the cells are listed in sweep.json.

        Args:
            cells: those that are wanted, as planned.
            names: of them, for people, by folder; None: what tells a trial's from others.
        """
        from fmnist.config.readings import key_of
        from fmnist.sweeps.launch import error_of
        from fmnist.sweeps.plan import write_manifest
        from fmnist.sweeps.watch import outcome, watch

        write_manifest(self.folder, cells)
        self.launcher.cells = self.n_jobs * self.seeds  # the same for every trial
        varied = [*self.varied(), "seed"]
        names = names or {
            cell.dir: brief([text for text in cell.overrides if key_of(text) in varied])
            for cell in cells
        }
        with watch(self.folder, cells, names):
            jobs: Sequence[JobReturn] = self.launcher.launch(wanted, initial_job_idx=number)
        self.composed.clear()  # of which not every launcher takes what it needs
        errors = {tuple(cell): error_of(job) for cell, job in zip(wanted, jobs, strict=False)}
        for cell in cells:  # of which those that have a record were watched
            error = errors.get(tuple(cell.overrides))
            if error and outcome(self.folder, cell)[0] == "missing":
                line = f"{'failed':8}  {names[cell.dir]}  {error.splitlines()[0]}"
                log.error("%s", in_eighty(line, indent=10))
        return jobs


def value_of(job: JobReturn) -> float | None:
    """What a cell returned; None: it failed, which its record and its log explain."""
    if getattr(job, "status", None) == JobStatus.FAILED:  # whose value Hydra would complain about
        return None
    try:
        value = float(job.return_value)
    except Exception:  # the cell's own
        return None
    return value if math.isfinite(value) else None
