"""A command says everything once; a file that is not what it should be is named with its cure."""

import os
from pathlib import Path
from unittest.mock import Mock

import pytest
from hydra import compose, initialize_config_dir

from fmnist.config.arguments import order_arguments
from fmnist.config.command import check_command, check_overrides
from fmnist.config.compose import compose_run
from fmnist.config.explain import explain
from fmnist.config.schema import CONF_DIR
from fmnist.errors import ConfigError
from fmnist.runs.before import CheckBeforeRun
from fmnist.sweeps.cells import sweep_of
from tests.conftest import TINY, composed, here

# A file of a group, and what a command that names it is answered.
FILES = {
    "model/list": ("- a\n- b", "model/list: a list stands where key: value should"),
    "model/empty": (
        "",
        "model: has no _target_, the dotted name of what it describes; an option of the group has "
        "one: conf/model/",
    ),
    "model/no_target": (
        "dropout: 0.1",
        "model: has no _target_, the dotted name of what it describes; an option of the group has "
        "one: conf/model/",
    ),
    "model/text": (
        "a net",
        "model: has no _target_, the dotted name of what it describes; an option of the group has "
        "one: conf/model/",
    ),
    "experiment/list": (
        "# @package _global_\n- a",
        "experiment/list: a list stands where key: value should",
    ),
    "experiment/empty": (
        "",
        "experiment/empty: should begin with the line # @package _global_ and then set something",
    ),
    "experiment/no_package": (
        "optim:\n  lr: 1",
        "experiment/no_package: should begin with the line # @package _global_ and then set "
        "something",
    ),
    "experiment/two": (
        "# @package _global_\ndefaults:\n  - override /optim: [adam, sgd]",
        "optim: has no option, or several of them: should be one",
    ),
    "ablation/parms": (
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    parms:\n      seed: 0,1",
        "hydra.sweeper.parms: no such setting; did you mean hydra.sweeper.params?",
    ),
    "ablation/sweper": (
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweper:\n    params:\n      seed: 0,1",
        "In 'ablation/sweper': hydra.sweper: no such setting; did you mean hydra.sweeper?",
    ),
    "ablation/mode": (
        "# @package _global_\nhydra:\n  mode: MULTIRU",
        "In 'ablation/mode': hydra.mode=MULTIRU: Invalid value 'MULTIRU', expected one of [RUN, "
        "MULTIRUN]",
    ),
    "ablation/no_mode": (
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      seed: 0,1",
        "ablation=no_mode: varies seed, but this is a single run: hydra.mode=MULTIRUN makes it a "
        "sweep",
    ),
    "ablation/nothing": (
        "# @package _global_\nhydra:\n  mode: MULTIRUN",
        "ablation=nothing: varies nothing: hydra.sweeper.params should have its factors",
    ),
    "ablation/levels": (
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
        "      seed: [0, 1]",
        "hydra.sweeper.params.seed=[0, 1]: should be its levels as text: 0,1",
    ),
    "ablation/top": (
        "# @package _global_\nparams:\n  seed: 0,1",
        "In 'ablation/top': params: no such setting",
    ),
}


