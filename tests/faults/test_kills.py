"""A sweep whose processes are killed again and again ends as if nothing had happened.

Victims and moments are drawn from a seed: the sweep itself, the server that its cells are forked
from, a cell.
"""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from fmnist.runs.find import find_runs
from tests.stopping import holding
from tests.sweeps.test_sweep import descendants, in_sweep, started, timeless

FEW = ("optim=sgd,adam", "model.dropout=0.3")
MANY = ("optim=sgd,adam,rmsprop", "seed=0,1", "model.dropout=0.3", "scheduler=plateau")


@pytest.mark.parametrize(
    ("axes", "kills"),
    [pytest.param(FEW, 1, id="few"), pytest.param(MANY, 8, id="many", marks=pytest.mark.long)],
)
def test_a_sweep_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    axes, kills, tmp_path, capsys
):
    """The first kill comes before a cell can end; a quick sweep may end before a later one."""
    arguments = (
        *axes, "trainer.max_epochs=3", "aug=on", "hydra.sweep.dir=sweep", *holding("let go"),
    )  # fmt: skip
    torn, whole = tmp_path / "torn", tmp_path / "whole"
    torn.mkdir(), whole.mkdir()
    (whole / "let go").touch()
    chance, victims = random.Random(0), []
    while len(victims) < kills:
        before = states(torn)
        process = started(*arguments, cwd=torn)
        while states(torn) == before and process.poll() is None:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.7))
        victim = chance.choice([process.pid, *descendants(process.pid)])
        kill(victim)
        if victim != process.pid:  # which sees it, or is killed before it can
            time.sleep(chance.uniform(0, 0.7))
            kill(process.pid)
        output, _ = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode in (1, -signal.SIGKILL), output  # 1: it saw a cell killed
        victims.append("sweep" if victim == process.pid else "server or cell")
        (torn / "let go").touch()
    assert victims
    last = in_sweep(*arguments, cwd=torn)
    assert last.returncode == 0, last.stdout + last.stderr
    uninterrupted = in_sweep(*arguments, cwd=whole)
    assert uninterrupted.returncode == 0, uninterrupted.stdout + uninterrupted.stderr
    ones, others = (find_runs([folder / "sweep"]).finished for folder in (torn, whole))
    assert [run.dir.name for run in ones] == [run.dir.name for run in others]
    for one, other in zip(ones, others, strict=True):
        assert timeless(one.record) == timeless(other.record)
        for array, expected in zip(one.predictions(), other.predictions(), strict=True):
            np.testing.assert_array_equal(array, expected)
    resumed = sum(len(run.record.resumed) for run in ones)
    with capsys.disabled():
        print(
            f"\n{len(victims)} kills ({victims.count('sweep')} of the sweep first), {resumed} "
            f"cells continued, {len(ones)} of {len(others)} cells equal bit for bit"
        )


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it has ended in this moment
        os.kill(pid, signal.SIGKILL)


def states(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.rglob("result.json"))]
