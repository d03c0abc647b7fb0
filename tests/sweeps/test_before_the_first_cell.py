"""What is refused or fetched once, before a sweep trains anything: folders of one's own, data."""

import shutil
from dataclasses import replace

import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from fmnist.config.published import published
from fmnist.config.schema import CONF_DIR
from fmnist.data import files
from fmnist.errors import ConfigError, DataUnavailable, RunError
from fmnist.runs.manifest import Cell
from fmnist.runs.record import Record
from fmnist.runs.run import Run, load_run
from fmnist.sweeps.data import require_data
from fmnist.sweeps.plan import plan, refuse_other_runs
from tests.conftest import TINY, composed, here


def composed_cell(overrides):
    with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
        return compose("config", overrides=overrides, return_hydra_config=True)


def planned(subdir, *cells, known=()):
    """The plan of cells whose folders `hydra.sweep.subdir` names."""

    def configuration(overrides):
        return composed_cell([*overrides, f"hydra.sweep.subdir={subdir}"])

    return plan([list(cell) for cell in cells], configuration, ["seed"], known, "s", own_names=True)


def test_folders_of_ones_own_are_those_of_the_cells():
    cells = planned("s${seed}/net", ["seed=0"], ["seed=1"])
    assert [cell.dir for cell in cells] == ["s0/net", "s1/net"]
    renamed = planned("t${seed}", ["seed=0"], known=cells)
    assert [cell.dir for cell in renamed] == ["t0"]
    first, second = planned("${hydra.job.override_dirname}", ["seed=0"], ["seed=1"])
    assert first.dir != second.dir


@pytest.mark.parametrize(
    ("subdir", "message"),
    [
        ("${hydra.job.num}", "a cell's number is another one when the sweep is continued"),
        ("x-${hydra.job.id}", "a cell's number is another one"),
        ("x", "seed=0 and seed=1 would lie in x"),
        ("${oc.select:seed_,x}", "seed=0 and seed=1 would lie in x"),
        ("../s${seed}", "should name a folder below the sweep's own"),
        ("/s${seed}", "should name a folder below the sweep's own"),
        ("''", "should name a folder below the sweep's own"),
        ("${nothing}", "takes nothing, which is not set"),
        (300 * "s" + "${seed}", "longer than the 255 bytes"),
    ],
)
def test_folders_that_cannot_be_are_refused_in_one_line(subdir, message):
    with pytest.raises(ConfigError, match=f"^hydra.sweep.subdir.*{message}") as caught:
        planned(subdir, ["seed=0"], ["seed=1"])
    assert "\n" not in str(caught.value)


def test_a_folder_inside_another_cells_is_refused():
    with pytest.raises(ConfigError, match="would lie in x/1"):
        planned("${data.root}", ["data.root=x"], ["data.root=x/1", "seed=1"])


def test_a_folder_with_a_run_of_another_configuration_is_refused(tmp_path):
    (tmp_path / "s0").mkdir()
    record = Record("running", "a", choices={}, overrides=[], config=composed(*TINY), seed=0)
    Run(tmp_path / "s0", record).write(record)
    refuse_other_runs(tmp_path, [Cell("s0", ["seed=0"], "a", "s"), Cell("s1", [], "b", "s")])
    with pytest.raises(RunError, match="holds a run of another configuration than the cell seed=0"):
        refuse_other_runs(tmp_path, [Cell("s0", ["seed=0"], "b", "s")])


EDITING = """
from pathlib import Path
from lightning.pytorch import Callback

class Edit(Callback):
    def on_fit_start(self, trainer, module):
        path = Path("conf/optim/mine.yaml")
        path.write_text(path.read_text().replace("0.01", "0.02"))
"""


