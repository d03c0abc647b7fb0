"""How a machine is shared out among cells, and which cells there are."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from hydra.core.utils import JobReturn, JobStatus

from fmnist.config.arguments import ask_for_sweep
from fmnist.errors import ConfigError
from fmnist.process import machine
from fmnist.runs.job import Job
from fmnist.sweeps import process, share
from fmnist.sweeps.combine import combinations
from fmnist.sweeps.share import CellShare, share_out
from hydra_plugins.fmnist_launchers.machine import MachineLauncher


def config(**trainer):
    return {"trainer": {"accelerator": "auto", "devices": 1} | trainer, "logger": {}}


def shared(monkeypatch, cells, cores=8, gpus=(), most=None, per_gpu=1, env=None, **trainer):
    monkeypatch.setattr(share, "usable_cores", lambda: cores)
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)
    monkeypatch.setattr(share, "list_gpus", lambda logger, env: list(gpus))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return share_out(cells, config(**trainer), most, per_gpu, env or {})


def test_cells_fill_the_cores_and_share_out_the_threads(monkeypatch):
    assert shared(monkeypatch, 100) == CellShare(8, 1)
    assert shared(monkeypatch, 3) == CellShare(3, 2)
    assert shared(monkeypatch, 1) == CellShare(1)  # as a single run
    assert shared(monkeypatch, 100, most=2) == CellShare(2, 4)
    assert shared(monkeypatch, 100, most=1) == CellShare(1)  # basic
    assert shared(monkeypatch, 100, most=-1) == CellShare(8, 1)
    assert shared(monkeypatch, 100, devices=2) == CellShare(4, 1)
    assert shared(monkeypatch, 100, env={"OMP_NUM_THREADS": "4"}) == CellShare(2, 4)


def test_cells_are_dealt_to_the_gpus(monkeypatch):
    assert shared(monkeypatch, 100, gpus="01", accelerator="cpu") == CellShare(8, 1)
    assert shared(monkeypatch, 100, gpus="01", devices=2) == CellShare(1)
    found = shared(monkeypatch, 100, gpus="01", per_gpu=2)
    assert found == CellShare(4, 2, ("0", "1"))
    running = [SimpleNamespace(job=SimpleNamespace(env={"CUDA_VISIBLE_DEVICES": "0"}))]
    assert found.variables(running)["CUDA_VISIBLE_DEVICES"] == "1"
    # By its number a cell finds a GPU among all of them only.
    assert shared(monkeypatch, 100, gpus="01", per_gpu=2, devices=[1]) == CellShare(2, 4)


def test_the_gpus_that_a_variable_of_all_cells_names_are_those_that_are_dealt(monkeypatch):
    monkeypatch.setattr(share, "ask", lambda *_, **settings: ([4], 0))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert share.list_gpus({}, {}) == ["0", "1", "2", "3"]
    assert share.list_gpus({}, {"CUDA_VISIBLE_DEVICES": "2,3"}) == ["2", "3"]
    assert share.list_gpus({}, {"CUDA_VISIBLE_DEVICES": ""}) == []
    begun = []
    monkeypatch.setattr(process, "start_cell", lambda train, plain, job: begun.append(job.env))
    launcher = MachineLauncher()
    launcher.context, launcher.task = Mock(), None
    cell = Job(Path("x"), env={"CUDA_VISIBLE_DEVICES": "2,3", "OMP_NUM_THREADS": "4,1"})
    job = JobReturn(_return_value=({}, cell), status=JobStatus.COMPLETED)
    launcher._start(job, {}, {"CUDA_VISIBLE_DEVICES": "3", "OMP_NUM_THREADS": "4"})
    assert begun == [{"CUDA_VISIBLE_DEVICES": "3", "OMP_NUM_THREADS": "4,1"}]


def test_no_more_cells_than_the_memory_takes(monkeypatch):
    running = [SimpleNamespace(process=SimpleNamespace(pid=1))]
    free, taken = 1000 * 2**20, (100 * 2**20, 200 * 2**20)
    monkeypatch.setattr(share, "free_memory", lambda: free)
    monkeypatch.setattr(share, "memory_of", lambda pid: taken)
    mib = 2**20
    assert not CellShare(8).has_room(running)  # nothing is known: 600 of 1000 MiB will be taken
    assert CellShare(8, peak=500 * mib).has_room(running)
    assert not CellShare(8, peak=600 * mib).has_room(running)
    assert CellShare(8, peak=10**12).has_room([])  # one always
    assert not CellShare(1, peak=mib).has_room(running)


def test_the_memory_that_is_free_is_read():
    free = machine.free_memory()
    now, most = machine.memory_of(1)
    assert free is None or free > 0
    assert most >= now


def test_what_moves_together_and_what_is_left_out():
    texts = ["model=a,b", "optim=sgd,adam", "optim.lr=0.1,1e-2", "seed=3"]
    zipped = combinations(texts, [["model", "optim.lr"]])
    assert zipped == [
        ["model=a", "optim=sgd", "optim.lr=0.1", "seed=3"],
        ["model=a", "optim=adam", "optim.lr=0.1", "seed=3"],
        ["model=b", "optim=sgd", "optim.lr=0.01", "seed=3"],
        ["model=b", "optim=adam", "optim.lr=0.01", "seed=3"],
    ]
    without = combinations(
        texts, [["model", "optim.lr"]], [{"model": "a", "optim": "sgd"}, {"optim.lr": 0.01}]
    )
    assert without == [zipped[1]]
    # A level of a file, which the command line has narrowed.
    assert combinations(["a=1,2", "a=2,3"], (), [{"a": 1}]) == [["a=2"], ["a=3"]]


def test_levels_are_what_hydras_parser_says_they_are():
    assert combinations(["x=[1,2],[3]", "y='a,b',c", "z={k:1},{k:2}", "seed=1"])[:2] == [
        ["x=[1,2]", "y='a,b'", "z={k:1}", "seed=1"], ["x=[1,2]", "y='a,b'", "z={k:2}", "seed=1"],
    ]  # fmt: skip
    assert combinations(["seed=0,1", "a=1", "seed=5"]) == [["seed=5", "a=1"]]
    assert combinations(["~a", "b=choice(0.9)"]) == [["~a", "b=0.9"]]


@pytest.mark.parametrize(
    ("zipped", "excluded", "words"),
    [
        ([["a", "b"]], [], "should have equally many levels: a has 2, b has 3"),
        ([["a", "c"]], [], "hydra.sweeper.zip: c: no factor of this sweep; there are a, b"),
        ([], [{"d": 1}], "hydra.sweeper.exclude: d: no factor of this sweep"),
        ([], [{"a": 1, "b": 4}], "hydra.sweeper.exclude: b=4: no level of this sweep; there are"),
        ([], [{"a": 1}, {"a": 2}], "leaves no cell"),
    ],
)
def test_what_cannot_be_combined_is_one_line(zipped, excluded, words):
    with pytest.raises(ConfigError, match=words):
        combinations(["a=1,2", "b=1,2,3"], zipped, excluded)


def test_settings_of_swept_options_are_left_to_the_cells():
    words = ["-m", "optim.momentum=0.9", "experiment=s2_best,s2_worst", "trainer.max_epochs=2"]
    assert ask_for_sweep(words) == [
        "-m", "optim.momentum=choice(0.9)", "experiment=s2_best,s2_worst", "trainer.max_epochs=2",
    ]  # fmt: skip
    for same in (["optim.momentum=0.9", "optim=sgd"], ["-m", "optim.lr=0.9", "seed=1,2"]):
        assert ask_for_sweep(same) == same
