"""The configuration: typed schema, the checks that refuse a bad one, and its hash.

Everything here works on composed configurations and imports nothing heavy, so that a mistake is
answered in a second and before any data is read.
"""

import difflib
import hashlib
import json
import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from fmnist.errors import ConfigError, UserError
from fmnist.signature import read_signature, undefined

# conf/ lies inside the package in a wheel and beside it in a checkout.
_packaged = Path(__file__).with_name("conf")
CONF_DIR = _packaged if _packaged.is_dir() else Path(__file__).parents[1] / "conf"


@dataclass
class Config:
    """One run. Groups are open nodes that their target's signature checks; the rest is typed."""

    model: dict[str, Any]
    optim: dict[str, Any]
    scheduler: dict[str, Any]
    aug: dict[str, Any]
    data: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any]
    seed: int = 0
    patience: int | None = 5
    label_smoothing: float = 0.0
    channels_last: bool | None = None
    gradient_clip_val: float | None = None
    steps_per_execution: int = 16
    tta: str = "none"
    ema_decay: float | None = None


ConfigStore.instance().store(name="schema", node=Config)

PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_true")  # others are not tested here
TTA = ("none", "flip", "flip_shift")  # fmnist.tta
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

# What a result does not depend on: two runs that differ only here are the same run.
COSMETIC = {("logger",), ("data", "root"), ("data", "eval_batch_size"), ("steps_per_execution",)}


