"""From factors and their levels to cells: every combination, but for what goes together or not.

What a level is, Hydra's own parser says: numbers, names, quoted texts, lists, dictionaries.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from omegaconf import DictConfig, OmegaConf

from fmnist.config.words import near_or_all, show
from fmnist.errors import ConfigError
from fmnist.runs.rows import canonical

ONE = "choice("  # see `fmnist.config.arguments.cell_by_cell`


def is_axis(override: Override) -> bool:
    """Whether an override has several levels; a choice of one is that one."""
    value = override.value()
    one = isinstance(value, ChoiceSweep) and len(value.list) == 1
    return bool(override.is_sweep_override()) and not one


def fixed_text(override: Override) -> str:
    """An override of one level as it was meant: "a=1e-3" of "a=choice(1e-3)"."""
    text = str(override.input_line)
    key, _, value = text.partition("=")
    return f"{key}={value[len(ONE) : -1]}" if override.is_sweep_override() else text


def combinations(
    texts: Sequence[str],
    zipped: Sequence[Sequence[str]] = (),
    excluded: Sequence[Mapping[str, Any]] = (),
    loader: ConfigLoader | None = None,
) -> list[list[str]]:
    """The overrides of every cell, the last axis changing fastest.

    Args:
        texts: overrides in Hydra's grammar; a later one of a key takes the place of an earlier.
        zipped: groups of keys whose levels belong together: the first to the first, and so on.
        excluded: combinations that are left out: level by key. A level of an earlier text of its
            key, which the last one narrows, may be there no more.
        loader: that finds options, for `glob(...)`.

    Raises:
        ConfigError: keys that belong together have not as many levels, or there is no such key
            or level.
    """
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(texts))
    last = {override.get_key_element(): override for override in parsed}
    levels = [_levels(override) for override in last.values()]
    places = {key.lstrip("+~"): place for place, key in enumerate(last)}
    cells = []
    for chosen in product(*_axes(levels, places, zipped)):
        cell = dict(level for axis in chosen for level in axis)
        cells.append([cell[place] for place in range(len(levels))])
    for combination in excluded:
        _require("exclude", combination, places)
        _require_levels(combination, parsed)
        cells = [cell for cell in cells if not _is(cell, combination, places)]
    if excluded and not cells:
        raise ConfigError("hydra.sweeper.exclude: leaves no cell")
    return cells


def _levels(override: Override) -> list[str]:
    if override.is_delete():
        return [str(override.input_line)]
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if not override.is_discrete_sweep():
        message = "is no list of levels: range(1,9) is one, and hydra/sweeper=optuna searches"
        raise ConfigError(f"{override.input_line}: {message}")
    return [f"{key}={level}" for level in override.sweep_string_iterator()]


Axis = Iterable[tuple[tuple[int, str], ...]]  # its levels, each a text at every place


def _axes(
    levels: Sequence[Sequence[str]], places: Mapping[str, int], zipped: Sequence[Sequence[str]]
) -> list[Axis]:
    """What varies independently, where its first key stands."""
    groups: dict[int, list[int]] = {place: [place] for place in range(len(levels))}
    for keys in zipped:
        _require("zip", keys, places)
        first, *others = group = sorted(places[key] for key in keys)
        counts = {key: len(levels[places[key]]) for key in keys}
        if len({*counts.values()}) > 1:
            said = ", ".join(f"{key} has {count}" for key, count in counts.items())
            raise ConfigError(
                f"hydra.sweeper.zip=[[{','.join(keys)}]]: should have equally many levels: {said}"
            )
        if any(len(groups.get(place, ())) != 1 for place in group):
            raise ConfigError(f"hydra.sweeper.zip: {','.join(keys)}: a key stands there twice")
        for place in others:
            del groups[place]
        groups[first] = group
    return [
        [
            tuple((place, levels[place][number]) for place in group)
            for number in range(len(levels[first]))
        ]
        for first, group in groups.items()
    ]


def _require(name: str, keys: Iterable[str], places: Mapping[str, int]) -> None:
    for key in keys:
        if key not in places:
            raise ConfigError(
                f"hydra.sweeper.{name}: {key}: no factor of this sweep{near_or_all(key, places)}"
            )


def _require_levels(combination: Mapping[str, Any], parsed: Sequence[Override]) -> None:
    """What is left out has levels that are there: of a misspelt one nothing would be left out."""
    for key, value in combination.items():
        texts = [text for o in parsed if o.key_or_group == key for text in _levels(o)]
        levels = [o.value() for o in OverridesParser.create().parse_overrides(texts)]
        if canonical(value) not in map(canonical, levels):
            raise ConfigError(
                f"hydra.sweeper.exclude: {key}={show(value)}: no level of this sweep"
                f"{near_or_all(show(value), map(show, levels))}"
            )


def _is(cell: Sequence[str], combination: Mapping[str, Any], places: Mapping[str, int]) -> bool:
    """Whether a cell has all levels of a combination."""
    own = OverridesParser.create().parse_overrides([cell[places[key]] for key in combination])
    return all(
        canonical(override.value()) == canonical(value)
        for override, value in zip(own, combination.values(), strict=True)
    )


def asked_cells(
    sweeper: DictConfig, arguments: Sequence[str], loader: ConfigLoader
) -> list[list[str]]:
    """The overrides of every cell that a command asks for.

    Args:
        sweeper: node of Hydra's configuration: the factors of a file, and what goes together.
        arguments: of the command line, without Hydra's own; they narrow the factors of the file.

    Raises:
        ConfigError: see `combinations`.
    """
    node: Any = OmegaConf.to_container(sweeper, resolve=True)
    texts = [f"{key}={value}" for key, value in (node.get("params") or {}).items()]
    zipped, excluded = node.get("zip") or [], node.get("exclude") or []
    if not _is_list_of(zipped, list):
        raise ConfigError(f"hydra.sweeper.zip={show(zipped)}: should be lists of keys: [[a,b]]")
    if not _is_list_of(excluded, dict):
        message = "should be a list of combinations: [{model: lenet5, optim: sgd}]"
        raise ConfigError(f"hydra.sweeper.exclude={show(excluded)}: {message}")
    return combinations([*texts, *arguments], zipped, excluded, loader)


def _is_list_of(node: Any, kind: type) -> bool:
    return isinstance(node, list) and all(isinstance(item, kind) and item for item in node)
