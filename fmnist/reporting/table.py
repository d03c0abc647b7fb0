"""Runs as rows and cells: what a report shows of every run, whatever state it is in."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import commonpath
from pathlib import Path
from typing import Any

from fmnist.runs.find import Found, factors, find_runs, key_of, setting
from fmnist.runs.foreign_text import to_cell
from fmnist.runs.leak import leaks
from fmnist.runs.run import Run

METRICS = (
    "test/acc", "test/loss", "val/acc", "val/loss", "val/acc_best", "train/acc", "train/loss",
)  # fmt: skip
COSTS = ("params", "flops", "train_seconds", "seconds", "peak_memory_mib")
STATUSES = ("finished", "running", "failed")  # of a record; nobody runs it any more: "killed"


@dataclass(frozen=True)
class Row:
    """One run, or a cell of a sweep that has none.

    Args:
        name: its directory, relative to what all rows share.
        status: finished, running, killed, failed, missing or damaged.
        reason: why it failed, or cannot be read; empty when finished.
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
    def record(self) -> dict[str, Any]:
        return self.run.record if self.run else {}

    @property
    def seed(self) -> int | None:
        return self.record.get("seed")

    @property
    def leaks(self) -> bool:
        """Whether the test images choose the epoch."""
        return self.run is not None and leaks(self.run)

    def metric(self, name: str) -> float:
        """A metric or cost of the record, in the record's unit; NaN where there is none."""
        value = self.record.get("metrics", {}).get(name, self.record.get(name))
        return float(value) if _is_number(value) else math.nan


@dataclass(frozen=True)
class Cell:
    """The finished runs that differ in their seed alone.

    Args:
        levels: of every varied factor, as shown.
        rows: one a seed, the last where a seed was repeated, by seed.
    """

    levels: dict[str, str]
    rows: dict[int, Row]

    @property
    def label(self) -> str:
        return ", ".join(self.levels.values()) or "all runs"

    def values(self, metric: str) -> dict[int, float]:
        """The metric by seed; accuracies in percent."""
        factor = 100 if metric.endswith("/acc") or "/acc_" in metric else 1
        return {seed: factor * row.metric(metric) for seed, row in self.rows.items()}

    def mean(self, metric: str) -> float:
        values = self.values(metric).values()
        return sum(values) / len(values)


@dataclass(frozen=True)
class Table:
    """All rows, and the levels of every factor that was varied, the seed not among them."""

    rows: list[Row]
    factors: dict[str, list[str]]

    @property
    def finished(self) -> list[Row]:
        return [row for row in self.rows if row.finished]

    @property
    def cells(self) -> list[Cell]:
        """The cells that have a finished run, in the order of the factors' levels."""
        groups: dict[tuple[str, ...], dict[int, Row]] = {}
        for row in self.finished:
            key = tuple(row.levels.get(name, "") for name in self.factors)
            groups.setdefault(key, {})[row.seed or 0] = row

        def place(key: tuple[str, ...]) -> list[int]:
            levels = zip(key, self.factors.values(), strict=True)
            return [known.index(level) if level in known else -1 for level, known in levels]

        return [
            Cell(dict(zip(self.factors, key, strict=True)), dict(sorted(groups[key].items())))
            for key in sorted(groups, key=place)
        ]


def read_table(paths: Sequence[str | Path]) -> Table:
    """Every run at or below the paths.

    Raises:
        RunError: a path does not exist, or there is nothing at all below it.
    """
    found = find_runs(paths)
    faults = {run.dir: reason for run in found.runs if (reason := _fault(run.record))}
    readable = [run for run in found.runs if run.dir not in faults]
    varied = {key: values for key, values in factors(readable).items() if key != "seed"}
    levels = {key: [show_level(v) for v in _ordered(values)] for key, values in varied.items()}
    # A cell that was never trained may be the only one with its level.
    for _, overrides in found.missing:
        for key, value in _split(overrides).items():
            if key in levels and value not in levels[key]:
                levels[key].append(value)
    return Table(_rows(found, readable, faults, list(levels)), levels)


