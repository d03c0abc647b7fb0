"""The run record: the only schema, read and written here only.

On disk it is JSON: result.json in the directory of a run. Keys that an older version did not write
have their defaults here; keys that this one does not know are kept as they are. A file of a newer
schema is refused.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fmnist.data.facts import DatasetFacts
from fmnist.errors import RunError
from fmnist.runs.foreign_text import escaped_values
from fmnist.runs.plain import Between, Damaged, decode, encode, read_json, shorten, write_json

SCHEMA = 2  # 1: keys of what was not known yet were null, and numbers could be NaN
RESULT = "result.json"

Share = Annotated[float, Between(0, 1)]
Amount = Annotated[float, Between(0, 1e15)]  # seconds, MiB, FLOPs
Count = Annotated[int, Between(0, 10**18)]
Loss = Annotated[float, Between(-1e40, 1e40)]  # float32 ends at 3.4e38
Status = Literal["running", "finished", "failed"]

# What a finished run has, whichever version made it.
METRICS = (
    "test/acc", "test/loss", "val/acc", "val/loss", "val/acc_best", "train/acc", "train/loss",
)  # fmt: skip
COSTS = ("params", "flops", "train_seconds", "seconds", "peak_memory_mib")
SECTIONS = ("model", "optim", "aug", "data", "trainer")  # of every configuration

T = TypeVar("T")


class Newer(Damaged):
    """Nothing is wrong with it: it is not to be overwritten."""


def is_accuracy(metric: str) -> bool:
    """Whether a metric of this name is a share of images: "test/acc", "val/acc_best"."""
    return metric.partition("/")[2].replace("/", "_").partition("_")[0] == "acc"


def known(value: T | None) -> T:
    """A fact that a run has in its state, such as the seconds of a finished one: see `_check`."""
    assert value is not None
    return value


STOPPED = {130: "interrupted", 143: "terminated"}  # by exit code: the errors of stopped runs
GIVEN_UP = "given up by the search"  # how the error of a run begins whose trial was pruned


@dataclass(frozen=True)
class Epoch:
    """The row of one epoch; the names of the file are those of the metrics.

    Args:
        epoch: counted from 0.
        step: optimiser steps so far.
        lr: of its first step.
        train_loss, train_acc: while training: augmented, with dropout, before each step.
        val_loss, val_acc: after it.
        val_acc_best: the highest so far.
        seconds: training and validation together.
        images_per_second: of training alone.
        extra: what a callback logged beside; None: not a finite number.
    """

    epoch: Count
    step: Count
    lr: Loss
    train_loss: Loss = field(metadata={"key": "train/loss"})
    train_acc: Share = field(metadata={"key": "train/acc"})
    val_loss: Loss = field(metadata={"key": "val/loss"})
    val_acc: Share = field(metadata={"key": "val/acc"})
    val_acc_best: Share = field(metadata={"key": "val/acc_best"})
    seconds: Amount
    images_per_second: Amount | None = field(
        default=None, metadata={"key": "train/images_per_second"}
    )
    extra: dict[str, float | None] = field(default_factory=dict, metadata={"rest": True})

    @classmethod
    def of(cls, row: Mapping[str, float]) -> "Epoch":
        """From metrics by name, as they were logged.

        Raises:
            RunError: a metric that every run has is missing or not a finite number.
        """
        columns = {*COLUMNS}
        plain = {
            name: value if name in columns or math.isfinite(value) else None
            for name, value in row.items()
        }
        try:
            return decode(cls, plain)  # type: ignore[no-any-return]
        except Damaged as error:
            raise RunError(f"epoch {row.get('epoch')}: {error}") from error

    def metrics(self) -> dict[str, float]:
        """By name, as they were logged; without those that are no finite number."""
        return {name: value for name, value in encode(self).items() if value is not None}


def epoch_ends(rows: Sequence[Epoch]) -> list[Epoch]:
    """A row for every epoch trained: its last, or the one before where it was not validated."""
    last, end = {row.epoch: row for row in rows}, rows[0]
    return [end := last.get(epoch, end) for epoch in range(rows[-1].epoch + 1)]


COLUMNS = tuple(f.metadata.get("key", f.name) for f in fields(Epoch) if "rest" not in f.metadata)


CUT = "cut short"  # what a run is called that has ended and is no measurement: `Record.cut_short`


@dataclass(frozen=True)
class Resumption:
    """When a stopped run was continued, after how many epochs, and by which code.

    Args:
        device, threads: on what it had computed until then.
    """

    at: str
    epochs: Count
    git_commit: str | None = None
    device: str | None = None
    threads: Count | None = None


@dataclass(frozen=True)
class Record:
    """What is known of a run. None and empty: not known, or not yet.

    Args:
        status: "running" as well where the run was killed, see `fmnist.runs.run.Run.status`.
        config_hash: of what can change a result.
        choices: the option of every group.
        overrides: of the command line, as typed.
        config: the resolved configuration.
        seed: the same as in the configuration.
        group: the sweep that the run belongs to.
        command: that repeats the run.
        started, tested_at, first_step_at: ISO 8601; the others seconds since 1970.
        dataset: once the data have been read.
        params, flops: trainable parameters; operations of one image's forward pass.
        device, devices, threads, precision, channels_last: what it computes on, and how.
        git_commit, git_dirty, versions: of the code, and of what it is built on.
        code: of one's own, a digest by `_target_` or module; see `fmnist.runs.own_code`.
        resumed: every time that it went on after it had been stopped.
        epochs: in order.
        best_epoch: the row of `epochs` that validation chose, counted from 0.
        metrics: by name; accuracies in [0, 1]; `_last`: of the last epoch.
        train_seconds, seconds: of the epochs; of everything; as if all epochs were trained here.
        inherited_seconds: how much of both was the run's that this one went on from.
        inherited_on: where that was, as `machine` has it.
        peak_memory_mib: of the training process.
        error, traceback: why it failed.
        cut_short: what ended training before its last epoch was complete.
        dashboard_id: by which dashboards know the run, over all resumptions.
        dashboard_error: what a dashboard could not be told.
        tags: by which dashboards find it.
        origin: the run whose weights, or whose last epoch, this one started from.
        others: keys that this version does not know.
    """

    status: Status
    config_hash: str
    choices: dict[str, str]
    overrides: list[str]
    config: dict[str, Any]
    seed: Annotated[int, Between(-(2**63), 2**63)]
    started: str = ""
    group: str | None = None
    command: str = ""
    dataset: DatasetFacts | None = None
    params: Count | None = None
    flops: Count | None = None
    channels_last: bool | None = None
    device: str = ""
    devices: Count | None = None
    threads: Count | None = None
    precision: str = ""
    git_commit: str | None = None
    git_dirty: bool | None = None
    versions: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    resumed: list[Resumption] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: Count | None = None
    metrics: dict[str, Loss] = field(default_factory=dict)
    tested_at: Amount | None = None
    first_step_at: Amount | None = None
    train_seconds: Amount | None = None
    seconds: Amount | None = None
    inherited_seconds: Amount | None = None
    inherited_on: str | None = None
    peak_memory_mib: Amount | None = None
    error: str | None = None
    traceback: str | None = None
    cut_short: str | None = None
    dashboard_id: str | None = None
    dashboard_error: str | None = None
    tags: list[str] = field(default_factory=list)
    origin: str | None = None
    others: dict[str, Any] = field(default_factory=dict, metadata={"rest": True})

    @property
    def stopped(self) -> bool:
        """Whether somebody ended it, which says nothing of what it would have come to."""
        error = self.error or ""
        ended = error in STOPPED.values() or error.startswith(GIVEN_UP)
        return self.status == "failed" and ended

    @property
    def machine(self) -> str:
        """On what it computed: what its seconds are of."""
        return f"{self.device}, {self.threads} threads"

    @property
    def moved(self) -> bool:
        """Whether its epochs are known to be of several machines: its seconds are of neither."""
        if self.inherited_on not in (None, self.machine):
            return True
        here = (self.device, self.threads)
        known_of = (again for again in self.resumed if again.device is not None)
        return any((again.device, again.threads) != here for again in known_of)

    @property
    def max_epochs(self) -> int | None:
        """How many epochs the run may train; None: as long as it improves."""
        most = self.config["trainer"].get("max_epochs")
        return most if most and most > 0 else None

    @property
    def horizon(self) -> int:
        """The epochs by which runs are compared: those that it may train, or else that it did."""
        return self.max_epochs or self.trained

    @property
    def trained(self) -> int:
        """How many epochs have been trained, up to the last validation: a row may be of a part."""
        return self.epochs[-1].epoch + 1 if self.epochs else 0

    @property
    def epoch_seconds(self) -> float:
        """Of an epoch, validation included; the mean over those trained, at least one."""
        return sum(row.seconds for row in self.epochs) / self.trained

    @property
    def chosen(self) -> Epoch:
        """The row that validation chose, of a run that has been tested."""
        return self.epochs[known(self.best_epoch)]

    def numbers(self) -> dict[str, float]:
        """COSTS and `best_epoch`, as far as they are known."""
        values: dict[str, float | None] = {
            "params": self.params, "flops": self.flops, "train_seconds": self.train_seconds,
            "seconds": self.seconds, "peak_memory_mib": self.peak_memory_mib,
            "best_epoch": None if self.best_epoch is None else self.chosen.epoch,
        }  # fmt: skip
        return {name: value for name, value in values.items() if value is not None}


def read_record(path: Path) -> Record:
    """A run record.

    Raises:
        Damaged: it is none, or one of a newer version.
        OSError: it cannot be read.
    """
    content, harmless = read_json(path)
    check_schema(content)
    # Schema 1 wrote null for what was not known.
    plain = {key: value for key, value in content.items() if value is not None or key in NEEDED}
    plain = plain if harmless else escaped_values(plain)
    plain.pop("schema")
    record: Record = decode(Record, plain)
    _check(record)
    return record


NEEDED = ("config_hash", "choices", "overrides", "config", "seed", "status", "metrics", "epochs")


def check_schema(content: Any) -> None:
    """Refuse what this version does not read.

    Raises:
        Damaged: it has no schema; Newer: a newer one.
    """
    if not isinstance(content, dict):
        raise Damaged("is no record")
    schema = content.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise Damaged(f"has no schema number: {shorten(schema)}")
    if schema > SCHEMA:
        raise Newer(f"written by a newer fmnist (schema {shorten(schema)} > {SCHEMA})")


def record_json(record: Record) -> bytes:
    """A record as it stands on disk.

    Raises:
        RunError: a number in it is not finite.
    """
    try:
        return write_json({"schema": SCHEMA, **encode(record)})
    except ValueError as error:
        raise RunError(f"the record cannot be written: {_culprit(record) or error}") from error


def _culprit(record: Record) -> str:
    """Where the first number stands that is not finite; "" if there is none."""
    left: list[tuple[str, Any]] = [("", encode(record))]
    while left:
        place, value = left.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return f"{place} is {value}"
        if isinstance(value, dict):
            left += [(f"{place}.{key}".lstrip("."), item) for key, item in value.items()]
        elif isinstance(value, list):
            left += [(f"{place}[{number}]", item) for number, item in enumerate(value)]
    return ""


def _check(record: Record) -> None:
    """What the annotations cannot say.

    Raises:
        Damaged: it is not so.
    """
    for section in SECTIONS:
        if not isinstance(record.config.get(section), dict):
            raise Damaged(f"config has no {section}")
    most = record.config["trainer"].get("max_epochs")
    if most is not None and (type(most) is not int or not -1 <= most < 10**9):
        raise Damaged(f"config.trainer.max_epochs is {shorten(most)}: should be a whole number")
    smoothing = record.config.get("label_smoothing", 0.0)
    if type(smoothing) not in (int, float) or not 0 <= smoothing < 1:
        raise Damaged(f"config.label_smoothing is {shorten(smoothing)}: should be in [0, 1)")
    for name, value in record.metrics.items():
        if is_accuracy(name) and not 0 <= value <= 1:
            raise Damaged(f"metrics[{shorten(name)}] is {shorten(value)}: should be in [0, 1]")
    if record.dataset is not None:
        _check_dataset(record.dataset)
    if record.best_epoch is not None and record.best_epoch >= len(record.epochs):
        raise Damaged(f"best_epoch is {record.best_epoch}, with {len(record.epochs)} epochs")
    if record.status == "finished":
        _check_finished(record)


def _check_dataset(data: DatasetFacts) -> None:
    if not 2 <= len(data.classes) <= 10_000:
        raise Damaged(f"dataset.classes has {len(data.classes)} names: should have 2 or more")
    for name in ("train_size", "val_size", "test_size"):
        if not 0 <= getattr(data, name) < 10**9:
            raise Damaged(f"dataset.{name} is {shorten(getattr(data, name))}: should be a count")


def _check_finished(record: Record) -> None:
    has = [*record.metrics, *record.numbers()] + (["dataset"] if record.dataset else [])
    for name in (*METRICS, *COSTS, "best_epoch", "dataset"):
        if name not in has:
            raise Damaged(f"says finished and has no {name}")
