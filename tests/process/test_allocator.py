"""The allocator keeps freed memory: a step touches no fresh pages."""

import platform
import subprocess
import sys

import pytest

# Faults of a training step after four others: as it is, and with freed memory kept.
FAULTS = """
import os, resource
from fmnist.process.allocator import keep_freed_memory
import torch
# Blocks above 32 MB, its upper threshold.
net, images = torch.nn.Conv2d(1, 6, 5, padding=2), torch.randn(2048, 1, 28, 28)
for keep in (False, True):
    if os.fork():
        assert os.wait()[1] == 0
        continue
    assert not keep or keep_freed_memory()
    for step in range(5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        net(images).sum().backward()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.long
def test_memory_that_is_freed_is_used_again():
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    left, kept = map(int, done.stdout.split())
    assert kept < left / 4
