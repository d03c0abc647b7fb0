"""Settings that contradict each other, where no single one is wrong.

Each of them would otherwise be refused by a constructor when the run has begun, by the first step
or epoch, or by nobody: a policy that lowers the learning rate because the loss improves.
"""

from typing import Any

from fmnist.config.devices import RIGHT_GPU, count_devices
from fmnist.config.published import published
from fmnist.config.schema import BETTER, look_up
from fmnist.config.signature import Parameter, read_signature, takes_metric
from fmnist.config.words import near, show
from fmnist.errors import ConfigError

# What policies call the length of a run.
LENGTHS = ("total_steps", "T_max", "total_iters")


def check_across(plain: dict[str, Any]) -> None:
    """Refuse what no single key can show.

    Raises:
        ConfigError: naming one of the keys, its value and what would be right.
    """
    _check_batches(plain)
    _check_epochs(plain["trainer"])
    _check_end(plain)
    _check_momentum(plain["optim"])
    policy = plain["scheduler"].get("policy")
    if isinstance(policy, dict):
        _check_schedule(plain["scheduler"], policy)
        endless = plain["trainer"]["max_epochs"] is None and _no_steps(plain["trainer"])
        if plain["scheduler"].get("horizon") and endless:
            raise ConfigError(
                f"trainer.max_epochs=null: scheduler.horizon={plain['scheduler']['horizon']} "
                "needs the length of the run: should be a whole number"
            )
    if plain["init_from"] is not None and plain["ckpt_path"] is not None:
        raise ConfigError(
            f"init_from={plain['init_from']}: a run that goes on from ckpt_path="
            f"{plain['ckpt_path']} has its weights already: should be null"
        )
    _check_data(plain["data"])
    data = plain["data"]
    if (data.get("mean") is None) != (data.get("std") is None):
        raise ConfigError("data.mean and data.std: give both, or neither to compute them")


def _check_batches(plain: dict[str, Any]) -> None:
    if plain["trainer"].get("devices", "auto") is None:
        raise ConfigError(f"trainer.devices=null: {RIGHT_GPU}")
    devices = count_devices(look_up(plain, "trainer.devices"), plain["trainer"].get("accelerator"))
    batch = look_up(plain, "data.batch_size")
    if isinstance(batch, int) and devices is not None and batch % devices:
        raise ConfigError(
            f"data.batch_size={batch}: should be a multiple of trainer.devices={devices}, "
            "as it is the batch of all devices together"
        )
    train, val = look_up(plain, "data.train_size"), look_up(plain, "data.val_size")
    if look_up(plain, "data.folds") is not None:  # which say what validates
        return
    if isinstance(train, int) and isinstance(val, int) and val >= train:
        raise ConfigError(
            f"data.val_size={val}: should be less than data.train_size={train}, the images that "
            "are split into those that train and those that validate"
        )


def _check_data(data: dict[str, Any]) -> None:
    """Which data set, and which part of it validates."""
    name, ours = data.get("name"), data["_target_"].endswith(".ImageData")
    if ours and data.get("source") is None and name not in (known := [*published()]):
        words = f"{', '.join(known[:-1])} or {known[-1]}"
        raise ConfigError(f"data.name={show(name)}: should be {words}{near(str(name), known)}")
    if ours and not name:
        raise ConfigError(
            f"data.root={show(data.get('root'))}: should be where the data are: data.root=..."
        )
    folds, fold = data.get("folds"), data.get("fold", 0)
    if folds is None and fold:
        raise ConfigError(f"data.fold={fold}: should be 0, or data.folds=... say of how many")
    if folds is not None and fold >= folds:
        raise ConfigError(f"data.fold={fold}: should be less than data.folds={folds}")


def _check_epochs(trainer: dict[str, Any]) -> None:
    least, most = trainer.get("min_epochs"), trainer["max_epochs"]
    if least is not None and most is not None and least > most:
        raise ConfigError(
            f"trainer.min_epochs={least}: should be at most trainer.max_epochs={most}"
        )


def _no_steps(trainer: dict[str, Any]) -> bool:
    return bool(trainer.get("max_steps", -1) == -1)


