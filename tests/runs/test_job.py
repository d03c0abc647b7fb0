"""What Hydra says of a job: the command that repeats it, from any folder."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from fmnist.config.command import check_command
from fmnist.config.schema import CONF_DIR
from fmnist.errors import ConfigError
from fmnist.runs.job import Job, hydra_value
from tests.conftest import TINY, here

NET = """
from torch import nn


class Mine(nn.Module):
    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.linear = nn.Linear(784, width)

    def forward(self, x):
        return self.linear(x.flatten(1))
"""


@pytest.mark.parametrize(
    "text",
    ["run", "a b", "it's", "a\\", "a\\'b", "${seed}", "a=b,c", "[1]", "ü", "#x", "~x", "null"],
)
def test_any_text_can_be_the_value_of_an_override(text: str) -> None:
    parser = OverridesParser.create()
    value = parser.parse_override(f"hydra.run.dir={hydra_value(text)}").value()
    assert str(value).replace("\\${", "${") == text


def own_net(folder: Path) -> None:
    (folder / "conf/model").mkdir(parents=True)
    (folder / "conf/model/mine.yaml").write_text("_target_: my_nets.Mine\n")
    (folder / "my_nets.py").write_text(NET)


def test_the_recorded_command_repeats_the_run_from_any_folder(tmp_path: Path) -> None:
    folder = tmp_path / "Anna's runs"
    own_net(folder)
    done = here(
        "fmnist.train", *TINY, "-cd", "conf", "model=mine",
        "hydra.run.dir=run", "hydra.job.chdir=true", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first = json.loads((folder / "run/result.json").read_text())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = subprocess.run(
        f"{first['command']} hydra.run.dir={elsewhere}/again",
        shell=True, cwd=elsewhere, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    second = json.loads((elsewhere / "again/result.json").read_text())
    assert second["config_hash"] == first["config_hash"]
    assert second["metrics"] == first["metrics"]
    assert second["command"] == first["command"]
    assert not list((folder / "run").rglob("synthetic"))


def test_a_stopped_run_says_the_command_that_goes_on() -> None:
    job = Job(
        Path("/x/it's"), overrides=("seed=1",), flags=("--config-dir", "/c d"), cwd=Path("/y z")
    )
    assert job.resume_command.startswith("cd '/y z' && ")
    assert "fmnist.train --config-dir '/c d' seed=1 " in job.resume_command
    last = job.resume_command.partition(" seed=1 ")[2]
    (word,) = subprocess.run(["bash", "-c", f"printf %s {last}"], capture_output=True, text=True,
                             check=True).stdout.splitlines()  # fmt: skip
    assert OverridesParser.create().parse_override(word).value() == "/x/it's"


def test_the_command_names_a_python_that_the_shell_would_not_find(monkeypatch, tmp_path) -> None:
    here, name = Path(sys.executable).parent, Path(sys.executable).name
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for path, word in ((here, name), (tmp_path, sys.executable)):
        monkeypatch.setenv("PATH", str(path))
        said = Job(Path("x"), cwd=Path("/y")).command
        assert said == f"cd /y && {shlex.quote(word)} -m fmnist.train"


def test_the_command_of_a_cell_runs_it_alone() -> None:
    assert Job(Path("x"), overrides=("seed=1",), group="s").command.endswith(
        "seed=1 hydra.mode=RUN"
    )


def test_a_cell_of_an_ablation_can_be_run_alone_by_its_command() -> None:
    overrides = ["ablation=s2_pooling", "seed=0", "model.pooling=avg", "hydra.mode=RUN"]
    with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
        check_command(compose("config", overrides=overrides, return_hydra_config=True))
        del overrides[1]
        wanting = compose("config", overrides=overrides, return_hydra_config=True)
        with pytest.raises(ConfigError, match=r"varies seed, model\.pooling, but this is a single"):
            check_command(wanting)
