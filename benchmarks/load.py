"""What other processes take of the machine while something is measured, on Linux."""

import os
import time
from pathlib import Path

PROC = Path("/proc")
DISTURBED = 0.1  # of a core; a measurement beside more is repeated


class Others:
    """Processor time of others since this was made, as a share of one core; 0 where unknown."""

    def __init__(self) -> None:
        self.began, self.before = time.perf_counter(), _seconds()

    def share(self) -> float:
        """Of all processes but this one and those that it has started, and of other guests."""
        return max(0.0, (_seconds() - self.before) / (time.perf_counter() - self.began))


def _seconds() -> float:
    """Of the whole machine since it started, less those of this process and its descendants."""
    try:
        first = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, soft, steal, *_ = map(int, first)
    ours, parents, used = {os.getpid()}, dict[int, int](), dict[int, int]()
    for place in PROC.glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(") ")[2].split()
        except OSError:  # it has ended
            continue
        number = int(place.parent.name)
        parents[number], used[number] = int(fields[1]), sum(map(int, fields[11:15]))
    while more := {n for n, parent in parents.items() if parent in ours} - ours:
        ours |= more
    busy = user + nice + system + irq + soft + steal - sum(used.get(n, 0) for n in ours)
    return busy / os.sysconf("SC_CLK_TCK")