def answered(*overrides: str) -> str | None:
    """The line that answers a command that cannot be carried out; None for one that can."""
    try:
        with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
            check_command(compose("config", list(overrides), return_hydra_config=True))
        composed(*overrides)
    except Exception as error:
        line = explain(error, list(overrides))
        assert line is not None
        assert "\n" not in line
        return line
    return None


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_group_that_is_not_what_it_should_be(name: str, tmp_path: Path) -> None:
    content, line = FILES[name]
    group, _, option = name.partition("/")
    (tmp_path / group).mkdir()
    (tmp_path / f"{name}.yaml").write_text(content)
    assert answered(f"hydra.searchpath=['file://{tmp_path}']", f"{group}={option}") == line


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ("model=null optim=sgd", "model=null: should be the name of an option"),
        ("optim=5e-4 patience=3", "optim=5e-4: should be the name of an option"),
        ("experiment=null", "experiment=null: should be the name of an option, or be left out"),
        (
            "+experiment=s2_best",
            "+experiment=s2_best: should be experiment=s2_best: without a plus, as it is there "
            "already",
        ),
        (
            "+model=lenet5",
            "+model=lenet5: should be model=lenet5: without a plus, as it is there already",
        ),
        (
            "++model=lenet5",
            "++model=lenet5: should be model=lenet5: the group has an option already",
        ),
        (
            "+optim.lr=1",
            "+optim.lr=1: should be optim.lr=1: without a plus, as it is there already",
        ),
        ("~optim.foo", "~optim.foo: there is no such setting to leave out"),
        (
            "optim=[lr]",
            "optim=lr: no such option; there are adam, adamw, muon, rmsprop, sgd",
        ),
        ("optim=[adam,sgd]", "optim=[adam,sgd]: should be one option, not a list"),
        ("model=../model/lenet5", "model=../model/lenet5: should be the name of an option, not a "
         "path"),
        ("hydra.job.chdir=x", "hydra.job.chdir=x: Value 'x' is not a valid bool (type str)"),
        (
            "ablation=s2_pooling search=lenet5",
            "ablation=s2_pooling search=lenet5: an ablation or a search, not both: each is a sweep "
            "of its own",
        ),
        ("hydra.mode=RUN ablation=s2_pooling", "ablation=s2_pooling: varies seed, model.pooling, "
         "but this is a single run: hydra.mode=MULTIRUN makes it a sweep"),
    ],
)  # fmt: skip
def test_a_command_that_cannot_be_is_answered_by_what_is_wrong_with_it(
    overrides: str, line: str
) -> None:
    assert answered(*overrides.split()) == line


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ("model=lenet5 model=fashioncnn", "model: given twice, as model=lenet5 and as "
         "model=fashioncnn: should be there once; model=A,B with --multirun runs both"),
        ("logger=csv logger=wandb", "logger: given twice, as logger=csv and as logger=wandb: "
         "should be there once; logger=[A,B] has both"),
        ("ablation=s2_pooling ablation=s2_dropout", "ablation: given twice, as "
         "ablation=s2_pooling and as ablation=s2_dropout: should be there once"),
        ("optim.lr=1 ~optim.lr", "optim.lr: given twice, as optim.lr=1 and as ~optim.lr: should "
         "be there once"),
        ("ablation=s2_pooling,s2_dropout", "ablation=s2_pooling,s2_dropout: should be one option: "
         "each is a sweep of its own"),
    ],
)  # fmt: skip
def test_what_is_given_twice_is_refused(overrides: str, named: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_overrides(overrides.split())
    assert str(error.value) == named


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("seed=0 optim.lr=1 seed=2", "optim.lr=1 seed=2"),
        ("seed=0,1 seed=2", "seed=2"),
        ("hydra.run.dir=a hydra.run.dir=b", "hydra.run.dir=b"),
        ("optim.lr=1 +optim.lr=2", "++optim.lr=2"),
        ("+trainer.benchmark=true ++optim.lr=2", "++trainer.benchmark=true ++optim.lr=2"),
        ("model=lenet5 model=twoconv", "model=lenet5 model=twoconv"),
        ("+experiment=s2_best", "+experiment=s2_best"),
        ("optim.lr=1 ~optim.lr", "optim.lr=1 ~optim.lr"),
    ],
)
def test_of_a_value_the_last_counts_and_a_plus_is_never_wrong(typed: str, kept: str) -> None:
    assert order_arguments(typed.split()) == kept.split()


def test_what_belongs_together_is_not_taken_for_twice_the_same() -> None:
    check_overrides(["model=lenet5", "model.dropout=0.5", "optim=adam", "optim.lr=1"])
    check_overrides(["hydra.mode=MULTIRUN", "hydra.mode=MULTIRUN"])  # Hydra's, for --multirun


def test_settings_of_a_machine_that_are_in_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local/laptop.yaml").write_text("# @package _global_\nseed: 3\n")
    own = f"hydra.searchpath=['file://{tmp_path}']"
    assert answered(own, "local=laptop") is None
    with pytest.raises(ConfigError, match="local=latop: no such option"):
        sweep_of([own, "local=laptop,latop"])
    assert answered(own, "local=latop") == "local=latop: no such option; did you mean laptop?"


