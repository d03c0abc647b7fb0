"""The nets that come with the package: they are those that were published, and can be used."""

import json
import re
import shutil
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch
from PIL import Image

import fmnist
from benchmarks import pretrained
from fmnist.config.schema import config_hash
from fmnist.errors import RunError
from fmnist.evaluate import main as evaluate
from fmnist.export import main as export
from fmnist.predict import main as predict
from fmnist.runs import pretrained as module
from fmnist.runs.bits import RIGHT
from fmnist.runs.corrupted import CORRUPTED
from fmnist.runs.run import WEIGHTS
from tests.conftest import CHECKOUT

USE = (CHECKOUT / "docs/use.md").read_text()
every = pytest.mark.parametrize("name", module.pretrained_names())


@every
def test_its_record_is_that_of_its_experiment_and_names_no_machine_of_ours(name: str) -> None:
    run = fmnist.load_run(f"pretrained/{name}")
    assert run.record.params == sum(p.numel() for p in run.net().parameters()) < 100_000
    now = fmnist.compose(run.record.overrides)
    assert run.record.config_hash == config_hash(run.record.config) == config_hash(now)
    text = (run.dir / "result.json").read_text()
    assert "/work" not in text
    assert "/home" not in text
    card = (run.dir / "README.md").read_text()
    assert f"{100 * run.record.metrics['test/acc']:.2f} % of the 10,000" in card
    for words in ("Trained on 55,000", "| Shirt |", "| jpeg |", "confident learning"):
        assert words in card


@every
def test_it_names_a_picture_right_after_the_installation(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trousers, dark on a bright ground, as a photograph has them; there are no data here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FMNIST_DATA", raising=False)
    pixels = np.full((120, 100), 240, np.uint8)
    pixels[10:40, 30:70] = 40
    pixels[40:112, 30:46] = pixels[40:112, 54:70] = 40
    Image.fromarray(pixels).save("trousers.png")
    assert predict(["--pretrained", name, "trousers.png"]) == 0
    assert "Trouser" in capsys.readouterr().out.splitlines()[1]
    (answer,) = fmnist.predict(f"pretrained/{name}", ["trousers.png"])
    assert (answer.label, answer.name) == ("Trouser", "trousers.png")
    assert answer.probability > 0.5
    assert predict(["--pretrained", name, "trousers.png", "--csv", "none/a.csv"]) == 2
    assert "error: none/a.csv: cannot be written: No such file" in capsys.readouterr().err


@every
def test_its_accuracy_comes_out_of_the_data_again(
    name: str, real_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(real_root.parent)
    monkeypatch.setenv("FMNIST_DATA", str(real_root))
    evaluate(["--pretrained", name])
    accuracy = fmnist.load_run(f"pretrained/{name}").record.metrics["test/acc"]
    assert f"test acc {accuracy:.4f} loss " in capsys.readouterr().out


def test_the_page_shows_what_it_says_of_two_drawings_and_it_becomes_a_file(
    real_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMNIST_DATA", str(real_root))
    shown = r"```python\n(.*?)```\n\n```console\n\$ python -m fmnist\.predict (.*?)\n(.*?)```"
    drawing, words, table = re.findall(shown, USE, re.DOTALL)[0]
    exec(drawing, {})
    assert predict(words.split()) == 0
    assert capsys.readouterr().out == table
    assert export(["--pretrained", "lenet5"]) == 0
    assert re.match(r"lenet5\.pt2: .* of the net's logits\n", capsys.readouterr().out)
    assert [path.name for path in tmp_path.glob("*.pt2")] == ["lenet5.pt2"]


def test_the_page_shows_its_accuracy_on_damaged_images() -> None:
    measured = json.loads((module.FOLDER / "lenet5" / CORRUPTED).read_text())["acc"]
    rows = re.findall(r"^(noise|blur|rotation) +(\d.*)$", USE, re.MULTILINE)
    assert len(rows) == 3
    for kind, numbers in rows:
        acc = measured[kind]
        assert numbers.split() == [f"{share:.4f}" for share in (*acc, mean(acc))]


def test_its_files_are_those_that_the_command_makes_of_it(
    real_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(module.FOLDER, tmp_path / "weights")
    monkeypatch.setenv("FMNIST_DATA", str(real_root))
    for where in (module, pretrained):
        monkeypatch.setattr(where, "FOLDER", tmp_path / "weights")
    pretrained.main(["pretrained/lenet5", "again"])
    for name in (WEIGHTS, RIGHT, CORRUPTED, "README.md"):
        first, again = (module.FOLDER / net / name for net in ("lenet5", "again"))
        assert again.read_bytes().replace(b"# again", b"# lenet5") == first.read_bytes()
    assert fmnist.load_run("pretrained/again").record.status == "finished"


def test_a_run_with_other_settings_than_its_experiment_is_not_packaged(run_tiny) -> None:
    with pytest.raises(RunError, match="is no run of experiment=None, as it stands in conf/"):
        pretrained.main([str(run_tiny().dir), "tiny"])


def test_files_that_are_not_those_published_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(module.FOLDER, tmp_path / "weights")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "weights")
    assert fmnist.load_run("pretrained/lenet5").record.status == "finished"
    path = tmp_path / "weights/lenet5" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(RunError, match="is not the file that was published"):
        fmnist.load_run("pretrained/lenet5")
    with pytest.raises(RunError, match="lenet: no such pretrained net; did you mean lenet5"):
        fmnist.load_run("pretrained/lenet")
    with pytest.raises(RunError, match="lenet5: no such folder; pretrained/lenet5 is a net that"):
        fmnist.load_run("lenet5")


def test_damaged_weights_are_one_line(tmp_path: Path) -> None:
    shutil.copytree(module.FOLDER / "lenet5", tmp_path / "run")
    (tmp_path / "run" / WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(RunError, match=r"model\.safetensors: damaged: not a file of tensors"):
        fmnist.load_run(tmp_path / "run").net()


def test_a_run_starts_from_it_and_says_so(run_tiny) -> None:
    settings = ("model.activation=relu", "model.pooling=max", "optim.lr=1e-12", "optim=sgd")
    run = run_tiny(*settings, "init_from=pretrained/lenet5", "aug=off")
    assert run.record.origin == "init_from=pretrained/lenet5 (ddd5850cb954)"
    theirs = fmnist.load_run("pretrained/lenet5").net().state_dict()
    ours = run.net().state_dict()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in theirs)