def test_what_was_checked_is_what_runs_though_its_file_is_edited_meanwhile(tmp_path):
    (tmp_path / "editing.py").write_text(EDITING)
    (tmp_path / "conf" / "optim").mkdir(parents=True)
    node = "_target_: torch.optim.SGD\n_partial_: true\nlr: 0.01\n"
    (tmp_path / "conf" / "optim" / "mine.yaml").write_text(node)
    arguments = [
        "fmnist.train", "-m", "--config-dir", "conf", *TINY, "optim=mine", "seed=0,1",
        "+callbacks.edit._target_=editing.Edit", "hydra/launcher=basic", "hydra.sweep.dir=sweep",
    ]  # fmt: skip
    done = here(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [load_run(path.parent).record for path in tmp_path.rglob("result.json")]
    assert [record.config["optim"]["lr"] for record in records] == [0.01, 0.01]


def test_every_data_set_is_asked_for_once(tmp_path, monkeypatch):
    asked, seen = [], []
    facts = published()["FashionMNIST"]
    monkeypatch.setitem(published(), "FashionMNIST", replace(facts, elsewhere=None))
    monkeypatch.setattr(files, "download", lambda name, root, why: asked.append((name, str(root))))

    def configuration(overrides):
        seen.append(overrides)
        return composed_cell(overrides)

    words = [
        [f"data={data}", f"data.root={tmp_path}/{root}", f"seed={seed}", f"optim.lr=0.{seed}1"]
        for data in ("kmnist", "mnist") for root in ("x", "y") for seed in range(5)
    ]  # fmt: skip
    words.append(["data=synthetic", "seed=0"])
    require_data([Cell(str(n), word, "h", "s") for n, word in enumerate(words)], configuration)
    roots = [f"{tmp_path}/x", f"{tmp_path}/y"]
    assert asked == [(name, root) for name in ("KMNIST", "MNIST") for root in roots]
    assert len(seen) == 5

    def unreachable(name, root, why):
        raise DataUnavailable(why)

    monkeypatch.setattr(files, "download", unreachable)
    with pytest.raises(DataUnavailable, match="KMNIST is not in"):
        require_data([Cell("0", words[0], "h", "s")], configuration)


def a_set_of_pictures(folder, shift):
    """Two classes of 20 pictures each."""
    for number, name in enumerate(("dark", "light")):
        (folder / "train" / name).mkdir(parents=True, exist_ok=True)
        for index in range(20):
            picture = Image.new("L", (28, 28), 100 * number + 2 * index + shift)
            picture.putpixel((index, index), 255)
            picture.save(folder / "train" / name / f"{index}.png")


def test_finished_cells_of_other_data_are_not_taken_for_this_sweeps(tmp_path):
    """Two folders of one name have one configuration, and one hash."""
    of_folder = [text for text in TINY if not text.startswith("data")]
    of_folder += ["data=folder", "data.root=set", "data.batch_size=8", "seed=0,1"]

    def in_sweep():
        return here("fmnist.train", "-m", *of_folder, "hydra.sweep.dir=sweep", cwd=tmp_path)

    a_set_of_pictures(tmp_path / "set", shift=0)
    for words in ("2 to run", "0 to run"):
        done = in_sweep()
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
    a_set_of_pictures(tmp_path / "set", shift=1)
    done = in_sweep()
    assert done.returncode == 2
    assert done.stderr == (
        "error: sweep: finished cells (2 of 2) were trained on other data than those of "
        "data.root=set now; another hydra.sweep.dir trains all on these\n"
    )
    shutil.rmtree(tmp_path / "set")  # nothing to compare with: the results can still be shown
    assert in_sweep().returncode == 0


READER = """
import torch
from fmnist.data.source import DataSet, Images

class Grey:
    def __init__(self, seed, fails=False):
        self.seed, self.fails = seed, fails

    def read(self, wanted):
        if self.fails:
            raise KeyError("gone")
        labels = torch.arange(100) % 2
        pixels = (100 * labels + self.seed)[:, None, None].repeat(1, 28, 28)
        return DataSet(Images(pixels.to(torch.uint8), labels), ["dark", "light"])
"""


def test_data_that_another_setting_decides_are_those_of_the_cell(tmp_path):
    """A reader of one's own may draw images by the run's seed."""
    (tmp_path / "grey.py").write_text(READER)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    file = tmp_path / "conf" / "data" / "grey.yaml"
    node = "defaults: [npz, _self_]\nname: grey\nsource: {_target_: grey.Grey, seed: SEED}\n"
    file.write_text(node.replace("SEED", "'${seed}'"))
    words = [text for text in TINY if not text.startswith("data")]
    words += ["--config-dir", "conf", "data=grey", "data.batch_size=8", "data.val_size=10"]

    def in_sweep():
        return here("fmnist.train", "-m", *words, "seed=0,1", "hydra.sweep.dir=sweep", cwd=tmp_path)

    for said in ("2 to run", "0 to run"):
        done = in_sweep()
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout
    (tmp_path / "grey.py").write_text(READER.replace("fails=False", "fails=True"))
    done = in_sweep()  # nothing to compare with
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "grey.py").write_text(READER.replace("100 * labels", "101 * labels"))
    done = in_sweep()
    assert done.returncode == 2
    assert "were trained on other data than those of data.name=grey now" in done.stderr


def test_a_missing_data_set_ends_a_sweep_as_it_ends_a_run(tmp_path):
    """Whether it can be fetched is asked of a proxy that is not there."""
    nowhere = "http://127.0.0.1:9"
    done = here(
        "fmnist.train", "-m", *(text for text in TINY if not text.startswith("data")),
        "data=kmnist", "data.root=nowhere", "seed=0,1,2", "hydra.sweep.dir=sweep", cwd=tmp_path,
        http_proxy=nowhere, https_proxy=nowhere,
    )  # fmt: skip
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: KMNIST is not in ")
    assert "nowhere/KMNIST/raw" in line
    assert not (tmp_path / "sweep").exists()
