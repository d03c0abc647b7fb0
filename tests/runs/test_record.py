"""The record: what comes back is what was written, and who else may look at it."""

import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from fmnist.errors import RunBusy, RunError
from fmnist.runs.before import remove_untouched
from fmnist.runs.find import find_runs
from fmnist.runs.lock import is_locked, locked
from fmnist.runs.manifest import Cell, Manifest, manifest_json, read_manifest
from fmnist.runs.record import COLUMNS, SCHEMA, Epoch, Record, Resumption, read_record, record_json
from fmnist.runs.recording import start_run
from fmnist.runs.run import Run, load_run
from fmnist.sweeps.plan import write_manifest
from tests.conftest import CHECKOUT
from tests.records import CONFIG, a_record, an_epoch, plain, put_record

ROW = dict.fromkeys(COLUMNS, 0.5) | {"epoch": 0, "step": 3}


def full() -> Record:
    """A record in which nothing is left out."""
    return replace(
        a_record(epochs=[an_epoch(0), an_epoch(1, extra={"mine/x": 1.5, "mine/y": None})]),
        group="sweep", command="python", channels_last=False, devices=2, git_commit="a" * 40,
        git_dirty=False, versions={"torch": "2"}, code={"own.Net": "0"},
        resumed=[Resumption("now", 1, None)], tested_at=5.0, first_step_at=4.0, error="e",
        traceback="t", cut_short="max_time",
        dashboard_error="d", tags=["S2"], origin="elsewhere", others={"colour": ["red", 1]},
    )  # fmt: skip


@pytest.mark.parametrize("record", [full(), a_record(), a_record("running"), a_record("failed")])
def test_what_is_read_is_what_was_written(record, tmp_path):
    assert load_run(put_record(tmp_path, record)).record == record


def test_the_names_in_the_file_are_those_of_the_metrics():
    values = plain(full())
    assert values["schema"] == SCHEMA
    assert set(values["epochs"][0]) == set(COLUMNS)
    assert values["epochs"][1]["mine/x"] == 1.5
    assert values["epochs"][1]["mine/y"] is None
    assert values["colour"] == ["red", 1]
    assert "group" not in plain(a_record())  # what is not known is left out
    json.dumps(values, allow_nan=False)


def test_a_record_of_the_first_schema_is_read():
    record = read_record(CHECKOUT / "results" / "first_run.json")
    assert record.metrics["test/acc"] == 0.89
    assert record.group is None
    assert record.best_epoch == len(record.epochs) - 1 == 9


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_never_written(value, tmp_path):
    run = Run(tmp_path, a_record("running"))
    run.write(run.record)
    before = (tmp_path / "result.json").read_bytes()
    with pytest.raises(RunError, match=r"metrics.test/loss is"):
        run.write(replace(run.record, metrics={"test/loss": value}))
    assert (tmp_path / "result.json").read_bytes() == before
    assert run.record.metrics == {}  # so that "failed" can still be written
    with pytest.raises(RunError, match="val/loss"):
        Epoch.of(ROW | {"val/loss": value})
    assert Epoch.of(ROW | {"mine/x": value}).extra == {"mine/x": None}


def test_an_epoch_is_what_was_logged():
    row = Epoch.of(ROW | {"mine/x": 2.0})
    assert row.metrics() == ROW | {"mine/x": 2.0}
    with pytest.raises(RunError, match="has no val/acc"):
        Epoch.of({name: value for name, value in ROW.items() if name != "val/acc"})


def test_a_list_of_cells_is_what_was_written(tmp_path):
    manifest = Manifest([Cell("a", ["seed=0"], "x", "y"), Cell("b/c", [], "z", "y")], "today")
    (tmp_path / "sweep.json").write_bytes(manifest_json(manifest))
    assert read_manifest(tmp_path / "sweep.json") == manifest


def test_a_run_of_a_newer_version_is_not_trained_over(tmp_path):
    values = plain(a_record("running")) | {"schema": SCHEMA + 1}
    (tmp_path / "result.json").write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"newer fmnist \(schema 3 > 2\)"):
        start_run(tmp_path, a_record("running"))
    assert json.loads((tmp_path / "result.json").read_text()) == values


