"""The groups in which an optimiser takes a net's parameters: other settings for some of them."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Iterable
from typing import Annotated, Any

from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import BaseFinetuning
from torch import nn

from fmnist.errors import ConfigError


def parameter_groups(
    net: nn.Module, no_decay: bool = False, head_lr: Annotated[float, "(0, inf)"] | None = None
) -> Iterable[Any]:
    """What an optimiser is given: tensors, or groups where some have settings of their own.

    The annotations are the schema of these settings of `optim`, beside those of its target; see
    `fmnist.config.groups`.

    Args:
        net: what is trained.
        no_decay: no weight decay for biases and normalisations, which are the tensors of one
            dimension (He et al. 2018, "Bag of tricks", arXiv 1812.01187, section 3.1).
        head_lr: learning rate of the last linear layer; None: that of the rest.

    Raises:
        ConfigError: another rate for the head of a net that ends in no linear layer.
    """
    if not no_decay and head_lr is None:
        return net.parameters()
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    if head_lr is not None and not layers:
        raise ConfigError(f"optim.head_lr={head_lr}: {type(net).__name__} has no linear layer")
    head = {id(tensor) for tensor in layers[-1].parameters()} if head_lr is not None else set()
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for tensor in net.parameters():
        spared = no_decay and tensor.ndim < 2
        groups.setdefault((id(tensor) in head, spared), []).append(tensor)
    return [
        {"params": tensors}
        | ({"lr": head_lr} if of_head else {})
        | ({"weight_decay": 0.0} if spared else {})
        for (of_head, spared), tensors in groups.items()
    ]


def without_frozen(module: LightningModule, groups: Iterable[Any]) -> Iterable[Any]:
    """Groups without what a BaseFinetuning of Lightning's has frozen, which adds it when it thaws.

    What the optimiser has already, that callback leaves in its group, whatever rate it was to have.
    Where there is none such, frozen tensors stay, in case somebody thaws them by hand.
    """
    try:
        callbacks = module.trainer.callbacks  # type: ignore[attr-defined]
    except RuntimeError:  # in no Trainer
        return groups
    if not any(isinstance(one, BaseFinetuning) for one in callbacks):
        return groups
    given = [*groups]
    if not isinstance(given[0], dict):
        return [tensor for tensor in given if tensor.requires_grad]
    kept = [{**one, "params": [p for p in one["params"] if p.requires_grad]} for one in given]
    return [one for one in kept if one["params"]]
