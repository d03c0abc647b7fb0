"""A net whose code was changed is another net, though its runs have one hash."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from fmnist.runs.manifest import Cell
from fmnist.runs.own_code import changed_code, code_digests, digest
from fmnist.runs.record import Record
from fmnist.runs.recording import goes_on, start_run
from fmnist.runs.run import load_run
from fmnist.sweeps.cells import Sweep
from fmnist.sweeps.forecast import plan_in_words
from fmnist.sweeps.launch import launch
from tests.records import CONFIG, a_record, an_epoch, put_record

NET = '''"""A net."""
from torch import nn


class OwnNet(nn.Sequential):
    """One layer."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(784, 10))  # and no more
'''
OTHER = NET.replace("nn.Flatten(), ", "nn.ReLU(), nn.Flatten(), ")


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a net of one's own, which can be imported."""
    file = tmp_path / "code" / f"own_{tmp_path.name}.py"
    file.parent.mkdir()
    file.write_text(NET)
    monkeypatch.syspath_prepend(str(file.parent))
    return file


def config(net: Path) -> dict:
    return CONFIG | {"model": {"_target_": f"{net.stem}.OwnNet"}}


def made(net: Path, *status: str, **entries: object) -> Record:
    """A record of a run of the net as it stands."""
    described = config(net)
    return a_record(*status, config=described, code=code_digests(described), **entries)


def test_what_changes_nothing_that_is_computed_does_not_count(tmp_path: Path) -> None:
    def digest_of(text: str) -> str:
        (file := tmp_path / f"{len(list(tmp_path.iterdir()))}.py").write_text(text)
        return digest(file)

    same = NET.replace("A net", "Mine").replace("One layer", "Two").replace("# and no more", "")
    assert digest_of(NET) == digest_of(same) != digest_of(OTHER)
    assert digest_of("def f():\n    'Only words.'\n") == digest_of("def f():\n    pass\n")


def test_a_net_and_what_is_ones_own_is_told_and_what_has_a_version_is_not(net: Path) -> None:
    described = config(net) | {
        "optim": {"_target_": "torch.optim.SGD"},
        "data": {"_target_": "fmnist.data.datamodule.ImageData", "source": {
            "_target_": "collections.Counter"}},
        "callbacks": {"one": {"_target_": "fmnist.models.lenet5.LeNet5"}},
        "logger": {"mine": {"_target_": f"{net.stem}.Logger"}},
    }  # fmt: skip
    assert set(code_digests(described)) == {
        f"{net.stem}.OwnNet", "fmnist.models.lenet5.LeNet5", "fmnist.models.size"
    }  # fmt: skip


def test_what_pip_has_installed_anywhere_is_no_code_of_ones_own(net: Path) -> None:
    net.write_text(f"import installed_{net.stem}\nimport torch\n{NET}")
    (net.parent / f"installed_{net.stem}.py").write_text("")
    alone = f"{net.stem}.OwnNet"
    assert set(code_digests(config(net))) == {alone, f"installed_{net.stem}"}
    target = net.parent.parent / "target"  # pip install --target
    (target / "thing-1.0.dist-info").mkdir(parents=True)
    (net.parent / f"installed_{net.stem}.py").rename(target / f"installed_{net.stem}.py")
    sys.path.append(str(target))
    try:
        assert set(code_digests(config(net))) == {alone}
    finally:
        sys.path.remove(str(target))


def test_what_a_net_imports_is_told_as_the_net_is(net: Path, tmp_path: Path) -> None:
    """By modules, in packages and out of them, and what those import in turn."""
    package = f"parts_{tmp_path.name}"
    files = {
        "layers": f"import json\nimport torch\nimport {package}.sizes\n",
        "sizes": f"import {net.stem}\nWIDTH = 1\n",
        "__init__": "",
        "unused": "WIDTH = 1\n",
    }
    (net.parent / package).mkdir()
    for name, text in files.items():
        (net.parent / package / f"{name}.py").write_text(text)
    net.write_text(f"from {package}.layers import WIDTH\n{NET}")
    before = made(net)
    assert set(before.code) == {
        f"{net.stem}.OwnNet", package, f"{package}.layers", f"{package}.sizes"
    }  # fmt: skip
    (net.parent / package / "unused.py").write_text("WIDTH = 2\n")
    assert changed_code(before) == []
    (net.parent / package / "sizes.py").write_text(files["sizes"].replace("1", "2"))
    assert changed_code(before) == [f"{package}.sizes"]
    (net.parent / package / "__init__.py").write_text("import torch\n")
    assert changed_code(before) == [package, f"{package}.sizes"]


def test_an_import_that_may_fail_needs_not_be_python(net: Path, tmp_path: Path) -> None:
    """As of an older language, which a net tries and does without."""
    old = net.parent / f"old_{tmp_path.name}.py"
    old.write_text("print 'x'\n")
    net.write_text(f"try:\n    import {old.stem}\nexcept SyntaxError:\n    pass\n{NET}")
    before = made(net)
    assert set(before.code) == {f"{net.stem}.OwnNet", old.stem}
    old.write_text("print 'y'\n")
    assert changed_code(before) == [old.stem]


def test_a_stopped_run_goes_on_by_the_code_it_was_begun_with_only(
    net: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    put_record(run, made(net, "failed", [an_epoch()], error="terminated", dashboard_id="d"))
    (run / "checkpoints").mkdir()
    (last := run / "checkpoints" / "last.ckpt").touch()
    new = a_record("running", config=config(net))
    assert goes_on(run, "a", config(net))
    net.write_text(OTHER)
    assert not goes_on(run, "a", config(net))
    record = start_run(run, new).record
    assert (record.epochs, record.resumed, record.dashboard_id) == ([], [], None)
    assert not last.exists()
    assert record.code == code_digests(config(net))
    assert f"{net.stem}.OwnNet: changed since the run was stopped" in caplog.text


def test_of_a_run_from_before_digests_nothing_is_known(net: Path) -> None:
    assert not changed_code(replace(made(net), code={}))
    before = made(net)
    net.unlink()
    assert not changed_code(before)


def test_a_sweep_says_which_of_its_finished_cells_other_code_has_made(
    net: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cells = [Cell(f"{seed}", [f"seed={seed}"], "a") for seed in range(3)]
    launcher = SimpleNamespace(launch=lambda *_, **__: [])
    for cell in cells[:2]:
        put_record(tmp_path / cell.dir, made(net))
    launch(launcher, tmp_path, cells, 1)
    assert "changed since" not in caplog.text
    net.write_text(OTHER)
    launch(launcher, tmp_path, cells, 1)
    words = f"WARNING {net.stem}.OwnNet has changed since 2 of them finished"
    assert words in " ".join(caplog.text.split())
    assert words in " ".join(plan_in_words(Sweep(tmp_path, cells[:2]), []).split())


def test_a_sweep_says_where_its_cells_started_from_another_run_than_lies_there_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = put_record(tmp_path / "source", a_record(config_hash="before"))
    cells = [Cell(f"{seed}", [f"seed={seed}"], "a") for seed in range(3)]
    launcher = SimpleNamespace(launch=lambda *_, **__: [])
    for cell in cells[:2]:
        started = CONFIG | {"init_from": str(source)}
        origin = f"init_from={source} (before)"
        put_record(tmp_path / "sweep" / cell.dir, a_record(config=started, origin=origin))
    launch(launcher, tmp_path / "sweep", cells, 1)
    assert "WARNING" not in caplog.text
    put_record(source, a_record(config_hash="now"))
    launch(launcher, tmp_path / "sweep", cells, 1)
    words = f"WARNING init_from={source} is another run than 2 of them started from"
    assert "".join(words.split()) in "".join(caplog.text.split())
    said = plan_in_words(Sweep(tmp_path / "sweep", cells[:2]), [])
    assert "".join(words.split()) in "".join(said.split())


@pytest.mark.parametrize("own", [True, False])
def test_weights_are_read_into_changed_code_with_a_warning(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog, own: bool
) -> None:
    monkeypatch.setenv("FMNIST_TRUST", net.stem)
    weights = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).state_dict()
    run = load_run(put_record(tmp_path / "run", made(net)))
    run.checkpoints.mkdir()
    torch.save({"state_dict": {f"net.{k}": v for k, v in weights.items()}},
               run.checkpoints / "best.ckpt")  # fmt: skip
    run.net()
    assert not caplog.messages
    net.write_text(NET.replace("784, 10)", "784, 10), nn.Softmax(1)"))
    run.own = own  # a run of this process has been told so already
    run.net()
    assert caplog.messages == [f"WARNING {run.dir}: {net.stem}.OwnNet changed since it ended"][own:]
