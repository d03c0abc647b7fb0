"""Threads that wait for work soon sleep: they leave the cores to others."""

import os
import platform
import subprocess
import sys

import pytest

from fmnist.process.spinning import sleep_soon

WORK = """
import sys, time
from fmnist.process.spinning import sleep_soon
if sys.argv[1] == "soon":
    sleep_soon()
import torch
torch.set_num_threads(2)
values = torch.randn(2, 40_000)  # enough for two threads
values.exp()
began = time.process_time()
for step in range(25):
    values.exp()
    time.sleep(0.02)  # longer than 300,000 looks, on a slow machine, too
print(time.process_time() - began)
"""
SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")


def seconds_used(when):
    """Of processor time, by a process that mostly sleeps."""
    variables = {name: text for name, text in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", WORK, when],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="OpenMP is not GNU's")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="OpenMP sleeps soon on one core")
@pytest.mark.long
def test_threads_without_work_use_no_time():
    assert seconds_used("soon") < seconds_used("as it is") / 3


def test_what_the_user_set_stays(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    sleep_soon()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    sleep_soon()
    assert "GOMP_SPINCOUNT" not in os.environ
