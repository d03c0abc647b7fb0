"""The learning rate over a run: a policy of torch's, and how it is driven."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, GradientAccumulationScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fmnist.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """A learning-rate policy and how it is driven.

    Args:
        policy: makes a torch scheduler of an optimiser; None: constant learning rate.
        interval: when the policy advances.
        horizon: the policy's argument that receives the length of the run in intervals.
        monitor: the metric that the policy is given, if it wants one.
    """

    policy: Callable[..., Any] | None
    interval: Literal["step", "epoch"]
    horizon: str | None
    monitor: str | None


CONSTANT = Schedule(policy=None, interval="epoch", horizon=None, monitor=None)


def scheduled(
    schedule: Schedule,
    optimizer: Optimizer,
    trainer: Trainer,
    steps_per_epoch: Callable[[], float],
    usual: float | None,
) -> dict[str, Any]:
    """What Lightning takes for a schedule.

    Args:
        usual: the rate that the schedule was configured for; None: the optimiser's own.

    Raises:
        ConfigError: the schedule ends with the run, and the run has no end.
    """
    assert schedule.policy is not None
    length = {}
    if schedule.horizon:
        length = {schedule.horizon: run_length(schedule, trainer, steps_per_epoch())}
    scheduler = schedule.policy(optimizer, **length, **peaks(schedule, optimizer, usual))
    config: dict[str, Any] = {"scheduler": scheduler, "interval": schedule.interval}
    if schedule.monitor:
        # The metric is there when there has been a validation.
        every = trainer.check_val_every_n_epoch
        config |= {"monitor": schedule.monitor, "frequency": every or 1, "strict": bool(every)}
        config["reduce_on_plateau"] = takes_metric(scheduler)  # Lightning knows torch's alone
    return config


def takes_metric(scheduler: Any) -> bool:
    """Whether a policy is told a metric when it advances: torch's plateau, or one of one's own."""
    first = next(iter(inspect.signature(scheduler.step).parameters), None)
    return isinstance(scheduler, ReduceLROnPlateau) or first == "metrics"


def peaks(
    schedule: Schedule, optimizer: Optimizer, usual: float | None = None
) -> dict[str, list[float]]:
    """Of a policy with a peak: one a group, in proportion to the groups' own rates.

    A rate that was found since, by Lightning's finder, moves the peak as much.
    """
    peak = getattr(schedule.policy, "keywords", {}).get("max_lr")
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    usual = usual or float(optimizer.defaults.get("lr", rates[0]))  # some have it in groups alone
    if peak is None or isinstance(peak, list) or set(rates) == {usual}:
        return {}
    return {"max_lr": [peak * rate / usual for rate in rates]}


def follow_what_was_found(module: LightningModule) -> None:
    """Make optimiser and schedule anew where a finder of Lightning's, a callback, has found what.

    It writes a rate to the optimiser, and a schedule that keeps rates of its own overwrites it.
    Another batch size makes other steps of an epoch, by which a schedule ends with the run.
    """
    usual = getattr(module.optimizer, "keywords", {}).get("lr")
    callbacks = module.trainer.callbacks  # type: ignore[attr-defined]
    if module.lr != usual or any(isinstance(one, BatchSizeFinder) for one in callbacks):
        module.trainer.strategy.setup_optimizers(module.trainer)


def lower_if_stalled(schedule: Schedule, scheduler: Any, metrics: Mapping[str, Any]) -> None:
    """A plateau's step by what an epoch has of its metric; not validated, it may have none.

    Lightning takes it after the checkpoints: a run that goes on from one would lack it.

    Raises:
        ConfigError: the epoch was validated, and nothing logs the metric.
    """
    if scheduler is None or schedule.interval != "epoch" or not takes_metric(scheduler):
        return
    metric = metrics.get(str(schedule.monitor))
    if metric is not None:
        scheduler.step(metric)
    elif "val/acc" in metrics:
        logged = ", ".join(name for name in metrics if "/" in name)
        raise ConfigError(
            f"scheduler.monitor={schedule.monitor}: nothing logs it: should be one of {logged}"
        )


def run_length(schedule: Schedule, trainer: Trainer, per_epoch: float) -> int:
    """In the schedule's intervals, up to the nearer of the trainer's limits.

    Args:
        per_epoch: steps of an epoch.

    Raises:
        ConfigError: neither epochs nor steps are limited, or epochs have other numbers of steps.
    """
    epochs = trainer.max_epochs
    steps = math.inf if epochs in (None, -1) else epochs * per_epoch
    # Epochs are converted to steps, or steps to epochs.
    converted = math.isfinite(steps) if schedule.interval == "step" else trainer.max_steps != -1
    if converted and _accumulates_by_epoch(trainer):
        raise ConfigError(
            f"scheduler.horizon={schedule.horizon}: a schedule that ends with the run needs the "
            "steps of an epoch, which GradientAccumulationScheduler changes: use the Trainer's "
            "accumulate_grad_batches, or another schedule"
        )
    steps = min(steps, trainer.max_steps if trainer.max_steps != -1 else math.inf)
    length = steps if schedule.interval == "step" else steps / per_epoch
    if not math.isfinite(length):
        raise ConfigError(
            f"scheduler.horizon={schedule.horizon}: a schedule that ends with the run "
            "needs the run's length: give trainer.max_epochs or trainer.max_steps"
        )
    return max(1, math.ceil(length))


def _accumulates_by_epoch(trainer: Trainer) -> bool:
    """Whether the Trainer's own number is replaced at the beginning of an epoch."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    adds = [one for one in callbacks if isinstance(one, GradientAccumulationScheduler)]
    return any(one.going_to_accumulate_grad_batches() for one in adds)
