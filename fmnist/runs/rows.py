"""One row a run: what tables and claims need of it, the same from its directory or from a CSV.

Columns, in this order: facts (text, see FACTS), settings (every value of the configuration that a
result may depend on, under its dotted name, and the option of every group), metrics (numbers, see
NUMBERS, and every name with a slash). An empty field: the run has no such setting or number.
"""

import contextlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from fmnist.config.hashing import BATCHES
from fmnist.config.published import published
from fmnist.config.schema import COSMETIC, SCALARS
from fmnist.config.signature import UNKNOWN, read_signature
from fmnist.errors import RunError
from fmnist.runs.convergence import convergence_metrics
from fmnist.runs.corrupted import read_corrupted
from fmnist.runs.record import Epoch, epoch_ends
from fmnist.runs.run import PREDICTIONS, Run

if TYPE_CHECKING:
    from fmnist.data.facts import DatasetFacts
    from fmnist.runs.bits import Right

FACTS = (
    "study", "experiment", "status", "seed", "started", "config_hash", "git_commit", "git_dirty",
    "device", "threads", "python", "torch", "lightning",
)  # fmt: skip
# epoch_seconds: of training and validation, the mean over epochs.
NUMBERS = (
    "params", "flops", "best_epoch", "epochs", "seconds", "train_seconds", "epoch_seconds",
    "peak_memory_mib",
)  # fmt: skip
INFERENCE = "inference/batches_per_second"  # of 64; only where `collect --latency` measured it
# Choices that are no settings.
LABELS = ("logger", "trainer", "experiment", "ablation", "without", "local")
HOW = {("optim", "fused")}  # what changes the rounding of a result, and nothing else
NO_SETTINGS = COSMETIC | HOW | {("seed",)}
FIRST = ("max_epochs", "accelerator", "devices", "strategy", "precision")  # of trainer
FORMATS = ("channels_last", "trainer.precision")
# Who chose number and memory format: "auto", by net and machine; "memory", only that; or "set".
CHOSEN = "formats"
# Settings of later versions, and what was done before they existed.
ADDED = {
    "tta": "none", "ema_decay": "null", "init_from": "null", "ckpt_path": "null", CHOSEN: "auto",
    "data.channels": "null", "data.classes": "null", "data.size": "null", "data.folds": "null",
    "data.fold": "0", "data.imbalance": "1", "data.label_noise": "0",
    "compile": "false", "optim.no_decay": "false", "optim.head_lr": "null",
}  # fmt: skip
DIGITS = 6  # after the point: accuracies are multiples of 0.0001


@dataclass(frozen=True)
class Row:
    """A run.

    Args:
        facts: by FACTS; the missing ones are "".
        settings: as `canonical` text by dotted name, without the seed; and CHOSEN.
        metrics: accuracies, F1 and recall in [0, 1].
        right: which test images its nets were right about; None: not known. In no column: beside a
            table lies `right_file`.
        code: of one's own, digests, see `Record`; in no column: {} of a table's.
        data: which it had; in no column: None of a table's.
    """

    facts: dict[str, str]
    settings: dict[str, str]
    metrics: dict[str, float]
    right: "Right | None" = field(default=None, compare=False, repr=False)
    code: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    data: "DatasetFacts | None" = field(default=None, compare=False, repr=False)

    @property
    def seed(self) -> int:
        return int(self.facts["seed"])

    @property
    def finished(self) -> bool:
        return self.facts["status"] == "finished"

    @property
    def tested(self) -> tuple[str, int | None]:
        """Name of its data set and number of test images; None: not known from its settings."""
        name, size = (self.settings.get(f"data.{key}", "null") for key in ("name", "test_size"))
        if size != "null":
            return name, int(size)
        facts = published().get(name)
        return name, facts.test_size if facts else None

    @property
    def images(self) -> int | None:
        """On how many it was tested; None: not known."""
        return len(self.right.best) if self.right else self.tested[1]

    @property
    def chance(self) -> float | None:
        """Accuracy of a net that knows nothing; None: how many classes there are is not known."""
        given = {key: self.settings.get(f"data.{key}") for key in ("name", "classes")}
        if given["name"] not in published() or "data.source._target_" in self.settings:
            return None
        known = len(published()[given["name"]].classes)
        return 1 / (known if given["classes"] in (None, "null") else int(given["classes"]))

    @property
    def leaks(self) -> bool:
        """Whether the test images chose the epoch."""
        return self.settings.get("data.select_on") == "test"

    @property
    def chosen_formats(self) -> tuple[str, ...]:
        """Which of FORMATS a machine chose."""
        known = {"set": (), "memory": FORMATS[:1]}
        return known.get(self.settings.get(CHOSEN, ""), FORMATS)

    @cached_property
    def did(self) -> frozenset[tuple[str, str]]:
        """Its configuration but for the seed, the same whenever and wherever it was run.

        Names of options are not in it, as rows of before a group existed have none of that group,
        and no formats that a machine chose.
        """
        pairs = self.settings.items()
        return frozenset((k, v) for k, v in pairs if is_value(k) and k not in self.chosen_formats)

    @property
    def key(self) -> tuple[str, str]:
        """A second run with the same key replaces the first."""
        return self.facts["config_hash"], self.facts["git_commit"]


