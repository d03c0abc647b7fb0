"""The schema of a configuration, its plain values, and the hash that names a result.

Like everything in this room it imports nothing heavy.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fmnist.config.hashing import digest, other_value
from fmnist.config.words import in_one_line
from fmnist.errors import ConfigError

# conf/ lies inside the package in a wheel and beside it in a checkout.
_packaged = Path(__file__).parents[1] / "conf"
CONF_DIR = _packaged if _packaged.is_dir() else Path(__file__).parents[2] / "conf"


NEUTRAL = "neutral"


@dataclass
class Config:
    """One run. Groups are open nodes that their target's signature checks; the rest is typed.

    NEUTRAL: the value of a setting with which a run is as if there were no such setting. A setting
    that is added says it, or every earlier run gets another hash (`fmnist.config.hashing`).
    """

    model: dict[str, Any]
    optim: dict[str, Any]
    scheduler: dict[str, Any]
    aug: dict[str, Any]
    data: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict, metadata={NEUTRAL: {}})
    seed: int = 0
    patience: int | None = field(default=5, metadata={NEUTRAL: None})
    label_smoothing: float = field(default=0.0, metadata={NEUTRAL: 0.0})
    channels_last: bool | None = field(default=None, metadata={NEUTRAL: None})
    compile: bool = field(default=False, metadata={NEUTRAL: False})
    gradient_clip_val: float | None = field(default=None, metadata={NEUTRAL: None})
    steps_per_execution: int = 16
    tta: str = field(default="none", metadata={NEUTRAL: "none"})
    ema_decay: float | None = field(default=None, metadata={NEUTRAL: None})
    looks: list[int] | None = None  # of a study: seeds at which its claims are judged
    readings: Any = None  # what a source left open: see fmnist.config.readings
    init_from: str | None = field(default=None, metadata={NEUTRAL: None})
    ckpt_path: str | None = field(default=None, metadata={NEUTRAL: None})
    reuse_shorter: bool = True
    tags: list[str] = field(default_factory=list)


ConfigStore.instance().store(name="schema", node=Config)

GROUPS = tuple(item.name for item in fields(Config) if item.type == dict[str, Any])
SCALARS = tuple(item.name for item in fields(Config) if item.name not in GROUPS)

# Groups of which a run may have several options: nodes by name, each with its own _target_.
SEVERAL = ("logger", "callbacks")

# Every metric that a policy may follow, and in which direction it is better.
BETTER = {"val/acc": "max", "val/loss": "min", "train/loss": "min"}

# conf/scheduler/plateau.yaml: the mode follows the metric, also where only that is overridden. Of
# what a callback logs it has to be said: null is refused.
OmegaConf.register_new_resolver(
    "fmnist.mode", lambda monitor: BETTER.get(monitor, None if monitor else "min"), replace=True
)

# conf/data/folder.yaml, npz.yaml: data of one's own are called as the folder or file is.
OmegaConf.register_new_resolver(
    "fmnist.stem",
    lambda root: Path(root).expanduser().absolute().name.removesuffix(".npz") if root else "",
    replace=True,
)

# What a result does not depend on: two runs that differ only here are the same run.
COSMETIC = {
    ("logger",), ("tags",), ("data", "root"), ("data", "eval_batch_size"), ("steps_per_execution",),
    ("trainer", "num_sanity_val_steps"), ("trainer", "log_every_n_steps"),
    ("trainer", "enable_model_summary"), ("trainer", "enable_progress_bar"),
    ("trainer", "detect_anomaly"), ("trainer", "profiler"), ("trainer", "limit_predict_batches"),
    ("looks",), ("readings",), ("reuse_shorter",),
}  # fmt: skip
# ... and what decides how many images are evaluated, where something else limits their batches.
EVALUATED = ("data", "eval_batch_size")
LIMITING = ("limit_val_batches", "limit_test_batches", "overfit_batches", "fast_dev_run")


def resolve(config: DictConfig) -> dict[str, Any]:
    """The composed configuration as plain values, without Hydra's own part.

    Raises:
        ConfigError: a value refers to something that does not exist, or is missing.
    """
    plain = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        container = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(in_one_line(error)) from error
    assert isinstance(container, dict)
    _check_names(container)
    return {str(key): value for key, value in container.items()}


def _check_names(node: Any, path: str = "") -> None:
    """Refuse keys that are numbers, which no record can hold."""
    if isinstance(node, list):
        for value in node:
            _check_names(value, path)
    for key, value in node.items() if isinstance(node, dict) else ():
        if not isinstance(key, str):
            words = str(key).lower() if isinstance(key, bool) else key
            raise ConfigError(f"{path}: has the key {words}, which should be text: '{words}'")
        _check_names(value, f"{path}.{key}" if path else key)


def look_up(plain: dict[str, Any], key: str) -> Any:
    """The value under a dotted name; None where there is none."""
    node: Any = plain
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def config_hash(plain: dict[str, Any]) -> str:
    """12 hexadecimal digits that name a result: equal for runs that differ only cosmetically.

    What else is left out, so that hashes last: see `fmnist.config.hashing`.
    """
    neutral = {
        item.name: item.metadata[NEUTRAL] for item in fields(Config) if NEUTRAL in item.metadata
    }
    return digest(plain, neutral, _cosmetic(plain))


def other_setting(plain: dict[str, Any], other: dict[str, Any]) -> str | None:
    """The dotted name of a setting that tells two configurations of one hash apart; None: none."""
    found = other_value(plain, other, _cosmetic(plain))
    return ".".join(found) if found else None


def _cosmetic(plain: dict[str, Any]) -> set[tuple[str, ...]]:
    limited = any(look_up(plain, f"trainer.{key}") for key in LIMITING)
    return COSMETIC - {EVALUATED} if limited else COSMETIC
