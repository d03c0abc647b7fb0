"""docs/notebook.py runs from top to bottom, as a notebook, and shows what it promises."""

import re
from pathlib import Path

import jupytext
import nbclient
import pytest

from tests.conftest import CHECKOUT

CHOICE = 'DATA = "fashion_mnist"'


def test_the_notebook_installs_the_clone_that_it_lies_in() -> None:
    text = (CHECKOUT / "docs/notebook.py").read_text()
    (folder,) = re.findall(r'^SOURCE = "(.*)\[notebook\]"', text, re.MULTILINE)
    assert (CHECKOUT / "docs" / folder / "pyproject.toml").exists()


@pytest.mark.long
def test_the_notebook_runs_and_ends_with_a_verdict_and_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (CHECKOUT / "docs/notebook.py").read_text()
    assert CHOICE in text
    book = jupytext.reads(text.replace(CHOICE, 'DATA = "synthetic"'), fmt="py:percent")
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    (tmp_path / "home").mkdir()  # where IPython keeps what it keeps
    client = nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [output for cell in book.cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text", "") for output in shown)
    assert "epoch 1/1" in said
    assert re.search(
        r"model=lenet5 - model=logistic: .*, 3 seeds: (undecided|model=\w+ is higher)", said
    )
    assert "GPU available" not in said
    assert "Warning" not in said
    kinds = [kind for output in shown for kind in output.get("data", {})]
    assert kinds.count("image/png") == 1
    assert "application/vnd.jupyter.widget-view+json" in kinds  # the bar
    table, report = (output["data"]["text/html"] for output in shown[-2:])
    assert "lenet5" in table
    assert "<iframe" in report
