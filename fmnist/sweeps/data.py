"""The data of a sweep's cells: there, and the same by which its finished cells were trained."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from fmnist.config.build import build_node
from fmnist.config.readings import key_of
from fmnist.config.schema import Config, resolve
from fmnist.data.facts import DatasetFacts, same_sums
from fmnist.errors import DataUnavailable, RunError
from fmnist.runs.manifest import Cell
from fmnist.runs.run import Run
from fmnist.runs.text import shown
from fmnist.sweeps.server import ask

# Of a data set: how its images are shared out and fed, which a reader does not see.
FED = {
    "batch_size", "eval_batch_size", "val_size", "split_seed", "select_on", "mean", "std", "folds",
    "fold", "label_noise", "imbalance",
}  # fmt: skip
Compose = Callable[[list[str]], DictConfig]


def require_data(cells: Iterable[Cell], compose: Compose) -> None:
    """See once, before the first cell, that the data sets are there, or get them.

    Args:
        cells: that are to be trained.
        compose: the configuration of one of them.

    Raises:
        DataUnavailable: one is neither on disk nor reachable.
    """
    from fmnist.config.published import published
    from fmnist.data.files import find_data_set

    nodes = [config["data"] for config, _ in _by_data(cells, compose)]
    for name, root in dict.fromkeys((node.get("name"), node.get("root")) for node in nodes):
        if name in published() and isinstance(root, str):
            find_data_set(name, Path(root).expanduser())
        elif isinstance(root, str) and not (path := Path(root).expanduser()).exists():
            raise DataUnavailable(f"{path}: no such file or folder; data.root=... names one")


def refuse_other_data(
    folder: Path, cells: Iterable[Cell], done: Mapping[str, Run], compose: Compose
) -> None:
    """Finished cells were trained on the data that are found now, as far as that can be told.

    A configuration names its data and does not hold them: pictures in folders change, and two files
    may have one name. Of published data the sums are known, and drawn ones come of the code.

    Args:
        folder: of the sweep.
        done: the runs of cells that have finished, by the cell's folder.
        compose: the configuration of a cell.

    Raises:
        RunError: some were trained on others.
    """
    unknown, nodes = dict[str, DatasetFacts](), dict[str, Any]()
    for name, run in done.items():
        if run.record.dataset is not None and not run.record.dataset.checked:
            unknown[name], nodes[name] = run.record.dataset, run.config["data"]
    groups = _by_data([cell for cell in cells if cell.dir in unknown], compose, nodes)
    if not groups:
        return
    for (config, trained), sums in zip(groups, _sums_now([c for c, _ in groups]), strict=True):
        found = [unknown[cell.dir] for cell in trained]
        others = [facts for facts in found if sums and not same_sums(facts.checksums, sums)]
        if others:
            data = config["data"]
            key = "root" if data.get("root") else "name"  # one's own reader may need no root
            raise RunError(
                f"{shown(folder)}: finished cells ({len(others)} of {len(done)}) were trained on "
                f"other data than those of data.{key}={data.get(key)} now; another "
                "hydra.sweep.dir trains all on these"
            )


def _by_data(
    cells: Iterable[Cell], compose: Compose, nodes: Mapping[str, Any] | None = None
) -> list[tuple[dict[str, Any], Sequence[Cell]]]:
    """The cells by their data, each group with a configuration; as few as can be are composed.

    Args:
        nodes: the data that cells had, by folder, where that is known: they tell apart what any
            setting decides, as `seed: ${seed}` of a reader.
    """
    apart = {field.name for field in fields(Config)} - {"data"}  # keys that decide no data
    deciding: dict[tuple[str, tuple[str, ...]], list[Cell]] = {}
    for cell in cells:
        words = tuple(text for text in cell.overrides if key_of(text).split(".")[0] not in apart)
        key = _read_part((nodes or {}).get(cell.dir, {})), words
        deciding.setdefault(key, []).append(cell)
    groups: dict[str, tuple[dict[str, Any], list[Cell]]] = {}
    for alike in deciding.values():
        config = resolve(compose(alike[0].overrides))
        groups.setdefault(_read_part(config["data"]), (config, []))[1].extend(alike)
    return list(groups.values())


def _read_part(node: Mapping[str, Any]) -> str:
    """Of the data's node, what decides which images are read."""
    return json.dumps({key: value for key, value in node.items() if key not in FED})


def _sums_now(configs: Sequence[dict[str, Any]]) -> list[dict[str, str] | None]:
    """The checksums of each one's data; None: they cannot be read now.

    In a process of the server that the cells come from, as `fmnist.sweeps.trial` tries nets.
    """
    nodes = [config["data"] for config in configs]
    sums, _ = ask(_sums_of, nodes, logger=configs[0]["logger"])
    return sums + [None] * (len(nodes) - len(sums))


def _sums_of(nodes: Sequence[dict[str, Any]]) -> Iterator[dict[str, str] | None]:
    for node in nodes:
        sums = None
        # Gone, or damaged, or code of one's own fails: a cell that needs them says so itself.
        with suppress(Exception):
            sums = build_node(node).read().checksums
        yield sums
