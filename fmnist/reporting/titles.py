"""What a report calls itself: data set, net, what varies, how long, over which seeds."""

from collections.abc import Iterable, Sequence

from fmnist.runs.record import Record
from fmnist.runs.text import plural

MOST = 3  # factors that are named


def title_of(records: Sequence[Record], factors: Sequence[str]) -> str:
    """ "FashionMNIST · LeNet5 · activation · 10 epochs · 5 seeds"; "" without a record."""
    if not records:
        return ""
    epochs = [record.max_epochs for record in records]
    parts = [
        _one_or_count((data_of(record) for record in records), "data sets"),
        _one_or_count((net_of(record) for record in records), "nets"),
        _varied(factors),
        _epochs([number for number in epochs if number]),
        _seeds({record.seed for record in records}),
    ]
    return " · ".join(filter(None, parts))


def data_of(record: Record) -> str:
    name = record.config["data"].get("name")
    return record.dataset.name if record.dataset else str(name or "")


def net_of(record: Record) -> str:
    """The class of the net."""
    return str(record.config["model"].get("_target_", "")).rpartition(".")[2]


def _one_or_count(names: Iterable[str], what: str) -> str:
    known = dict.fromkeys(filter(None, names))
    return next(iter(known)) if len(known) == 1 else f"{len(known)} {what}" if known else ""


def _varied(factors: Sequence[str]) -> str:
    if len(factors) > MOST:
        return f"{len(factors)} factors"
    return " × ".join(name.rpartition(".")[2] for name in factors)  # noqa: RUF001


def _epochs(numbers: list[int]) -> str:
    if not numbers:
        return ""
    least, most = min(numbers), max(numbers)
    return f"{least} to {most} epochs" if least < most else plural(most, "epoch")


def _seeds(seeds: set[int]) -> str:
    return f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {min(seeds)}"