def canonical(value: Any) -> str:
    """A setting as text: equal texts are equal settings, however they were written."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | dict):
        return json.dumps(value, sort_keys=True)
    try:
        return f"{float(value):.12g}"
    except (TypeError, ValueError):
        return str(value)


def flatten(node: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[str, str]:
    """The settings of a resolved configuration, without seed, cosmetic ones and HOW.

    An argument of the Trainer that has Lightning's default is no setting unless it stood in conf/
    from the first: rows of earlier runs do not have it.
    """
    signature = _arguments(str(node.get("_target_"))) if path == ("trainer",) else None
    settings: dict[str, str] = {}
    for key, value in node.items():
        name = (*path, str(key))
        if name in NO_SETTINGS:
            continue
        if isinstance(value, dict):
            settings |= flatten(value, name)
            continue
        written = share_or_count if name in BATCHES else canonical
        text = written(value)
        if signature and key in signature and key not in FIRST:
            default = signature[key].default
            if default is not UNKNOWN and written(default) == text:
                continue
        settings[".".join(name)] = text
    return settings


def share_or_count(value: Any) -> str:
    """Of a setting that is a number of batches or a share of them: 1 is one, 1.0 is all."""
    return "1.0" if isinstance(value, float) and value == 1 else canonical(value)


_arguments = cache(read_signature)  # of Lightning's Trainer: asked once a row


def value_of(settings: Mapping[str, str], key: str) -> str | None:
    """The text of a row's setting, also where `flatten` leaves it out: then it is the default.

    None: it has no such setting.
    """
    text, (group, _, name) = settings.get(key), key.partition(".")
    signature = _arguments(settings.get("trainer._target_", "")) if group == "trainer" else None
    if text is not None or not signature or name not in signature:
        return text
    default = signature[name].default
    written = share_or_count if (group, name) in BATCHES else canonical
    return None if default is UNKNOWN else written(default)


def row_of(run: Run) -> Row:
    """A run's row. Without readable predictions it has no metrics of single classes."""
    record = run.record
    choices, versions = record.choices, record.versions
    study = choices.get("ablation") or choices.get("experiment") or ""
    facts: dict[str, object] = {
        "study": study, "experiment": choices.get("experiment"), "status": run.status,
        "seed": record.seed, "started": record.started, "config_hash": record.config_hash,
        "git_commit": record.git_commit, "git_dirty": record.git_dirty, "device": record.device,
        "threads": record.threads,
        **{name: versions.get(name) for name in ("python", "torch", "lightning")},
    }  # fmt: skip
    # An option of a group in a group is known by its values: "/" is for metrics.
    settings = {
        name: canonical(value)
        for name, value in choices.items()
        if name not in LABELS and "/" not in name
    }
    # Not "auto", but what it was on that machine.
    formats = run.formats() if record.precision else {}
    memory = "set" if run.config.get("channels_last") is not None else "memory"
    auto = run.config["trainer"].get("precision", "auto") == "auto"
    used = {
        "trainer.precision": formats.get("precision"),
        "channels_last": formats.get("channels_last"),
        CHOSEN: "auto" if auto and memory == "memory" else memory,
    }
    return Row(
        {name: "" if value is None else str(value) for name, value in facts.items()},
        ADDED
        | settings
        | flatten(run.config)
        | {name: canonical(value) for name, value in used.items() if value is not None},
        {name: round(float(value), DIGITS) for name, value in _metrics(run).items()},
        _right(run),
        record.code,
        record.dataset,
    )


def _right(run: Run) -> "Right | None":
    """None, too, of a damaged file: as of predictions, that costs the run what it would show."""
    from fmnist.runs.bits import RIGHT, read_right

    if run.record.status != "finished" or not (run.dir / RIGHT).exists():
        return None
    with contextlib.suppress(RunError):
        return read_right(run.dir / RIGHT).get(run.record.config_hash)
    return None


