"""What somebody else may have written: a record, a checkpoint, a claim, a table, a folder's name.

Reading it runs none of their code, writes nowhere else, and shows what it is.
"""

import csv
import errno
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
import yaml

from fmnist.claims import main as claims
from fmnist.config.build import build_node
from fmnist.config.published import published
from fmnist.config.trusted import SETTING, Untrusted, refuse_untrusted, trust
from fmnist.evaluate import main as evaluate
from fmnist.report import main as report
from fmnist.results import main as results
from fmnist.runs.foreign_text import escaped, escaped_values, from_cell, to_cell
from fmnist.runs.rows import FACTS, Row
from fmnist.runs.rows_file import read_rows, write_rows
from fmnist.runs.run import load_run
from fmnist.status import main as status
from tests.conftest import CHECKOUT, composed, without_png

LENET = {"_target_": "fmnist.models.lenet5.LeNet5"}
DATA = {"_target_": "fmnist.data.datamodule.ImageData", "name": "synthetic"}
MARK = "fmnist_untrusted_mark"

# Whatever Hydra would call. None of them may be called, or be imported for it.
FOREIGN = [
    "os.mkdir", "os.makedirs", "os.system", "pathlib.Path.mkdir", "subprocess.run", "builtins.eval",
    "builtins.open", "torch.load", "torch.hub.load", "torch.save", "torch.utils.cpp_extension.load",
    "torch.nn.functional.relu", "torch.nn.utils.parametrize.torch.load", "torch.nn.init.os.mkdir",
    "torch.nn.modules.module.torch.load", "torch.nn.parallel.DistributedDataParallel",
    "torch.nn", "torch.nn.Parameter", "torch.nn.Moduls", "torch.nn.Module.load_state_dict",
    "torch.optim.Adam", "lightning.pytorch.Trainer", "numpy.load", "omegaconf.OmegaConf.load",
    "hydra.utils.instantiate", "hydra.utils.get_method", "functools.partial",
    "fmnist.results.main", "fmnist.train.main", "fmnist.evaluate.main", "fmnist.models",
    "fmnist.models.lenet5", "fmnist.models.lenet5.torch.load", "fmnist.models.lenet5.nn.Linear",
    "fmnist.models.lenet5.Tensor", "fmnist.models.lenet5.LeNet5.load_state_dict",
    "fmnist.models.lenet5.LeNet5.forward.__globals__", "fmnist.models.lenet5.__loader__",
    "fmnist.models.normalization.conv", "fmnist.models.nowhere.Net",
    "fmnist.data.files.download", "fmnist.data.files.os.mkdir", "fmnist.data.files.FileLock",
    "fmnist.data.files.tempfile.mkdtemp", "fmnist.data.datamodule.np.load",
    "fmnist.runs.run.write_atomically", "fmnist.modelsX.net.Net", "fmnistx.models.net.Net",
    "fmnist.models.lenet5.LeNet5 ", " fmnist.models.lenet5.LeNet5", "fmnist.models..LeNet5",
    "fmnist.models.lenet5.LeNet5\n", "LeNet5", "", ".", "os", "fmnist.models.lenet5.LeNet\uff15",
    None, 7, ["os.mkdir"], {"_target_": "os.mkdir", "path": MARK},
]  # fmt: skip


def build(node):
    """What a node of somebody's record describes."""
    refuse_untrusted(node)
    return build_node(node)


def inside(node, place):
    """A node with another one somewhere in it."""
    return {
        "itself": node,
        "argument": LENET | {"activation": node},
        "list": LENET | {"activation": [1, [node]]},
        "deep": LENET | {"a": {"b": [{"c": {"_target_": "torch.nn.ReLU", "inplace": node}}]}},
        "_args_": LENET | {"_args_": [node]},
        "partial": LENET | {"_partial_": True, "x": node | {"_partial_": True}},
        "not recursive": LENET | {"_recursive_": False, "x": node},
        "converted": LENET | {"_convert_": "all", "x": node},
    }[place]


PLACES = ["itself", "argument", "list", "deep", "_args_", "partial", "not recursive", "converted"]


