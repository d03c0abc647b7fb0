"""Run records that nobody trained, as training writes them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.data.facts import DatasetFacts
from fmnist.runs.record import METRICS, RESULT, SECTIONS, Epoch, Record, record_json

CLASSES = [f"class {number}" for number in range(10)]
FACTS = DatasetFacts(
    "synthetic", {"train": "0", "test": "1"}, CLASSES, 100, 20, 20, 0, "2", 0.3, 0.4
)
CONFIG: dict[str, Any] = {section: {} for section in SECTIONS} | {
    "trainer": {"max_epochs": 4}, "label_smoothing": 0.0, "channels_last": None,
}  # fmt: skip


def an_epoch(number: int = 0, accuracy: float = 0.8, **columns: Any) -> Epoch:
    """A row of 10 seconds, as far as nothing else is said."""
    row = Epoch(number, 10 * (number + 1), 0.1, 1.0, accuracy, 1.0, accuracy, accuracy, 10.0, 100.0)
    return replace(row, **columns)


def a_record(
    status: str = "finished", epochs: Sequence[Epoch] | None = None, **entries: Any
) -> Record:
    """A record of this status; a finished one is complete."""
    rows = [an_epoch()] if epochs is None and status == "finished" else list(epochs or [])
    record = Record(
        status=status, config_hash="a", choices={}, overrides=[], config=CONFIG, seed=0,
        started="2026-01-01T00:00:00+00:00", epochs=rows,
    )  # type: ignore[arg-type]  # fmt: skip
    if status == "finished":
        record = replace(
            record, dataset=FACTS, params=100, flops=1000, device="cpu (a processor)", threads=1,
            precision="32-true", best_epoch=0, metrics=dict.fromkeys(METRICS, 0.8),
            train_seconds=10.0, seconds=12.0, peak_memory_mib=500.0,
        )  # fmt: skip
    return replace(record, **entries)


def put_record(folder: Path, record: Record) -> Path:
    """The record in a directory; the directory."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).write_bytes(record_json(record))
    return folder


def put_predictions(folder: Path, images: int = 20, classes: int = 10) -> None:
    """Predictions of a net that is always right."""
    labels = np.arange(images) % classes
    logits = np.eye(classes, dtype=np.float32)[labels]
    np.savez(folder / "predictions.npz", logits=logits, labels=labels)


def plain(record: Record) -> dict[str, Any]:
    """What stands in the file."""
    values: dict[str, Any] = json.loads(record_json(record))
    return values


# What a search cannot do without.
A_SEARCH = {
    "sampler": {}, "direction": "maximize", "storage": "", "study_name": "search", "n_trials": 1,
    "n_jobs": 1,
}  # fmt: skip
