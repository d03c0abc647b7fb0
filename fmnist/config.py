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
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fmnist.errors import ConfigError
from fmnist.signature import read_signature

# conf/ lies inside the package in a wheel and beside it in a checkout.
CONF_DIR = next(
    (path for path in (Path(__file__).with_name("conf"),) if path.is_dir()),
    Path(__file__).parents[1] / "conf",
)


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
    channels_last: bool = False


ConfigStore.instance().store(name="schema", node=Config)

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")

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
    "trainer.gradient_clip_val": (0, False, math.inf),
    "model.dropout": (0, True, 1),
}

# What a result does not depend on: two runs that differ only here are the same run.
COSMETIC = {("logger",), ("data", "root"), ("data", "eval_batch_size")}


def resolve(config: DictConfig) -> dict[str, Any]:
    """The composed configuration as plain values, without Hydra's own part.

    Raises:
        ConfigError: a value refers to something that does not exist, or is missing.
    """
    plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        container = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
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
            raise ConfigError(f"{key}: no such setting{did_you_mean(key, known)}")
        if isinstance(value, dict):
            _check_node(key, value)
    for key, (low, inclusive, high) in RANGES.items():
        _check_range(key, _select(plain, key), low, inclusive, high)
    _check_choice("trainer.precision", _select(plain, "trainer.precision"), PRECISIONS)
    _check_choice("trainer.accelerator", _select(plain, "trainer.accelerator"), ACCELERATORS)
    _check_across(plain)
    return plain


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """ "; did you mean X?" when an option is near, a list of them otherwise."""
    options = sorted(options)
    near = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(options)}" if options else ""


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
    signature = read_signature(target) if isinstance(target, str) else None
    if signature is None:
        return
    for key, value in node.items():
        if key in ("_target_", "_partial_", "_recursive_", "_convert_"):
            continue
        if key not in signature:
            hint = did_you_mean(key, signature)
            raise ConfigError(f"{path}.{key}: {target} takes no such argument{hint}")
        parameter = signature[key]
        if not isinstance(value, dict | list) and not parameter.accepts(value):
            hint = ""
            if isinstance(value, str) and parameter.choices:
                hint = did_you_mean(value, map(str, parameter.choices)).split("; there")[0]
            raise ConfigError(
                f"{path}.{key}={_show(value)}: should be {parameter.expectation()}{hint}"
            )


def _check_range(key: str, value: Any, low: float, inclusive: bool, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{key}={_show(value)}: should be a number")
    if math.isnan(value) or value < low or (value == low and not inclusive) or value >= high:
        bound = f"at least {low:g}" if inclusive else f"greater than {low:g}"
        limit = f" and less than {high:g}" if high < math.inf else ""
        raise ConfigError(f"{key}={_show(value)}: should be {bound}{limit}")


def _check_choice(key: str, value: Any, options: tuple[str, ...]) -> None:
    if value is not None and value not in options:
        near = did_you_mean(str(value), options).split("; there")[0]
        raise ConfigError(f"{key}={_show(value)}: should be one of {', '.join(options)}{near}")


def _check_across(plain: dict[str, Any]) -> None:
    """What no single key can show."""
    devices, batch = _select(plain, "trainer.devices"), _select(plain, "data.batch_size")
    if isinstance(devices, int) and devices > 1 and batch % devices:
        raise ConfigError(
            f"data.batch_size={batch}: should be a multiple of trainer.devices={devices}, "
            "as it is the batch of all devices together"
        )
    monitor, row = _select(plain, "scheduler.monitor"), ("val/acc", "val/loss", "train/loss")
    _check_choice("scheduler.monitor", monitor, row)
    if (_select(plain, "data.mean") is None) != (_select(plain, "data.std") is None):
        raise ConfigError("data.mean and data.std: give both, or neither to compute them")


def _show(value: Any) -> str:
    return "null" if value is None else str(value).lower() if value in (True, False) else str(value)


def config_hash(plain: dict[str, Any]) -> str:
    """12 hexadecimal digits that name a result: equal for runs that differ only cosmetically."""

    def keep(node: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        return {
            key: keep(value, (*path, key)) if isinstance(value, dict) else value
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
    """Hydra's and OmegaConf's own complaints about overrides, in one line; None for others."""
    if isinstance(error, MissingConfigException):
        return _explain_missing(error)
    if isinstance(error, ConfigCompositionException | OmegaConfBaseException):
        return _explain_override(error, overrides)
    # Grammar errors ("optim.lr=[1") have a class of their own below HydraException.
    if type(error).__module__.startswith("hydra.errors"):
        return " ".join(str(error).split())
    return None


def _explain_missing(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return " ".join(str(error).split())
    options = [name.removesuffix(".yaml") for name in error.options]
    return f"{group}={option}: no such option{did_you_mean(option, options)}"


def _explain_override(error: Exception, overrides: list[str]) -> str:
    """For a key that does not exist: the nearest one that does."""
    text = " ".join(str(error).split())
    match = re.search(r"Could not override '([^']+)'", text)
    if match is None:
        bad = re.search(r"Error merging override (\S+)", text)
        cause = str(error.__cause__ or "").splitlines()
        return f"{bad[1]}: {cause[0]}" if bad and cause else text
    key = match[1]
    parent, _, name = key.rpartition(".")
    siblings = _siblings(parent, [text for text in overrides if key not in text])
    return f"{key}: no such setting{did_you_mean(name, siblings)}"


def _siblings(parent: str, overrides: list[str]) -> list[str]:
    """The keys beside a mistyped one, in the composition without it."""
    from hydra import compose
    from hydra.core.global_hydra import GlobalHydra

    if not GlobalHydra.instance().is_initialized():
        return []
    try:
        node: Any = compose("config", overrides=overrides)
    except Exception:  # another mistake in the same command: do without the hint
        return []
    if parent:
        node = OmegaConf.select(node, parent)
    return [f"{parent}.{key}" if parent else str(key) for key in node] if node else []
