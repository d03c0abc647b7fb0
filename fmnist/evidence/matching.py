"""From runs to one number a seed and side: which runs are compared with which.

Claims and reports ask the same: A and B, over matched runs. A unit is what two runs may be matched
in: the seed and every setting except those compared. A unit counts when every side has its runs
in it. Units of a seed are averaged, so that n is the number of seeds however many runs there are.

A sweep that is half finished has units of some seeds only. Those are averaged that all the seeds
counted have, so that no seed is a mean over other settings than the next. Chosen are the seeds and
units for which (seeds - 1) x units is largest, of equal ones those with more seeds (`over_seeds`).
The others are left out, here and so everywhere.
"""

import copy
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from fmnist.config.folders import cached_by_folders
from fmnist.evidence.claim import ClaimError, Selection, of_machine
from fmnist.runs.rows import CHOSEN, FORMATS, Row, flatten, is_value, value_of

# Runs on less or other data than a claim's settings compose to, or chosen on the test set, count
# only when the claim says so. The values: of a row, or of a data set of one's own, that has none.
WHOLE = {
    "data.name": "FashionMNIST", "data.train_size": "null", "data.test_size": "null",
    "data.val_size": "5000", "data.select_on": "val", "data.size": "null", "data.channels": "null",
    "data.classes": "null", "data.folds": "null", "data.label_noise": "0", "data.imbalance": "1",
}  # fmt: skip
# What an experiment leaves to the machine that runs it.
MACHINE = (*FORMATS, "trainer.accelerator", "trainer.devices", "trainer.strategy")
LEFT_OPEN = frozenset((*MACHINE, *WHOLE))


@dataclass(frozen=True)
class Side:
    """What is averaged within a seed: every one of these selections, each of single values."""

    terms: tuple[dict[str, str], ...]
    metric: str


def side(selection: Selection, metric: str) -> Side:
    """A list of values becomes one term for each of them."""
    combinations = product(*selection.values())
    return Side(tuple(dict(zip(selection, values, strict=True)) for values in combinations), metric)


@cached_by_folders
def composed(options: tuple[str, ...]) -> Any:
    """The configuration of `fmnist.train` with these options of groups, not yet resolved."""
    from hydra import compose

    from fmnist.config.compose import hydra_over_conf

    with hydra_over_conf(options):
        return compose("config", overrides=list(options))


@cached_by_folders
def settings_of(overrides: tuple[str, ...]) -> dict[str, str]:
    """The settings that `fmnist.train` with these overrides has now.

    Composing takes a twentieth of a second, and a factorial has many cells: Hydra composes the
    options of groups only, values are then set.

    Raises:
        ClaimError: they do not compose.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    from fmnist.config.explain import explain
    from fmnist.config.schema import resolve

    values = [text for text in overrides if is_value(text.partition("=")[0])]
    try:
        config = copy.deepcopy(composed(tuple(text for text in overrides if text not in values)))
        for override in OverridesParser.create().parse_overrides(values):
            add = override.is_add() or override.is_force_add()  # what no file has: +KEY, ++KEY
            OmegaConf.update(config, override.key_or_group, override.value(), force_add=add)
        return flatten(resolve(config))
    except Exception as error:
        message = explain(error, list(overrides))
        if message is None:
            raise
        raise ClaimError(f"{' '.join(overrides)}: {message}") from error


def covered(key: str, names: Iterable[str]) -> bool:
    """Whether a setting is one of these, or inside one of these groups."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def matches(row: Row, term: Mapping[str, str]) -> bool:
    """Whether a run is what the term selects."""
    return next(_differences(row, term), None) is None and next(_others(row, term), None) is None


def misses(row: Row, term: Mapping[str, str]) -> list[str]:
    """The settings by which a run is not what the term selects; only the term's own, if any."""
    return list(_differences(row, term)) or list(_others(row, term))


