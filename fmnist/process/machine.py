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


def allowed_cores() -> int:
    """How many cores this process may compute on."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return here or 1


def usable_cores() -> int:
    """How many cores this process may fill: those allowed, and its container's share of time."""
    shares = [allowed_cores()]
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


def free_memory() -> int | None:
    """Bytes that may still be taken: the system's, and what a container has left; None: unknown."""
    left = []
    for read in (_free_here, _free_v2, _free_v1):
        with suppress(OSError, ValueError, KeyError):  # no limit, or no such file
            left.append(read())
    return min(left, default=None)


def _free_here() -> int:
    return _numbers(Path("/proc/meminfo"))["MemAvailable"] * 1024


def _free_v2() -> int:
    limit, used = (int((CGROUPS / f"memory.{name}").read_text()) for name in ("max", "current"))
    return limit - used + _numbers(CGROUPS / "memory.stat")["inactive_file"]


def _free_v1() -> int:
    folder = CGROUPS / "memory"
    limit, used = (
        int((folder / f"memory.{name}_in_bytes").read_text()) for name in ("limit", "usage")
    )
    return limit - used + _numbers(folder / "memory.stat")["total_inactive_file"]


def memory_of(pid: int) -> tuple[int, int]:
    """Bytes that a process takes now, and that it took at most; 0 where that cannot be told."""
    try:
        found = _numbers(Path(f"/proc/{pid}/status"))
    except OSError:
        return 0, 0
    return found.get("VmRSS", 0) * 1024, found.get("VmHWM", 0) * 1024


def _numbers(path: Path) -> dict[str, int]:
    """ "name: 12 kB" or "name 12" a line."""
    words = (line.replace(":", " ").split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in words if len(row) > 1 and row[1].isdecimal()}


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
