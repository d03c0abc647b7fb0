"""Private names of other packages, listed in CONTRIBUTING.md: nothing breaks where one has gone."""

import ast
import re

import pytest

from fmnist.config.arguments import ask_for_sweep, order_arguments
from tests.conftest import CHECKOUT


def test_without_hydra_s_parser_the_words_keep_their_order(monkeypatch):
    monkeypatch.delattr("hydra._internal.utils.get_args_parser")
    assert order_arguments(["a=1", "-m", "b=2"]) == ["a=1", "-m", "b=2"]


def test_without_the_store_s_contents_settings_stay_as_plugins_registered_them(monkeypatch):
    from hydra.core.config_store import ConfigStore

    from hydra_plugins.fmnist_launchers import OwnSettings

    monkeypatch.setattr(ConfigStore, "instance", staticmethod(object))
    OwnSettings().manipulate_search_path(None)


def test_without_submitit_s_watcher_a_job_that_is_requeued_has_ended(monkeypatch):
    from hydra_plugins.fmnist_launchers import _ended_jobs_stay_ended

    monkeypatch.delattr("submitit.core.core.InfoWatcher.is_done")
    with _ended_jobs_stay_ended():
        pass


def test_wandb_is_left_as_it_was_and_may_lack_the_name(monkeypatch):
    import wandb

    from fmnist.tracking.figures import without_pandas

    pandas = wandb.util.pd_available
    with without_pandas():
        assert not wandb.util.pd_available
    assert wandb.util.pd_available == pandas
    monkeypatch.delattr("wandb.util.pd_available")
    with without_pandas():
        assert not hasattr(wandb.util, "pd_available")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("_")


def test_every_private_name_that_is_used_stands_in_the_list():
    listed = (CHECKOUT / "CONTRIBUTING.md").read_text()
    for path in [*CHECKOUT.glob("fmnist/**/*.py"), *CHECKOUT.glob("hydra_plugins/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            used = []
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                ours = ast.unparse(node.value) in ("self", "cls", "os")  # os._exit is documented
                used = [] if ours else [node.attr]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [alias.name for alias in node.names]
                inside = any(map(is_private, node.module.split(".")))
                used = names if inside else list(filter(is_private, names))
            for name in used:
                assert re.search(rf"`[^`]*\b{name}\b", listed), f"{path}:{node.lineno}: {name}"


@pytest.mark.parametrize(
    ("words", "added"),
    [
        (["ablation=s1_dropout"], True),
        (["optim=sgd", "search=lenet5"], True),
        (["+search=lenet5"], True),
        (["ablation=s1_dropout", "hydra.mode=RUN"], False),
        (["-m", "ablation=s1_dropout"], False),
        (["optim=sgd"], False),
        (["data.search=3"], False),
    ],
)
def test_an_ablation_or_a_search_is_a_sweep_from_the_command_line_on(words, added):
    assert ask_for_sweep(words) == [*words, *(["hydra.mode=MULTIRUN"] if added else [])]
