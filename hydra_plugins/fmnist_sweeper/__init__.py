"""hydra/sweeper=resume: a grid of cells, of which those run that have not finished.

What it does stands in `fmnist.sweeps`; Hydra finds sweepers below `hydra_plugins` only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, flag_override

from fmnist.process.machine import usable_cores
from fmnist.runs.manifest import Cell, listed_cells
from hydra_plugins.fmnist_launchers.machine import MachineLauncher

# Launchers whose cells may find their data and devices on another machine.
ELSEWHERE = (".SlurmLauncher", ".RayLauncher")
ARRAY = 1000  # jobs; Slurm's own limit of an array is 1001 unless its MaxArraySize says otherwise


@dataclass(kw_only=True, eq=False)
class Options:
    """What every sweeper of ours is told: its fields are the settings that there are, and their
    annotations say which values may be.

    Args:
        max_batch_size: how many cells a launcher is given at once; None: all.
        params: factors of a file: levels by key, as text; the command line narrows them.
        zip: groups of keys that move together: [[model, optim.lr]].
        exclude: combinations that are left out: [{model: lenet5, optim: sgd}].
        retries: how often a cell that crashes is begun again, from its last epoch.
        stop_on_failure: after a cell that fails no other begins.
        readings: whether every cell runs under every reading, or which: `fmnist.config.readings`.
    """

    max_batch_size: Annotated[int, "[1, inf)"] | None = None
    params: Mapping[str, Any] | None = field(default_factory=dict)
    zip: Sequence[Any] = field(default_factory=list)
    exclude: Sequence[Any] = field(default_factory=list)
    retries: Annotated[int, "[0, inf)"] = 0
    stop_on_failure: bool = False
    readings: Any = False


class CellSweeper(Options, Sweeper):
    """A sweeper whose cells are checked before the first is trained, and listed in sweep.json."""

    config: DictConfig
    launcher: Any  # is given its number of cells, where it shares a machine out among them

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Before anything is launched.

        Raises:
            ConfigError: there are no such readings.
        """
        from fmnist.config.readings import check_wanted

        self.readings = check_wanted(self.readings)
        self.context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )
        self.composed: dict[tuple[str, ...], DictConfig] = {}
        if isinstance(self.launcher, MachineLauncher):
            self.launcher.composed = self.composed

    @property
    def folder(self) -> Path:
        """Of the sweep."""
        return Path(self.config.hydra.sweep.dir).absolute()

    def name_cells(self) -> None:
        """Before any is launched: in the configuration of one, nothing says what varies."""
        from fmnist.sweeps.names import is_own_name

        if not is_own_name(self.config.hydra.sweep):
            # Resolved here: the cells' configurations are handed the cached names.
            OmegaConf.select(self.config, "hydra.sweep.subdir")

    def load(self, cell: list[str]) -> DictConfig:
        """The configuration of one cell, by its overrides."""
        return self.context.config_loader.load_sweep_config(self.config, cell)

    def plan(
        self, wanted: Sequence[list[str]], known: "Sequence[Cell]" = (), sources: str = "",
        here: bool = False,
    ) -> "list[Cell]":  # fmt: skip
        """The cells, see `fmnist.sweeps.plan.plan`. What was composed for them is in `composed`."""
        from fmnist.sweeps.names import is_own_name
        from fmnist.sweeps.plan import plan

        def compose(cell: list[str]) -> DictConfig:
            self.composed[tuple(cell)] = config = self.load(cell)
            return config

        own_names = is_own_name(self.config.hydra.sweep)
        return plan(wanted, compose, self.varied(), known, sources, here, own_names)

    def here(self) -> bool:
        """Whether the cells run on this machine; another one's data are not known."""
        return not self.config.hydra.launcher._target_.endswith(ELSEWHERE)

    def varied(self) -> list[str]:
        """The keys by which cells are named, as `hydra.sweep.subdir` has it."""
        from fmnist.sweeps.names import varied_keys

        return varied_keys(list(self.config.hydra.overrides.task), self.config.hydra.sweeper.params)


ConfigStore.instance().store(
    # Plain values: conf/search/ puts another sweeper's settings over them.
    "resume",
    {"_target_": f"{__name__}.ResumeSweeper", **asdict(Options())},
    group="hydra/sweeper",
    provider="fmnist",
)


class ResumeSweeper(CellSweeper):
    """Re-running the same command finishes the sweep."""

    def sweep(self, arguments: list[str]) -> Any:
        from fmnist.sweeps.cells import with_readings
        from fmnist.sweeps.combine import asked_cells
        from fmnist.sweeps.data import refuse_other_data, require_data
        from fmnist.sweeps.launch import finished, launch
        from fmnist.sweeps.plan import fingerprint, refuse_other_runs, where_finished
        from fmnist.sweeps.trial import try_nets

        loader, hydra, folder = self.context.config_loader, self.config.hydra, self.folder
        cells = asked_cells(hydra.sweeper, arguments, loader)
        if self.readings:
            cells, keys = with_readings(cells, self.load, self.readings)
            with flag_override(self.config, ["readonly", "struct"], False):
                hydra.sweeper.params.update(dict.fromkeys(keys, ""))  # varied, too
        self.name_cells()
        search_path = [entry.path or "" for entry in loader.get_search_path().get_path()]
        plain = [Path(path.removeprefix("file://")) for path in search_path if "file://" in path]
        known = listed_cells(folder)
        planned = self.plan(cells, known, fingerprint(plain), self.here())
        planned = where_finished(folder, planned, known)
        refuse_other_runs(folder, planned)
        if self.here():
            done = finished(folder, planned)
            refuse_other_data(folder, planned, done, self.load)
            require_data([cell for cell in planned if cell.dir not in done], self.load)
        try_nets(self.composed)
        if code := launch(self.launcher, folder, planned, self.at_once(), self.stop_on_failure):
            raise SystemExit(code)

    def at_once(self) -> int | None:
        """How many cells the launcher is given at once; None: all."""
        target = self.config.hydra.launcher._target_
        if target.endswith(".LocalLauncher"):  # submitit's, which starts all
            return self.max_batch_size or usable_cores()
        return self.max_batch_size or (ARRAY if target.endswith(".SlurmLauncher") else None)