def test_what_is_asked_before_a_run_is_asked_with_the_variables_of_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Mock(side_effect=lambda plain: seen.append(os.environ.get("OMP_NUM_THREADS")))
    seen: list[str | None] = []
    monkeypatch.setattr("fmnist.config.trial.try_out", asked)
    with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
        overrides = ["+hydra.job.env_set.OMP_NUM_THREADS=3"]
        config = compose("config", overrides, return_hydra_config=True)
    CheckBeforeRun().on_run_start(config)
    assert seen == ["3"]
    assert os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    "overrides", ["ablation=s2_pooling seed=0", "ablation=s2_pooling model.pooling=avg",
                  "search=lenet5 hydra.sweeper.n_trials=2"],
)  # fmt: skip
def test_narrowing_an_ablation_or_a_search_is_no_contradiction(overrides: str) -> None:
    with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
        check_command(compose("config", overrides.split(), return_hydra_config=True))


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (("optim=sgd", "optim=adam"), "optim: given twice, as optim=sgd and as optim=adam"),
        (("-m", "optim=adam,sgd", "optim=rmsprop"), "optim: given twice"),
        (("scheduler=plateau", "scheduler.monitor=null"), "scheduler.monitor=null: ReduceLROn"),
        (("-m", "seed=0,1", "+optim.betas=[0.9,2.0]"), "optim: torch.optim.Adam: Invalid beta"),
    ],
)
def test_the_command_leaves_nothing_behind(
    typed: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    flags = [word for word in typed if word == "-m"]
    overrides = [word for word in typed if word != "-m"]
    done = here("fmnist.train", *flags, *TINY, *overrides, cwd=tmp_path)
    assert done.stderr.startswith(f"error: {line}")
    assert done.stderr.count("\n") == 1
    assert (done.stdout, done.returncode) == ("", 2)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_ones_own_that_another_hides_is_refused(tmp_path):
    """Hydra takes the first of two files of one name and says nothing."""
    own = tmp_path / "conf" / "optim" / "adam.yaml"
    own.parent.mkdir(parents=True)
    own.write_text((CONF_DIR / "optim" / "adam.yaml").read_text().replace("1.0e-3", "0.5"))
    shipped = CONF_DIR / "optim" / "adam.yaml"
    line = f"{own}: would not be read: optim=adam is {shipped}; should have a name of its own"
    where = ["--config-dir", "conf"]
    words = [*where, *TINY, "optim=adam"]
    run, sweep = ["fmnist.train", *words], ["fmnist.train", "-m", *words, "seed=0,1"]
    others = ["fmnist.plan", *words], ["fmnist.dataset", *where]
    collect = ["fmnist.results", "collect", "multirun", *where]
    for command in (run, sweep, *others, collect):
        done = here(*command, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, f"error: {line}\n")
    assert not (tmp_path / "outputs").exists()
    own.write_bytes(shipped.read_bytes())  # a copy that says the same
    assert here("fmnist.train", *words, "hydra.run.dir=run", cwd=tmp_path).returncode == 0


def test_a_hidden_file_is_found_in_a_group_that_is_a_link_and_what_is_no_file_hides_none(tmp_path):
    shipped = CONF_DIR / "optim" / "adam.yaml"
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "adam.yaml").write_text(shipped.read_text().replace("1.0e-3", "0.5"))
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "optim").symlink_to(tmp_path / "shared")
    with pytest.raises(ConfigError, match=r"adam\.yaml: would not be read"):
        compose_run([f"hydra.searchpath=[file://{tmp_path}/conf]", *TINY])
    (tmp_path / "shared" / "adam.yaml").unlink()
    (tmp_path / "shared" / "adam.yaml").symlink_to("nowhere")
    (tmp_path / "conf" / "model" / "lenet5.yaml").mkdir(parents=True)
    searched = f"hydra.searchpath=[file://{tmp_path}/conf]"
    assert compose_run([searched, *TINY])
    (tmp_path / "conf" / "config.yaml").write_text("model: mine\n")  # another project's folder
    with pytest.raises(ConfigError, match=r"config\.yaml; .*/conf should hold groups alone, as"):
        compose_run([searched, *TINY])
