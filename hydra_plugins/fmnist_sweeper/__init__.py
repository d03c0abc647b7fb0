"""hydra/sweeper=resume: Hydra's basic sweeper over the cells that have not finished.

What it does stands in `fmnist.sweeps`; Hydra finds sweepers below `hydra_plugins` only.
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, flag_override

# Launchers whose cells may find their data and devices on another machine.
ELSEWHERE = (".SlurmLauncher", ".RayLauncher")


@dataclass
class ResumeSweeperConfig:
    """The settings of Hydra's basic sweeper, and whether every cell runs under every reading."""

    _target_: str = "hydra_plugins.fmnist_sweeper.ResumeSweeper"
    readings: bool = False  # see fmnist.config.readings
    max_batch_size: int | None = None
    params: dict[str, str] | None = field(default_factory=dict)


ConfigStore.instance().store(
    # Plain values: conf/search/ puts another sweeper's settings over them.
    "resume",
    asdict(ResumeSweeperConfig()),
    group="hydra/sweeper",
    provider="fmnist",
)


class ResumeSweeper(BasicSweeper):  # type: ignore[misc]
    """Re-running the same command finishes the sweep."""

    def __init__(
        self,
        max_batch_size: int | None,
        params: dict[str, str] | None = None,
        readings: bool = False,
    ) -> None:
        super().__init__(max_batch_size, params)
        self.readings = readings

    def sweep(self, arguments: list[str]) -> Any:
        from fmnist.runs.job import BASIC_LAUNCHER
        from fmnist.sweeps.cells import with_readings
        from fmnist.sweeps.launch import launch, left
        from fmnist.sweeps.names import is_own_name, varied_keys
        from fmnist.sweeps.plan import (
            fingerprint,
            plan,
            read_manifest,
            refuse_other_runs,
            require_data,
        )
        from fmnist.sweeps.trial import try_nets

        loader, hydra = self.hydra_context.config_loader, self.config.hydra
        folder = Path(hydra.sweep.dir).absolute()
        own_names = is_own_name(OmegaConf.to_container(hydra.sweep, resolve=False)["subdir"])
        parser = OverridesParser.create(config_loader=loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        (cells,) = self.split_arguments(overrides, None)
        if self.readings:
            cells, keys = with_readings(
                cells, lambda cell: loader.load_sweep_config(self.config, cell)
            )
            with flag_override(self.config, ["readonly", "struct"], False):
                hydra.sweeper.params.update(dict.fromkeys(keys, ""))  # varied, too
        if not own_names:
            # Resolved before the cells' configurations are made: they are handed the cached names.
            OmegaConf.select(self.config, "hydra.sweep.subdir")
        varied = varied_keys(list(hydra.overrides.task), hydra.sweeper.params)
        search_path = [entry.path or "" for entry in loader.get_search_path().get_path()]
        plain = [Path(path.removeprefix("file://")) for path in search_path if "file://" in path]
        new: list[tuple[str, DictConfig]] = []  # cells that were not planned before
        here = not hydra.launcher._target_.endswith(ELSEWHERE)

        def load(cell: list[str]) -> DictConfig:
            return loader.load_sweep_config(self.config, cell)

        def compose(cell: list[str]) -> DictConfig:
            new.append((" ".join(cell), config := load(cell)))
            return config

        known, sources = read_manifest(folder), fingerprint(plain)
        planned = plan(cells, compose, varied, known, sources, here, own_names)
        refuse_other_runs(folder, planned)
        if here:
            require_data(left(folder, planned), load)
        try_nets(new)
        size = 1 if hydra.launcher._target_ == BASIC_LAUNCHER else self.max_batch_size
        if hydra.launcher._target_.endswith(".LocalLauncher"):  # submitit's, which starts all
            size = size or os.cpu_count()
        if code := launch(self.launcher, folder, planned, size):
            raise SystemExit(code)
