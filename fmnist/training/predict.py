"""Logits of a net for batches of images, without a Trainer, and what they score."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fmnist.training.tta import mean_logits


def predict(
    net: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    precision: str,
    channels_last: bool,
    tta: str = "none",
) -> tuple[Tensor, Tensor]:
    """Logits float32 [N, C] and labels int64 [N] on the CPU, of a net in eval mode.

    Args:
        net: images float [B, ...] -> logits [B, C]. It is moved to the device.
        batches: on the device.
        device: where to compute.
        precision: Lightning's name of it; "bf16-mixed" and "16-mixed" run under autocast.
        channels_last: memory format of net and images.
        tta: see `fmnist.training.tta.mean_logits`.
    """
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(device).to(memory_format=memory_format).eval()
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    autocast: AbstractContextManager[Any] = (
        torch.autocast(device.type, half) if half else nullcontext()
    )
    with torch.inference_mode(), autocast:
        parts = []
        for images, labels in batches:
            # A copy: a net may work in place on what it is given, and batches be given again.
            images = images.clone(memory_format=memory_format)
            parts.append((mean_logits(net, images, tta).float().cpu(), labels.cpu()))
    logits, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return logits, labels


def loss_and_accuracy(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy and accuracy in [0, 1], of logits float [N, C], labels int64 [N]."""
    accuracy = (logits.argmax(1) == labels).float().mean()
    return float(F.cross_entropy(logits, labels)), round(float(accuracy), 6)
