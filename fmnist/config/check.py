"""What is refused before anything is read or trained: settings and values that cannot be.

A mistake is answered in a second: nothing heavy is imported for it. What no single setting shows
stands in `fmnist.config.across`; what only the constructors know in `fmnist.config.trial`.
"""

import math
import re
from collections.abc import Collection
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fmnist.config.across import check_across
from fmnist.config.environment import check_environment
from fmnist.config.groups import grouping_settings
from fmnist.config.hashing import HYDRAS, namesakes
from fmnist.config.interval import interval
from fmnist.config.known import ranges
from fmnist.config.schema import BETTER, SEVERAL, Config, look_up, resolve
from fmnist.config.signature import Parameter, read_signature, undefined
from fmnist.config.words import near, near_or_all, near_setting, show
from fmnist.errors import ConfigError

NUMBER = frozenset({"int", "float"})
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")

# Lightning's words. Those of TESTED are what the tests here train with.
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
STRATEGIES = (
    "auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false",
    "ddp_spawn", "ddp_spawn_find_unused_parameters_true", "ddp_spawn_find_unused_parameters_false",
    "ddp_fork", "ddp_fork_find_unused_parameters_true", "ddp_fork_find_unused_parameters_false",
    "ddp_notebook", "ddp_notebook_find_unused_parameters_true",
    "ddp_notebook_find_unused_parameters_false",
    "deepspeed", "deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_2_offload",
    "deepspeed_stage_3", "deepspeed_stage_3_offload", "deepspeed_stage_3_offload_nvme",
    "fsdp", "fsdp_cpu_offload", "single_device", "single_xla", "single_tpu", "xla", "xla_debug",
)  # fmt: skip
TESTED = {
    "trainer.accelerator": ("auto", "cpu", "gpu", "cuda"),
    "trainer.strategy": ("auto", "ddp", "ddp_find_unused_parameters_true"),
}

# Of our own classes the constructors say it (`signature`), of torch's `known`.
RANGES = {
    "seed": "[0, 4294967296)",
    "patience": "[1, inf)",
    "label_smoothing": "[0, 1)",
    "gradient_clip_val": "(0, inf)",
    "ema_decay": "(0, 1)",
    "steps_per_execution": "[1, inf)",
    "trainer.max_epochs": "[1, inf)",
    "trainer.min_epochs": "[0, inf)",
    "trainer.max_steps": "[-1, inf)",
    "trainer.accumulate_grad_batches": "[1, inf)",
    "trainer.check_val_every_n_epoch": "[1, inf)",
    "trainer.gradient_clip_val": "(0, inf)",
    "trainer.num_nodes": "[1, 1]",
}
LIMITS = (
    "trainer.limit_train_batches", "trainer.limit_val_batches", "trainer.limit_test_batches",
)  # fmt: skip
MONITOR = "scheduler.monitor"
CHOICES: dict[str, tuple[Any, ...]] = {
    "trainer.precision": PRECISIONS,
    "trainer.accelerator": ACCELERATORS,
    "trainer.strategy": STRATEGIES,
    "trainer.deterministic": (True, False, "warn"),
    "trainer.profiler": ("simple", "advanced", "pytorch", "xla"),
    "tta": ("none", "flip", "flip_shift"),  # fmnist.training.tta
    MONITOR: tuple(BETTER),
}
# Read by their names wherever a record is: no default of a constructor can stand in for them.
NEEDED = ("trainer.max_epochs", "data.batch_size", "data.name")

# Nodes in a group's node, which may be null: what to use where one lacks its target.
INNER = {
    "scheduler.policy": "options such as scheduler=step have one",
    "data.source": "+data.source._target_=... gives one",
}

