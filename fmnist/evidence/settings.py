"""Two settings, or more, side by side: which runs each has, and what differs between them.

A setting is what differs in the seed alone. Its runs lie in folders, or are rows of a table, as
committed ones are. Which are compared by their seeds, and how sure a difference is:
`fmnist.evidence.effects`; about which images: `fmnist.evidence.images`; what a run that failed
counts as: `fmnist.evidence.failed`.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from fmnist.config.words import near, near_or_all
from fmnist.errors import RunError
from fmnist.evidence.effects import Comparison, compare_sides, one_training, resolution_of
from fmnist.evidence.failed import counted_values, excuse, failed_words
from fmnist.evidence.matching import covered
from fmnist.runs.find import find_runs
from fmnist.runs.rows import Row, canonical, is_value, rows_of, value_of
from fmnist.runs.rows_file import read_rows, read_tables
from fmnist.runs.run import Run
from fmnist.runs.text import shown

MOST = 6  # sides that a person can look at beside each other
Runs = str | Path | Run | Iterable[str | Path | Run]


@dataclass(frozen=True)
class Setting:
    """The runs of one setting that came to an end.

    Args:
        name: what tells it from the others.
        rows: the finished ones by seed; of two of one seed the later one.
        runs: likewise; none where only their rows are known, from a table.
        place: the folder or the table that was named.
        failed: by seed, where no run of that seed has finished.
        cut_short: how many runs of the place were, and are left out: they measure no setting.
    """

    name: str
    rows: dict[int, Row]
    runs: dict[int, Run]
    place: str = ""
    failed: dict[int, Row] = field(default_factory=dict)
    cut_short: int = 0

    @property
    def ended(self) -> dict[int, Row]:
        """Finished and failed ones by seed."""
        return dict(sorted((self.failed | self.rows).items()))

    @property
    def settings(self) -> dict[str, str]:
        """As text by dotted name, without the seed."""
        return next(iter(self.ended.values())).settings

    @property
    def seeds(self) -> str:
        """ "seeds 0, 1, 2, 3, 4, 5, ... (1 failed)"."""
        seeds = list(self.ended)
        words = ", ".join(map(str, seeds[:6])) + (", ..." if len(seeds) > 6 else "")
        failed = f" ({len(self.failed)} failed)" if self.failed else ""
        return f"seed{'s' * (len(seeds) > 1)} {words}{failed}"

    def values(self, metric: str) -> dict[int, float]:
        """By seed, as `fmnist.evidence.failed.counted_values` has them."""
        return counted_values(self.ended, metric)


def failed_remark(side: Setting, metric: str = "test/acc") -> str:
    """What its failed runs count as; "" where none failed."""
    failed = side.failed.values()
    return failed_words(len(failed), not excuse(failed, metric)) if failed else ""


def cut_short_words(count: int) -> str:
    """ "2 runs that were cut short: no measurement"."""
    some = "a run that was" if count == 1 else f"{count} runs that were"
    return f"{some} cut short: no measurement"


def read_settings(given: Sequence[Runs], where: Sequence[str] = ()) -> list[Setting]:
    """The settings of runs, of folders of seeds, of sweeps or of tables; the latter have several.

    Args:
        given: runs, folders of them, and tables of `fmnist.results` or a folder of these.
        where: KEY=VALUE,...: only runs with one of these values; also of `seed`, `experiment`.

    Raises:
        RunError: nothing finished is there, or more than can be looked at beside each other.
    """
    groups: dict[tuple[str, frozenset[tuple[str, str]]], Setting] = {}
    for item in given:
        place = shown(Path(item)) if isinstance(item, str | Path) else ""
        found = _selected(list(_rows(item)), where)
        whole = [(row, run) for row, run in found if run is None or not run.record.cut_short]
        cut = len(found) - len(whole)
        if not any(row.finished for row, _ in whole):
            also = f" whole: {cut_short_words(cut)}" if cut else ""
            raise RunError(f"{place or 'runs'}: no run here has finished{also}")
        for row, run in sorted(whole, key=lambda pair: _order(pair[0], where)):
            at = place or (shown(run.dir) if run else "")
            group = groups.setdefault((place, row.did), Setting("", {}, {}, at, cut_short=cut))
            (group.rows if row.finished else group.failed)[row.seed] = row
            if row.finished and run is not None:
                group.runs[row.seed] = run
    if len(groups) > MOST:
        raise RunError(
            f"{len(groups)} settings: should be at most {MOST}; --where KEY=VALUE,... chooses "
            "some, fmnist report compares more"
        )
    return _named([_without_repeated(item) for item in groups.values()])


def _without_repeated(item: Setting) -> Setting:
    """A seed whose run failed, and was run again until it finished, has not failed."""
    failed = {seed: row for seed, row in item.failed.items() if seed not in item.rows}
    return replace(item, failed=failed)


def _rows(item: Runs) -> Iterator[tuple[Row, Run | None]]:
    """Those that came to an end, with their run where there is a folder of it."""
    if isinstance(item, str | Path):
        path = Path(item)
        rows = read_rows(path) if path.suffix == ".csv" else []
        if rows := rows or (read_tables(path)[0] if path.is_dir() else []):
            yield from ((row, None) for row in rows)
            return
    for run in _runs_of(item):
        yield from ((row, run) for row in rows_of([run]))


def _runs_of(item: Runs) -> list[Run]:
    if isinstance(item, Run):
        return [item]
    if isinstance(item, str | Path):
        return find_runs([item]).runs
    return [run for part in item for run in _runs_of(part)]


def _selected(
    found: list[tuple[Row, Run | None]], where: Sequence[str]
) -> list[tuple[Row, Run | None]]:
    """Those with the values that are asked for.

    Raises:
        RunError: no run has such a setting or such a value.
    """
    for text in where:
        key, values = _asked(text)
        has = [_value(row, key) for row, _ in found]
        wanted = {*values}
        if not any(has):
            known = {"seed", "experiment"}.union(*(row.settings for row, _ in found))
            raise RunError(f"--where {text}: no run has a setting {key}{near_or_all(key, known)}")
        for value in sorted(wanted - {*has}):
            raise RunError(f"--where {text}: no run has {key}={value}{near_or_all(value, {*has})}")
        found = [pair for pair, value in zip(found, has, strict=True) if value in wanted]
    return found


def _order(row: Row, where: Sequence[str]) -> tuple[list[int], str]:
    """As they were asked for, then as they were run."""
    places = [values.index(_value(row, key)) for key, values in map(_asked, where)]
    return places, row.facts["started"]


def _asked(text: str) -> tuple[str, list[str]]:
    """A setting and its values, as rows have them: a list is one, however it was typed.

    Raises:
        RunError: it is no KEY=VALUE,...
    """
    key, equals, typed = text.partition("=")
    if not (key and equals):
        raise RunError(f"--where {text}: should be KEY=VALUE,...")
    values, depth = [""], 0
    for letter in typed:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            values.append("")
        else:
            values[-1] += letter
    return key, list(map(_as_in_rows, values))


def _as_in_rows(value: str) -> str:
    with suppress(ValueError):
        return canonical(json.loads(value) if value[:1] in ("[", "{") else value)
    return value


def _value(row: Row, key: str) -> str:
    """Of a setting, as text; "" where there is none."""
    return row.facts[key] if key in ("seed", "experiment") else value_of(row.settings, key) or ""


def differing(settings: Sequence[Setting]) -> dict[str, list[str]]:
    """By dotted name, the values of what is not the same in all of them; "" where there is none."""
    keys = dict.fromkeys(key for item in settings for key in item.settings)
    values = {key: [value_of(one.settings, key) or "" for one in settings] for key in sorted(keys)}
    return {key: row for key, row in values.items() if len(set(row)) > 1}


def outermost(names: Collection[str]) -> list[str]:
    """Of settings, those inside no other: an option stands for all that is in it."""
    return [name for name in names if not covered(name.rpartition(".")[0], names)]


def _named(settings: list[Setting]) -> list[Setting]:
    """By what differs, where that is short: an option of a group says more than its values."""
    found = differing(settings)
    short = outermost(found)
    experiments = [next(iter(item.ended.values())).facts["experiment"] for item in settings]
    if 0 < len(short) <= 2:
        names = [
            ", ".join(f"{key}={item.settings.get(key) or 'none'}" for key in short)
            for item in settings
        ]
    elif all(experiments) and len(set(experiments)) == len(settings):
        names = experiments
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
    rows = [*first.ended.values(), *second.ended.values()]
    known = {name for row in rows for name in row.metrics}
    if metric not in known:
        usual = [name for name in known if name.count("/") == 1 and "_to/" not in name]
        hint = near(metric, known) or near_or_all(metric, usual)
        raise RunError(f"{metric}: no run has such a metric{hint}")
    if not both:
        words = " and ".join(", ".join(map(str, side)) or "none" for side in sides)
        raise RunError(f"{metric}: no seed in common: seeds {words}")
    paired = one_training(filter(is_value, differing([first, second])))
    failed = [row for row in rows if not row.finished]
    found = compare_sides(
        first.name, second.name, both, paired=paired, resolution=resolution_of(metric, rows)
    )
    return replace(found, failed=len(failed), excuse=excuse(failed, metric))


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