def _rows(
    found: Found, readable: Sequence[Run], faults: Mapping[Path, str], varied: Sequence[str]
) -> list[Row]:
    rows: dict[Path, Row] = {}
    for run in readable:
        levels = {key: show_level(setting(run, key)) for key in varied}
        reason = " ".join(str(run.record.get("error", "")).split())
        rows[run.dir] = Row("", run.status, reason, levels, run)
    for path, reason in [*found.damaged, *faults.items()]:
        rows[path] = Row("", "damaged", reason.removeprefix(f"{path}").lstrip("/: "))
    for path, overrides in found.missing:
        known = {key: value for key, value in _split(overrides).items() if key in varied}
        rows[path] = Row("", "missing", " ".join(overrides), known)
    shared = Path(commonpath(rows)) if len(rows) > 1 else next(iter(rows)).parent
    # 2 before 10: the cells of a sweep are numbered
    order = sorted(rows, key=lambda path: [(len(part), part) for part in path.parts])
    return [replace(rows[path], name=str(path.relative_to(shared))) for path in order]


def _split(overrides: Iterable[str]) -> dict[str, str]:
    return {key_of(override): override.partition("=")[2] for override in overrides}


def _ordered(values: Sequence[Any]) -> list[Any]:
    """Numbers by size; anything else as it came."""
    return sorted(values) if all(map(_is_number, values)) else list(values)


def show_level(value: Any) -> str:
    """A setting as a person would type it; a dash where the run has no such setting."""
    if value is None:
        return "–"  # noqa: RUF001 - the sign for "none", not a minus
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fault(record: Mapping[str, Any]) -> str | None:
    """What keeps a record from being shown; None if nothing does."""
    needed: dict[str, type] = {"config": dict, "choices": dict, "overrides": list, "seed": int}
    for key, kind in needed.items():
        if not isinstance(record.get(key), kind):
            return f"its record has no {key}"
    if record.get("status") not in STATUSES:
        return f"its record's status is {record.get('status')!r}"
    if not all(isinstance(override, str) for override in record["overrides"]):
        return "its record's overrides are not text"
    return _fault_of_finished(record) if record["status"] == "finished" else None


def _fault_of_finished(record: Mapping[str, Any]) -> str | None:
    metrics, epochs, data = (record.get(key) for key in ("metrics", "epochs", "dataset"))
    for key in METRICS:
        if not isinstance(metrics, dict) or not _is_number(metrics.get(key)):
            return f"its record says finished and has no {key}"
    for key in COSTS:
        if not _is_number(record.get(key)):
            return f"its record says finished and has no {key}"
    curves = ("epoch", "lr", "train/loss", "train/acc", "val/loss", "val/acc", "seconds")
    if not isinstance(epochs, list) or not epochs:
        return "its record says finished and has no epochs"
    for row in epochs:
        if not isinstance(row, dict) or not all(_is_number(row.get(key)) for key in curves):
            return "its record says finished and an epoch is incomplete"
    best = record.get("best_epoch")
    if not isinstance(best, int) or not 0 <= best < len(epochs):
        return f"its record's best_epoch is {best!r}, with {len(epochs)} epochs"
    if not isinstance(data, dict) or not _is_number(data.get("test_size")):
        return "its record says finished and has no dataset"
    classes = data.get("classes")
    if not isinstance(classes, list) or len(classes) != 10:
        return "its record says finished and does not name ten classes"
    return None


def runs_csv(table: Table) -> str:
    """One line a row: what it is, how it ended, what it gave and cost. Accuracies in [0, 1]."""
    text = io.StringIO()
    facts = ("device", "threads", "precision", "config_hash", "git_commit", "git_dirty", "command")
    heads = ["run", "status", "reason", *table.factors, "seed", *METRICS, *COSTS]
    writer = csv.writer(text, lineterminator="\n")
    heads += ["epochs", "best_epoch", "select_on", *facts]
    writer.writerow(map(to_cell, heads))
    for row in table.rows:
        numbers = [row.metric(name) for name in (*METRICS, *COSTS)]
        cells = (
            [row.name, row.status, row.reason]
            + [row.levels.get(name, "") for name in table.factors]
            + ["" if row.seed is None else row.seed]
            + ["" if math.isnan(number) else number for number in numbers]
            + [len(row.record.get("epochs") or []), row.record.get("best_epoch", "")]
            + ["test" if row.leaks else "val" if row.run else ""]
            + [row.record.get(fact, "") for fact in facts]
        )
        writer.writerow(map(to_cell, cells))
    return text.getvalue()