def test_a_damaged_record_is_put_aside_when_its_run_is_made_anew(tmp_path):
    (tmp_path / "result.json").write_text("{")
    start_run(tmp_path, a_record("running"))
    assert load_run(tmp_path).status == "killed"
    assert (tmp_path / "result.json.damaged").read_text() == "{"


def test_what_a_run_has_done_stays_when_it_goes_on(tmp_path):
    facts = {"device": "cpu (a processor)", "threads": 2}
    put_record(tmp_path, a_record("failed", [an_epoch(0), an_epoch(1)], error="killed", **facts))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    record = start_run(tmp_path, a_record("running", started="later")).record
    assert (record.status, record.started, record.error) == (
        "running", "2026-01-01T00:00:00+00:00", None,
    )  # fmt: skip
    (again,) = record.resumed
    assert (again.epochs, again.device, again.threads) == (2, *facts.values())
    assert len(record.epochs) == 2


# --- finding -------------------------------------------------------------------------------------


def test_a_run_from_before_a_default_was_changed_is_another_run(tmp_path):
    def of(width: float, root: str = "data"):
        config = CONFIG | {"model": {"width": width}, "data": {"root": root}}
        return a_record("running", config=config)

    put_record(tmp_path, of(8))
    start_run(tmp_path, of(8.0, root="elsewhere"))  # the same
    put_record(tmp_path, of(8))
    with pytest.raises(RunError, match=r"with model\.width=8, not 16: its default has changed"):
        start_run(tmp_path, of(16))  # with the same hash


def names(*paths: Path) -> list[str]:
    return [run.dir.name for run in find_runs(paths).runs]


