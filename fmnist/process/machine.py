"""What the process runs on."""

import math
import os
import platform
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")  # in a container its own; what may be used, in time a period


def processor_name() -> str:
    """The processor's model name; where the system does not tell, its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def usable_cores() -> int:
    """How many cores this process may use: its affinity, and its container's share of time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    shares = [allowed or 1]
    for read in (_share_v2, _share_v1):
        with suppress(OSError, ValueError, ZeroDivisionError):  # there is no limit, or no such file
            shares.append(max(1, math.ceil(read())))
    return min(shares)


def _share_v2() -> float:
    quota, period = (CGROUPS / "cpu.max").read_text().split()
    return int(quota) / int(period)  # quota: "max" where there is no limit


def _share_v1() -> float:
    quota, period = (
        int((CGROUPS / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period")
    )
    if quota < 0:
        raise ValueError("no limit")
    return quota / period


def jobs_at_a_time(wanted: int) -> int:
    """A launcher's `n_jobs` as a count: -1 is one a core, -2 all cores but one, and so on."""
    return wanted if wanted > 0 else max(1, usable_cores() + 1 + wanted)


def memory_bytes() -> int:
    """Of the machine, or as much of it as its container may use."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # there is no limit ("max"), or no such file
            whole = min(whole, int((CGROUPS / name).read_text()))
    return whole
