"""A sweep that is killed again and again ends as if nothing had happened."""

import random
import time
from pathlib import Path

import pytest

from tests.sweeps.test_sweep import in_sweep, records, started, timeless, wait_until


@pytest.mark.long
def test_twelve_cells_killed_ten_times_end_as_if_nothing_had_happened(tmp_path):
    arguments = (
        "optim=sgd,adam,rmsprop", "seed=0,1,2,3", "trainer.max_epochs=3", "model.dropout=0.3",
        "scheduler=plateau", "aug=on",
    )  # fmt: skip
    torn, whole = tmp_path / "torn", tmp_path / "whole"
    torn.mkdir(), whole.mkdir()
    chance = random.Random(0)
    for _ in range(10):
        process = started(*arguments, cwd=torn)
        before = states(torn)
        wait_until(lambda seen=before: states(torn) != seen, process)
        time.sleep(chance.uniform(0, 0.7))
        process.kill()
        process.communicate()
    last = in_sweep(*arguments, cwd=torn)
    assert last.returncode == 0, last.stdout + last.stderr
    uninterrupted = in_sweep(*arguments, cwd=whole)
    assert uninterrupted.returncode == 0
    pairs = [records(folder) for folder in (torn, whole)]
    assert [len(found) for found in pairs] == [12, 12]
    for one, other in zip(*pairs, strict=True):
        assert timeless(one) == timeless(other)


def states(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.rglob("result.json"))]
