"""The nets of a sweep, tried before the first cell trains: a mistake costs no cell.

They are tried in a process of the server that the cells come from, which has imported everything:
a net may crash it, and the sweep's own process stays small.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fmnist.config.build import build_node, sized
from fmnist.config.published import sizes_of
from fmnist.errors import ConfigError
from fmnist.sweeps.process import how_it_ended
from fmnist.sweeps.server import start_process


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
    process, line = start_process(_try_here, list(models.values()), logger=logger)
    number, message = 0, None  # of the net that is being tried; what is wrong with it
    with suppress(EOFError, OSError):  # the process has ended
        while message is None:
            number, message = line.recv()
    process.join()
    if message is None and process.exitcode:
        message = f"model: {how_it_ended(process.exitcode)} when it was tried"
    if message is not None:
        raise ConfigError(f"{message} (in the cell {' '.join(first[number][0])})")


def _try_here(models: list[tuple[dict[str, Any], Any, int]], line: Connection) -> None:
    """In the other process: say which net is tried, and what is wrong with it."""
    try:
        from fmnist.training.preflight import try_net

        for number, (node, shape, classes) in enumerate(models):
            line.send((number, None))
            try:
                try_net(lambda: build_node(sized(node, shape, classes)), shape, classes)  # noqa: B023
            except ConfigError as error:
                line.send((number, str(error)))
    except (KeyboardInterrupt, OSError):  # the sweep has had it, too; or has ended
        os._exit(1)
