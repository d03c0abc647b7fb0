"""The examples of docs/extend.md, as they stand there, outside a checkout: they train."""

import csv
import re
from pathlib import Path

import pytest
import yaml

from fmnist.runs.run import load_run
from tests.conftest import CHECKOUT, TINY, here

PAGE = (CHECKOUT / "docs/extend.md").read_text()
SHORT = [text for text in TINY if not text.startswith("data")]


def examples() -> dict[str, str]:
    """By name, the files of one's own: the last that is named before a block is that block's."""
    found = {}
    for block in re.finditer(r"```(python|yaml)\n(.*?)```", PAGE, re.DOTALL):
        ending = {"python": "py", "yaml": "yaml"}[block[1]]
        name = re.findall(rf"`([\w/]+\.{ending})`", PAGE[: block.start()])
        if name and not name[-1].startswith("fmnist/"):
            found.setdefault(name[-1], block[2])
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one's own with all of them."""
    for name, text in examples().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


OWN = [
    "optim=nadam scheduler=polynomial",
    "optim=lion scheduler=warmup aug=noise callbacks=top2",
]


@pytest.mark.parametrize("options", OWN)
def test_what_the_page_adds_trains_together(options: str, folder: Path) -> None:
    typed = ["data=stripes", "data.size=32", "data.label_noise=0.1", *options.split()]
    done = here(
        "fmnist.train", "--config-dir=conf", *SHORT, *typed, "hydra.run.dir=run", cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    run = load_run(folder / "run")
    assert run.record.metrics["test/acc"] > 0.8
    with (folder / "run/metrics.csv").open() as file:
        names = {key for row in csv.DictReader(file) for key, value in row.items() if value}
    assert ("val/top2" in names) == ("top2" in options)


def test_the_study_of_the_page_has_its_cells(folder: Path) -> None:
    done = here("fmnist.plan", "--config-dir=conf", "ablation=my_noise", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cells  12, of which 0 done, 12 to run" in done.stdout


def test_every_file_of_the_page_is_tried() -> None:
    names = {*examples()}
    groups = {name.split("/")[1] for name in names if name.endswith(".yaml")}
    assert {"data", "aug", "optim", "scheduler", "callbacks", "ablation"} <= groups
    nodes = [yaml.safe_load(text) for name, text in examples().items() if name.endswith(".yaml")]
    assert all(nodes)
