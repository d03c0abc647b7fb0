"""What only constructors and first steps know, asked before a run has a directory.

The augmentation, the optimiser and the learning-rate policy of a configuration are built as a run
builds them, on parameters of no consequence, and make one step; what they keep as their state is
saved and loaded back as in a checkpoint. The Trainer is built where something of it is unusual.

For what conf/ offers the checks of values suffice (`fmnist.config.known`, `PLAIN`): nothing is
imported for that.
"""

import io
import json
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from omegaconf import DictConfig

from fmnist.config.build import build_node, cause_of, maker
from fmnist.config.check import check
from fmnist.config.devices import check_devices
from fmnist.config.explain import describe
from fmnist.config.groups import split_grouping
from fmnist.config.known import is_known
from fmnist.config.words import kind
from fmnist.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module, Parameter
    from torch.optim import Optimizer

# Arguments of Lightning's Trainer whose every value that `check` lets pass is good.
PLAIN = {
    "max_epochs", "min_epochs", "max_time", "accelerator", "devices", "strategy", "precision",
    "limit_train_batches", "limit_val_batches", "limit_test_batches", "detect_anomaly",
    "deterministic", "benchmark", "max_steps", "accumulate_grad_batches", "gradient_clip_val",
    "log_every_n_steps", "enable_model_summary", "enable_progress_bar",
}  # fmt: skip
USUAL = {
    "fast_dev_run": (False, True),
    "overfit_batches": (0,),
    "val_check_interval": (None,),
    "check_val_every_n_epoch": (1,),
    "num_sanity_val_steps": (0,),
    "profiler": (None,),
    "gradient_clip_algorithm": (None, "norm", "value"),
    "strategy": ("auto", "ddp", "ddp_find_unused_parameters_true"),
    "accelerator": ("auto", "cpu", "gpu", "cuda", "mps"),
}
SHAPES = ((4, 2, 3, 3), (4, 4), (4,))  # of a convolution, a linear layer and a bias
STEPS = 20


def check_all(config: DictConfig, here: bool = True) -> dict[str, Any]:
    """The resolved configuration, when it can be trained.

    Args:
        here: whether on this machine, whose devices are then counted.

    Raises:
        ConfigError: see `check`, `check_devices` and `try_out`.
    """
    plain = check(config)
    if here:
        check_devices(plain)
    try_out(plain)
    return plain


def try_out(plain: dict[str, Any]) -> None:
    """Build and step what a checked configuration describes.

    Raises:
        ConfigError: naming the node, and what its constructor or its first step said.
    """
    if not _is_plain_augmentation(plain["aug"]):
        _try_augmentation(json.dumps(plain["aug"]))
    optim, scheduler = plain["optim"], plain["scheduler"]
    policy = scheduler.get("policy")
    if not (is_known(optim) and (policy is None or is_known(policy))):
        epochs = plain["trainer"]["max_epochs"] or 1
        _try_optimizer(*map(json.dumps, (optim, scheduler, plain["model"])), epochs)
    trainer = plain["trainer"]
    usual = all(trainer[key] in words for key, words in USUAL.items() if key in trainer)
    if set(trainer) - PLAIN - {*USUAL, "_target_"} or not usual:
        _try_trainer(json.dumps(trainer))


def _is_plain_augmentation(node: dict[str, Any]) -> bool:
    """Whether its constructor has nothing to refuse that its annotations do not say."""
    ours = node["_target_"] == "fmnist.data.augment.RandomAffine"
    return ours and (node.get("shift", 0) % 1 == 0 or node.get("interpolation") == "bilinear")


@contextmanager
def _explained(path: str, node: dict[str, Any]) -> Iterator[None]:
    """Whatever goes wrong in it is the node's fault, and said in one line."""
    try:
        with warnings.catch_warnings(action="ignore"):  # the run itself says them
            yield
    except ConfigError:
        raise
    except Exception as error:
        cause = cause_of(error) if isinstance(error, InstantiationException) else error
        words = " ".join(str(cause).split()) or type(cause).__name__
        known = isinstance(cause, ValueError | TypeError | RuntimeError)
        name = "" if known else f"{type(cause).__name__}: "
        raise ConfigError(f"{path}: {node['_target_']}: {name}{words}") from error


@cache
def _try_augmentation(text: str) -> None:
    node = json.loads(text)
    torch = _torch()
    with _explained("aug", node):
        policy = build_node(node)
        if policy:  # one that changes nothing may be false
            # The data are not read yet: one that takes grey images, or colour, is good.
            try:
                try_augmentation(policy, torch.zeros(2, 1, 28, 28), 0.5)
            except ConfigError as error:
                try:
                    try_augmentation(policy, torch.zeros(2, 3, 32, 32), torch.full((3, 1, 1), 0.5))
                except ConfigError:
                    raise error from None


