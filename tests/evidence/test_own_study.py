"""A study of one's own: experiment, ablation and claims in folders outside the checkout."""

import pytest

from fmnist.claims import main as claims
from fmnist.config.folders import option_file, own_folder
from fmnist.config.readings import OURS
from fmnist.evidence.claim_file import declared_looks
from fmnist.evidence.outcome import evaluate_claims
from fmnist.evidence.readings import readings_of, runs_readings
from fmnist.evidence.study import axes
from fmnist.plan import main as plan
from fmnist.results import main as results
from fmnist.runs.find import find_runs
from fmnist.settle import main as settle
from fmnist.sweeps import look_by_look
from tests.evidence.test_claims import run_dir

EXPERIMENT = """# @package _global_
defaults:
  - override /model: lenet5
trainer: {max_epochs: 1}
"""
SMALL = """# @package _global_
defaults:
  - override /model: lenet5
  - override /data: npz
data: {root: small1.npz}
trainer: {max_epochs: 1}
"""
ABLATION = """# @package _global_
defaults:
  - override /experiment: NAME_base
looks: [3, 5]
hydra:
  sweeper:
    params:
      seed: 0,1,2
      model.pooling: avg,max
"""
CLAIM = """NAME:
  claim: Max-pooling beats average pooling.
  source: me
  sweep: ablation=NAME
  where: {experiment: NAME_base}
  higher: {model.pooling: max}
  lower: {model.pooling: avg}
"""


def own_study(folder, name, experiment=EXPERIMENT, claim=CLAIM):
    """Files of an experiment, of an ablation and of a claim."""
    for place, kind, text in (
        ("conf/experiment", f"{name}_base", experiment),
        ("conf/ablation", name, ABLATION),
        ("mine", name, claim),
    ):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / f"{kind}.yaml").write_text(text.replace("NAME", name))
    return folder


def with_runs(folder, name, *more):
    """Three seeds of each side, as its sweep leaves them."""
    with own_folder(folder / "conf"):
        for seed in range(3):
            for pool in ("avg", "max"):
                accuracy = 0.8 + 0.01 * seed + 0.05 * (pool == "max")
                run_dir(folder / f"multirun/{pool}{seed}", f"ablation={name}",
                        f"model.pooling={pool}", *more, seed=seed, accuracy=accuracy)  # fmt: skip


FLAGS = ["--claims", "mine", "--config-dir", "conf"]


def test_another_folder_has_another_study_of_the_same_name(tmp_path):
    """In one process, whatever was asked before; a factor may have a single level."""

    def known():
        study = axes("twice") if option_file("ablation", "twice") else {}
        return readings_of("twice_base"), study, declared_looks("twice"), runs_readings("twice")

    none = known()
    assert none == ((OURS,), {}, (), False)
    listed = "readings: {optim.lr: [0.001, 0.1]}\n"
    first = own_study(tmp_path / "first", "twice", EXPERIMENT + listed) / "conf"
    second = own_study(tmp_path / "second", "twice") / "conf"
    other = (second / "ablation/twice.yaml").read_text().replace("avg,max", "max")
    other = other.replace("[3, 5]", "[4]").replace("  sweeper:", "  sweeper:\n    readings: true")
    (second / "ablation/twice.yaml").write_text(other)
    for folder, expected in (
        (first, ((OURS, ("optim.lr=0.1",)), {"model.pooling": ["avg", "max"]}, (3, 5), False)),
        (second, ((OURS,), {"model.pooling": ["max"]}, (4,), True)),
        (None, none),
    ):
        with own_folder(folder):
            assert known() == expected


