"""Threads that wait for work soon sleep, so that two runs on the same cores do not stall.

Between two operations the threads of GNU's OpenMP, which torch computes with, look 300,000 times
whether there is work before they sleep (libgomp's manual, GOMP_SPINCOUNT). Where threads of two
runs share a core, one of them uses up the time in which the other could do the work that it waits
for: both runs take more than ten times as long. Within one process libgomp knows when threads
outnumber the cores, and then looks less often; of other processes it knows nothing.
"""

import os

SPIN_COUNT = "GOMP_SPINCOUNT"
WAIT_POLICY = "OMP_WAIT_POLICY"  # the standard's coarser setting
LOOKS = 30_000  # some hundred microseconds: with fewer, small nets that run alone become slower


def sleep_soon() -> None:
    """For this process and its children. To be called before torch is imported, which reads it."""
    if WAIT_POLICY not in os.environ:
        os.environ.setdefault(SPIN_COUNT, str(LOOKS))