@pytest.mark.parametrize("target", FOREIGN, ids=repr)
def test_a_target_that_is_none_of_ours_is_refused_in_one_line(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in PLACES:
        with pytest.raises(Untrusted) as error:
            build(inside({"_target_": target, "path": MARK}, place))
        assert "\n" not in escaped(error.value, keep="")
        assert str(target) in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_first_foreign_name_stops_all_before_any_import(tmp_path, monkeypatch):
    """Ours stands first; the package of the other would leave a trace when imported."""
    (tmp_path / "fmnist_evil.py").write_text(f"import os; os.mkdir({str(tmp_path / MARK)!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    for node in (LENET | {"dropout": {"_target_": "fmnist_evil.Net"}}, {"_target_": "fmnist_evil"}):
        with pytest.raises(Untrusted, match="fmnist_evil"):
            build(node)
    assert "fmnist_evil" not in sys.modules
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize(
    "value",
    ["${oc.env:HOME}", "${oc.decode:1}", "a ${now:%Y} b", "${..x}", "???", "${fmnist.cell:a}"],
)
def test_values_of_a_record_are_not_looked_up(value):
    for node in (LENET | {"activation": value}, LENET | {value: 1}, DATA | {"root": [{"x": value}]},
                 LENET | {"_target_": value}):  # fmt: skip
        with pytest.raises(Untrusted, match="plain"):
            build(node)


@pytest.mark.parametrize(
    ("key", "value"),
    [("_partial_", 1), ("_partial_", "yes"), ("_recursive_", None), ("_convert_", "any"),
     ("_convert_", {"_target_": "torch.nn.ReLU"})],
)  # fmt: skip
def test_hydras_own_keys_have_hydras_values(key, value):
    with pytest.raises(Untrusted, match=key):
        build(LENET | {key: value})


def test_nesting_without_end_is_refused():
    node = LENET
    for _ in range(3000):
        node = {"x": node}
    with pytest.raises(Untrusted, match="too deeply"):
        build(node)


@pytest.mark.parametrize(
    "model", ["alexnet", "cnnmodel4", "fashioncnn", "googlenet", "lenet5", "logistic", "resnet9"]
)
def test_nets_and_data_of_ours_are_built(model):
    config = composed(f"model={model}", "data=synthetic", "aug=flip_shift_erase")
    assert isinstance(build(config["model"]), torch.nn.Module)
    assert build(config["data"]).set_name == "synthetic"
    assert build(config["aug"]).erasing.probability == 0.5
    assert isinstance(build({"_target_": "torch.nn.ReLU"}), torch.nn.ReLU)


@pytest.fixture
def own_net(tmp_path, monkeypatch):
    """A package of somebody's with a net, a factory, and another package's function in it."""
    folder = tmp_path / "their_nets"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import os\nfrom os import mkdir\nfrom torch import nn\n"
        "class Net(nn.Linear):\n    pass\n"
        "def make():\n    return Net(1, 1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "their_nets"
    sys.modules.pop("their_nets", None)


def test_ones_own_net_needs_a_word(own_net, monkeypatch):
    net = {"_target_": "their_nets.Net", "in_features": 1, "out_features": 1}
    with pytest.raises(Untrusted, match=r"their_nets\.Net.*--trust.*FMNIST_TRUST=their_nets"):
        build(net)
    assert "their_nets" not in sys.modules
    with trust(True):
        assert type(build(net)).__name__ == "Net"
    with pytest.raises(Untrusted):
        build(net)
    assert type(build_node(net)).__name__ == "Net"
    monkeypatch.setenv(SETTING, "another, their_nets")
    assert type(build(net)).__name__ == "Net"
    assert type(build({"_target_": "their_nets.make"})).__name__ == "Net"
    for name in ("their_nets.mkdir", "their_nets.os.mkdir", "their_nets.nn.Linear", "os.mkdir",
                 "their_netsx.Net"):  # fmt: skip
        with pytest.raises(Untrusted, match=name):
            build({"_target_": name})


# A whole run: what the commands make of a record that was changed.


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained run; tests change copies of its record."""
    from fmnist.runs.job import Job
    from fmnist.train import train
    from tests.conftest import TINY

    folder = tmp_path_factory.mktemp("trained") / "run"
    train(composed(*TINY), Job(folder, choices={"model": "lenet5"}, overrides=("seed=0",)))
    return folder


@pytest.fixture
def shared(trained, tmp_path, monkeypatch):
    """`shared(change)`: a copy of the run whose record somebody has changed; in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def make(change=lambda record: None):
        folder = tmp_path / "shared"
        shutil.copytree(trained, folder, dirs_exist_ok=True)
        record = json.loads((folder / "result.json").read_text())
        change(record)
        (folder / "result.json").write_text(json.dumps(record))
        return folder

    return make


@pytest.mark.usefixtures("undrawn")
def test_evaluate_and_report_make_no_folder_that_a_record_names(shared, capsys):
    def change(record, groups):
        for group in groups:
            record["config"][group] = {"_target_": "os.mkdir", "path": f"{MARK}_{group}"}

    for group in ("model", "data"):
        folder = shared(lambda record, group=group: change(record, [group]))
        assert evaluate([str(folder)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"config.{group}: _target_=os.mkdir" in error
        assert "TRUST" not in error  # nobody's net is there
    folder = shared(lambda record: change(record, ["model", "data"]))
    assert report([str(folder), "--no-latency"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": is not")[0] for line in lines] == [
        f"left out: {folder}: config.{group}: _target_=os.mkdir" for group in ("model", "data")
    ]
    page = (folder / "report/report.html").read_text()
    assert page.count("_target_=os.mkdir") >= 2
    assert not list(Path().glob(f"{MARK}*"))


def test_trust_and_the_setting_let_a_net_of_ones_own_be_evaluated(
    shared, own_net, tmp_path, monkeypatch, capsys
):
    with (tmp_path / "their_nets/__init__.py").open("a") as file:
        file.write("from fmnist.models.lenet5 import LeNet5\nclass Mine(LeNet5):\n    pass\n")
    folder = shared(lambda record: record["config"]["model"].update(_target_="their_nets.Mine"))
    assert evaluate([str(folder)]) == 2
    assert "FMNIST_TRUST=their_nets" in capsys.readouterr().err
    assert evaluate([str(folder), "--trust"]) == 0
    assert "identical" in capsys.readouterr().out
    assert evaluate([str(folder)]) == 2
    monkeypatch.setenv(SETTING, "their_nets")
    assert evaluate([str(folder)]) == 0


@pytest.mark.parametrize("option", ["--trust", "the variable"])
def test_code_of_ones_own_that_is_not_found_from_here_is_one_line(
    shared, option, tmp_path, monkeypatch, capfd, caplog
):
    folder = shared(lambda record: record["config"]["model"].update(_target_="far_nets.Mine"))
    monkeypatch.setenv(SETTING, "far_nets" if option == "the variable" else "")
    arguments = [str(folder), *([option] if option == "--trust" else [])]
    assert evaluate(arguments) == 2
    line = (
        f"error: {folder}: config.model: far_nets.Mine: no package far_nets is found from here: "
        "start in the folder that has its code, or put that on PYTHONPATH\n"
    )
    assert capfd.readouterr().err == line
    (tmp_path / "far_nets.py").write_text("import far_layers\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert evaluate(arguments) == 2
    line = f"error: {folder}: config.model cannot be built: No module named 'far_layers'\n"
    assert capfd.readouterr().err == line
    assert not caplog.records  # of Hydra's


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (DATA, "describes no net but ImageData"),
        (LENET | {"_partial_": True}, "describes no net but"),
        (LENET | {"widths": 3}, "cannot be built"),
        (LENET | {"activation": "swish"}, "cannot be built"),
        ({"_target_": "torch.nn.ReLU"}, "its weights are not those of the ReLU"),
        ({"x": 1}, "describes no net"),
        ([], "config has no model"),
        (None, "config has no model"),
        ("text", "config has no model"),
    ],
)
def test_a_configuration_that_describes_no_net_is_one_line(shared, model, words, capsys):
    folder = shared(lambda record: record["config"].update(model=model))
    assert evaluate([str(folder)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("group", "change"),
    [
        ("model", {"num_classes": 10, "in_channels": 1, "image_size": 32}),
        ("data", {"train_size": "many"}),
        ("data", {"train_size": 10**15}),
        ("data", {"eval_batch_size": 0}),
        ("data", {"mean": "x", "std": [1]}),
        ("data", {"name": "nobody's"}),
        ("data", {"root": 7, "name": "KMNIST"}),
    ],
)
def test_settings_that_cannot_be_are_one_line(shared, group, change, capsys):
    folder = shared(lambda record: record["config"][group].update(change))
    assert evaluate([str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("link", ["report", "report/figures"])
def test_a_report_is_not_written_where_a_link_leads(shared, tmp_path, link, capsys):
    folder, elsewhere = shared(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / link).parent.mkdir(exist_ok=True)
    (folder / link).symlink_to(elsewhere)
    assert report([str(folder), "--no-latency"]) == 2
    assert "leads to another folder; --out" in capsys.readouterr().err
    assert not list(elsewhere.iterdir())


def test_reading_writes_no_data_root_of_a_record(shared, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("FMNIST_DATA", raising=False)
    facts = published()["FashionMNIST"]
    monkeypatch.setitem(published(), "FashionMNIST", replace(facts, elsewhere=None))
    root = tmp_path / "made" / "by" / "record"

    def change(record):
        record["config"]["data"] |= {"name": "FashionMNIST", "root": str(root), "train_size": None}

    assert evaluate([str(shared(change))]) == 2
    error = capsys.readouterr().err
    assert f"FashionMNIST is not in {root}" in error
    assert "FMNIST_DATA=DIR" in error
    assert not (tmp_path / "made").exists()


class Bomb:
    def __reduce__(self):
        return os.mkdir, (MARK,)


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", b"PK\x03\x04nonsense", b"\x1b[31mred\x1b]0;title\x07",
     pickle.dumps({"state_dict": Bomb()}), "bomb", "list", "numbers", "no state_dict"],
)  # fmt: skip
def test_a_damaged_checkpoint_is_one_line_that_advises_nothing(shared, content, capfd):
    folder = shared()
    path = folder / "checkpoints/best.ckpt"
    made = {
        "bomb": {"state_dict": {"net.x": Bomb()}}, "list": [1], "no state_dict": {},
        "numbers": {"state_dict": {f"net.{key}": 1 for key in load_run(folder).net().state_dict()}},
    }  # fmt: skip
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(made[content], path)
    capfd.readouterr()
    assert evaluate([str(folder)]) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"error: {path}: ")
    assert error.count("\n") == 1
    assert not re.search(r"weights_only|torch\.load|trusted source|\x1b|http", error)
    assert not Path(MARK).exists()


# Terminals and spreadsheets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("back\b\rover", r"back\x08\rover"),
        ("a\u202eb\u2066", r"a\u202eb\u2066"),
        ("\u2028", r"\u2028"),
        ("two\nlines", r"two\nlines"),
        ("\ud800", r"\ud800"),
        ("plain 9,3 % – ü 日本", "plain 9,3 % – ü 日本"),  # noqa: RUF001
    ],
)
def test_control_characters_are_shown_and_not_sent(text, shown):
    assert escaped(text, keep="") == shown
    assert escaped_values({text: [text, 1, None]}) == {shown: [shown, 1, None]}


def test_a_record_keeps_the_lines_of_its_traceback():
    record = {"traceback": "a\n\tb\x1b", "overrides": ["a\nb"]}
    assert escaped_values(record) == {"traceback": "a\n\tb\\x1b", "overrides": ["a\\nb"]}


FORMULAS = [
    "=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "'",
    "''x", "-", "+", "=", "-1-1", "+optim.lr=1", "-0x1",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text_in_a_cell_and_itself_when_read_back(text):
    cell = to_cell(text)
    assert cell == f"'{text}"
    assert from_cell(cell) == text


@pytest.mark.parametrize("value", [1, -1.5, "-1.5", "+3", "-1e-05", "1e9", "-.5", "text", "", "a=1",
                                   None, True])  # fmt: skip
def test_numbers_and_plain_text_are_untouched_in_a_cell(value):
    assert to_cell(value) is value
    assert not isinstance(value, str) or from_cell(value) == value


def test_rows_with_formulas_come_back_from_their_csv(tmp_path):
    facts = dict.fromkeys(FACTS, "=1+1")
    row = Row(facts | {"seed": "0"}, {"optim.lr": "-0.5", "=x.y": "@SUM(1)", "optim.a": "'"}, {})
    write_rows(tmp_path / "rows.csv", [row])
    (back,) = read_rows(tmp_path / "rows.csv")
    assert back.facts == row.facts
    assert row.settings.items() <= back.settings.items()
    with (tmp_path / "rows.csv").open(newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert not [cell for cell in cells if cell[:1] in "=+-@" and cell and cell != "-0.5"]


# Pages

SCRIPT = "<script>1//\"'>&amp;{{7*7}}$\\frac]]>"


def vandalized(node, path=""):
    """A record with a script in every text but those by which a run is read at all."""
    if isinstance(node, dict):
        return {key: vandalized(value, f"{path}.{key}") for key, value in node.items()}
    if isinstance(node, list):
        return [vandalized(value, f"{path}[]") for value in node]
    kept = ("status", "_target_", "started", "name", "activation", "pooling", "select_on", "root")
    return node + SCRIPT if isinstance(node, str) and path.split(".")[-1] not in kept else node


@pytest.mark.parametrize("runs", [1, 2])
def test_a_page_shows_scripts_of_a_record_as_text(shared, tmp_path, runs):
    """In every text of it: classes, overrides, options, command, versions, device."""
    first = shared()
    record = vandalized(json.loads((first / "result.json").read_text()))
    record["config"][SCRIPT] = {SCRIPT: SCRIPT}
    (tmp_path / "all").mkdir()
    for number in range(runs):
        name = f"run{number}{SCRIPT.replace('/', '')}"
        folder = first.rename(tmp_path / "all" / name) if number == 0 else tmp_path / "all" / name
        if number:
            shutil.copytree(tmp_path / "all" / f"run0{SCRIPT.replace('/', '')}", folder)
        record["overrides"] = [f"model.dropout=0.{number}{SCRIPT}", f"aug={number}{SCRIPT}"]
        record["choices"]["aug"] = f"{number}{SCRIPT}"
        (folder / "result.json").write_text(json.dumps(record))
    with without_png():
        assert report([str(tmp_path / "all"), "--no-latency", "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "&lt;script&gt;1" in page
    assert page.count("<script") == 1  # our own
    assert "{{7*7}}" in page  # not 49
    drawings = list((tmp_path / "out/figures").glob("*.svg"))
    assert len(drawings) > 3
    for drawing in drawings:
        assert "<script" not in drawing.read_text()
        ElementTree.parse(drawing)


# Claims


@pytest.mark.parametrize(
    "sweep",
    ["--config-dir /evil", "ablation=x --config-dir=/evil", "hydra.run.dir=/evil",
     "ablation=../../x", "ablation=/x", "+hydra.searchpath=[file:///evil]", "model=${oc.env:HOME}",
     "ablation=x;id", "ablation=$(id)", "ablation=`id`", "ablation=x|id", "ablation=x&id",
     "ablation=x\x1b[31m", "data.root=/etc", "~model", "model@x=lenet5", "logger=>x"],
)  # fmt: skip
def test_a_claims_sweep_holds_plain_settings_only(tmp_path, sweep, capsys):
    write_claim(tmp_path, sweep=sweep)
    assert claims([str(tmp_path), "--claims", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert ": sweep: " in error
    assert error.count("\n") == 1
    assert "\x1b" not in error


@pytest.mark.parametrize(
    "where",
    [{"experiment": "../../x"}, {"experiment": "/x"}, {"optim.lr": "${oc.env:HOME}"},
     {"optim.lr=1 hydra.x": 1}, {"model": "${oc.decode:1}"}, {"data.root": "/etc"},
     {"optim.lr": {"_target_": "os.mkdir"}}, {"model": "\x1b[31m"}, {"hydra.run.dir": "x"}],
)  # fmt: skip
def test_a_claims_selection_holds_plain_values_only(tmp_path, where, capsys):
    write_claim(tmp_path, where=where)
    assert claims([str(tmp_path), "--claims", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert ": where: " in error
    assert error.count("\n") == 1
    assert "\x1b" not in error


def test_yaml_of_a_claim_makes_no_objects(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(f"claim: !!python/object/apply:os.mkdir [{MARK}]\n")
    assert claims([str(tmp_path), "--claims", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not Path(MARK).exists()


def write_claim(folder, **keys):
    content = {"claim": "A", "source": "me", "sweep": "ablation=s1_models", "about": {"params": 1},
               "margin": 1} | keys  # fmt: skip
    (folder / "mine.yaml").write_text(yaml.safe_dump({"mine": content}))


def test_what_a_claim_says_is_shown_and_not_sent(shared, tmp_path, capsys):
    """Terminal, and the table for spreadsheets."""
    folder = shared()
    write_claim(tmp_path, claim="=1+1 \x1b[31mred", source="@SUM(1)", where={
        "data.name": "synthetic", "data.train_size": 640, "data.test_size": 200,
        "data.val_size": 128})  # fmt: skip
    capsys.readouterr()
    assert claims([str(folder), "--claims", str(tmp_path), "--csv", str(tmp_path / "x.csv")]) == 0
    assert r"\x1b[31mred" in (said := capsys.readouterr().out)
    assert "\x1b" not in said
    with (tmp_path / "x.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert (line["words"], line["source"]) == (r"'=1+1 \x1b[31mred", "'@SUM(1)")


def test_status_shows_and_does_not_send(shared, tmp_path, capsys):
    folder = shared(lambda record: record.update(status="failed", error="a\x1b[31mb\nc",
                                                 overrides=["x=\x1b]0;t\x07\nbest"]))  # fmt: skip
    capsys.readouterr()
    assert status([str(folder.rename(tmp_path / "a\x1bb"))]) == 1
    said = capsys.readouterr().out
    assert r"a\x1b[31mb" in said
    assert r"x=\x1b]0;t\x07\nbest" in said
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", said)


# A full disk


def test_a_full_disk_is_one_line_and_leaves_nothing(shared, tmp_path, monkeypatch, capsys):
    write_claim(tmp_path)
    study = tmp_path / "results/s2_best.csv"
    config = composed("experiment=s2_best")

    def as_study(record):
        record["config"], record["choices"] = config, {"experiment": "s2_best"}

    folder = shared(as_study)
    assert results(["collect", str(folder), "--results", str(study.parent)]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()

    def full(path, content):
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    for command, arguments in (
        (results, ["collect", str(folder), "--results", str(study.parent)]),
        (results, ["render", "--claims", str(tmp_path), "--results", str(study.parent)]),
        (claims, [str(folder), "--claims", str(tmp_path), "--csv", str(tmp_path / "x.csv")]),
    ):
        assert command(arguments) == 2
        error = capsys.readouterr().err
        assert "cannot be written: No space left on device" in error
        assert error.count("\n") == 1
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_a_full_disk_refuses_is_one_line(trained):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fmnist.status", str(trained)],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("harm", [("0.78", "nan"), ("0.78", "inf"), ("0.78", "1e999"),
                                  ("cpu", "x" * 200_000)])  # fmt: skip
def test_a_damaged_table_is_one_line(tmp_path, harm, capsys):
    facts = dict.fromkeys(FACTS, "") | {"seed": "0", "status": "finished", "device": "cpu"}
    row = Row(facts, {}, {"test/acc": 0.78})
    write_rows(tmp_path / "x.csv", [row])
    assert read_rows(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text((tmp_path / "x.csv").read_text().replace(*harm))
    assert claims([str(tmp_path / "x.csv")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'x.csv'}: damaged: ")
    assert error.count("\n") == 1