def wanted_of(term: Mapping[str, str]) -> dict[str, str]:
    """What a term composes to: with all that it names where that is an experiment, or its data.

    A study may add a setting that the experiment does not have; that runs have it was asked before.
    """
    named = term if "experiment" in term else {k: v for k, v in term.items() if k == "data"}
    return settings_of(tuple(f"{'++' * ('.' in key)}{key}={v}" for key, v in named.items()))


def _differences(row: Row, term: Mapping[str, str]) -> Iterator[str]:
    """Of the settings that the term names."""
    for key, value in term.items():
        if key != "experiment" and value_of(row.settings, key) != value:
            yield key


def _others(row: Row, term: Mapping[str, str]) -> Iterator[str]:
    """Settings that the term does not name, and means."""
    own, wanted = row.settings, wanted_of(term)
    for key, default in WHOLE.items():
        value = wanted.get(key, default)
        # No name: only the command line says which file it is, data=npz data.root=...
        if key not in term and value and own.get(key, default) != value:
            yield key
    if "experiment" in term:
        # A setting that the row lacks did not exist when it was made; one that only the row has
        # was added to the experiment.
        for key, value in own.items():
            if wanted.get(key) != value and is_value(key) and key not in LEFT_OPEN:
                yield key


def compared(sides: Sequence[Side]) -> tuple[str, ...]:
    """The settings in which matched runs may differ."""
    terms = [term for item in sides for term in item.terms]
    return tuple({key for term in terms for key in term if len({t.get(key) for t in terms}) > 1})


def others(row: Row, free: Sequence[str]) -> frozenset[tuple[str, str]]:
    """The settings that matched runs share.

    The memory format is none: it only rounds otherwise.
    """
    values = {k: v for k, v in row.settings.items() if is_value(k) and k != "channels_last"}
    nets_differ = any(key.partition(".")[0] in ("experiment", "model") for key in free)
    chosen = row.settings.get(CHOSEN, "auto") == "auto"
    if nets_differ and chosen:  # each has the formats that pay for it
        values = {key: value for key, value in values.items() if key not in FORMATS}
    if "experiment" in free:  # two experiments may differ in anything but the machine's settings
        return frozenset((key, value) for key, value in values.items() if key in MACHINE)
    return frozenset((key, value) for key, value in values.items() if not covered(key, free))


# By seed and unit: one number a side, or one array of numbers, which is averaged as a number is.
Units = Mapping[int, Mapping[Hashable, tuple[Any, ...]]]
Value = Callable[[Row, str], Any]


def metric_of(row: Row, metric: str) -> float:
    """The number of a row that is averaged where nothing else is asked for."""
    return row.metrics[metric]


def per_seed(
    rows: Sequence[Row],
    sides: Sequence[Side],
    value: Value = metric_of,
    facts: Sequence[str] | None = None,
) -> dict[int, tuple[Any, ...]]:
    """By seed: the metric of every side. The arguments are those of `units_of`."""
    return over_seeds(units_of(rows, sides, value, facts))


def units_of(
    rows: Sequence[Row],
    sides: Sequence[Side],
    value: Value = metric_of,
    facts: Sequence[str] | None = None,
) -> Units:
    """All units in which every side has its runs, by seed.

    Args:
        rows: that ended, one for each configuration.
        sides: one or two.
        value: what of a row that has the metric is averaged; a number or an array.
        facts: of the machine that compared runs share; None: see `same_machine`.
    """
    units: dict[int, dict[Hashable, tuple[Any, ...]]] = {}
    facts = same_machine(sides) if facts is None else facts
    for (seed, *_), block in _blocks(rows, compared(sides), facts).items():
        if (unit := _unit(block, sides, value)) is not None:
            # Of another seed it is the same unit in other formats, too, where a machine chose them.
            cells, values = unit
            units.setdefault(seed, {})[cells] = values
    return units


Shared = frozenset[tuple[str, str]]
Block = tuple[int, Shared, tuple[str, ...]]  # seed, settings, and facts of the machine