def test_runs_behind_symbolic_links_are_found_once_and_loops_end(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    for name in ("a", "b", "c"):
        put_record(elsewhere / name, a_record())
    here = tmp_path / "here"
    (here / "run").mkdir(parents=True)
    (here / "cell").symlink_to(elsewhere / "a", target_is_directory=True)
    (here / "again").symlink_to(elsewhere / "a", target_is_directory=True)
    (here / "run" / "result.json").symlink_to(elsewhere / "b" / "result.json")
    (here / "loop").symlink_to(here, target_is_directory=True)
    (here / "self").symlink_to("self")
    assert names(here) == ["a", "b"]
    assert names(here, elsewhere) == ["a", "b", "c"]
    (tmp_path / "link").symlink_to(elsewhere, target_is_directory=True)
    assert names(tmp_path / "link") == ["a", "b", "c"]
    assert names(tmp_path) == ["a", "b", "c"]


def test_a_record_that_is_a_link_into_a_store_belongs_to_the_folder_of_the_link(tmp_path):
    put_record(tmp_path / "store", a_record())
    (tmp_path / "store" / "result.json").rename(tmp_path / "store" / "3f2a")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").symlink_to("../store/3f2a")
    assert names(tmp_path) == ["run"]


def test_cells_of_a_sweep_may_be_links(tmp_path):
    for name in ("a", "old"):
        put_record(tmp_path / "disk" / name, a_record())
    sweep = tmp_path / "sweep"
    write_manifest(sweep, [Cell("a", [], "x", "s"), Cell("absent", ["seed=1"], "y", "s")])
    (sweep / "a").symlink_to(tmp_path / "disk" / "a", target_is_directory=True)
    put_record(sweep / "earlier", a_record())  # not listed: of an earlier configuration
    found = find_runs([sweep])
    assert [run.dir.name for run in found.runs] == ["a"]
    assert [(path.name, overrides) for path, overrides in found.missing] == [("absent", ["seed=1"])]


# --- locks ---------------------------------------------------------------------------------------

NOBODY = 65534


def as_nobody(code: str, *arguments: object) -> str:
    """What a program of a user prints who owns nothing here."""
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    # First: Python itself may lie where nobody else may look.
    imports = (
        "import fcntl, os, sys\n"
        "from pathlib import Path\n"
        "from fmnist.errors import RunError\n"
        "from fmnist.runs.manifest import Cell\n"
        "from fmnist.runs.lock import locked\n"
        "from fmnist.runs.run import load_run\n"
        "from fmnist.sweeps.plan import write_manifest\n"
    )
    program = f"{imports}os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], cwd=CHECKOUT, text=True,
        capture_output=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def shared():
    """A running run in a folder that others may read, and not write."""
    with tempfile.TemporaryDirectory() as name:  # pytest keeps its own from others
        Path(name).chmod(0o755)
        folder = put_record(Path(name, "run"), a_record("running"))
        folder.chmod(0o755)
        (folder / "result.json").chmod(0o644)
        yield folder


STATUS = "print(load_run(sys.argv[1]).status)"


def test_a_lock_that_one_may_only_read_says_whether_a_run_lives(shared):
    with locked(shared):
        (shared / ".lock").chmod(0o644)
        assert as_nobody(STATUS, shared) == "running"
    assert as_nobody(STATUS, shared) == "killed"


def test_a_lock_that_one_may_not_read_says_nothing(shared):
    with locked(shared):
        (shared / ".lock").chmod(0o600)
        assert as_nobody(STATUS, shared) == "unknown"
    assert as_nobody(STATUS, shared) == "unknown"


def test_training_where_one_may_not_write_is_one_line(shared):
    code = (
        "folder, cells = Path(sys.argv[1]), [Cell('run', [], 'x', 's')]\n"
        "def attempt(): \n"
        "    with locked(folder): pass\n"
        "for action in (attempt, lambda: write_manifest(folder.parent, cells)):\n"
        "    try: action()\n"
        "    except RunError as error: print(error)\n"
    )
    with locked(shared):
        (shared / ".lock").chmod(0o644)
    lines = as_nobody(code, shared).splitlines()
    assert [line.partition(": ")[2].split(";")[0] for line in lines] == [
        "cannot be written: Permission denied"
    ] * 2


def test_a_sweep_that_is_listed_already_is_not_written_again(tmp_path):
    cells = [Cell("a", ["seed=0"], "x", "s"), Cell("b", ["seed=1"], "y", "s")]
    write_manifest(tmp_path, cells)
    before = (tmp_path / "sweep.json").stat().st_mtime_ns, (tmp_path / "sweep.json").read_bytes()
    write_manifest(tmp_path, cells[:1])
    assert before == (
        (tmp_path / "sweep.json").stat().st_mtime_ns, (tmp_path / "sweep.json").read_bytes()
    )  # fmt: skip


def test_looking_at_a_lock_neither_takes_nor_makes_it(tmp_path):
    assert is_locked(tmp_path) is False
    assert not (tmp_path / ".lock").exists()
    with locked(tmp_path):
        assert is_locked(tmp_path) is True
        with pytest.raises(RunBusy), locked(tmp_path):
            pass
    assert is_locked(tmp_path) is False
    (tmp_path / ".lock").unlink()
    os.mkfifo(tmp_path / ".lock")
    assert is_locked(tmp_path) is None


def test_a_running_record_whose_lock_is_no_lock_is_unknown(tmp_path):
    put_record(tmp_path, a_record("running"))
    (tmp_path / ".lock").mkdir()
    assert load_run(tmp_path).status == "unknown"


def test_the_horizon_is_what_a_run_may_train_or_else_what_it_did():
    for most, horizon in ((4, 4), (None, 2), (-1, 2)):
        config = CONFIG | {"trainer": {"max_epochs": most}}
        assert a_record(config=config, epochs=[an_epoch(0), an_epoch(1)]).horizon == horizon


def test_a_record_is_strict_json_for_every_reader():
    def no_constant(name: str) -> None:
        raise AssertionError(name)

    json.loads(record_json(full()), parse_constant=no_constant)


def test_a_command_that_came_too_late_leaves_the_folder_to_who_trains_there(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with locked(run_dir):  # it reads its data, and has no record yet
        (run_dir / "train.log").touch()
        remove_untouched(run_dir, "train.log")
        assert (run_dir / "train.log").exists()
        assert is_locked(run_dir)
    remove_untouched(run_dir, "train.log")
    assert not run_dir.exists()
