"""The settings of a study, from its rows: what a table for a paper and a factorial are about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fmnist.config.readings import key_of
from fmnist.evidence.factorial import HasValues
from fmnist.evidence.failed import counted_values
from fmnist.evidence.matching import MACHINE, Units, over_seeds, which_count
from fmnist.evidence.study import as_in_rows, axes, is_ablation
from fmnist.runs.rows import CHOSEN, Row, is_value, newest, value_of

Key = tuple[str, ...]  # a level of each of some factors


@dataclass(frozen=True)
class StudySetting:
    """The runs that differ in their seed alone.

    Args:
        levels: of every factor.
        rows: by seed, failed ones among them.
    """

    levels: dict[str, str]
    rows: dict[int, Row]

    def values(self, metric: str) -> dict[int, float]:
        """By seed, as `fmnist.evidence.failed.counted_values` has them."""
        return counted_values(self.rows, metric)

    @property
    def failed(self) -> int:
        return sum(not row.finished for row in self.rows.values())


def study_settings(rows: Iterable[Row]) -> tuple[dict[str, list[str]], list[StudySetting]]:
    """The factors of one study with their levels, and its settings in the order of the levels."""
    rows = newest(rows)
    names = _factors(rows)
    groups: dict[tuple[str, ...], dict[int, Row]] = {}
    for row in sorted(rows, key=lambda row: row.seed):
        groups.setdefault(tuple(_level(row, name) for name in names), {})[row.seed] = row
    factors = {
        name: _ordered(name, rows, [key[place] for key in groups])
        for place, name in enumerate(names)
    }
    order = sorted(
        groups, key=lambda key: [factors[n].index(v) for n, v in zip(names, key, strict=True)]
    )
    return factors, [StudySetting(dict(zip(names, key, strict=True)), groups[key]) for key in order]


def _level(row: Row, name: str) -> str:
    if name == "experiment":
        return row.facts["experiment"]
    text = value_of(row.settings, name)
    return "none" if text is None else text


def _declared(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The levels that the study's file sets, of factors that a row knows."""
    study = rows[0].facts["study"] if rows else ""
    known = {
        key_of(key): [as_in_rows(level) for level in levels]
        for key, levels in (axes(study) if is_ablation(study) else {}).items()
    }
    return {
        key: levels
        for key, levels in known.items()
        if key == "experiment" or value_of(rows[0].settings, key) is not None
    }


def _factors(rows: Sequence[Row]) -> list[str]:
    """Those of the study's file, and whatever else tells its rows apart, as readings do.

    Of settings that differ together, such as an option and its values, the first.
    """
    names = list(_declared(rows))
    several = len({row.facts["experiment"] for row in rows}) > 1
    names += ["experiment"] * (several and "experiment" not in names)
    others = {key for row in rows for key in row.settings} - {*MACHINE, CHOSEN, *names}
    for key in sorted(others, key=lambda key: (is_value(key), key)):  # options come first
        if len(_told_apart(rows, [*names, key])) > len(_told_apart(rows, names)):
            names.append(key)
    return names


def _told_apart(rows: Sequence[Row], names: Sequence[str]) -> set[Key]:
    return {tuple(_level(row, name) for name in names) for row in rows}


def _ordered(name: str, rows: Sequence[Row], found: Iterable[str]) -> list[str]:
    """Numbers by size, options as the study's file has them."""
    levels = list(dict.fromkeys(found))
    try:
        return sorted(levels, key=float)
    except ValueError:
        listed = _declared(rows).get(name, [])
        return sorted(levels, key=lambda v: listed.index(v) if v in listed else len(listed))


class Grid:
    """The settings' values by levels of some factors, inside (seed, levels of all other factors).

    Args:
        by: the factors.
    """

    def __init__(self, settings: Iterable[HasValues], by: Sequence[str], metric: str) -> None:
        self.units: dict[int, dict[Key, dict[Key, float]]] = {}
        self.keys: list[Key] = []  # of every setting, each once
        self.others: dict[str, list[str]] = {}  # levels of every other factor
        for setting in settings:
            key = tuple(setting.levels[name] for name in by)
            self.keys += [] if key in self.keys else [key]
            others = {name: level for name, level in setting.levels.items() if name not in by}
            for name, level in others.items():
                known = self.others.setdefault(name, [])
                known += [] if level in known else [level]
            for seed, value in setting.values(metric).items():
                of_seed = self.units.setdefault(seed, {})
                of_seed.setdefault(tuple(others.values()), {})[key] = value

    def values(self, *keys: Key) -> dict[int, tuple[float, ...]]:
        """By seed: the value of every key, over the units that have them all.

        Over those that all seeds counted have: `fmnist.evidence.matching.over_seeds`.
        """
        return over_seeds(self._whole(keys))

    def averaged(self, *keys: Key) -> tuple[list[str], list[str]]:
        """The factors over which `values` averages, and ["pooling=avg"]: those of which not all
        levels count, as runs are missing.
        """
        _, counted = which_count(self._whole(keys))
        whole, alone = [], []
        for place, (name, levels) in enumerate(self.others.items()):
            here = [level for level in levels if any(unit[place] == level for unit in counted)]
            if here == levels:
                whole.append(name)
            else:
                alone.append(f"{name}={'|'.join(here) or 'none'}")
        return whole, alone

    def _whole(self, keys: Sequence[Key]) -> Units:
        """The units that have all of the keys."""
        return {
            seed: {
                unit: tuple(values[key] for key in keys)
                for unit, values in units.items()
                if all(key in values for key in keys)
            }
            for seed, units in self.units.items()
        }


def averaged_levels(
    factors: Mapping[str, Sequence[str]],
    settings: Sequence[StudySetting],
    by: Sequence[str],
    metric: str,
) -> dict[Key, dict[int, float]]:
    """By levels of some factors and seed: the mean over all others.

    Where `by` names all factors, each setting alone.
    """
    if set(by) == set(factors):
        return {tuple(one.levels[name] for name in by): one.values(metric) for one in settings}
    grid = Grid(settings, by, metric)
    together = grid.values(*grid.keys)
    return {
        key: {seed: values[place] for seed, values in together.items()}
        for place, key in enumerate(grid.keys)
    }
