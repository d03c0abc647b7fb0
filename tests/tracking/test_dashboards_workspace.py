"""The saved workspace and the report drafts, up to what would be uploaded."""

import json
import sys

import pytest

from fmnist.config.schema import CONF_DIR
from fmnist.tracking import workspace
from fmnist.tracking.workspace import read_studies
from fmnist.workspace import main

# wandb-workspaces 0.4 defines its models in pydantic's old way.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")

STUDIES = read_studies()


@pytest.fixture
def written(tmp_path):
    """What an upload with two report drafts would send."""
    file = tmp_path / "workspace.json"
    assert main(["--json", str(file), "--report", "s2_activation", "s2_factorial"]) == 0
    return json.loads(file.read_text())


def panels(section):
    return [(panel["viewType"], panel["config"]) for panel in section["panels"]]


def test_every_study_says_what_it_varies():
    assert {study.name for study in STUDIES} == {
        path.stem for path in (CONF_DIR / "ablation").glob("*.yaml")
    }
    for study in STUDIES:
        assert study.factors, study.name
        assert study.text
        assert "#" not in study.text
        assert "schema" not in study.text
    factorial = next(study for study in STUDIES if study.name == "s2_factorial")
    assert set(factorial.factors) == {
        "model.activation", "model.pooling", "optim", "model.dropout", "aug",
    }  # fmt: skip


def test_the_table_of_runs_has_factors_and_results_as_columns(written):
    (runs,) = written["workspace"]["spec"]["section"]["runSets"]
    columns = runs["runFeed"]["columnOrder"]
    assert columns[:3] == ["run:displayName", "run:state", "tags:__ALL__"]
    assert {"config:model.value", "config:optim.value", "summary:test/acc"} <= set(columns)
    assert runs["sort"]["keys"][0]["key"] == {"section": "summary", "name": "val/acc_best"}


def test_the_view_of_all_runs_averages_over_none_of_them(written):
    sections = written["workspace"]["spec"]["section"]["panelBankConfig"]["sections"]
    by_name = {section["name"]: section for section in sections}
    configs = [config for section in sections for _, config in panels(section)]
    assert not [config["groupBy"] for config in configs if config.get("groupBy")]
    kinds = [kind for kind, _ in panels(by_name["What made the difference"])]
    assert kinds[:2] == ["Parallel Coordinates Plot", "Parameter Importance"]
    drawn = [config["metrics"] for _, config in panels(sections[0])]  # what is seen first
    assert drawn[:4] == [["train/loss"], ["val/loss"], ["train/acc"], ["val/acc"]]
    assert ["train/images_per_second"] in drawn


def test_a_report_draft_shows_the_runs_of_its_study_alone(written):
    first, second = written["reports"]
    assert (first["displayName"], second["displayName"]) == (
        "s2_activation: draft", "s2_factorial: draft",
    )  # fmt: skip
    grids = [block for block in first["spec"]["blocks"] if block["type"] == "panel-grid"]
    assert len(grids) == 2
    for grid in grids:
        (runs,) = grid["metadata"]["runSets"]
        (only,) = runs["filters"]["filters"]
        assert only["key"] == {"section": "config", "name": "ablation"}
        assert (only["op"], only["value"]) == ("=", "s2_activation")
        assert panels(grid["metadata"]["panelBankSectionConfig"])
    assert "fmnist.train ablation=s2_activation" in json.dumps(first["spec"])


def test_the_panels_of_a_report_are_grouped_by_the_factors_of_its_study(written):
    _, factorial = written["reports"]
    grid = next(block for block in factorial["spec"]["blocks"] if block["type"] == "panel-grid")
    drawn = panels(grid["metadata"]["panelBankSectionConfig"])
    assert {config["groupBy"] for _, config in drawn} == {
        "cfg.value.model.activation", "cfg.value.model.pooling", "optim.value",
        "cfg.value.model.dropout", "aug.value",
    }  # fmt: skip


def test_a_study_of_ones_own_folder_is_one_of_them(tmp_path):
    """Also where it varies a group that is nobody else's."""
    for group in ("ablation", "mine"):
        (tmp_path / group).mkdir()
    text = (
        "# Mine: does it help?\nhydra:\n  sweeper:\n    params:\n      mine: a,b\n      seed: 0,1\n"
    )
    (tmp_path / "ablation/own_study.yaml").write_text(text)
    file = tmp_path / "workspace.json"
    given = ["--config-dir", str(tmp_path), "--report", "own_study", "--json", str(file)]
    assert main(given) == 0
    (report,) = json.loads(file.read_text())["reports"]
    assert report["description"] == "Mine: does it help?"
    grid = next(block for block in report["spec"]["blocks"] if block["type"] == "panel-grid")
    drawn = panels(grid["metadata"]["panelBankSectionConfig"])
    assert {config["groupBy"] for _, config in drawn} == {"mine.value"}


def test_what_is_uploaded_is_what_is_written(written, monkeypatch):
    sent = []
    monkeypatch.setattr(workspace, "default_entity", lambda: "entity")
    monkeypatch.setattr(
        workspace, "upload", lambda view, reports: sent.append((view.entity, len(reports)))
    )
    assert main(["--report", "leak"]) == 0
    assert main(["--entity", "team"]) == 0
    assert sent == [("entity", 1), ("team", 0)]


def test_mistakes_are_one_line(capsys, monkeypatch, tmp_path):
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("error: W&B has no API key: wandb login first")
    assert main(["--report", "s2_activatoin"]) == 2
    assert capsys.readouterr().err.startswith("error: s2_activatoin: no such study; there are")
    (tmp_path / "file").touch()
    assert main(["--json", str(tmp_path / "file/x.json")]) == 2
    said = f"error: {tmp_path}/file/x.json: cannot be written: Not a directory\n"
    assert capsys.readouterr().err == said
    (tmp_path / "ablation").mkdir()
    (tmp_path / "ablation/half.yaml").write_text("hydra: [")  # which YAML refuses, not we
    assert main(["--config-dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: while parsing a flow node")
    assert f'{tmp_path}/ablation/half.yaml", line 1' in said
    assert said.count("\n") == 1
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert main(["--json", str(tmp_path / "x.json")]) == 2
    assert capsys.readouterr().err == "error: pip install 'fmnist[workspaces]' first\n"
