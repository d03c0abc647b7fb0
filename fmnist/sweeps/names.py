"""What a sweep and its cells are called: their folders, and what tells cells apart.

A cell's directory is named by the hash of its configuration, so that the same command finds what
is done: finished cells are skipped, begun ones continue, and a cell whose configuration has changed
(an edited YAML file, say) is a new one.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fmnist.config.readings import key_of
from fmnist.config.schema import COSMETIC, config_hash, resolve
from fmnist.config.words import in_one_line
from fmnist.errors import ConfigError
from fmnist.sweeps.combine import fixed_text, is_axis

NAMED = ("ablation", "search")  # groups whose options give the sweep its folder
NAME_BYTES = 255  # of a folder: what file systems allow
NAME_LENGTH, MOST_BYTES = 120, 240  # of ours, beside which a cell's has the hash


def counts(override: str) -> bool:
    """Whether an override can change a result."""
    key = key_of(override)
    return not key.startswith("hydra") and tuple(key.split(".")) not in COSMETIC


def folder_name(text: str) -> str:
    """A text as the name of a folder, without what shells and file systems treat specially."""
    name = re.sub(r"[^\w.,=+-]+", "_", text)
    if len(name) <= NAME_LENGTH and len(name.encode()) <= MOST_BYTES:
        return name
    short = name[: NAME_LENGTH - 9].encode()[: MOST_BYTES - 9].decode(errors="ignore")
    return f"{short}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def varied_keys(overrides: Sequence[str], params: Iterable[str] | None) -> list[str]:
    """The keys that a sweep varies.

    Args:
        overrides: of the command line.
        params: keys that the ablation's file varies.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    typed = [key_of(str(item.input_line)) for item in parsed if is_axis(item)]
    return list(dict.fromkeys([*(params or []), *typed]))


def sweep_name(overrides: Sequence[str], params: Iterable[str] | None) -> str:
    """The folder of a sweep: the same for the same question, however many levels it has.

    The name of the ablation, or else the keys that vary; and every setting that is fixed. The
    arguments are those of `varied_keys`.
    """
    varied = varied_keys(overrides, params)
    named = [text.partition("=")[2] for text in overrides if key_of(text) in NAMED]
    words = named or [key for key in varied if counts(key)]
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    fixed = [
        text for text in map(fixed_text, parsed) if counts(text) and key_of(text) not in varied
    ]
    words += [text for text in fixed if key_of(text) not in NAMED]
    if named:  # what the command line varies beside the ablation's own factors
        words += [key for key in varied if key not in (params or []) and counts(key)]
    return folder_name(",".join(words)) or "sweep"


def cell_name(overrides: Sequence[str], varied: Iterable[str], digest: str) -> str:
    """The folder of a cell: its levels, for people, then the hash that decides."""
    words = [text for text in overrides if key_of(text) in set(varied) and counts(text)]
    return f"{folder_name(','.join(words)) or 'cell'}-{digest}"


def _subdir(sweep: DictConfig) -> Any:
    """As it was written, unresolved."""
    return OmegaConf.to_container(sweep, resolve=False)["subdir"]  # type: ignore[call-overload, index]


def is_own_name(sweep: DictConfig) -> bool:
    """Whether the subdir of this `hydra.sweep` is not that of conf/config.yaml."""
    subdir = _subdir(sweep)
    return not (isinstance(subdir, str) and subdir.startswith("${fmnist.cell:"))


def own_cell_name(config: DictConfig) -> str:
    """The folder of a cell where `hydra.sweep.subdir` names it in a way of one's own.

    Args:
        config: the cell's, with Hydra's part.

    Raises:
        ConfigError: it does not name a folder below the sweep's, or not always the same one.
    """
    raw = _subdir(config.hydra.sweep)
    said = f"hydra.sweep.subdir={raw}"
    if re.search(r"hydra\.job\.(num|id)\b", str(raw)):
        raise ConfigError(
            f"{said}: a cell's number is another one when the sweep is continued; "
            "${hydra.job.override_dirname} names a cell by its settings"
        )
    try:
        name = OmegaConf.select(config, "hydra.sweep.subdir", throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{said}: {in_one_line(error)}") from error
    path = PurePath(str(name or ""))
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ConfigError(f"{said}: should name a folder below the sweep's own")
    if max(len(os.fsencode(part)) for part in path.parts) > NAME_BYTES:
        raise ConfigError(f"{said}: {path}: longer than the {NAME_BYTES} bytes of a file name")
    return str(path)


def _cell_name(varied: Sequence[str], *, _root_: DictConfig) -> str:
    overrides, digest = list(_root_.hydra.overrides.task), config_hash(resolve(_root_))
    return cell_name(overrides, varied, digest)


# Cached: Hydra hands the cache of the sweep's configuration on to those of its cells, so that all
# of them see one name.
OmegaConf.register_new_resolver("fmnist.sweep", sweep_name, replace=True, use_cache=True)
OmegaConf.register_new_resolver("fmnist.varied", varied_keys, replace=True, use_cache=True)
OmegaConf.register_new_resolver("fmnist.cell", _cell_name, replace=True)


def distinct(overrides: Sequence[Sequence[str]]) -> list[str]:
    """For every cell what tells it from the others: the overrides that not all of them share.

    Without the pluses that add a setting to the configuration, of which the cell says nothing.
    """
    common = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
    return [
        " ".join(text.lstrip("+") for text in cell if text not in common and counts(text))
        or "default"
        for cell in overrides
    ]
