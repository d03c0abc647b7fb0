"""The nets of a sweep, tried before the first cell trains: a mistake costs no cell.

They are tried in a process of the server that the cells come from, which has imported everything:
a net may crash it, and the sweep's own process stays small.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fmnist.config.build import build_node, sized
from fmnist.config.published import sizes_of
from fmnist.errors import ConfigError
from fmnist.sweeps.process import how_it_ended
from fmnist.sweeps.server import ask


def try_nets(cells: Mapping[tuple[str, ...], DictConfig]) -> None:
    """Every different net once.

    Args:
        cells: their configurations, by their overrides.

    Raises:
        ConfigError: a net that cannot be built or used, and the first cell that has it.
    """
    models: dict[str, Any] = {}  # with shape and number of classes of their data
    first: list[tuple[Sequence[str], DictConfig]] = []  # the first cell of every net
    for cell, config in cells.items():
        node: Any = OmegaConf.to_container(config.model, resolve=True)
        data: Any = OmegaConf.to_container(config.data, resolve=True)
        sizes = sizes_of(data)
        if sizes is None:  # the data are not read here: the cell itself tries its net
            continue
        if (key := json.dumps([node, sizes], sort_keys=True)) not in models:
            models[key] = (node, *sizes)
            first.append((cell, config))
    if not first:
        return
    logger: Any = OmegaConf.to_container(first[0][1].logger, resolve=True)
    said, code = ask(_try, list(models.values()), logger=logger)
    number, message = said[-1] if said else (0, None)
    if message is None and code:
        message = f"model: {how_it_ended(code)} when it was tried"
    if message is not None:
        raise ConfigError(f"{message} (in the cell {' '.join(first[number][0])})")


def _try(models: list[tuple[dict[str, Any], Any, int]]) -> Iterator[tuple[int, str | None]]:
    """The number of the net that is tried next; and once more with what is wrong with it."""
    from fmnist.training.preflight import try_net

    for number, (node, shape, classes) in enumerate(models):
        yield number, None
        try:
            try_net(lambda: build_node(sized(node, shape, classes)), shape, classes)  # noqa: B023
        except ConfigError as error:
            yield number, str(error)
            return
