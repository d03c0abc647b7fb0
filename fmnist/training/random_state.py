"""The states of the random generators, as a checkpoint keeps them."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_states() -> dict[str, Any]:
    """The states of all generators that a net may draw from, as tensors and plain values.

    Of the GPUs only this process's own: one process of several writes the checkpoint of all, and
    knows nothing of what the others' GPUs drew, but that it was as much as its own.
    """
    version, state, gauss = random.getstate()
    # Asking for their states would open every GPU, also for a run on the CPU.
    gpus = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    numpy: Any = np.random.get_state()  # noqa: NPY002 (the global generator, as some nets use it)
    return {
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state()] if gpus else [],
        "python": [version, list(state), gauss],
        "numpy": [value.tolist() if isinstance(value, np.ndarray) else value for value in numpy],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """The inverse of `random_states`, also on another GPU, or on none."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        # Older checkpoints have a state for every GPU of their machine.
        own = min(torch.cuda.current_device(), len(states["cuda"]) - 1)
        torch.cuda.set_rng_state(states["cuda"][own])
    version, state, gauss = states["python"]
    random.setstate((version, tuple(state), gauss))
    np.random.set_state(tuple(states["numpy"]))  # noqa: NPY002


@contextmanager
def same_random_states() -> Iterator[None]:
    """Whatever is drawn within, the generators of the CPU are afterwards as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (some nets use it)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
