"""The process of a cell: whatever becomes of it, the sweep goes on and says the truth."""

import os
import signal
import tempfile
import time
from dataclasses import replace
from multiprocessing import forkserver, process
from typing import Any

import pytest

from fmnist.config.schema import config_hash
from fmnist.errors import CellFailed
from fmnist.runs.job import Job
from fmnist.runs.run import load_run
from fmnist.sweeps import process as cells
from fmnist.sweeps import server
from fmnist.sweeps.process import CellProcess, run_cell, start_cell, stopped_together, wait_for_one
from tests.records import a_record, an_epoch, put_record
from tests.sweeps import tasks

CONFIG: dict[str, Any] = {"logger": {}}


@pytest.fixture(scope="module", autouse=True)
def quick_servers():
    """Of these tests, which kill theirs: what cells import, no cell here needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "PRELOADED", [])
        patch.setattr(server, "prepare", lambda logger: [])
        yield
    kill_server()  # others have one that has imported everything


@pytest.fixture
def start(tmp_path):
    """`start(task, timeout=...)` starts a cell; none outlives the test."""
    begun: list[CellProcess] = []

    def begin(task, timeout=None) -> CellProcess:
        folder = tmp_path / str(len(begun))
        folder.mkdir()
        cell = start_cell(task, CONFIG, Job(folder, timeout=timeout))
        assert isinstance(cell, CellProcess)
        begun.append(cell)
        return cell

    yield begin
    for cell in begun:
        cell.terminate(signal.SIGKILL)


def end(cell, how=None):
    if how:
        (cell.job.dir / "how").write_text(how)
    assert wait_for_one([cell]) == [cell]
    return cell.result()


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def wait_for_file(cell, name):
    wait_until((cell.job.dir / name).exists)


def kill_server():
    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)


def test_a_cell_that_finished_ends_though_a_thread_of_it_stays(start):
    assert end(start(tasks.finishes_but_stays)) == 0.75


def test_a_hanging_cell_is_ended_when_its_time_is_up(start, monkeypatch):
    monkeypatch.setattr(cells, "GRACE", 0.1)
    other = start(tasks.waits)
    cell = start(tasks.hangs, timeout=1000)
    wait_for_file(cell, "began")
    cell.due = time.monotonic()
    assert wait_for_one([other, cell]) == [cell]
    with pytest.raises(CellFailed, match="timed out after 1000 s"):
        cell.result()
    record = load_run(cell.job.dir).record
    assert (record.status, record.error) == ("failed", "timed out after 1000 s")
    assert end(other, "finish") == 0.75


def test_slurm_is_not_waited_for_where_the_time_was_up(start, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setattr(cells, "PATIENCE", -1)  # which no sleep takes
    cell = start(tasks.waits, timeout=1000)
    wait_for_file(cell, "began")
    cell.due = time.monotonic()
    wait_for_one([cell])
    with pytest.raises(CellFailed, match="timed out after 1000 s"):
        cell.result()


def test_a_record_of_before_does_not_say_why_a_cell_failed(tmp_path):
    job, name = Job(tmp_path), config_hash(CONFIG)
    earlier = a_record("failed", [an_epoch()], error="interrupted", config_hash=name)
    put_record(tmp_path, earlier)
    with pytest.raises(CellFailed, match=r"^DataUnavailable: no such file$"):
        run_cell(tasks.has_no_data, CONFIG, job)
    record = load_run(tmp_path).record
    assert (record.error, record.epochs) == ("DataUnavailable: no such file", earlier.epochs)
    put_record(tmp_path, other := replace(earlier, config_hash="another's"))
    with pytest.raises(CellFailed, match=r"^DataUnavailable: no such file$"):
        run_cell(tasks.has_no_data, CONFIG, job)
    assert load_run(tmp_path).record == other


def test_a_cell_that_crashed_is_begun_again_as_often_as_it_may(tmp_path):
    folder = tmp_path / "once"
    folder.mkdir()
    assert run_cell(tasks.crashes_once, CONFIG, Job(folder, retries=1)) == 0.75
    folder = tmp_path / "never"
    folder.mkdir()
    with pytest.raises(CellFailed, match="killed by SIGKILL"):
        run_cell(tasks.crashes_once, CONFIG, Job(folder))


def test_what_a_cell_says_of_itself_would_come_again(tmp_path):
    with pytest.raises(CellFailed, match="the loss is nan"):
        run_cell(tasks.diverges, CONFIG, Job(tmp_path, retries=3))
    assert tasks.read(tmp_path / "times") == "x"


def test_a_cell_that_hangs_after_its_end_has_finished(start):
    cell = start(tasks.finishes_and_hangs, timeout=1000)
    wait_for_file(cell, "hangs")
    cell.due = time.monotonic()
    assert end(cell) == 0.75
    assert cell.timed_out
    assert load_run(cell.job.dir).record.status == "finished"


def test_cells_outlive_their_server_and_the_next_ones_have_another(start):
    first, second, third = (start(tasks.waits) for _ in range(3))
    for cell in (first, second, third):
        wait_for_file(cell, "began")
    kill_server()
    wait_until(lambda: first.process.exitcode is not None)  # what multiprocessing makes of it
    assert not first.has_ended()
    assert end(first, "finish") == 0.75
    with pytest.raises(CellFailed, match=r"^ValueError: its own mistake$"):
        end(second, "its own mistake")
    third.terminate(signal.SIGKILL)
    with pytest.raises(CellFailed, match="nobody knows how: the server that started it was killed"):
        end(third)
    assert load_run(third.job.dir).record.status == "failed"
    assert end(start(tasks.waits), "finish") == 0.75


def test_stopping_reaches_cells_whose_server_has_died(start):
    cell = start(tasks.waits)
    wait_for_file(cell, "began")
    kill_server()
    wait_until(lambda: cell.process.exitcode is not None)
    with pytest.raises(SystemExit), stopped_together([cell]):
        raise SystemExit(143)
    assert cell.has_ended()


@pytest.mark.parametrize("terminal", [True, False])
def test_an_interrupt_that_is_passed_on_counts_once(start, terminal):
    cell = start(tasks.counts_interrupts)
    wait_for_file(cell, "began")
    for count in ("1", "2"):
        if terminal:  # it interrupts every process
            os.kill(cell.process.pid, signal.SIGINT)
        cell.interrupt()
        wait_until(lambda count=count: tasks.read(cell.job.dir / "interrupts") == count)
        time.sleep(0.5)
        assert tasks.read(cell.job.dir / "interrupts") == count
    wait_for_one([cell])


def test_a_temporary_folder_with_a_long_name(start, tmp_path, monkeypatch):
    long = tmp_path / ("long" * 30)
    long.mkdir()
    end(start(tasks.waits), "finish")
    kill_server()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.delitem(process.current_process()._config, "tempdir")  # as in a new process
    assert end(start(tasks.waits), "finish") == 0.75
    assert tempfile.gettempdir() == str(long)
