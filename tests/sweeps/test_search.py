"""A search by Optuna: it is stopped, goes on, and counts its trials in all."""

import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from fmnist.errors import CellFailed, ConfigError
from fmnist.runs.find import find_runs
from fmnist.runs.lock import locked
from fmnist.runs.manifest import Cell
from fmnist.sweeps.launch import error_of
from hydra_plugins.fmnist_launchers import _result
from hydra_plugins.fmnist_search import LOCK, SearchSweeper
from tests.conftest import CHECKOUT, TINY, here, once
from tests.records import A_SEARCH
from tests.stopping import holding

pytest.importorskip("optuna", reason="the search needs pip install 'fmnist[optuna]'")
# Of one seed and without a verdict, as far as nothing else is said.
SEARCH = [
    "fmnist.train", "search=lenet5", "hydra.sweep.dir=search", "hydra.sweeper.seeds=1",
    "hydra.sweeper.confirm=0", "hydra.sweeper.pruner=null", *TINY,
]  # fmt: skip


def trials(folder):
    import optuna

    return optuna.load_study(
        study_name="search", storage=f"sqlite:///{folder}/search/study.db"
    ).trials


@pytest.mark.long
def test_a_killed_search_goes_on_with_the_trial_that_was_running(tmp_path):
    search = [*SEARCH, "trainer.max_epochs=2", *holding("go")]
    process = subprocess.Popen(
        [sys.executable, "-m", *once(*search, "hydra.sweeper.n_trials=1")], cwd=tmp_path,
        stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 100
        while not list(tmp_path.glob("search/*/checkpoints/last.ckpt")):
            assert time.monotonic() < deadline, "no epoch passed in time"
            assert process.poll() is None
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (killed,) = trials(tmp_path)
    assert killed.state.name == "RUNNING"
    (tmp_path / "go").touch()

    done = here(*search, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2, of which 0 ended before" in done.stdout
    ended = [trial for trial in trials(tmp_path) if trial.state.name == "COMPLETE"]
    assert ended[0].params == killed.params
    assert len(ended) == 2
    best = max(ended, key=lambda trial: trial.value)
    accuracies = {
        run.record.metrics["val/acc_best"] for run in find_runs([tmp_path / "search"]).finished
    }
    assert {trial.value for trial in ended} == accuracies
    assert f"the best: val acc {best.value:.4f}" in done.stdout

    again = here(*search, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    assert again.returncode == 0
    assert "2, of which 2 ended before" in again.stdout
    assert len(trials(tmp_path)) == len(ended) + 1  # and the killed one


def searched(*texts):
    from hydra_plugins.fmnist_search.space import search_space

    return search_space(texts)


def test_the_words_of_hydra_s_grammar_are_the_distributions_of_optuna():
    from optuna.distributions import CategoricalDistribution as Choice
    from optuna.distributions import FloatDistribution as Float
    from optuna.distributions import IntDistribution as Int

    space, fixed = searched(
        "optim.lr=tag(log,interval(1e-4,1e-2))", "model.dropout=interval(0.0,0.6)",
        "data.batch_size=int(interval(16,64))", "a=int(tag(log,interval(1,100)))", "optim=sgd,adam",
        "scheduler=choice(none,step)", "b=range(1,4)", "c=range(5,0,-2)", "d=range(0.5,2,0.5)",
        "e=shuffle(range(3))", "seed=3", "+trainer.limit_train_batches=1", "~optim.momentum",
        "+optim.eps=interval(0,1)", "f=1", "+f=interval(0,1)", "+g=interval(0,1)", "g=2",
    )  # fmt: skip
    assert sorted(space.pop("e").choices) == [0, 1, 2]
    assert space == {
        "optim.lr": Float(1e-4, 1e-2, log=True), "model.dropout": Float(0.0, 0.6),
        "data.batch_size": Int(16, 64), "a": Int(1, 100, log=True),
        "optim": Choice(["sgd", "adam"]), "scheduler": Choice(["none", "step"]),
        "b": Int(1, 3), "c": Int(1, 5, step=2),
        "d": Float(0.5, 1.5, step=0.5),
        "+optim.eps": Float(0, 1), "+f": Float(0, 1),  # as a cell takes what is not there yet
    }  # fmt: skip
    assert fixed == ["seed=3", "+trainer.limit_train_batches=1", "~optim.momentum", "g=2"]


def test_what_the_command_line_says_of_a_setting_replaces_what_the_space_says():
    space, fixed = searched("a=interval(0,1)", "b=interval(0,1)", "a=3", "c=1", "c=interval(2,3)")
    assert (list(space), fixed) == (["b", "c"], ["a=3"])


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a=interval(2.0,1.0)"], "a=interval(2.0,1.0): "),
        (["a=tag(log,interval(0.0,1.0))"], "a=tag(log,interval(0.0,1.0)): "),
        (["a=range(1,1)"], "a=range(1,1): no value"),
        (["a=1"], "nothing to search"),
    ],
)
def test_a_space_from_which_nothing_can_be_drawn_is_refused_in_one_line(texts, words):
    with pytest.raises(ConfigError, match=re.escape(words)) as raised:
        searched(*texts)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("hydra.sweeper.n_trials=0", "hydra.sweeper.n_trials=0: should be at least 1"),
        ("hydra.sweeper.n_jobs=two", "hydra.sweeper.n_jobs=two: should be a whole number"),
        ("hydra.sweeper.direction=up", "direction"),
        ("data.select_on=test", "a search chooses by validation, which the test set would then be"),
        ("hydra.sweeper.exclude=[{optim: sgd}]", "hydra.sweeper.exclude: of a grid's combinations"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_a_trial(setting, words, tmp_path):
    done = here(*SEARCH, setting, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(("error: hydra.sweeper.", "error: data.select_on="))
    assert words in line
    assert not list(tmp_path.glob("search/*/result.json"))


def test_a_study_of_an_optuna_that_this_one_cannot_read_is_refused_in_one_line(tmp_path):
    import optuna

    storage = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(storage=storage, study_name="search")
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    database.close()
    sweeper = SearchSweeper(**A_SEARCH | {"storage": storage})
    sweeper.sampler = {"_target_": "optuna.samplers.RandomSampler"}
    for content in (None, b"no database"):  # a file of somebody else's, too
        if content:
            (tmp_path / "study.db").write_bytes(content)
        with pytest.raises(ConfigError, match=r"hydra\.sweeper\.storage=sqlite") as raised:
            sweeper._study()
        assert len(str(raised.value).splitlines()) == 1


class Job:
    """What a launcher returns of a job."""

    def __init__(self, value):
        self.value = value

    @property
    def return_value(self):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def test_two_trials_at_a_time_and_none_that_failed_has_a_value(monkeypatch):
    import optuna

    from hydra_plugins.fmnist_search.space import search_space
    from hydra_plugins.fmnist_search.study import take_up

    study = optuna.create_study(direction="maximize")
    sweeper = SearchSweeper(**A_SEARCH | {"n_trials": 5, "n_jobs": 2})
    returned = iter([0.5, CellFailed("it did"), 0.75, math.nan, None])
    batches = []

    def launch(cells, ended, planned):
        batches.append((cells, ended))
        return [Job(next(returned)) for _ in cells]

    monkeypatch.setattr(sweeper, "plan", lambda cells: [])
    monkeypatch.setattr(sweeper, "_launch", launch)
    space, fixed = search_space(["a=interval(0.0,1.0)", "seed=3"])
    ended = 0
    while ended < sweeper.n_trials:
        sweeper._batch(study, space, fixed, ended)
        ended = take_up(study)
    assert [(len(cells), before) for cells, before in batches] == [(2, 0), (2, 2), (1, 4)]
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "FAIL", "COMPLETE", "FAIL", "FAIL"]
    assert [cell for cells, _ in batches for cell in cells] == [
        [f"a={trial.params['a']}", "seed=3"] for trial in study.trials
    ]
    assert take_up(study) == 5


@pytest.fixture
def search(tmp_path, monkeypatch):
    """`search(*texts, n_trials=2, ...)` searches a folder without training; the study's trials.

    Args:
        launch: in the place of the launcher: from cells to values, of some or of all.
        plan: raises ConfigError where a cell is refused.
    """

    def run(*texts, launch=lambda cells: [0.5] * len(cells), plan=lambda cells: [], **settings):
        storage = f"sqlite:///{tmp_path}/study.db"
        sweeper = SearchSweeper(**A_SEARCH | {"storage": storage} | settings)
        sweeper.sampler = {"_target_": "optuna.samplers.RandomSampler"}
        sweeper.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
        monkeypatch.setattr(sweeper, "load", lambda cell: OmegaConf.create({"a_setting": cell}))
        monkeypatch.setattr(sweeper, "plan", plan)
        monkeypatch.setattr(
            sweeper,
            "_launch",
            lambda cells, *_: [
                value if isinstance(value, JobReturn) else Job(value) for value in launch(cells)
            ],
        )
        sweeper._search("", *searched(*texts))
        return sweeper._study().trials

    return run


@pytest.mark.parametrize(
    ("texts", "settings", "words"),
    [
        ([], {"seeds": 3}, "holds a search with hydra.sweeper.seeds=1, whose trials"),
        ([], {"direction": "minimize"}, "a search with hydra.sweeper.direction=maximize, whose"),
        (["c=2"], {}, "holds a search with another configuration, whose trials"),
        (["a=choice(x,y)"], {}, "holds a search with another space, whose trials"),
        (["b=interval(0.0,2.0)"], {"seeds": 2}, "another space and hydra.sweeper.seeds=1, whose"),
    ],
)
def test_trials_of_another_kind_are_not_gone_on_with(search, texts, settings, words):
    space = ["a=choice(x,y,z)", "b=interval(0.0,1.0)", "c=1"]
    search(*space)
    with pytest.raises(ConfigError, match=re.escape(words)) as raised:
        search(*space, *texts, n_trials=2, **settings)
    assert len(str(raised.value).splitlines()) == 1
    assert len(search(*space, n_trials=2, n_jobs=2)) == 2


def test_a_study_of_before_is_taken_as_it_is(search, tmp_path):
    search("a=interval(0.0,1.0)")
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("DELETE FROM study_user_attributes")
    database.close()
    assert len(search("a=interval(0.0,1.0)", "c=2", n_trials=2)) == 2
    with pytest.raises(ConfigError, match="another configuration"):
        search("a=interval(0.0,1.0)", "c=3", n_trials=3)


def test_equal_trials_run_once(search):
    batches = []

    def launch(cells):
        batches.append(cells)
        return [0.5] * len(cells)

    done = search("a=choice(x)", n_trials=2, n_jobs=2, launch=launch)
    assert batches == [[["a=x"]]]
    assert [(trial.state.name, trial.value) for trial in done] == [("COMPLETE", 0.5)] * 2


def test_trials_that_a_failure_kept_from_beginning_are_asked_for_again(search):
    space, failure = "a=interval(0.0,1.0)", CellFailed("it did")
    with pytest.raises(SystemExit):  # two trials, of which the first fails
        search(space, n_trials=2, n_jobs=2, stop_on_failure=True, launch=lambda cells: [failure])
    failed, left, again = search(space, n_trials=2)
    assert [trial.state.name for trial in (failed, left, again)] == ["FAIL", "FAIL", "COMPLETE"]
    assert again.params == left.params


def test_trials_that_a_launcher_cancelled_are_asked_for_again(search):
    class Failed(Exception):
        pass

    class Cancelled(Failed):
        pass

    def get(error):
        raise error

    errors = SimpleNamespace(RayError=Failed, TaskCancelledError=Cancelled)
    ray = SimpleNamespace(get=get, exceptions=errors)
    jobs = [_result(error, ray) for error in (Failed("a node is lost"), Cancelled())]
    with pytest.raises(SystemExit):
        search(
            "a=interval(0.0,1.0)", n_trials=2, n_jobs=2, stop_on_failure=True,
            launch=lambda cells: jobs,
        )  # fmt: skip
    _, left, again = search("a=interval(0.0,1.0)", n_trials=2)
    assert again.params == left.params
    assert again.state.name == "COMPLETE"
    assert [error_of(job) for job in jobs] == ["a node is lost", None]


def test_a_trial_whose_configuration_is_refused_fails_and_the_search_goes_on(search, caplog):
    batches = []

    def plan(cells):
        if cells[0][0] == "a=x":
            raise ConfigError(f"a=x: should be y (in the cell {cells[0]})")
        return [Cell("y", cells[0])]

    def launch(cells):
        batches.append(cells)
        return [0.5] * len(cells)

    done = search("a=choice(x,y)", "b=1", n_trials=9, n_jobs=3, seeds=2, launch=launch, plan=plan)
    states = {(trial.params["a"], trial.state.name) for trial in done}
    assert states == {("x", "FAIL"), ("y", "COMPLETE")}
    assert {cell[0] for cells in batches for cell in cells} == {"a=y"}
    assert caplog.text.count("failed    a=x: should be y") == sum(t.value is None for t in done)


def test_a_setting_of_all_trials_that_is_wrong_ends_the_search(search):
    def plan(cells):
        raise ConfigError("b=1: should be 2")

    with pytest.raises(ConfigError, match="b=1: should be 2"):
        search("a=choice(x,y)", "b=1", plan=plan)


def test_two_processes_never_search_one_folder(tmp_path):
    with locked(tmp_path / "search", name=LOCK):
        done = here(*SEARCH, cwd=tmp_path)
    assert done.returncode == 75, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line == f"error: {tmp_path}/search: another process is searching there"
    assert not list(tmp_path.glob("search/*.db"))


def test_trials_that_were_running_are_asked_for_again_and_count_once():
    import optuna

    from hydra_plugins.fmnist_search.space import search_space
    from hydra_plugins.fmnist_search.study import take_up

    study = optuna.create_study()
    space, _ = search_space(["a=interval(0.0,1.0)"])
    study.tell(study.ask(space), 0.5)
    stopped = [study.ask(space).params for _ in range(2)]
    assert take_up(study) == 1
    assert take_up(study) == 1
    again = [study.ask(space) for _ in range(2)]
    assert [trial.params for trial in again] == stopped
    for trial in again:
        study.tell(trial, 0.5)
    assert take_up(study) == 3


def test_failed_trials_count_and_end_no_search(tmp_path):
    failing = [*SEARCH, "optim=sgd", "optim.lr=1e30"]  # a fixed value leaves the space
    done = here(*failing, "hydra.sweeper.n_trials=2", cwd=tmp_path)
    assert done.returncode == 1
    assert "no trial has a result" in done.stdout + done.stderr
    assert [trial.state.name for trial in trials(tmp_path)] == ["FAIL", "FAIL"]
    records = [json.loads(path.read_text()) for path in tmp_path.glob("search/*/result.json")]
    assert {record["status"] for record in records} == {"failed"}
    assert "Traceback" not in done.stderr


def test_trials_that_are_refused_before_they_begin_say_why(tmp_path):
    typed = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.confirm=0", "hydra.sweep.dir=search"]
    space = ["model.pooling=avg,max", "data.size=8", "hydra.sweeper.n_trials=2"]
    done = here("fmnist.train", *TINY, *typed, *space, cwd=tmp_path)
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert len(re.findall(r"failed pooling=(avg|max) ConfigError: model: ", said)) == 2
    assert "no trial has a result: 2 failed" in said
    # The folders have the names that the list of cells says.
    cells = json.loads((tmp_path / "search/sweep.json").read_text())["cells"]
    assert {cell["dir"] for cell in cells} == {p.parent.name for p in tmp_path.glob("*/*/*.log")}


def test_the_end_of_a_search_says_how_many_trials_failed(search, caplog):
    caplog.set_level("INFO")
    values = iter([CellFailed("it did"), 0.5, CellFailed("it did")])
    search("a=interval(0.0,1.0)", n_trials=3, launch=lambda cells: [next(values) for _ in cells])
    assert "1 trial with a result, 2 failed; the best: val acc 0.5000" in caplog.text


def test_without_optuna_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = here(*SEARCH, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: hydra/sweeper=optuna: Optuna is not installed: pip install 'fmnist[optuna]'"
    ]
