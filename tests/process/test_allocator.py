"""The allocator keeps freed memory: a step touches no fresh pages."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from fmnist.process.allocator import keep_freed_memory
import torch
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
# Blocks above 32 MB, its upper threshold.
net, images = torch.nn.Conv2d(1, 6, 5, padding=2), torch.randn(2048, 1, 28, 28)
for step in range(7):
    if step == 5:
        before = faults()
    net(images).sum().backward()
print(faults() - before)
"""


def faults(mode):
    """Of two training steps, after five others."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_that_is_freed_is_used_again():
    assert faults("keep") < faults("leave") / 4
