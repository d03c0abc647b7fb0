"""Runs and settings: what a report shows of every run, whatever state it is in."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import commonpath
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from fmnist.config.readings import key_of
from fmnist.evidence.claim import as_people_write
from fmnist.evidence.failed import at_chance, excuse
from fmnist.runs.find import Found, factors, find_runs, plain, setting
from fmnist.runs.foreign_text import csv_text, escaped
from fmnist.runs.leak import leaks
from fmnist.runs.record import COSTS, CUT, METRICS, Record, known
from fmnist.runs.rows import Row, is_duration, row_of
from fmnist.runs.run import Run
from fmnist.sweeps.names import counts

# What says how a run was made.
MADE = (
    "device", "threads", "precision", "config_hash", "git_commit", "git_dirty", "command",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One run, or a cell of a sweep that has none.

    Args:
        name: its directory, relative to what all rows share.
        status: finished, running, killed, failed, stopped, missing, damaged or CUT.
        reason: why it failed, was cut short, or cannot be read; empty when finished.
        levels: of every varied factor, as shown, without the seed; only the known ones.
        run: None where there is no readable record.
    """

    name: str
    status: str
    reason: str = ""
    levels: dict[str, str] = field(default_factory=dict)
    run: Run | None = None

    @property
    def finished(self) -> bool:
        return self.status == "finished"

    @property
    def tested(self) -> bool:
        """Whether it has numbers to show: finished, or so but for being cut short."""
        return self.run is not None and self.record.status == "finished"

    @property
    def record(self) -> Record:
        """Of a row that has a run."""
        assert self.run is not None
        return self.run.record

    @property
    def seed(self) -> int | None:
        return self.run.record.seed if self.run else None

    @property
    def leaks(self) -> bool:
        """Whether the test images choose the epoch."""
        return self.run is not None and leaks(self.run)

    def metric(self, name: str) -> float:
        """A metric or cost of the record, in the record's unit; NaN where there is none.

        Nor are there seconds of a run that went on on another machine.
        """
        if self.run and self.record.moved and is_duration(name):
            return math.nan
        values = self.record.metrics | self.record.numbers() if self.run else {}
        return float(values.get(name, math.nan))


@dataclass(frozen=True)
class SweepSetting:
    """The runs that differ in their seed alone; at least one has finished.

    Args:
        levels: of every varied factor, as shown.
        rows: the finished ones by seed; of a repeated seed the one begun last, as claims take it.
        failed: by seed, where no run of that seed has finished; none that somebody stopped.
    """

    levels: dict[str, str]
    rows: dict[int, Entry]
    failed: dict[int, Row] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """ "relu, adam"; where several are numbers, "adam, lr=0.01, batch_size=64"."""
        numeric = [name for name, level in self.levels.items() if numbers([level])]
        words = [
            f"{name.rpartition('.')[2]}={level}" if name in numeric and len(numeric) > 1 else level
            for name, level in self.levels.items()
        ]
        return ", ".join(words) or "all runs"

    def values(self, metric: str) -> dict[int, float]:
        """The metric by seed; shares in percent, a failed run's accuracy that of chance."""
        values = {seed: row.metric(metric) for seed, row in self.rows.items()}
        if not excuse(self.failed.values(), metric):
            values |= {s: at_chance(r, metric).metrics[metric] for s, r in self.failed.items()}
        return {seed: as_people_write(metric, values[seed]) for seed in sorted(values)}

    def mean(self, metric: str) -> float:
        """NaN where no run has it."""
        values = [value for value in self.values(metric).values() if not math.isnan(value)]
        return sum(values) / len(values) if values else math.nan

    def resolution(self, metric: str) -> float:
        """In points: one of the images that were tested, or validated."""
        facts = [(known(row.record.dataset), row.leaks) for row in self.rows.values()]
        tests = metric.startswith("test/")
        sizes = [data.test_size if tests or leaks else data.val_size for data, leaks in facts]
        return 100 / max(1, min(sizes))  # a record may say that it has none


@dataclass(frozen=True)
class Table:
    """All rows, and the levels of every factor that was varied, the seed not among them.

    Args:
        exit_code: see `fmnist.runs.find.Found`.
    """

    rows: list[Entry]
    factors: dict[str, list[str]]
    exit_code: int = 0

    @property
    def finished(self) -> list[Entry]:
        return [row for row in self.rows if row.finished]

    @property
    def failed(self) -> list[Entry]:
        """Those that nobody stopped."""
        return [row for row in self.rows if row.status == "failed" and row.run]

    @property
    def damaged(self) -> list[str]:
        """A line each of those that cannot be read."""
        return [f"damaged: {r.name}: {r.reason}" for r in self.rows if r.status == "damaged"]

    @property
    def settings(self) -> list[SweepSetting]:
        """The settings that have a finished run, in the order of the factors' levels."""
        finished: dict[tuple[str, ...], dict[int, Entry]] = {}
        failed: dict[tuple[str, ...], dict[int, Row]] = {}
        for row in sorted(self.finished, key=lambda row: row.record.started):
            finished.setdefault(self._key(row), {})[row.seed or 0] = row
        for row in self.failed:
            assert row.run is not None
            if (row.seed or 0) not in finished.get(self._key(row), {}):
                failed.setdefault(self._key(row), {})[row.seed or 0] = row_of(row.run)

        def place(key: tuple[str, ...]) -> list[int]:
            levels = zip(key, self.factors.values(), strict=True)
            return [known.index(level) if level in known else -1 for level, known in levels]

        return [
            SweepSetting(
                dict(zip(self.factors, key, strict=True)), dict(sorted(finished[key].items())),
                failed.get(key, {}),
            )
            for key in sorted(finished, key=place)
        ]  # fmt: skip

    def _key(self, row: Entry) -> tuple[str, ...]:
        return tuple(row.levels.get(name, "") for name in self.factors)