def _check_end(plain: dict[str, Any]) -> None:
    """Something ends a run, and one setting has one value."""
    trainer = plain["trainer"]
    limits = [trainer["max_epochs"], plain["patience"], trainer.get("max_time")]
    if limits == [None, None, None] and _no_steps(trainer):
        raise ConfigError(
            "trainer.max_epochs=null: nothing would end the run: give patience, trainer.max_steps "
            "or trainer.max_time"
        )
    if trainer.get("max_steps") == 0:
        raise ConfigError("trainer.max_steps=0: should be at least 1, or -1: no limit")
    strategy = str(trainer.get("strategy", "auto"))
    if any(word in strategy for word in ("_spawn", "_fork", "_notebook")):
        raise ConfigError(
            f"trainer.strategy={strategy}: a process that is forked for the training alone cannot "
            "hand back what a record needs: use trainer.strategy=ddp, which trains the same"
        )
    clips = plain["gradient_clip_val"], trainer.get("gradient_clip_val")
    if None not in clips and clips[0] != clips[1]:
        raise ConfigError(
            f"gradient_clip_val={clips[0]}, trainer.gradient_clip_val={clips[1]}: two names of one "
            "setting: give one of them"
        )


def _check_momentum(optim: dict[str, Any]) -> None:
    if not optim.get("nesterov"):
        return
    if not optim.get("momentum"):
        raise ConfigError(
            f"optim.nesterov=true: needs a momentum: optim.momentum={optim.get('momentum', 0)} "
            "should be greater than 0"
        )
    if optim.get("dampening"):
        raise ConfigError(
            f"optim.dampening={optim['dampening']}: should be 0 with optim.nesterov=true"
        )


def _check_schedule(scheduler: dict[str, Any], policy: dict[str, Any]) -> None:
    target = policy["_target_"]
    name, signature = target.rpartition(".")[2], read_signature(target)
    if signature is not None:
        _check_length(scheduler.get("horizon"), policy, signature, name)
    monitor, follows = scheduler.get("monitor"), takes_metric(target)
    if follows and monitor is None:
        raise ConfigError(
            f"scheduler.monitor=null: {name} follows a metric: should be one of {', '.join(BETTER)}"
        )
    if follows is False and monitor is not None:
        raise ConfigError(f"scheduler.monitor={monitor}: {name} follows no metric: should be null")
    if monitor is not None and scheduler.get("interval") == "step":
        raise ConfigError(
            f"scheduler.interval=step: {monitor} is there once an epoch: should be epoch"
        )
    if monitor is not None and signature is not None:
        _check_direction(monitor, policy, signature, name)


def _check_length(
    horizon: Any, policy: dict[str, Any], signature: dict[str, Parameter], name: str
) -> None:
    """What receives the length of the run, and what the policy needs beside it."""
    if horizon is not None and horizon not in signature:
        raise ConfigError(
            f"scheduler.horizon={show(horizon)}: {policy['_target_']} takes no such argument"
            f"{near(str(horizon), signature)}"
        )
    if policy.get(horizon) is not None:
        raise ConfigError(
            f"scheduler.policy.{horizon}={show(policy[horizon])}: is the length of the run, as "
            f"scheduler.horizon={horizon} says: should be left out, or scheduler.horizon=null"
        )
    for key, parameter in signature.items():
        if not parameter.required or key in ("optimizer", horizon) or key in policy:
            continue
        if key in LENGTHS:
            raise ConfigError(_needs_length(horizon, name, key))
        raise ConfigError(
            f"scheduler.policy.{key}: missing: {name} needs it: +scheduler.policy.{key}=..."
        )
    either = {"total_steps", "epochs", "steps_per_epoch"}  # OneCycleLR's
    given = {key for key in either if policy.get(key) is not None} | {horizon}
    if either <= set(signature) and not (
        "total_steps" in given or either - given == {"total_steps"}
    ):
        raise ConfigError(_needs_length(horizon, name, "total_steps"))


def _needs_length(horizon: Any, name: str, key: str) -> str:
    return (
        f"scheduler.horizon={show(horizon)}: {name} needs {key}: scheduler.horizon={key} gives it "
        f"the length of the run, +scheduler.policy.{key}=... a number"
    )


def _check_direction(
    monitor: str, policy: dict[str, Any], signature: dict[str, Parameter], name: str
) -> None:
    mode = signature.get("mode")
    if mode is None or set(mode.choices) != {"min", "max"} or monitor not in BETTER:
        return
    given, right = policy.get("mode", mode.default), BETTER[monitor]
    if given != right:
        words = "the higher" if right == "max" else "the lower"
        whose = "" if "mode" in policy else f", {name}'s default,"
        raise ConfigError(
            f"scheduler.policy.mode={show(given)}{whose} contradicts scheduler.monitor={monitor}, "
            f"which is better {words} it is: should be {right}"
        )
