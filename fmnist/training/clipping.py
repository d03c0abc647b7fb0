"""Gradients are clipped in every number format that scales none, whatever the optimiser."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.plugins import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType


def clip(
    module: LightningModule, optimizer: Any, value: float | None, algorithm: str | None
) -> None:
    """As Lightning does, and in bf16 for a fused optimiser, too.

    Lightning refuses that, as if the optimiser had to unscale gradients first: only fp16 scales.

    Args:
        value: the largest norm, or number; None: nothing is clipped.
        algorithm: "norm" or "value"; None: the first.
    """
    plugin = module.trainer.precision_plugin
    if value and type(plugin) is MixedPrecision and plugin.scaler is None:
        by = GradClipAlgorithmType(algorithm or "norm")
        Precision.clip_gradients(plugin, optimizer, value, by)
    else:
        module.clip_gradients(optimizer, value, algorithm)
