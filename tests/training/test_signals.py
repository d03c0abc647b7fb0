"""A run that is stopped from outside says so, in its record and in its exit code."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from fmnist.runs.run import load_run
from tests.conftest import CHECKOUT, TINY, once


def epochs_done(path):
    try:
        return len(json.loads(path.read_text()).get("epochs", []))
    except (OSError, ValueError):
        return 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_is_failed_and_not_finished(tmp_path, number, code):
    fixed = [word for word in TINY if not word.startswith("trainer.max_epochs")]
    arguments = [*fixed, "trainer.max_epochs=10000", "patience=null", "hydra.run.dir=run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fmnist.train", *once(*arguments)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    result = tmp_path / "run" / "result.json"
    try:
        deadline = time.monotonic() + 100
        while epochs_done(result) < 2 and process.poll() is None:
            assert time.monotonic() < deadline, "two epochs did not pass in time"
            time.sleep(0.1)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, errors
    record = load_run(result.parent).record
    assert record.status == "failed"
    assert record.error == ("interrupted" if number == signal.SIGINT else "terminated")
    assert "Traceback" not in errors
    (line,) = errors.splitlines()  # how to go on
    assert line.startswith(f"{record.error}; to go on: cd {tmp_path} && ")
    assert line.endswith(f" hydra.run.dir={tmp_path}/run")