def resolve(config: DictConfig) -> dict[str, Any]:
    """The composed configuration as plain values, without Hydra's own part.

    Raises:
        ConfigError: a value refers to something that does not exist, or is missing.
    """
    plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        container = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_in_one_line(error)) from error
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def check(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration, when every key exists and every value is possible.

    Raises:
        ConfigError: naming the key, the offending value and what would be right.
    """
    plain = resolve(config)
    known = [field.name for field in fields(Config)]
    for key, value in plain.items():
        if key not in known:
            raise ConfigError(f"{key}: no such setting{_near(key, known)}")
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


def _near(word: str, options: Iterable[str], parent: str = "") -> str:
    """ "; did you mean X?", with the full key when `parent` is given, if an option is near."""
    near = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"; did you mean {parent}{near[0]}?" if near else ""


def _near_or_all(word: str, options: Iterable[str], parent: str = "") -> str:
    """The option that is near, otherwise all, if they are not too many to read."""
    options = sorted(option for option in options if not option.startswith("_"))
    listed = f"; there are {', '.join(options)}" if 0 < len(options) <= 12 else ""
    return _near(word, options, parent) or listed


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
        raise ConfigError(f"{path}._target_={target}: {where}{_near(name, names)}")
    signature = read_signature(target)
    if signature is None:
        return
    for key, value in node.items():
        if key in ("_target_", "_partial_", "_recursive_", "_convert_"):
            continue
        if key in RESERVED.get(path, []):
            raise ConfigError(f"{path}.{key}: not a setting: fmnist.train decides it")
        if key not in signature:
            hint = _near_or_all(key, signature, f"{path}.")
            raise ConfigError(f"{path}.{key}: {target} takes no such argument{hint}")
        parameter = signature[key]
        if not parameter.accepts(value):
            hint = _near(str(value), map(str, parameter.choices))
            raise ConfigError(
                f"{path}.{key}={_show(value)}: should be {parameter.expectation()}{hint}"
            )


def _check_range(key: str, value: Any, low: float, inclusive: bool, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{key}={_show(value)}: should be a number")
    if math.isnan(value) or value < low or (value == low and not inclusive) or value >= high:
        bound = f"at least {low}" if inclusive else f"greater than {low}"
        limit = f" and less than {high}" if high < math.inf else ""
        limit += "" if math.isfinite(value) else " and finite"
        raise ConfigError(f"{key}={_show(value)}: should be {bound}{limit}")


def _check_choice(key: str, value: Any, options: tuple[str, ...]) -> None:
    if value is not None and value not in options:
        near = _near(str(value), options)
        raise ConfigError(f"{key}={_show(value)}: should be one of {', '.join(options)}{near}")


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
        hint = _near(horizon, accepted)
        raise ConfigError(
            f"scheduler.horizon={horizon}: {policy['_target_']} takes no such argument{hint}"
        )
    if (_select(plain, "data.mean") is None) != (_select(plain, "data.std") is None):
        raise ConfigError("data.mean and data.std: give both, or neither to compute them")


def _show(value: Any) -> str:
    return "null" if value is None else str(value).lower() if value in (True, False) else str(value)


def config_hash(plain: dict[str, Any]) -> str:
    """12 hexadecimal digits that name a result: equal for runs that differ only cosmetically."""

    def same(value: Any) -> Any:  # 0 and 0.0 are one setting
        return float(value) if type(value) is int else value

    def keep(node: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        return {
            key: keep(value, (*path, key)) if isinstance(value, dict) else same(value)
            for key, value in node.items()
            if (*path, key) not in COSMETIC
        }

    text = json.dumps(keep(plain, ()), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class CheckBeforeRun(Callback):
    """Hydra's hook before a run: a bad configuration leaves no directory behind."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            check(config)
        except ConfigError as error:
            # Hydra turns exceptions of callbacks into warnings; SystemExit passes.
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from error


def explain(error: Exception, overrides: list[str]) -> str | None:
    """A mistake of the user's in one line, Hydra's and OmegaConf's among them; None for a bug."""
    if isinstance(error, UserError):
        return str(error)
    cause = error.__cause__ or error.__context__
    if isinstance(error, MissingConfigException):
        return _explain_missing(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: should be key=value, brackets closed, special characters quoted"
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        file = re.match(r"In '.*?': ", str(error))
        return (file[0] if file else "") + _explain_key(cause)
    if isinstance(error, ConfigCompositionException) and str(error).startswith("Ambiguous value"):
        override = str(error).split("'")[1]
        return f"{override}: several values need --multirun; one value that is a list needs [ ]"
    if isinstance(error, InstantiationException):
        return _explain_constructor(error)
    if isinstance(error, OmegaConfBaseException):
        return _in_one_line(error)
    if type(error).__name__ == "MisconfigurationException":  # Lightning's: no such device here
        return f"trainer: {_in_one_line(error)}"
    if type(error).__module__.startswith("yaml."):
        return " ".join(str(error).split())
    if "Config group override must be" in str(error):
        groups = [text for text in overrides if (CONF_DIR / text.partition("=")[0]).is_dir()]
        return f"{' '.join(groups)}: should be the name of an option"
    return " ".join(str(error).split()) if isinstance(error, HydraException) else None


def _explain_missing(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return " ".join(str(error).split())
    options = [name.removesuffix(".yaml") for name in error.options]
    return f"{group}={option}: no such option{_near_or_all(option, options)}"


def _explain_key(error: OmegaConfBaseException) -> str:
    """A key that does not exist, or a field of `Config` that is given another type."""
    path, parent = str(error.full_key), error.parent_node
    above, _, key = path.rpartition(".")
    if isinstance(error, ValidationError):
        field = (read_signature("fmnist.config.Config") or {}).get(path)
        should = f"should be {field.expectation()}" if field else _in_one_line(error)
        return f"{path}={_show(error.value)}: {should}"
    if not isinstance(parent, DictConfig) or not parent:  # OmegaConf emptied it
        return f"{path}: no such setting; there are none under {above} here"
    if key in (read_signature(str(parent.get("_target_"))) or {}):
        return f"{path}: not in the configuration; +{path}=... adds it"
    siblings = [str(name) for name in parent if name != "hydra"]
    return f"{path}: no such setting{_near_or_all(key, siblings, above and f'{above}.')}"


def _explain_constructor(error: InstantiationException) -> str | None:
    """A target that cannot be found, or that refuses a value; None for a bug inside it."""
    cause, first = error.__cause__, _in_one_line(error)
    if isinstance(cause, ValueError):
        first += f" {_in_one_line(cause)} (HYDRA_FULL_ERROR=1 shows where)"
    return first if cause is None or isinstance(cause, ValueError | ImportError) else None


def _in_one_line(error: Exception) -> str:
    """The first line of OmegaConf's and Hydra's messages, after the key that it is about."""
    key, lines = getattr(error, "full_key", None), str(error).splitlines()
    return (f"{key}: " if key else "") + (lines[0] if lines else type(error).__name__)
