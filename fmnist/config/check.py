"""What is refused before anything is read or trained: settings and values that cannot be.

A mistake is answered in a second: nothing heavy is imported for it.
"""

import math
import sys
from dataclasses import fields
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fmnist.config.schema import Config, resolve
from fmnist.config.signature import read_signature, undefined
from fmnist.config.words import near, near_or_all, show
from fmnist.errors import ConfigError

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")  # others are not tested here
TTA = ("none", "flip", "flip_shift")  # fmnist.training.tta
MONITORS = ("val/acc", "val/loss", "train/loss")

# key: (lowest allowed, is it itself allowed, highest allowed: never itself)
RANGES = {
    "seed": (0, True, 2**32),
    "patience": (1, True, math.inf),
    "label_smoothing": (0, True, 1),
    "optim.lr": (0, False, math.inf),
    "optim.weight_decay": (0, True, math.inf),
    "optim.momentum": (0, True, 1),
    "aug.degrees": (0, True, 360),
    "aug.shift": (0, True, 28),
    "data.batch_size": (1, True, math.inf),
    "data.eval_batch_size": (1, True, math.inf),
    "data.train_size": (1, True, math.inf),
    "data.test_size": (1, True, math.inf),
    "data.val_size": (1, True, math.inf),
    "data.split_seed": (0, True, 2**32),
    "data.std": (0, False, math.inf),
    "trainer.max_epochs": (1, True, math.inf),
    "gradient_clip_val": (0, False, math.inf),
    "ema_decay": (0, False, 1),
    "steps_per_execution": (1, True, math.inf),
    "model.dropout": (0, True, 1),
    "model.channels": (1, True, math.inf),
    "model.kernel_size": (1, True, math.inf),
    "model.stride": (1, True, math.inf),
    "model.padding": (0, True, math.inf),
}

# Arguments that fmnist.train gives itself, or that would take away what a run record needs: the
# epoch with its validation, the checkpoints.
RESERVED = {
    "trainer": [
        "logger", "callbacks", "plugins", "default_root_dir",
        "enable_checkpointing", "enable_model_summary",
        "enable_progress_bar", "log_every_n_steps", "num_sanity_val_steps",
        "use_distributed_sampler", "check_val_every_n_epoch", "val_check_interval",
        "fast_dev_run", "barebones", "gradient_clip_val", "gradient_clip_algorithm",
        "accumulate_grad_batches", "max_steps", "min_steps",
    ],
    "data": ["augment", "seed", "steps_per_execution"],
    "optim": ["params"],
    "scheduler.policy": ["optimizer"],
}  # fmt: skip


def check(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration, when every key exists and every value is possible.

    Raises:
        ConfigError: naming the key, the offending value and what would be right.
    """
    plain = resolve(config)
    known = [field.name for field in fields(Config)]
    for key, value in plain.items():
        if key not in known:
            raise ConfigError(f"{key}: no such setting{near(key, known)}")
        if isinstance(value, dict):
            _check_node(key, value)
    for key, (low, inclusive, high) in RANGES.items():
        _check_range(key, _select(plain, key), low, inclusive, high)
    _check_choice("trainer.precision", _select(plain, "trainer.precision"), PRECISIONS)
    _check_choice("trainer.accelerator", _select(plain, "trainer.accelerator"), ACCELERATORS)
    _check_choice("trainer.strategy", _select(plain, "trainer.strategy"), STRATEGIES)
    _check_choice("tta", plain["tta"], TTA)
    _check_choice("scheduler.monitor", _select(plain, "scheduler.monitor"), MONITORS)
    _check_across(plain)
    return plain


def _select(plain: dict[str, Any], key: str) -> Any:
    node: Any = plain
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _check_node(path: str, node: dict[str, Any]) -> None:
    """Every key of a node, and of those inside, against the signature of its target."""
    for key, value in node.items():
        if isinstance(value, dict):
            _check_node(f"{path}.{key}", value)
    target = node.get("_target_")
    if not isinstance(target, str):
        return
    if lacking := undefined(target):
        module, name, names = lacking
        where = f"{module} has no {name}" if module else f"no package {name} is installed"
        raise ConfigError(f"{path}._target_={target}: {where}{near(name, names)}")
    signature = read_signature(target)
    if signature is None:
        return
    for key, value in node.items():
        if key in ("_target_", "_partial_", "_recursive_", "_convert_"):
            continue
        if key in RESERVED.get(path, []):
            raise ConfigError(f"{path}.{key}: not a setting: fmnist.train decides it")
        if key not in signature:
            hint = near_or_all(key, signature, f"{path}.")
            raise ConfigError(f"{path}.{key}: {target} takes no such argument{hint}")
        parameter = signature[key]
        if not parameter.accepts(value):
            hint = near(str(value), map(str, parameter.choices))
            raise ConfigError(
                f"{path}.{key}={show(value)}: should be {parameter.expectation()}{hint}"
            )


def _check_range(key: str, value: Any, low: float, inclusive: bool, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{key}={show(value)}: should be a number")
    if math.isnan(value) or value < low or (value == low and not inclusive) or value >= high:
        bound = f"at least {low}" if inclusive else f"greater than {low}"
        limit = f" and less than {high}" if high < math.inf else ""
        limit += "" if math.isfinite(value) else " and finite"
        raise ConfigError(f"{key}={show(value)}: should be {bound}{limit}")


def _check_choice(key: str, value: Any, options: tuple[str, ...]) -> None:
    if value is not None and value not in options:
        hint = near(str(value), options)
        raise ConfigError(f"{key}={show(value)}: should be one of {', '.join(options)}{hint}")


def _check_across(plain: dict[str, Any]) -> None:
    """What no single key can show."""
    devices, batch = _select(plain, "trainer.devices"), _select(plain, "data.batch_size")
    if isinstance(devices, int) and devices > 1 and batch % devices:
        raise ConfigError(
            f"data.batch_size={batch}: should be a multiple of trainer.devices={devices}, "
            "as it is the batch of all devices together"
        )
    for key, value in plain["optim"].items():  # torch's annotations do not say
        if value is None and f"optim.{key}" in RANGES:
            raise ConfigError(f"optim.{key}=null: should be a number")
    horizon, policy = _select(plain, "scheduler.horizon"), _select(plain, "scheduler.policy")
    accepted = read_signature(policy["_target_"]) if policy and horizon else None
    if accepted is not None and horizon not in accepted:
        hint = near(horizon, accepted)
        raise ConfigError(
            f"scheduler.horizon={horizon}: {policy['_target_']} takes no such argument{hint}"
        )
    if (_select(plain, "data.mean") is None) != (_select(plain, "data.std") is None):
        raise ConfigError("data.mean and data.std: give both, or neither to compute them")


class CheckBeforeRun(Callback):
    """Hydra's hook before a run: a bad configuration leaves no directory behind."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            check(config)
        except ConfigError as error:
            # Hydra turns exceptions of callbacks into warnings; SystemExit passes.
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from error