def try_augmentation(policy: Any, images: "Tensor", mean: "float | Tensor") -> list[int]:
    """One batch through an augmentation, which may be somebody's own, before anything is trained.

    The state of torch's random generator is afterwards as it was.

    Args:
        images: float [B, C, S, S]; changed.
        mean: the mean pixel, as the augmentation takes it.

    Returns:
        The shape of an image afterwards: some nets train on smaller ones than they are tested on.

    Raises:
        ConfigError: it fails, or gives something else than as many images.
    """
    torch = _torch()
    name, count, shape = type(policy).__name__, len(images), list(images.shape)
    with torch.random.fork_rng(devices=[]):
        try:
            drawn = policy.draw(count, shape[-1], torch.Generator().manual_seed(0), 0)
            if not isinstance(drawn, torch.Tensor) or list(drawn.shape[:1]) != [count]:
                raise ConfigError(
                    f"aug: {name}.draw gives {kind(drawn)} for {count} images: should be a tensor "
                    f"[{count}, ...], a row for every image"
                )
            result = policy(images, drawn, mean)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"aug: {name}: {describe(error)}; images were {shape}") from error
    right = isinstance(result, torch.Tensor) and result.is_floating_point() and result.ndim == 4
    if not right or list(result.shape[:2]) != shape[:2] or result.shape[2] != result.shape[3]:
        raise ConfigError(
            f"aug: {name} gives {kind(result)} for images {shape}: should be float "
            f"[{count}, {shape[1]}, S, S]"
        )
    return list(result.shape[1:])


@cache
def _try_optimizer(optim: str, scheduler: str, model: str, epochs: int) -> None:
    torch = _torch()
    try:
        optimizer = _step(json.loads(optim), [torch.nn.Parameter(torch.ones(s)) for s in SHAPES])
    except ConfigError:
        # Some take matrices alone: whether there is anything else, only the net can tell.
        net = _net(json.loads(model))
        if net is None:
            raise
        optimizer = _step(json.loads(optim), list(net.parameters()))
    schedule = json.loads(scheduler)
    if schedule.get("policy") is not None:
        _advance(optimizer, schedule, epochs)


def _step(node: dict[str, Any], parameters: "list[Parameter]") -> "Optimizer":
    """An optimiser that has made one step and whose state can be saved and loaded back."""
    torch, (plain, ours) = _torch(), split_grouping(node)
    with _explained("optim", node):
        optimizer: Optimizer = maker(plain)(parameters)
        if any("lr" not in group for group in optimizer.param_groups):
            raise ValueError("has no lr in its groups, which policies change and the record keeps")
        for key in (key for key, value in ours.items() if value):
            try:
                maker(plain)([{"params": [parameter]} for parameter in parameters])
            except Exception as error:
                words = "takes no groups of parameters with settings of their own"
                raise ConfigError(f"optim.{key}={ours[key]}: {node['_target_']} {words}") from error
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step(lambda: 0.0)  # some evaluate the loss again and again
    _check_state("optim", node, optimizer.state_dict())
    return optimizer


def _net(node: dict[str, Any]) -> "Module | None":
    """The net, or None: what is wrong with it is for others to say."""
    torch = _torch()
    try:
        with torch.random.fork_rng(devices=[]):
            net: Module = build_node(node)
            return net
    except Exception:
        return None


def _advance(optimizer: "Optimizer", scheduler: dict[str, Any], epochs: int) -> None:
    """The policy, driven as in a run that is short."""
    torch, node = _torch(), scheduler["policy"]
    by_step, monitor = scheduler.get("interval") == "step", scheduler.get("monitor")
    length = epochs * STEPS if by_step else epochs
    horizon = {scheduler["horizon"]: length} if scheduler.get("horizon") else {}
    with _explained("scheduler.policy", node):
        policy = maker(node)(optimizer, **horizon)
        for _ in range(min(length, STEPS)):
            optimizer.step(lambda: 0.0)
            policy.step(*([torch.tensor(0.5).item()] if monitor else []))
            rates = [float(group["lr"]) for group in optimizer.param_groups]
            if not all(math.isfinite(rate) and rate >= 0 for rate in rates):
                raise ValueError(f"gives a learning rate of {rates[0]:g}")
    _check_state("scheduler.policy", node, policy.state_dict())


def _check_state(path: str, node: dict[str, Any], state: dict[str, Any]) -> None:
    """Refuse a state that a checkpoint could not give back without running code."""
    torch, buffer = _torch(), io.BytesIO()
    try:
        torch.save(state, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except Exception as error:
        raise ConfigError(
            f"{path}: {node['_target_']}: a checkpoint could not be loaded back: its state should "
            "be tensors and plain values"
        ) from error


@cache
def _try_trainer(text: str) -> None:
    node = json.loads(text)
    _torch()
    if node.get("precision") == "auto":
        node["precision"] = "32-true"
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    with _explained("trainer", node):
        logger.setLevel(logging.ERROR)
        try:
            maker(node)(
                logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False,
            )  # fmt: skip
        finally:
            logger.setLevel(level)


def _torch() -> Any:
    import fmnist.process.startup  # noqa: F401 (before what it quickens)

    # isort: split
    import torch

    return torch