def rows_of(runs: Iterable[Run]) -> list[Row]:
    """Rows of the runs that came to an end, finished or failed, and were not stopped."""
    ended = (run for run in runs if run.record.status in ("finished", "failed"))
    return [row_of(run) for run in ended if not run.record.stopped]


def measurements(runs: Iterable[Run]) -> list[Row]:
    """Rows of those that were not cut short: what claims are asked of, and what is at hand."""
    return rows_of(run for run in runs if not run.record.cut_short)


def _metrics(run: Run) -> dict[str, float]:
    record, epochs = run.record, run.record.epochs
    numbers = record.numbers()
    numbers["epochs"] = record.trained
    if epochs:
        numbers["epoch_seconds"] = record.epoch_seconds
    numbers |= record.metrics | setbacks(epochs)
    if record.status == "finished":  # a failed run's curve was cut off
        numbers |= convergence_metrics(epochs, record.horizon)
    with contextlib.suppress(RunError):
        numbers |= damaged.metrics() if (damaged := read_corrupted(run.dir, record)) else {}
    if (run.dir / PREDICTIONS).exists() and record.dataset:
        with contextlib.suppress(RunError):
            numbers |= class_metrics(*run.predictions(), record.dataset.classes)
    return {name: v for name, v in numbers.items() if not (record.moved and is_duration(name))}


def is_duration(metric: str) -> bool:
    """Whether it was measured in seconds."""
    return "seconds" in metric


def setbacks(epochs: Sequence[Epoch]) -> dict[str, float]:
    """How unsteady training was: the mean step of an epoch in the wrong direction.

    `val/acc_setback`: by how much val/acc fell from one epoch to the next, counting 0 where it
    rose; `val/loss_setback`: by how much val/loss rose. Nothing for fewer than two epochs.
    """
    steps = list(itertools.pairwise(epoch_ends(epochs))) if epochs else []
    if not steps:
        return {}
    falls = [max(0.0, before.val_acc - after.val_acc) for before, after in steps]
    rises = [max(0.0, after.val_loss - before.val_loss) for before, after in steps]
    return {
        "val/acc_setback": sum(falls) / len(steps),
        "val/loss_setback": sum(rises) / len(steps),
    }


def class_metrics(logits: Any, labels: Any, classes: Sequence[str]) -> dict[str, float]:
    """F1 and recall of every class, and macro F1, which is their mean; all in [0, 1].

    A class without test images has no recall, and one that is not predicted either no F1: it does
    not count in the mean.

    By numpy, because importing torch and torchmetrics takes longer than reading a hundred runs.

    Args:
        logits: float [N, C].
        labels: int64 [N].
        classes: C names.
    """
    import numpy as np

    count = len(classes)
    confusion = np.bincount(labels * count + logits.argmax(1), minlength=count**2)
    confusion = confusion.reshape(count, count)  # [true, predicted]
    hits, true, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    f1 = 2 * hits / np.maximum(true + predicted, 1)
    recall = hits / np.maximum(true, 1)
    some = true + predicted > 0
    metrics = {"test/f1": float(f1[some].mean())}
    for number, name in enumerate(classes):
        if some[number]:
            metrics[f"test/f1/{name}"] = float(f1[number])
        if true[number]:
            metrics[f"test/recall/{name}"] = float(recall[number])
    return metrics


def newest(rows: Iterable[Row], study: str = "", *, timed: bool = False) -> list[Row]:
    """One row a configuration: a finished one before a failed one, then the latest.

    Equal settings are one, whatever their hash, which counts how updates are rounded.

    Args:
        rows: of any runs.
        study: whose own runs count before those that another has with the same settings and seed,
            and of others those of the study that was begun first: what a later one trains again
            changes nothing.
        timed: of equal settings one that has seconds counts before any that was collected without.
    """
    rows = list(rows)
    begun: dict[str, str] = {}
    for row in rows if study else []:
        name, started = row.facts["study"], row.facts["started"]
        begun[name] = min(started, begun.get(name, started))
    order = sorted(begun, key=lambda name: begun[name], reverse=True)  # what counts most comes last
    order = [*(name for name in order if name != study), study]
    latest: dict[tuple[int, frozenset[tuple[str, str]]], Row] = {}

    def counts(row: Row) -> tuple[bool, bool, int, str]:
        place = order.index(row.facts["study"]) if study else 0
        has = timed and any(map(is_duration, row.metrics))
        return row.finished, has, place, row.facts["started"]

    for row in sorted(rows, key=counts):
        latest[row.seed, row.did] = row
    return list(latest.values())


def is_value(setting: str) -> bool:
    """Whether a setting is a value of the configuration and not the name of a group's option."""
    return "." in setting or setting in SCALARS