def test_it_is_collected_judged_and_tabled_with_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(own_study(tmp_path, "own_pooling"))
    with_runs(tmp_path, "own_pooling")
    assert claims(["multirun", *FLAGS]) == 0
    assert "holds, by more than 0.2 points" in capsys.readouterr().out
    assert results(["collect", "multirun", "--config-dir", "conf"]) == 0
    assert capsys.readouterr().out == "results/own_pooling.csv: 6 runs, 6 new\n"
    assert claims(["results", *FLAGS]) == 0
    assert "holds, by more than 0.2 points" in capsys.readouterr().out
    assert results(["render", *FLAGS]) == 0
    page = (tmp_path / "results/README.md").read_text()
    assert "Max-pooling beats" in page
    assert "the claims in `mine/`" in page
    capsys.readouterr()
    assert results(["table", "own_pooling", "--config-dir", "conf"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[2:4]] == ["avg", "max"]


def test_levels_count_however_the_file_writes_them(tmp_path, monkeypatch, capsys):
    """Quoted, as a list, and of a setting that is added by a plus."""
    claim = CLAIM.replace("model.pooling: max", "aug: flip")
    claim = claim.replace("model.pooling: avg", 'aug: "off"')
    monkeypatch.chdir(own_study(tmp_path, "own_quoted", claim=claim))
    file = tmp_path / "conf/ablation/own_quoted.yaml"
    levels = "aug: small,flip,\"off\"\n      +optim.betas: '[0.9,0.99],[0.8,0.99]'"
    file.write_text(file.read_text().replace("model.pooling: avg,max", levels))
    typed: list[list[str]] = []
    monkeypatch.setattr(look_by_look, "train_as_typed", lambda words: typed.append(words) or 1)
    settle(["own_quoted", *FLAGS])
    assert 'aug=flip,"off"' in typed[0]  # what the claim asks, and nothing else
    with own_folder(tmp_path / "conf"):
        for aug in ("off", "flip", "small"):
            betas = "+optim.betas=[0.8,0.99]"
            run_dir(tmp_path / f"multirun/{aug}", "ablation=own_quoted", f"aug={aug}", betas)
    capsys.readouterr()
    assert results(["collect", "multirun", "--config-dir", "conf"]) == 0
    assert capsys.readouterr().out == "results/own_quoted.csv: 3 runs, 3 new\n"
    assert results(["table", "own_quoted", "--config-dir", "conf"]) == 0
    lines = capsys.readouterr().out.splitlines()[2:5]
    assert [line.split()[1] for line in lines] == ["small", "flip", "off"]


STEPS = "_target_: torch.optim.lr_scheduler.StepLR, _partial_: true"
POLICIES = (f"{{{STEPS}, step_size: 2}}", f"{{{STEPS}, step_size: 2, gamma: 0.5}}")


@pytest.mark.parametrize(
    ("factor", "levels", "other"),
    [
        ("scheduler.policy", POLICIES, f"{{{STEPS}, step_size: 3}}"),
        ("trainer.accumulate_grad_batches", "12", "3"),  # 1 is Lightning's default, and in no row
        ("+part", "ab", "c"),  # a group of one's own
    ],
)
def test_runs_of_each_level_are_collected(tmp_path, monkeypatch, capsys, factor, levels, other):
    monkeypatch.chdir(own_study(tmp_path, "own_levels"))
    file = tmp_path / "conf/ablation/own_levels.yaml"
    swept = f"{factor}: '{','.join(levels)}'"
    file.write_text(file.read_text().replace("model.pooling: avg,max", swept))
    (tmp_path / "conf/part").mkdir()
    for name, rate in (("a", 0.1), ("b", 0.2), ("c", 0.3)):
        part = f"# @package _global_\nlabel_smoothing: {rate}\n"
        (tmp_path / f"conf/part/{name}.yaml").write_text(part)
    with own_folder(tmp_path / "conf"):
        for number, level in enumerate((*levels, other)):
            words = ("ablation=own_levels", f"{factor}={level}")
            run_dir(tmp_path / f"multirun/{number}", *words)
    assert results(["collect", "multirun", "--config-dir", "conf"]) == 0
    table, left_out = capsys.readouterr().out.splitlines()
    assert table == "results/own_levels.csv: 2 runs, 2 new"
    assert left_out.startswith(f"left out: 1 run of own_levels: {factor}=")


def test_a_study_may_have_a_hyphen_in_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(own_study(tmp_path, "own-hyphen"))
    with_runs(tmp_path, "own-hyphen")
    assert results(["collect", "multirun", "--config-dir", "conf"]) == 0
    assert capsys.readouterr().out == "results/own-hyphen.csv: 6 runs, 6 new\n"


def test_a_claim_of_a_study_that_is_not_here_is_not_judged_without_its_looks(
    tmp_path, monkeypatch, capsys
):
    claim = CLAIM.replace("experiment: NAME_base", "model: lenet5")
    monkeypatch.chdir(own_study(tmp_path, "own_absent", claim=claim))
    with_runs(tmp_path, "own_absent")
    for words, hint in ((FLAGS[:2], "; --config-dir names a folder of one's own"), (FLAGS, "")):
        said = f"error: own_absent: sweep: ablation=own_absent: no such option{hint}\n"
        code = 2 if hint else 0
        for main, *more in ((claims, "multirun"), (results, "render")):
            (tmp_path / "results").mkdir(exist_ok=True)
            assert main([*more, *words]) == code
            assert capsys.readouterr().err == (said if hint else "")


def test_without_its_folder_it_is_not_known(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(own_study(tmp_path, "own_unknown"))
    with_runs(tmp_path, "own_unknown")
    assert results(["collect", "multirun"]) == 0
    said = capsys.readouterr().out
    assert said == (
        "left out: 6 runs of own_unknown: no ablation or experiment of that name is defined here; "
        "--config-dir names a folder of one's own\n"
    )
    for main, *words in (
        (claims, "multirun"),
        (results, "collect", "multirun"),
        (settle, "own_unknown"),
        (plan, "model=lenet5"),
    ):
        assert main([*words, "--config-dir", "nosuch"]) == 2
        assert capsys.readouterr().err == "error: --config-dir nosuch: no such folder\n"


@pytest.mark.parametrize("more", ["", ", data: npz", ", data.name: small1"])
def test_an_experiment_on_other_data_is_judged_by_runs_on_all_of_them(
    tmp_path, monkeypatch, capsys, more
):
    claim = CLAIM.replace("NAME_base}", f"NAME_base{more}}}")
    monkeypatch.chdir(own_study(tmp_path, "own_data", SMALL, claim))
    with_runs(tmp_path, "own_data")
    assert claims(["multirun", *FLAGS]) == 0
    assert "holds, by more than 0.2 points" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("data.train_size=100", "data.train_size=100, not null"),
        ("data.root=other.npz", "data.name=other, not small1"),
    ],
)
def test_runs_on_a_part_of_them_or_on_others_do_not_count(
    tmp_path, monkeypatch, capsys, changed, named
):
    monkeypatch.chdir(own_study(tmp_path, "own_part", SMALL))
    with_runs(tmp_path, "own_part", changed)
    assert claims(["multirun", *FLAGS]) == 0
    assert " ".join(capsys.readouterr().out.split()).endswith(
        f"own_part: the runs of its sweep have {named}: run ablation=own_part without changes, "
        "or name these in its where"
    )
    monkeypatch.setattr(look_by_look, "train_as_typed", lambda overrides: 0)
    assert settle(["own_part", *FLAGS]) == 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(
        f"own_part  not measured; no verdict at 3 seeds: the runs of its sweep have {named}"
    )


