"""Which number format and memory format pay, for a net on the hardware at hand."""

from collections.abc import Mapping
from typing import Any

PAYS_FROM = 2_000_000
"""Floating-point operations of one image's forward pass from which bf16 autocast makes a training
step faster, wherever it was measured: LeNet-5 (0.8 million) lost or gained a few percent, every net
from twoconv (5.7 million) on gained 1.9 times or more. `python -m benchmarks.roofline` measures
it."""

HALVES = ("bf16-mixed", "16-mixed")
CHANNELS_LAST = {"cpu": ("32-true", *HALVES), "cuda": HALVES}
"""Number formats, by device, in which channels-last memory makes a training step faster, or as fast
for a net without convolutions. On a CPU `python -m benchmarks.formats` measures it; on a GPU it was
not measured, and in half precision it is what cuDNN asks for."""


def chosen_formats(
    precision: str, channels_last: bool | None, flops: int, accelerator: str
) -> tuple[str, bool]:
    """Precision by Lightning's name, and whether memory is channels-last.

    Args:
        precision: "auto", or what to use.
        channels_last: None, or what to use.
        flops: of one image's forward pass, see `fmnist.training.cost.flops`.
        accelerator: Lightning's name; "auto" is the GPU when there is one.
    """
    device = device_of(accelerator)
    if precision == "auto":
        pays = flops >= PAYS_FROM and multiplies_bf16(device)
        precision = "bf16-mixed" if pays else "32-true"
    if channels_last is None:
        channels_last = precision in CHANNELS_LAST.get(device, ())
    return precision, channels_last


def device_of(accelerator: str) -> str:
    """ "cuda", "mps", or "cpu", which is also what Lightning takes when there is no other."""
    import torch

    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "cuda"
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def multiplies_bf16(device: str) -> bool:
    """Whether the hardware has instructions for it: elsewhere bf16 is emulated, and slow."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False  # not measured
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in torch 2.11
    return bool(known.get("avx512_bf16"))
