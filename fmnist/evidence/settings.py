"""Two settings, or more, side by side: which runs each has, and what differs between them.

A setting is what differs in the seed alone. Which runs are compared by their seeds, and how sure a
difference is: `fmnist.evidence.effects`; about which images: `fmnist.evidence.images`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fmnist.errors import RunError
from fmnist.evidence.claim import as_people_write, is_share
from fmnist.evidence.effects import RESOLUTION, Comparison, compare_sides, one_training
from fmnist.runs.find import find_runs
from fmnist.runs.rows import Row, is_value, row_of
from fmnist.runs.run import Run
from fmnist.runs.text import shown

MOST = 6  # sides that a person can look at beside each other
Runs = str | Path | Run | Iterable[str | Path | Run]


@dataclass(frozen=True)
class Setting:
    """The finished runs of one setting.

    Args:
        name: what tells it from the others.
        runs: by seed; of two runs of one seed the later one.
        rows: likewise.
        place: the folder that was named.
    """

    name: str
    runs: dict[int, Run]
    rows: dict[int, Row]
    place: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """As text by dotted name, without the seed."""
        return next(iter(self.rows.values())).settings

    def values(self, metric: str) -> dict[int, float]:
        """By seed; accuracies, F1 and recall in percent. Seeds without the metric are left out."""
        return {
            seed: as_people_write(metric, row.metrics[metric])
            for seed, row in self.rows.items()
            if metric in row.metrics
        }


def read_settings(given: Sequence[Runs]) -> list[Setting]:
    """The settings of runs, of folders of seeds or of sweeps; each of the latter has several.

    Raises:
        RunError: nothing finished is there, or more than can be looked at beside each other.
    """
    groups: dict[tuple[str, frozenset[tuple[str, str]]], Setting] = {}
    for item in given:
        runs = _runs_of(item)
        place = shown(Path(item)) if isinstance(item, str | Path) else ""
        if not (done := [run for run in runs if run.record.status == "finished"]):
            raise RunError(f"{place or 'runs'}: no run here has finished")
        for run in sorted(done, key=lambda run: run.record.started):
            row = row_of(run)
            key = place, frozenset(row.asked.items())
            group = groups.setdefault(key, Setting("", {}, {}, place or shown(run.dir)))
            group.runs[run.record.seed], group.rows[run.record.seed] = run, row
    if len(groups) > MOST:
        raise RunError(
            f"{len(groups)} settings: should be at most {MOST}; fmnist report compares more"
        )
    return _named(list(groups.values()))


def _runs_of(item: Runs) -> list[Run]:
    if isinstance(item, Run):
        return [item]
    if isinstance(item, str | Path):
        return find_runs([item]).runs
    return [run for part in item for run in _runs_of(part)]


def differing(settings: Sequence[Setting]) -> dict[str, list[str]]:
    """By dotted name, the values of what is not the same in all of them; "" where there is none."""
    keys = dict.fromkeys(key for item in settings for key in item.settings)
    values = {key: [item.settings.get(key, "") for item in settings] for key in sorted(keys)}
    return {key: row for key, row in values.items() if len(set(row)) > 1}


def _named(settings: list[Setting]) -> list[Setting]:
    """By what differs, where that is short: an option of a group says more than its values."""
    found = differing(settings)
    short = [key for key in found if key.rpartition(".")[0] not in found]
    if 0 < len(short) <= 2:
        names = [
            ", ".join(f"{key}={item.settings.get(key) or 'none'}" for key in short)
            for item in settings
        ]
    else:
        names = [Path(item.place).name for item in settings]
    if len(set(names)) < len(names):
        names = [item.place for item in settings]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return [replace(item, name=name) for item, name in zip(settings, names, strict=True)]


def difference(first: Setting, second: Setting, metric: str = "test/acc") -> Comparison:
    """`first` minus `second` over the seeds that both have.

    Raises:
        RunError: they have no seed in common, or lack the metric.
    """
    sides = first.values(metric), second.values(metric)
    both: Mapping[int, tuple[float, float]] = {
        seed: (sides[0][seed], sides[1][seed]) for seed in sides[0] if seed in sides[1]
    }
    if not both:
        words = " and ".join(", ".join(map(str, side)) or "none" for side in sides)
        raise RunError(f"{metric}: no seed in common: seeds {words}")
    paired = one_training(filter(is_value, differing([first, second])))
    resolution = RESOLUTION if is_share(metric) else 0.0
    return compare_sides(first.name, second.name, both, paired=paired, resolution=resolution)


def compare(first: Runs, second: Runs, metric: str = "test/acc") -> Comparison:
    """Whether one setting is higher than another, over the seeds that both have.

    Args:
        first, second: runs of one setting each: a folder of seeds, a run, or runs.
        metric: a column of `fmnist.rows`; in percent, and differences in points, where it is a
            share of images.

    Raises:
        RunError: a side has several settings or none, or they have no seed in common.
    """
    sides = [read_settings([item]) for item in (first, second)]
    for side in sides:
        if len(side) != 1:
            varied = ", ".join(differing(side))
            raise RunError(f"{side[0].place}: {len(side)} settings, which differ in {varied}; "
                           "should be the seeds of one")  # fmt: skip
    one, other = _named([side[0] for side in sides])
    return difference(one, other, metric)
