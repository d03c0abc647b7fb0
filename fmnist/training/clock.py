"""Seconds of what a device computes: a GPU is asked for, and goes on by itself."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import time

import torch


def seconds_since(began: float, device: torch.device) -> float:
    """Until all that a device was asked for is done, which this waits for.

    Args:
        began: by `time.perf_counter`.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
