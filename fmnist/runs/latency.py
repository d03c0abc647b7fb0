"""How long inference takes on this machine, now.

A report measures it when it is made; a row has it where `fmnist.results collect --latency` did.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from fmnist.errors import RunError
from fmnist.runs.record import known
from fmnist.runs.rows import INFERENCE
from fmnist.runs.run import Run

INFERENCE_BATCH = 64  # images, as in training


@dataclass(frozen=True)
class Latency:
    """One net on the CPU.

    Args:
        milliseconds: median of a forward pass, by batch size.
        threads: that torch computed with.
        weights_bytes: parameters and buffers, as they lie in memory.
    """

    milliseconds: dict[int, float]
    threads: int
    weights_bytes: int

    def images_per_second(self, batch: int) -> float:
        return 1000 * batch / self.milliseconds[batch]


def measure_latency(
    net: nn.Module,
    shape: Sequence[int],
    batches: tuple[int, ...] = (1, 256),
    seconds: float = 0.25,
) -> Latency:
    """Median over as many passes as fit, at least 5, after 2 that do not count.

    Args:
        net: images float [B, *shape] -> logits, on the CPU, in eval mode.
        shape: of an image: channels, height, width.
        batches: batch sizes.
        seconds: to spend on each of them.
    """
    milliseconds = {}
    with torch.inference_mode():
        for batch in batches:
            images = torch.zeros(batch, *shape)
            times: list[float] = []
            began = time.perf_counter()
            while len(times) < 7 or time.perf_counter() - began < seconds:
                start = time.perf_counter()
                net(images)
                times.append(1000 * (time.perf_counter() - start))
            milliseconds[batch] = median(times[2:])
    return Latency(milliseconds, torch.get_num_threads(), weights_bytes(net))


@contextmanager
def recorded_threads(run: Run) -> Iterator[None]:
    """As many threads as the run had, if this machine has so many: sums are rounded alike then."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(run.record.threads or before, os.cpu_count() or 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def inference_metrics(run: Run) -> dict[str, float]:
    """Batches a second through a finished run's best net, as the metric of a row.

    Forward passes only, in float32, with as many threads as the run had.

    Raises:
        RunError: the run was made on another kind of machine, or its net cannot be loaded.
    """
    from fmnist.process.machine import processor_name

    made, here = run.record.device, f"cpu ({processor_name()})"
    if made != here:  # the row names the machine of the run
        raise RunError(f"{run.dir}: made on {made}, this is {here}")
    net = run.net("best")
    with recorded_threads(run):
        found = measure_latency(net, known(run.record.dataset).shape, (INFERENCE_BATCH,))
    return {INFERENCE: 1000 / found.milliseconds[INFERENCE_BATCH]}


def weights_bytes(net: nn.Module) -> int:
    """Bytes of parameters and buffers."""
    return sum(value.numel() * value.element_size() for value in net.state_dict().values())
