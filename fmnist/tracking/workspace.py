"""The saved W&B view of this project, and a report draft a study."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmnist.config.folders import conf_folders, option_file, options_of, read_yaml
from fmnist.errors import UserError
from fmnist.runs.run import write_text

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import Report
    from wandb_workspaces.workspaces.interface import Workspace

# What people sort by, left in the table of runs. The factors stand as scalars in W&B's config.
RESULTS = ("val/acc_best", "test/acc", "test/f1_macro", "train/seconds", "model/params")
FACTORS = ("model", "optim", "scheduler", "aug", "experiment", "ablation", "seed")
CURVES = ("train/loss", "val/loss", "train/acc", "val/acc")
COURSE = (*CURVES, "lr", "train/images_per_second")


@dataclass(frozen=True)
class Study:
    """One file of conf/ablation, or of ablation/ in a folder of one's own.

    Args:
        name: of the file.
        text: its head: source, claim, cells, cost.
        factors: the keys that it varies, without the seed.
    """

    name: str
    text: str
    factors: list[str]


def read_studies() -> list[Study]:
    """All that are found, by name."""
    from omegaconf import OmegaConf

    studies = []
    for path in filter(None, (option_file("ablation", name) for name in options_of("ablation"))):
        lines = read_yaml(path).splitlines()
        heads = [line for line in lines if not line.startswith(("# @package", "# yaml-language"))]
        end = next((i for i, line in enumerate(heads) if not line.startswith("#")), len(heads))
        params = OmegaConf.select(OmegaConf.load(path), "hydra.sweeper.params") or {}
        factors = [str(key) for key in params if key != "seed"]
        text = "\n".join(line.removeprefix("#").strip() for line in heads[:end])
        studies.append(Study(path.stem, text, factors))
    return studies


def config_key(factor: str) -> str:
    """Where W&B's config has a factor: an option of a group beside `cfg`, a value inside it."""
    group = any((folder / factor).is_dir() for folder in conf_folders())
    return factor if factor == "seed" or group else f"cfg.{factor}"


def curves(factor: str | None = None) -> list[Any]:
    """Loss and accuracy by epoch: the mean of every level; or of every run, with rate and speed."""
    import wandb_workspaces.reports.v2.interface as wr

    return [
        wr.LinePlot(
            title=key if factor is None else f"{key} by {factor}",
            x="epoch",
            y=[key],
            title_x="epoch",
            log_y=key == "lr",
            **({} if factor is None else means(factor)),
        )
        for key in (COURSE if factor is None else CURVES)
    ]


def means(factor: str) -> dict[str, Any]:
    """Arguments of a panel that shows the mean of every level, and its standard error."""
    import wandb_workspaces.reports.v2.interface as wr

    return {
        "groupby": wr.Config(config_key(factor)),
        "groupby_aggfunc": "mean",
        "groupby_rangefunc": "stderr",
    }


def bars(factor: str) -> Any:
    """Mean test accuracy of every level."""
    import wandb_workspaces.reports.v2.interface as wr

    return wr.BarPlot(title=f"test/acc by {factor}", metrics=["test/acc"], **means(factor))


def comparison(factors: Sequence[str]) -> list[Any]:
    """What made the difference: parallel coordinates, importance, accuracy against cost."""
    import wandb_workspaces.reports.v2.interface as wr

    metrics: list[Any] = [wr.Config(config_key(factor)) for factor in factors]
    metrics += [wr.SummaryMetric("val/acc_best"), wr.SummaryMetric("test/acc")]
    columns = [wr.ParallelCoordinatesPlotColumn(metric=metric) for metric in metrics]
    return [
        wr.ParallelCoordinatesPlot(title="factors to accuracy", columns=columns),
        wr.ParameterImportancePlot(with_respect_to="val/acc_best"),
        *(
            wr.ScatterPlot(
                title=f"test/acc over {key}",
                x=wr.SummaryMetric(key),
                y=wr.SummaryMetric("test/acc"),
                log_x=True,
            )
            for key in ("train/seconds", "model/params")
        ),
    ]


