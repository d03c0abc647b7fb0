"""The command line: a mistake is one clear line at once, and leaves nothing behind."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fmnist.config.schema import CONF_DIR
from tests.conftest import CHECKOUT, TINY, command, composed, here

HEAVY = {"torch", "torchvision", "lightning", "wandb", "torchmetrics", "numpy", "scipy", "pandas"}

# What is typed, and the line that answers it.
MISTAKES = [
    ("optm=adam", "optm: no such setting; did you mean optim?"),
    ("sed=3", "sed: no such setting; did you mean seed?"),
    ("+sed=3", "sed: no such setting; did you mean seed?"),
    ("lr=0.1", "lr: no such setting; did you mean optim.lr?"),
    ("+batch_size=32", "batch_size: no such setting; did you mean data.batch_size?"),
    ("epochs=3", "epochs: no such setting; did you mean trainer.max_epochs?"),
    ("foo=1", "foo: no such setting"),
    ("optim.beta=1", "optim.beta: no such setting; did you mean optim.betas?"),
    ("model.act=relu", "model.act: no such setting; did you mean model.activation?"),
    (
        "data=nothere",
        "data=nothere: no such option; there are cifar10, cifar100, emnist, fashion_mnist, folder, "
        "kmnist, mnist, npz, qmnist, synthetic",
    ),
    ("tags=abc", "tags=abc: should be a list, as [abc]"),
    ("optim.lrr=1", "optim.lrr: no such setting; did you mean optim.lr?"),
    ("+optim.lrr=1", "optim.lrr: torch.optim.Adam takes no such argument; did you mean optim.lr?"),
    (
        "+optim.no_decy=true",
        "optim.no_decy: torch.optim.Adam takes no such argument; did you mean optim.no_decay?",
    ),
    (
        "optim._target_=torch.optim.NAdam",
        "optim.fused: torch.optim.NAdam takes no such argument; ~optim.fused leaves it out",
    ),
    (
        "callbacks=[flat]",
        "callbacks=flat: no such option; there are device_stats, lr_monitor, none",
    ),
    ("trainer.max_epoch=3", "trainer.max_epoch: no such setting; did you mean trainer.max_epochs?"),
    ("data.rot=x", "data.rot: no such setting; did you mean data.root?"),
    (
        "scheduler=step scheduler.policy.step_sise=3",
        "scheduler.policy.step_sise: no such setting; did you mean scheduler.policy.step_size?",
    ),
    ("model=lenet", "model=lenet: no such option; did you mean lenet5?"),
    ("optim=adm", "optim=adm: no such option; did you mean adam?"),
    ("model.pooling=maxx", "model.pooling=maxx: should be avg or max; did you mean max?"),
    ("aug.interpolation=bicubic", "aug.interpolation=bicubic: should be nearest or bilinear"),
    (
        "trainer.precision=bf17",
        "trainer.precision=bf17: should be one of auto, 32-true, bf16-mixed, 16-mixed",
    ),
    (
        "trainer.accelerator=gpuu",
        "trainer.accelerator=gpuu: should be one of auto, cpu, gpu, cuda, or another that "
        "Lightning has; did you mean gpu?",
    ),
    (
        "trainer.devices=3",
        "data.batch_size=64: should be a multiple of trainer.devices=3, "
        "as it is the batch of all devices together",
    ),
    ("optim.lr=-1", "optim.lr=-1: should be greater than 0"),
    ("optim.lr=abc", "optim.lr=abc: should be a number"),
    ("data.batch_size=0", "data.batch_size=0: should be at least 1"),
    ("seed=abc", "seed=abc: should be a whole number"),
    ("seed=-1", "seed=-1: should be at least 0 and less than 4294967296"),
    (
        "scheduler=onecycle ~optim.lr",
        "scheduler.policy.max_lr: takes optim.lr, which is not set: should have a value of its "
        "own, scheduler.policy.max_lr=...",
    ),
    ("optim.lr=[1", "optim.lr=[1: should be key=value, brackets closed, special characters quoted"),
]


@pytest.mark.parametrize(("typed", "line"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_answered_in_one_line(typed: str, line: str, tmp_path: Path) -> None:
    done = here("fmnist.train", *typed.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {line}\n")
    assert list(tmp_path.iterdir()) == []  # no outputs/


def test_the_command_itself_answers_a_mistake_in_the_same_way(tmp_path: Path) -> None:
    typed, line = MISTAKES[0]
    done = command("fmnist.train", typed, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {line}\n")
    assert list(tmp_path.iterdir()) == []


def test_options_of_ones_own_folder_are_among_those_that_there_are(tmp_path: Path) -> None:
    """Also where Hydra names none: of a group that takes several."""
    (tmp_path / "conf/callbacks").mkdir(parents=True)
    (tmp_path / "conf/callbacks/mine.yaml").write_text("mine: {_target_: mine.Mine}\n")
    done = here("fmnist.train", "--config-dir=conf", "callbacks=[flat]", cwd=tmp_path)
    line = "callbacks=flat: no such option; there are device_stats, lr_monitor, mine, none"
    assert done.stderr == f"error: {line}\n"


def test_a_folder_that_hydra_cannot_name_is_said_to_be_one(tmp_path: Path) -> None:
    folder = tmp_path / "a${b}"
    folder.mkdir()
    done = here("fmnist.train", *TINY, cwd=folder)
    assert done.stderr.endswith("a${b}: ${...} in a folder's name is a reference to Hydra: start "
                                "elsewhere\n")  # fmt: skip
    assert done.returncode == 2
    assert list(folder.iterdir()) == []


def test_a_file_that_is_no_yaml_is_answered_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\noptim: [\n")
    done = here("fmnist.train", f"--config-dir={tmp_path}", "experiment=mine", cwd=tmp_path)
    assert re.fullmatch(r"error: .*mine\.yaml\", line 3.*\n", done.stderr)
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["experiment"]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("optim.lrr=1,2", "optim.lrr: no such setting; did you mean optim.lr?"),
        ("optim=adam,adm", "optim=adm: no such option; did you mean adam?"),
    ],
)
def test_a_mistyped_key_of_a_sweep_is_answered_in_one_line(
    typed: str, line: str, tmp_path: Path
) -> None:
    done = here("fmnist.train", "-m", *typed.split(), cwd=tmp_path)
    assert done.stderr == f"error: {line}\n"
    assert done.returncode == 2


def test_a_sweep_with_a_bad_cell_fails_and_says_which_key_is_wrong(tmp_path: Path) -> None:
    done = here("fmnist.train", "-m", *TINY, "model.pooling=avg,maxx", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: model.pooling=maxx: should be avg or max; did you mean max?")
    assert line.endswith("model.pooling=maxx)")  # the cell
    assert not any(tmp_path.iterdir())  # the good cell has not begun


def test_a_traceback_can_be_asked_for(tmp_path: Path) -> None:
    done = here("fmnist.train", "sed=3", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert done.stderr.startswith("Traceback")
    assert done.returncode == 1


ANSWERED = """
import sys
from fmnist import train
for typed in ("--help", "--cfg job", "optim.lrr=1", "model.pooling=maxx"):
    sys.argv = ["fmnist.train", *typed.split()]
    try:
        train.main()
    except SystemExit:
        pass