def read_table(paths: Sequence[str | Path]) -> Table:
    """Every run at or below the paths.

    Raises:
        RunError: a path does not exist, or there is nothing at all below it.
    """
    found = find_runs(paths)
    varied = {key: values for key, values in factors(found.runs).items() if key != "seed"}
    levels = {key: [show_level(v) for v in _ordered(values)] for key, values in varied.items()}
    # A cell that was never trained may be the only one with its level, or with another than the
    # only one that was.
    missing = {path: _levels(overrides) for path, overrides in found.missing}
    for key in dict.fromkeys(key for cell in missing.values() for key in cell):
        there = levels.get(key) or [*{show_level(setting(run, key)) for run in found.runs}]
        asked = dict.fromkeys(cell[key] for cell in missing.values() if key in cell)
        more = [level for level in asked if level not in there]
        if more and (key in levels or len(there) == 1):
            levels[key] = there + more
    return Table(_rows(found, list(levels), missing), levels, found.exit_code)


def _rows(
    found: Found, varied: Sequence[str], missing: Mapping[Path, Mapping[str, str]]
) -> list[Entry]:
    rows: dict[Path, Entry] = {}
    for run in found.runs:
        levels = {key: show_level(setting(run, key)) for key in varied}
        rows[run.dir] = Entry("", *_ended(run), levels, run)
    for path, reason in found.damaged:
        rows[path] = Entry("", "damaged", reason)
    for path, overrides in found.missing:
        own = {key: level for key, level in missing[path].items() if key in varied}
        rows[path] = Entry("", "missing", " ".join(overrides), own)
    shared = Path(commonpath(rows)) if len(rows) > 1 else next(iter(rows)).parent
    # 2 before 10: the cells of a sweep are numbered
    order = sorted(rows, key=lambda path: [(len(part), part) for part in path.parts])
    return [replace(rows[path], name=str(path.relative_to(shared))) for path in order]


def _ended(run: Run) -> tuple[str, str]:
    """Its status, and the reason."""
    status, cut, error = run.status, run.record.cut_short, run.record.error
    if cut and run.record.status != "running":
        return CUT, "; ".join([cut, *([" ".join(error.split())] if error else [])])
    return status, " ".join((error or "").split())


def _levels(overrides: Sequence[str]) -> dict[str, str]:
    """What a cell that was never trained would have, as those of trained ones are shown."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return {
        key: show_level(item.value())
        for item in parsed
        if counts(text := str(item.input_line)) and (key := key_of(text)) != "seed"
    }


def _ordered(values: Sequence[Any]) -> list[Any]:
    """Numbers by size; anything else as it came."""
    return sorted(values) if all(map(_is_number, values)) else list(values)


def show_level(value: Any) -> str:
    """A setting as a person would type it; a dash where the run has no such setting."""
    if value is None:
        return "–"  # noqa: RUF001 - the sign for "none", not a minus
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(plain(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def numbers(levels: Sequence[str]) -> list[float] | None:
    """The levels as numbers, if they are numbers."""
    try:
        values = [float(level) for level in levels]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None


def runs_csv(table: Table) -> str:
    """One line a row: what it is, how it ended, what it gave and cost. Accuracies in [0, 1]."""
    heads = ["run", "status", "reason", *table.factors, "seed", *METRICS, *COSTS]
    rows: list[list[Any]] = [[*heads, "epochs", "best_epoch", "select_on", *MADE]]
    for row in table.rows:
        numbers = [row.metric(name) for name in (*METRICS, *COSTS)]
        epochs, best = row.record.trained if row.run else 0, row.metric("best_epoch")
        rows.append(
            [escaped(row.name, keep=""), row.status, row.reason]
            + [row.levels.get(name, "") for name in table.factors]
            + ["" if row.seed is None else row.seed]
            + ["" if math.isnan(number) else number for number in numbers]
            + [epochs, "" if math.isnan(best) else int(best)]
            + ["test" if row.leaks else "val" if row.run else ""]
            + [getattr(row.record, name) if row.run else "" for name in MADE]
        )
    return csv_text(rows)