# Arguments that are no settings: why, and what to use instead.
RESERVED = {
    "trainer": {
        "logger": "the loggers are a group of their own: use logger=csv, [wandb,tensorboard]",
        "callbacks": "callbacks are a group of their own: use callbacks=NAME, patience=, ...",
        "plugins": "checkpoints are written whole or not at all by a plugin of fmnist.train's: "
        "use trainer.precision and trainer.strategy for the rest",
        "default_root_dir": "the run directory holds everything: use hydra.run.dir",
        "enable_checkpointing": "a run is tested and continued from its checkpoints: delete "
        "checkpoints/ afterwards",
        "use_distributed_sampler": "the data module shares out the batches itself, the same for "
        "any number of devices: use trainer.devices",
        "barebones": "a run needs its metrics and checkpoints: python -m benchmarks.throughput "
        "measures what they cost",
        "enable_autolog_hparams": "every logger gets the whole configuration: use logger=none",
    },
    "data": {
        "augment": "the augmentation is a group of its own: use aug=on, aug=off, ...",
        "seed": "the run has one seed: use seed",
        "steps_per_execution": "use steps_per_execution without data.",
    },
    "optim": {"params": "the optimiser gets the net's parameters: use model"},
    "scheduler.policy": {"optimizer": "the policy gets the run's optimiser: use optim"},
}


# What code gives besides: a node need not have it, and may.
GIVEN = {"data": ["root"]}
GIVEN_TO = {"logger": ["job", "config"]}  # to each node of the group
PARTIAL = ("optim", "scheduler.policy")  # of which code makes the object, with an argument more


