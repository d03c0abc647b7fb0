"""The cells that a command line asks for, without running any of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, open_dict

from fmnist.config.arguments import cell_by_cell
from fmnist.config.command import check_files
from fmnist.config.compose import hydra_over_conf
from fmnist.config.folders import conf_folders
from fmnist.config.readings import (
    check_wanted,
    key_of,
    readings,
    refuse_unknown,
    refuse_unlisted,
    words,
)
from fmnist.config.schema import resolve
from fmnist.errors import ConfigError
from fmnist.runs.manifest import Cell, listed_cells
from fmnist.sweeps.combine import asked_cells
from fmnist.sweeps.names import is_own_name, varied_keys
from fmnist.sweeps.plan import fingerprint, plan, where_finished

OF_HYDRA = ("hydra.", "hydra/")  # prefixes of its own settings


@dataclass(frozen=True)
class Sweep:
    """What `fmnist.train` with some overrides would run.

    Args:
        folder: of the sweep, relative to the working directory.
        cells: in the order in which they would run.
    """

    folder: Path
    cells: list[Cell]


def with_readings(
    cells: Sequence[list[str]],
    compose: Callable[[list[str]], DictConfig],
    wanted: bool | list[str] = True,
) -> tuple[list[list[str]], list[str]]:
    """Every cell under every reading of its experiment, and the keys that readings set.

    A reading that sets what the cell sets itself is left out: so the command line narrows them.

    Args:
        cells: their overrides.
        compose: the configuration of one; asked once for all seeds of a cell.
        wanted: which readings; true: all.

    Raises:
        ConfigError: no experiment lists one that is wanted.
    """
    known: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    made: list[list[str]] = []
    all_listed: list[tuple[str, ...]] = []
    for cell in cells:
        settings = tuple(text for text in cell if key_of(text) != "seed")
        if settings not in known:
            given = {key_of(text) for text in cell}
            listed = _listed(compose(cell))
            free = [r for r in listed if not given & {key_of(text) for text in r}]
            known[settings] = [
                r for r in free if not isinstance(wanted, list) or words(r) in wanted
            ]
            all_listed += listed
        made += [[*cell, *reading] for reading in known[settings]]
    refuse_unlisted(wanted, all_listed)
    set_by_them = [key_of(text) for listed in known.values() for r in listed for text in r]
    return made, list(dict.fromkeys(set_by_them))


def _listed(config: DictConfig) -> list[tuple[str, ...]]:
    """The readings of a composed configuration, ours first.

    Raises:
        ConfigError: they are none, or of a setting that there is not; says whose they are.
    """
    plain = resolve(config)
    try:
        found = readings(plain["readings"])
        refuse_unknown(found, plain)
    except ConfigError as error:
        chosen = config.hydra.runtime.choices
        named = [f"{group}={chosen[group]}" for group in ("experiment", "ablation")
                 if chosen.get(group) is not None]  # fmt: skip
        raise ConfigError(f"{error} (in {' or '.join(named) or 'readings=...'})") from error
    return found


def sweep_of(overrides: Sequence[str]) -> Sweep:
    """The sweep of a command line; a single run is a sweep of one cell.

    Args:
        overrides: as `fmnist.train` takes them.

    Raises:
        ConfigError: a setting that does not exist or has a value that it cannot have.
    """
    overrides = cell_by_cell(overrides)
    with hydra_over_conf(overrides):
        loader = GlobalHydra.instance().config_loader()
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        fixed = [str(item.input_line) for item in parsed if not item.is_sweep_override()]
        hydras = [text for text in fixed if key_of(text).startswith(OF_HYDRA)]
        given = [item for item in overrides if not key_of(item).startswith(OF_HYDRA)]

        def composed(cell: Sequence[str]) -> DictConfig:
            return compose("config", overrides=[*cell, *hydras], return_hydra_config=True)

        config = compose("config", overrides=fixed, return_hydra_config=True)
        with open_dict(config):  # as the sweep's own: its folder is named after all that it varies
            config.hydra.overrides.task = given
        check_files(config.hydra)
        asked, folder = config.hydra.sweeper, Path(config.hydra.sweep.dir)
        names = [str(key) for key in asked.get("params") or ()]
        cells = asked_cells(asked, given, loader)
        if wanted := check_wanted(asked.get("readings", False)):
            cells, keys = with_readings(cells, composed, wanted)
            names += keys
        planned = plan(
            cells,
            composed,
            varied_keys(overrides, names),
            known := listed_cells(folder),
            fingerprint(conf_folders()),
            own_names=is_own_name(config.hydra.sweep),
        )
        return Sweep(folder, where_finished(folder, planned, known))
