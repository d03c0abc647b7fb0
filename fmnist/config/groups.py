"""Settings of `optim` that are ours, beside those of its target: how parameters are grouped."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from fmnist.config.signature import Parameter, read_signature


@cache
def grouping_settings() -> dict[str, Parameter]:
    """By name: the arguments of `fmnist.training.groups.parameter_groups` beside the net."""
    found = read_signature("fmnist.training.groups.parameter_groups") or {}
    return {name: parameter for name, parameter in found.items() if name != "net"}


def split_grouping(optim: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The node of an optimiser as its target takes it, and the settings that are ours."""
    ours = grouping_settings()
    node = {key: value for key, value in optim.items() if key not in ours}
    return node, {key: value for key, value in optim.items() if key in ours}
