"""What is public: named in `__all__`, typed, cheap to import, as docs/python.md says."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import fmnist
import fmnist.errors
from tests.conftest import CHECKOUT, TINY
from tests.records import a_record, put_record


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, fmnist; print(sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    loaded = set(re.findall(r"'(\w+)'", done.stdout))
    assert not {"torch", "hydra", "omegaconf", "numpy", "pandas", "lightning", "scipy"} & loaded


def test_all_names_what_the_page_describes_and_each_says_what_it_raises() -> None:
    page = (CHECKOUT / "docs/python.md").read_text()
    for name in fmnist.__all__:
        assert f"fmnist.{name}(" in page, name
        assert "Raises:" in (getattr(fmnist, name).__doc__ or ""), name
    assert (CHECKOUT / "fmnist/py.typed").exists()


def test_a_command_does_not_take_the_place_of_the_function_of_its_name() -> None:
    from fmnist.compare import main

    assert callable(fmnist.compare)
    assert callable(main)


def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In their order, in one namespace; what a comment promises of a value is true of it."""
    monkeypatch.chdir(tmp_path)
    page = (CHECKOUT / "docs/python.md").read_text()
    Image.new("L", (28, 28), 200).save("own.png")
    names: dict[str, object] = {"pictures": ["own.png"]}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "docs/python.md", "exec"), names)
    runs = sorted(path.name for path in tmp_path.glob("study/*"))
    assert runs == ["avg-0", "avg-1", "avg-2", "max-0", "max-1", "max-2"]
    assert "epoch 1/1" in capsys.readouterr().out
    assert "epoch 1/1" in (tmp_path / "study/avg-0/train.log").read_text()
    ours = logging.getLogger("fmnist")
    assert ours.propagate
    assert not [handler for handler in ours.handlers if "train.log" in str(handler)]


def test_a_sweep_from_python_is_refused_with_the_command_that_runs_it() -> None:
    with pytest.raises(fmnist.errors.ConfigError, match="fmnist train ablation=s2_pooling"):
        fmnist.train_run(["ablation=s2_pooling"])


def test_a_run_goes_to_no_folder_that_holds_other_things(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(fmnist.errors.RunError, match=r"holds other things \(thesis.tex\)"):
        fmnist.train_run([*TINY], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_names_a_run_is_text_in_a_table_also_where_it_has_digits_alone(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    record = a_record(config_hash="012345678901", git_commit="1" * 40)
    put_record(tmp_path / "run", record)
    table = fmnist.rows(tmp_path)
    assert table["config_hash"].tolist() == ["012345678901"]
    assert table["git_commit"].tolist() == ["1" * 40]
    assert pandas.api.types.is_integer_dtype(table["seed"])
