"""JSON schemas of conf/: every file passes, and mistakes are what an editor underlines."""

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from fmnist.config.json_schema import schema_of, schemas
from fmnist.config.schema import CONF_DIR, config_hash
from fmnist.schema import main, without_line

FILES = sorted(CONF_DIR.rglob("*.yaml"))
NET = '''
from typing import Annotated, Literal

class Tiny:
    """A net.

    Args:
        width: of its one layer.
    """

    def __init__(self, width: Annotated[int, "[1, inf)"] = 8, kind: Literal["a", "b"] = "a"): ...
'''


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return schemas()


def complaints(schema: dict[str, Any], text: str) -> list[str]:
    """Where the mistakes are that an editor would underline."""
    errors = jsonschema.Draft7Validator(schema).iter_errors(yaml.safe_load(text) or {})
    return [jsonschema.exceptions.best_match([error]).message for error in errors]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF_DIR)))
def test_every_file_passes_and_names_its_schema(path: Path, made: dict[str, Any]) -> None:
    assert not complaints(made[schema_of(path, CONF_DIR)], path.read_text())
    assert path not in dict(without_line(CONF_DIR)), "python -m fmnist.schema says which line"


@pytest.mark.parametrize(
    ("group", "text", "words"),
    [
        ("model", "_target_: fmnist.models.lenet5.LeNet5\npoolin: max", "poolin"),
        ("model", "_target_: fmnist.models.lenet5.LeNet5\npooling: maxx", "maxx"),
        ("model", "_target_: fmnist.models.lenet5.LeNet5\ndropout: '0.5'", "0.5"),
        ("model", "_target_: fmnist.models.lenet5.LeNet5\ndropout: 1.5", "1.5"),
        ("optim", "_target_: torch.optim.Adam\nlr: -1", "-1"),
        ("optim", "_target_: torch.optim.Adam\nno_decay: 7", "7"),
        ("trainer", "max_epochs: ten", "ten"),
        ("trainer", "max_epoch: 10", "max_epoch"),
        ("scheduler", "policy: {_target_: torch.optim.lr_scheduler.StepLR, step: 3}", "step"),
        ("global", "optim: {lrr: 0.1}", "lrr"),
        ("global", "seed: -1", "-1"),
        ("global", "sed: 1", "sed"),
        ("global", "tta: flipped", "flipped"),
        ("logger", "wandb: {_target_: fmnist.tracking.loggers.wandb_logger, prject: x}", "prject"),
    ],
)
def test_a_typo_or_a_value_that_cannot_be_is_underlined(
    made: dict[str, Any], group: str, text: str, words: str
) -> None:
    found = complaints(made[group], text)
    assert len(found) == 1
    assert words in found[0]


def test_a_reference_to_another_setting_is_no_mistake(made: dict[str, Any]) -> None:
    assert not complaints(made["global"], "optim: {lr: '${oc.env:RATE}'}\nseed: ${data.split_seed}")


def test_ones_own_folder_has_ones_own_nets_with_what_their_docstring_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "tiny_of_mine.py").write_text(NET)
    path = tmp_path / "conf/model/tiny.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("_target_: tiny_of_mine.Tiny\nwidth: 8\n")
    assert main([]) == 0
    line = "# yaml-language-server: $schema=../../.schema/model.json"
    assert capsys.readouterr().out.endswith(
        f"conf/model/tiny.yaml: names no schema; its line: {line}\n"
    )
    schema = json.loads((tmp_path / ".schema/model.json").read_text())
    assert "of its one layer" in json.dumps(schema)
    assert not complaints(schema, path.read_text())
    assert complaints(schema, "_target_: tiny_of_mine.Tiny\nwidth: 0")
    assert complaints(schema, "_target_: tiny_of_mine.Tiny\nkind: c")
    assert not complaints(schema, (CONF_DIR / "model/lenet5.yaml").read_text())
    path.write_text(f"{line}\n{path.read_text()}")
    assert main(["conf"]) == 0
    assert "names no schema" not in capsys.readouterr().out
    assert main(["nowhere"]) == 2
    assert capsys.readouterr().err == "error: nowhere: no such folder of configurations\n"


def test_settings_of_a_machine_are_found_where_there_are_any_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fmnist.config import compose as module

    usual = module.compose_run()
    assert "local" not in usual[1]
    conf = tmp_path / "conf"
    shutil.copytree(CONF_DIR, conf)
    (conf / "local").mkdir(exist_ok=True)
    text = "# @package _global_\ndefaults:\n  - override /logger: csv\ndata:\n  root: /scratch\n"
    (conf / "local/default.yaml").write_text(text)
    monkeypatch.setattr(module, "CONF_DIR", conf)
    config, choices = module.compose_run()
    assert config["data"]["root"] == "/scratch"
    assert (choices["local"], choices["logger"]) == ("default", "csv")
    assert config_hash(config) == config_hash(usual[0])