def test_a_claim_without_an_experiment_names_its_data(tmp_path, monkeypatch, capsys):
    def judged(where):
        own_study(tmp_path, "own_named", SMALL, CLAIM.replace("{experiment: NAME_base}", where))
        assert claims(["multirun", *FLAGS]) == 0
        return capsys.readouterr().out

    monkeypatch.chdir(own_study(tmp_path, "own_named", SMALL))
    with_runs(tmp_path, "own_named")
    assert " ".join(judged("{model: lenet5}").split()).endswith(
        "own_named: the runs of its sweep have data.name=small1, not FashionMNIST; "
        "data.val_size=null, not 5000: run ablation=own_named without changes, "
        "or name these in its where"
    )
    assert "holds, by more" in judged("{model: lenet5, data: npz}")
    assert "holds, by more" in judged("{data.name: small1, data.val_size: null}")


def test_ones_own_claims_need_none_of_the_projects(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("fmnist.evidence.claim_file.CLAIMS_DIR", tmp_path / "removed")
    monkeypatch.chdir(own_study(tmp_path, "own_alone"))
    with_runs(tmp_path, "own_alone")
    conf = FLAGS[2:]
    for main, words, told in (
        (claims, ["multirun", *FLAGS], "holds, by more than 0.2 points"),
        (results, ["collect", "multirun", *conf], "own_alone.csv: 6 runs, 6 new"),
        (results, ["render", *FLAGS], "results/README.md: written"),
        (settle, ["own_alone", *FLAGS], "own_alone  holds, by more than 0.2 points"),
        (plan, ["ablation=own_alone", *FLAGS], "own_alone                  a difference of "),
        (plan, ["ablation=own_alone", *conf], "between two of its settings"),
    ):
        assert main(words) == 0
        assert told in capsys.readouterr().out
    assert claims(["multirun", "results", *FLAGS]) == 0  # each run twice
    assert capsys.readouterr().out.startswith("6 runs finished\n")
    assert evaluate_claims(find_runs(["multirun"]).runs) == []
    for main, *words in ((claims, "multirun"), (settle, "own_alone", *conf)):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert (
            said == f"error: {tmp_path}/removed: holds no claim; --claims FOLDER names your own\n"
        )


def test_what_only_the_command_line_or_a_claim_of_ones_own_says_is_collected(
    tmp_path, monkeypatch, capsys
):
    """Which file data=npz is, and which experiment an ablation is run with."""
    wider = CLAIM.replace("sweep: ablation=NAME", "sweep: ablation=NAME optim.lr=0.5")
    small = SMALL.replace("data: {root: small1.npz}\n", "")
    monkeypatch.chdir(own_study(tmp_path, "own_root", small, wider))
    with_runs(tmp_path, "own_root", "data.root=mine.npz", "optim.lr=0.5")
    for words in ([], FLAGS[:2]):
        assert results(["collect", "multirun", *FLAGS[2:], *words]) == 0
    assert capsys.readouterr().out == (
        "left out: 6 runs of own_root: optim.lr=0.5 (there: 0.001)\n"
        "results/own_root.csv: 6 runs, 6 new\n"
    )