def _blocks(
    rows: Sequence[Row], free: Sequence[str], facts: Sequence[str]
) -> dict[Block, list[Row]]:
    """The rows by what matched runs share.

    A run that failed before it was known in which formats it would train stands in every block that
    it may belong to: it is left out of none.
    """
    blocks: dict[Block, list[Row]] = {}
    early = []
    for row in rows:
        if not row.finished and not row.facts.get("device"):
            early.append(row)
            continue
        ran = tuple(row.facts.get(name, "") for name in facts)
        blocks.setdefault((row.seed, others(row, free), ran), []).append(row)
    for row in early:
        open_ = [name for name in FORMATS if row.settings.get(name) == "auto"]
        shared, unknown = others(row, free), (*row.chosen_formats, *open_)
        homes = [
            block for block in blocks
            if block[0] == row.seed and _without(block[1], unknown) == _without(shared, unknown)
        ]  # fmt: skip
        for block in homes or [(row.seed, shared, ())]:
            blocks.setdefault(block, []).append(row)
    return blocks


def _without(shared: Shared, names: Sequence[str]) -> Shared:
    return frozenset((key, value) for key, value in shared if key not in names)


def same_machine(sides: Sequence[Side]) -> tuple[str, ...]:
    """The facts of the machine that compared runs share where it makes the number: of seconds."""
    timed = len(sides) == 2 and any(of_machine(item.metric) for item in sides)
    return ("device", "threads") if timed else ()


def _unit(
    block: Sequence[Row], sides: Sequence[Side], value: Value
) -> tuple[Hashable, tuple[Any, ...]] | None:
    """The runs that are compared with each other, and each side's number; None: one is missing."""
    cells: list[Hashable] = []
    values = []
    for item in sides:
        means = []
        for term in item.terms:
            chosen = [row for row in block if matches(row, term) and item.metric in row.metrics]
            if not chosen:
                return None
            means.append(sum(value(row, item.metric) for row in chosen) / len(chosen))
            cells.append(frozenset(row.did for row in chosen))
        values.append(sum(means) / len(means))
    return tuple(cells), tuple(values)


def over_seeds(units: Units) -> dict[int, tuple[Any, ...]]:
    """By seed: the mean of every side over the units that all seeds counted have.

    Which those are: the module's docstring.
    """
    seeds, counted = which_count(units)
    return {
        seed: tuple(
            sum(side) / len(counted)
            for side in zip(*(units[seed][unit] for unit in counted), strict=True)
        )
        for seed in seeds
    }


def which_count(units: Units) -> tuple[list[int], frozenset[Any]]:
    """The seeds and the units that count; see the module's docstring."""
    own = {seed: frozenset(units[seed]) for seed in sorted(units) if units[seed]}
    seeds, counted, size = list[int](), frozenset[Any](), (-1, -1)
    # From every set of units that some seed has, down to what more and more seeds have of it.
    for common in sorted(dict.fromkeys(own.values()), key=len, reverse=True):
        while common:
            have = [seed for seed, some in own.items() if common <= some]
            if (now := ((len(have) - 1) * len(common), len(have))) > size:
                seeds, counted, size = have, common, now
            fewer = [common & some for some in own.values() if not common <= some]
            common = max(fewer, key=len, default=frozenset())
    return seeds, counted


def select(rows: Iterable[Row], sides: Iterable[Side]) -> list[Row]:
    """The rows that any of the sides' terms selects."""
    terms = [term for item in sides for term in item.terms]
    return [row for row in rows if any(matches(row, term) for term in terms)]


def unknown_settings(rows: Sequence[Row], sides: Iterable[Side]) -> list[str]:
    """Settings that a side names and no row has."""
    named = dict.fromkeys(key for item in sides for term in item.terms for key in term)
    return [
        key
        for key in named
        if key != "experiment" and all(value_of(row.settings, key) is None for row in rows)
    ]