def build_workspace(entity: str, project: str, studies: Sequence[Study]) -> "Workspace":
    """The saved view, of all runs. Nothing is sent before its `save_as_new_view`.

    No section is a study's: a section cannot choose its runs, and would average those of other
    studies, nets and data with its own. A report can.
    """
    import wandb_workspaces.reports.v2.interface as wr
    import wandb_workspaces.workspaces.interface as ws
    from wandb_workspaces import expr

    swept = [factor for study in studies for factor in study.factors]
    factors = list(dict.fromkeys([*FACTORS[:4], *swept]))
    columns = [f"config:{key}.value" for key in FACTORS] + [f"summary:{key}" for key in RESULTS]
    test_set = wr.MediaBrowser(title="test images", media_keys=["test/samples"])
    return ws.Workspace(
        entity=entity,
        project=project,
        name="fmnist studies",
        sections=[
            ws.Section(name="Training", panels=curves(), is_open=True),
            ws.Section(name="What made the difference", panels=comparison(factors), is_open=True),
            ws.Section(name="Test set", panels=[test_set]),
        ],
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=100),
        runset_settings=ws.RunsetSettings(
            pinned_columns=["run:displayName", "run:state", "tags:__ALL__", *columns],
            order=[expr.Ordering(expr.Summary("val/acc_best"), ascending=False)],
        ),
    )


def build_report(entity: str, project: str, study: Study) -> "Report":
    """A draft: what the study asks, its runs, and the figures. Nothing is sent before `save`."""
    import wandb_workspaces.reports.v2.interface as wr

    # Without entity and project it is the report's own; with them W&B is asked at once.
    runs = wr.Runset(name=study.name, filters=f"Config('ablation') = '{study.name}'")
    by_factor = [panel for factor in study.factors for panel in (bars(factor), *curves(factor))]
    return wr.Report(
        entity=entity,
        project=project,
        title=f"{study.name}: draft",
        description=study.text.partition("\n")[0],
        blocks=[
            wr.P(study.text),
            wr.CodeBlock(code=f"python -m fmnist.train ablation={study.name}"),
            wr.H2("Factors"),
            wr.PanelGrid(runsets=[runs], panels=by_factor),
            wr.H2("All runs"),
            wr.PanelGrid(runsets=[runs], panels=[*comparison([*study.factors, "seed"])]),
            wr.H2("Conclusion"),
            wr.P("The verdicts on the study's claims: python -m fmnist.claims with its runs."),
        ],
    )


# Any: the package's methods carry no annotations.
def specification(workspace: Any, reports: Sequence[Any]) -> dict[str, Any]:
    """What an upload would send, as plain values."""
    return {
        "workspace": workspace._to_model().model_dump(mode="json", by_alias=True),
        "reports": [
            report._to_model().model_dump(mode="json", by_alias=True) for report in reports
        ],
    }


def upload(workspace: Any, reports: Sequence[Any]) -> None:
    """Save both; W&B's package says where.

    Raises:
        UserError: the server cannot be reached, or refuses.
    """
    with _asking_server():
        workspace.save_as_new_view()
        for report in reports:
            report.save(draft=True)


@contextmanager
def _asking_server() -> Iterator[None]:
    import requests
    import wandb

    try:
        yield
    except (wandb.Error, requests.RequestException, ValueError) as error:
        raise UserError(f"W&B: {' '.join(str(error).split())}") from error


def build_and_save(
    entity: str | None, project: str, reported: Sequence[str], file: Path | None
) -> None:
    """Upload view and drafts; into a file, where one is given.

    Raises:
        UserError: no such study, no key, the extra is not installed, or W&B refuses.
    """
    studies = read_studies()
    by_name = {study.name: study for study in studies}
    if unknown := [name for name in reported if name not in by_name]:
        raise UserError(f"{unknown[0]}: no such study; there are {', '.join(by_name)}")
    try:
        import wandb_workspaces  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError("pip install 'fmnist[workspaces]' first") from error
    entity = entity or os.environ.get("WANDB_ENTITY")
    if file is None:
        entity = entity or default_entity()
    workspace = build_workspace(entity or "entity", project, studies)
    reports = [build_report(entity or "entity", project, by_name[name]) for name in reported]
    if file is None:
        upload(workspace, reports)
    else:
        content = specification(workspace, reports)
        write_text(file, json.dumps(content, indent=1))
        print(f"{file}: {len(workspace.sections)} sections, {len(reports)} report drafts")


def default_entity() -> str:
    """The key's own account.

    Raises:
        UserError: there is no key, or nobody answers.
    """
    import wandb

    from fmnist.tracking.loggers import has_key

    if not has_key():
        raise UserError("W&B has no API key: wandb login first; --json FILE needs none")
    with _asking_server():
        return str(wandb.Api(timeout=20).default_entity)
