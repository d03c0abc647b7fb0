"""What a Trainer's limits make of a run: whether it is cut short, and what is said of it."""

import math
from typing import TYPE_CHECKING, Any

from fmnist.errors import ConfigError
from fmnist.runs.predictions import limited
from fmnist.runs.text import plural

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from fmnist.data.datamodule import ImageData


def refuse_no_test(trainer: dict[str, Any], data: "ImageData") -> None:
    """Refuse a share of the test batches that is none of them, which else the last step finds.

    Args:
        trainer: node of the configuration.
        data: loaded.

    Raises:
        ConfigError: with the smallest share that is one.
    """
    limit, batches = trainer.get("limit_test_batches"), data.test_length()
    if not trainer.get("fast_dev_run") and not limited(limit, batches):
        share = math.ceil(1000 / batches) / 1000
        raise ConfigError(
            f"trainer.limit_test_batches={limit}: is less than one of the {batches} test batches: "
            f"should be at least {share:g}, or a whole number of batches"
        )


def cut_short(trainer: "Trainer", data: "ImageData") -> str | None:
    """The Trainer's arguments that keep a run from its data; None: it sees all of them.

    Time is none of them: see `out_of_time`.
    """
    fast: Any = trainer.fast_dev_run  # type: ignore[attr-defined]
    overfit: Any = trainer.overfit_batches  # type: ignore[attr-defined]
    if fast:
        return f"trainer.fast_dev_run={str(fast).lower()}"
    if overfit:
        return f"trainer.overfit_batches={overfit}"
    limits = {
        "limit_train_batches": (trainer.limit_train_batches, len(data.train_dataloader())),
        "limit_val_batches": (trainer.limit_val_batches, len(data.val_dataloader())),
        "limit_test_batches": (trainer.limit_test_batches, data.test_length()),
    }  # fmt: skip
    found = [
        f"trainer.{name}={limit}"
        for name, (limit, batches) in limits.items()
        if limited(limit, batches) < batches
    ]
    return ", ".join(found) or None


def out_of_time(trainer: "Trainer", max_time: Any, steps_per_epoch: float) -> str | None:
    """Where `trainer.max_time` ended a run, in words; None: it did not."""
    from lightning.pytorch.callbacks import Timer

    timers = [one for one in trainer.callbacks if isinstance(one, Timer)]  # type: ignore[attr-defined]
    if not any((timer.time_remaining() or 1) <= 0 for timer in timers):
        return None
    epochs, steps = divmod(trainer.global_step, int(steps_per_epoch))
    if epochs == trainer.max_epochs:  # it came to its end all the same
        return None
    where = f"after {plural(epochs, 'epoch')}"
    if steps:
        where = f"in epoch {epochs + 1}, after {steps} of {int(steps_per_epoch)} steps"
    return f"trainer.max_time={max_time} {where}"
