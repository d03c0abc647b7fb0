"""How a machine is shared out among the cells of a sweep: how many at a time, with what each.

On a CPU a cell a core, with one thread each: small nets hardly gain by threads, and two steps side
by side with one thread each take less time than one after the other with two. Fewer cells than
cores have several threads each. Every cell of a sweep has as many, also when most of them have
finished: another number of threads adds up in another order and ends in other bits.

On GPUs there are as many cells on each as the launcher's setting says.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fmnist.config.devices import count_devices
from fmnist.config.schema import look_up
from fmnist.process.machine import free_memory, jobs_at_a_time, memory_of, usable_cores
from fmnist.sweeps.process import CellProcess
from fmnist.sweeps.server import ask

GUESS = 700 * 2**20  # bytes that a cell takes, until one has been measured
THREADS, GPUS = "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"


@dataclass
class CellShare:
    """What a machine gives to the cells of one sweep.

    Args:
        cells: at most so many at a time.
        threads: of each process of a cell; None: as a single run has them.
        gpus: as CUDA_VISIBLE_DEVICES names them, each for one cell or several; none: cells see all.
        peak: bytes that a cell took at most; 0: none has been measured.
    """

    cells: int
    threads: int | None = None
    gpus: tuple[str, ...] = ()
    peak: int = 0

    def has_room(self, running: Iterable[CellProcess]) -> bool:
        """Whether another cell may start: there is always room for one."""
        pids = [cell.process.pid or 0 for cell in running]
        free = free_memory()
        if not pids or len(pids) >= self.cells or free is None:
            return len(pids) < self.cells
        taken = [memory_of(pid) for pid in pids]  # now, and at most so far
        peak = max([self.peak or GUESS, *(most for _, most in taken)])
        return free - sum(peak - now for now, _ in taken) >= peak

    def variables(self, running: Iterable[CellProcess]) -> dict[str, str]:
        """The environment of the next cell: its threads, and the GPU with the fewest cells."""
        found = {} if self.threads is None else {THREADS: str(self.threads)}
        if self.gpus:
            busy = [cell.job.env.get(GPUS) for cell in running]
            found[GPUS] = min(self.gpus, key=busy.count)
        return found


def share_out(
    cells: int, config: dict[str, Any], most: int | None, per_gpu: int, env: dict[str, str]
) -> CellShare:
    """The share of a sweep's cells.

    Args:
        cells: of the whole sweep, finished ones included.
        config: of a cell, or of what its cells have in common.
        most: cells at a time, as `jobs_at_a_time` has it; None: as many as fill the machine.
        per_gpu: cells at a time on one GPU.
        env: variables that every cell is given; a number of threads there, or in this process's
            environment, is the one that each cell has.
    """
    cores, given = usable_cores(), {**os.environ, **env}.get(THREADS, "").partition(",")[0]
    asked = int(given) if given.isdecimal() and int(given) > 0 else None
    accelerator = look_up(config, "trainer.accelerator") or "auto"
    devices = count_devices(look_up(config, "trainer.devices"), accelerator)
    gpus = [] if accelerator == "cpu" else list_gpus(config["logger"], env)
    if gpus:
        # A cell with several GPUs, or with one that is named by its number, chooses among all.
        if devices != 1 or not isinstance(look_up(config, "trainer.devices"), int | str):
            fitting, gpus = per_gpu if devices == 1 else 1, []
        else:
            fitting = len(gpus) * per_gpu
    else:
        fitting = max(1, cores // ((devices or 1) * (asked or 1)))
    count = max(1, min(fitting if most is None else jobs_at_a_time(most), cells))
    threads = asked or max(1, cores // (count * (devices or 1)))
    return CellShare(count, threads if count > 1 else asked, tuple(gpus))


def list_gpus(logger: dict[str, Any], env: dict[str, str]) -> list[str]:
    """The GPUs that a cell would see, asked in a process of the server's, which has torch.

    Args:
        env: variables that every cell is given, such as one that names some of the GPUs.
    """
    counts, _ = ask(_gpu_count, logger=logger)
    count = counts[0] if counts else 0  # torch crashed: the cells will say why
    visible = [name for name in env.get(GPUS, os.environ.get(GPUS, "")).split(",") if name]
    if GPUS in env and not visible:
        return []
    return visible[:count] or [str(number) for number in range(count)]


def _gpu_count() -> Iterator[int]:
    import torch

    yield torch.cuda.device_count()