def check(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration, when every key exists and every value is possible.

    Raises:
        ConfigError: naming the key, the offending value and what would be right.
    """
    plain = resolve(config)
    _check_keys(plain)
    chosen = _typed_targets(config)
    _check_monitor(plain)
    for key, value in plain.items():
        if isinstance(value, dict):
            _check_node(key, value, chosen)
    for key, text in RANGES.items():
        check_range(key, look_up(plain, key), text)
    for key in LIMITS:
        _check_limit(key, look_up(plain, key))
    every = look_up(plain, "trainer.val_check_interval")
    if isinstance(every, int | float):  # else a time, which the Trainer checks
        _check_limit("trainer.val_check_interval", every)
    for key, options in CHOICES.items():
        if key != MONITOR:
            _check_choice(key, look_up(plain, key), options)
    _check_duration(look_up(plain, "trainer.max_time"))
    check_across(plain)
    check_environment(plain)
    return plain


def _check_monitor(plain: dict[str, Any]) -> None:
    """What a policy follows; of what a callback of one's own logs only its user knows which end
    is good.
    """
    monitor = look_up(plain, MONITOR)
    if not plain["callbacks"]:
        _check_choice(MONITOR, monitor, CHOICES[MONITOR])
    policy = plain["scheduler"].get("policy")
    if isinstance(policy, dict) and policy.get("mode", "") is None:
        raise ConfigError(
            f"scheduler.policy.mode=null: should be max where a higher {monitor} is better, min "
            "where a lower one is"
        )


def _check_keys(plain: dict[str, Any]) -> None:
    """What is there that should not be, and is not there that should."""
    known = {field.name: field for field in fields(Config)}
    for key in plain:
        if key not in known:
            raise ConfigError(f"{key}: no such setting{near_setting(key, plain)}")
    parameters = read_signature("fmnist.config.schema.Config") or {}
    for key, field in known.items():
        if key not in plain:
            right = "an option of the group" if field.type == dict[str, Any] else ""
            right = right or parameters[key].expectation()
            raise ConfigError(f"{key}: missing; should be {right}")
        node = plain[key]
        if key in SEVERAL:
            _check_several(key, node)
        elif field.type == dict[str, Any] and not isinstance(node.get("_target_"), str):
            raise ConfigError(
                f"{key}: has no _target_, the dotted name of what it describes; an option of the "
                f"group has one: conf/{key}/"
            )
    for key, cure in INNER.items():
        node = look_up(plain, key)
        if isinstance(node, dict) and not isinstance(node.get("_target_"), str):
            taken = ", ".join(node) or "its settings"
            raise ConfigError(
                f"{key}: has no _target_, the dotted name of what takes {taken}; {cure}"
            )
    for key in NEEDED:
        group, _, name = key.partition(".")
        signature = read_signature(plain[group]["_target_"])
        if name not in plain[group] and (signature is None or name in signature):
            right = f"; should be {signature[name].expectation()}" if signature else ""
            raise ConfigError(f"{key}: missing{right}")


def _check_several(group: str, nodes: dict[str, Any]) -> None:
    """Nodes by name, each with its own target."""
    if isinstance(nodes.get("_target_"), str):
        raise ConfigError(
            f"{group}: has a _target_ but no name: should be below one, as in conf/{group}/, since "
            f"there may be several {group}"
        )
    for name, node in nodes.items():
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            raise ConfigError(
                f"{group}.{name}={show(node)}: should be a node with a _target_, as those in "
                f"conf/{group}/"
            )


def _typed_targets(config: DictConfig) -> set[str]:
    """Paths of the nodes whose target was typed, of a configuration that has Hydra's part."""
    typed = OmegaConf.select(config, "hydra.overrides.task")
    texts: Any = [] if typed is None else OmegaConf.to_container(typed, resolve=False)
    return {text.lstrip("+").partition("._target_=")[0] for text in texts if "._target_=" in text}


def _check_node(path: str, node: dict[str, Any], chosen: Collection[str]) -> None:
    """Every key of a node, and of those inside, against the signature of its target.

    Args:
        chosen: paths of nodes whose target was typed: of that the option's file knows nothing.
    """
    for key, value in node.items():
        if isinstance(value, dict):
            _check_node(f"{path}.{key}", value, chosen)
    target = node.get("_target_")
    if not isinstance(target, str):
        return
    if lacking := undefined(target):
        module, name, names = lacking
        here = f"no package {name} is installed, and no {name}.py lies in this folder"
        here = here if "." in target else f"should be a dotted name, MODULE.{name}"
        where = f"{module} has no {name}" if module else here
        raise ConfigError(f"{path}._target_={target}: {where}{near(name, names)}")
    if len(modules := namesakes(target)) > 1:
        raise ConfigError(
            f"{path}._target_={target}: {' and '.join(modules)} both define such a name, by which "
            "alone a run's hash knows what is in fmnist: one of them should have another"
        )
    several = path.partition(".")[0] in SEVERAL
    plain = "." not in path or several
    if bool(node.get("_partial_")) != (path in PARTIAL) and (plain or path in PARTIAL):
        right = "should be true" if path in PARTIAL else "should be left out"
        value = f"={show(node['_partial_'])}" if "_partial_" in node else ": missing"
        why = "gives it what is lacking" if path in PARTIAL else "makes it whole"
        raise ConfigError(f"{path}._partial_{value}: {right}: fmnist.train {why}")
    ours = grouping_settings() if path == "optim" else {}
    if ours:
        _check_grouping(node, ours)
        node = {key: value for key, value in node.items() if key not in ours}
    signature = read_signature(target)
    if signature is None:
        return
    given = RESERVED.get(path, {})
    for key, value in node.items():
        if key in HYDRAS:
            continue
        if key in given:
            raise ConfigError(f"{path}.{key}: not a setting: {given[key]}")
        if key not in signature:
            options = [name for name in {**signature, **ours} if name not in given]
            hint = near_or_all(key, options, f"{path}.")
            hint = f"; ~{path}.{key} leaves it out" if path in chosen else hint
            raise ConfigError(f"{path}.{key}: {target} takes no such argument{hint}")
        check_value(f"{path}.{key}", value, signature[key])
        if target.startswith("torch."):
            _check_pair(f"{path}.{key}", value, signature[key].default)
    for key, text in ranges(target).items():
        if key in node and text:
            if node[key] is None:
                raise ConfigError(f"{path}.{key}=null: should be a number")
            check_range(f"{path}.{key}", node[key], text)
    _check_required(path, node, signature)


def _check_grouping(node: dict[str, Any], ours: dict[str, Parameter]) -> None:
    """The settings of an optimiser that are ours."""
    for key in [key for key in ours if key in node]:
        check_value(f"optim.{key}", node[key], ours[key])
    signature = read_signature(node["_target_"])
    if node.get("no_decay") and signature is not None and "weight_decay" not in signature:
        raise ConfigError(f"optim.no_decay=true: {node['_target_']} has no weight_decay")


def check_value(key: str, value: Any, parameter: Parameter) -> None:
    """Refuse a value that an argument's annotation does not allow.

    Raises:
        ConfigError: naming the key, the value and what would be right.
    """
    if not parameter.accepts(value):
        hint = near(str(value), map(str, parameter.choices))
        raise ConfigError(f"{key}={show(value)}: should be {parameter.expectation()}{hint}")
    bounds = parameter.interval
    listed = "list" in parameter.types and isinstance(value, list)
    for number in value if listed else [value]:
        if listed and type(number) not in (int, float):
            raise ConfigError(f"{key}={show(value)}: should be {parameter.expectation()}")
        if bounds and isinstance(number, int | float) and number not in bounds:
            each = "each " if listed else ""
            raise ConfigError(f"{key}={show(value)}: {each}should be {bounds.words(number)}")


def _check_pair(key: str, value: Any, default: Any) -> None:
    """Torch's tuples of numbers: betas and the like."""
    if not isinstance(default, tuple):
        return
    numbers = value if isinstance(value, list) else []
    if len(numbers) != len(default) or any(type(n) not in (int, float) for n in numbers):
        example = ",".join(map(str, default))
        raise ConfigError(
            f"{key}={show(value)}: should be a list of {len(default)} numbers, as [{example}]"
        )


def _check_required(path: str, node: dict[str, Any], signature: dict[str, Parameter]) -> None:
    """An argument without a default that nobody gives; of a policy see `across`."""
    by_group = GIVEN_TO.get(path.partition(".")[0], []) if path.count(".") == 1 else []
    given = {*RESERVED.get(path, {}), *GIVEN.get(path, []), *by_group}
    if path == "scheduler.policy" or (node.get("_partial_") and path != "optim"):
        return
    for key, parameter in signature.items():
        if parameter.required and key not in node and key not in given:
            words = parameter.expectation()
            right = f"; should be {words}" if words else ""
            raise ConfigError(
                f"{path}.{key}: missing: {node['_target_']} needs it{right}: +{path}.{key}=..."
            )


def check_range(key: str, value: Any, text: str) -> None:
    """Refuse what is neither null nor a number in an interval, see `check_value`."""
    if value is not None:
        check_value(key, value, Parameter(types=NUMBER, interval=interval(text)))


def _check_limit(key: str, value: Any) -> None:
    """Lightning's limits: a whole number counts, any other is a share."""
    right = value is None or (not isinstance(value, bool) and isinstance(value, int | float))
    if right and value is not None:
        right = value >= 1 if isinstance(value, int) else 0 < value <= 1
    if not right:
        raise ConfigError(
            f"{key}={show(value)}: should be a whole number, at least 1, or a share of all, "
            "greater than 0.0 and at most 1.0"
        )


def _check_choice(key: str, value: Any, options: tuple[Any, ...]) -> None:
    if value is None or any(value == option and type(value) is type(option) for option in options):
        return
    hint = near(str(value), [option for option in options if isinstance(option, str)])
    tested = TESTED.get(key)
    words = ", ".join(map(show, tested or options))
    more = ", or another that Lightning has" if tested else ""
    raise ConfigError(f"{key}={show(value)}: should be one of {words}{more}{hint}")


def _check_duration(value: Any) -> None:
    """`trainer.max_time`, as Lightning's Timer reads it."""
    units = ("weeks", "days", "hours", "minutes", "seconds")
    right = value is None
    if isinstance(value, str):
        right = re.fullmatch(r"\d+:\d\d:\d\d:\d\d", value) is not None
    elif isinstance(value, dict):
        numbers = all(type(n) in (int, float) and 0 <= n < math.inf for n in value.values())
        right = bool(value) and numbers and all(key in units for key in value)
    if not right:
        raise ConfigError(
            f"trainer.max_time={show(value)}: should be days:hours:minutes:seconds, as "
            f"'00:01:30:00', or a number for some of {', '.join(units)}"
        )