print(*sys.modules, file=sys.stderr)
"""


def test_nothing_heavy_is_imported_for_an_answer(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ANSWERED], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, check=True,
    )  # fmt: skip
    *_, imported = done.stderr.splitlines()
    assert "hydra" in imported.split()
    assert {*imported.split()} & HEAVY == set()
    assert done.stderr.count("error: ") == 2


def test_what_conf_offers_is_checked_without_importing_anything_heavy():
    code = "import sys, fmnist; fmnist.compose(['scheduler=onecycle']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert "hydra" in done.stdout.split()
    assert {*done.stdout.split()} & HEAVY == set()


def test_help_names_groups_and_options_and_its_examples_work(tmp_path: Path) -> None:
    done = here("fmnist.train", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    groups = [path for path in CONF_DIR.iterdir() if path.is_dir()]
    for group in (path for path in groups if path.name != "hydra"):
        options = ", ".join(sorted(path.stem for path in group.glob("*.yaml")))
        assert f"{group.name}: {options}\n" in done.stdout
    examples = re.findall(r"^ *python -m fmnist.train (.*)$", done.stdout, flags=re.MULTILINE)
    assert len(examples) >= 3
    for example in examples:
        words = [word for word in shlex.split(example) if word != "--multirun"]
        composed(*(word.partition(",")[0] for word in words))


def test_cfg_job_prints_the_composed_configuration(tmp_path: Path) -> None:
    done = here("fmnist.train", "--cfg", "job", "--resolve", "optim.lr=0.5", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert yaml.safe_load(done.stdout) == composed("optim.lr=0.5")
    assert list(tmp_path.iterdir()) == []
