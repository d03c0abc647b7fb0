"""A run that is stopped from outside says so, in its record and in its exit code."""

import signal

import pytest

from fmnist.runs.run import load_run
from tests.conftest import TINY, command, here
from tests.stopping import stopping, stopping_early


@pytest.mark.parametrize(
    ("start", "number", "code"), [(command, signal.SIGINT, 130), (here, signal.SIGTERM, 143)]
)
def test_a_stopped_run_is_failed_and_not_finished(tmp_path, start, number, code):
    fixed = [word for word in TINY if not word.startswith("trainer.max_epochs")]
    arguments = [*fixed, *stopping(number, 0, folder=tmp_path), "hydra.run.dir=run"]
    done = start("fmnist.train", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    record = load_run(tmp_path / "run").record
    assert record.status == "failed"
    assert record.error == ("interrupted" if number == signal.SIGINT else "terminated")
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()  # how to go on
    assert line.startswith(f"{record.error}; to go on: cd {tmp_path} && ")
    assert line.endswith(f" hydra.run.dir={tmp_path}/run")


def test_a_run_that_is_terminated_before_it_trains_says_so_as_well(tmp_path):
    done = here("fmnist.train", *TINY, *stopping_early(0), "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 143, done.stderr
    record = load_run(tmp_path / "run").record
    assert (record.status, record.error) == ("failed", "terminated")
    assert done.stderr.startswith("terminated; to go on: cd ")
