"""`fmnist COMMAND ...`: which command, its help, and the Tab key."""

import os
import re
import shutil
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

import fmnist
from fmnist import __main__ as command
from tests.conftest import CHECKOUT, TINY


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    """A PATH with `fmnist`, which runs the checkout, on it."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "fmnist"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m fmnist "$@"\n')
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def run(path: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=cwd, env={**os.environ, "PATH": path, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_help_lists_every_command_in_a_line_and_imports_nothing_of_ours_or_heavy(path, tmp_path):
    files = {file.stem for file in CHECKOUT.glob("fmnist/[a-z]*.py")} - {"errors"}
    files = {command.CALLED.get(stem, stem) for stem in files}
    done = run(path, "fmnist", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = dict(re.findall(r"^  ([a-z]+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert files | {"bash", "zsh", "fish"} == set(listed)
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    code = "import sys, fmnist.__main__ as m; m.main(['--help']); print(sorted(sys.modules))"
    loaded = run(path, sys.executable, "-c", code, cwd=tmp_path).stdout
    assert not {"hydra", "omegaconf", "torch", "numpy"} & set(re.findall(r"'(\w+)'", loaded))


@pytest.mark.timing
def test_help_is_there_in_a_third_of_a_second(path, tmp_path):
    def seconds() -> float:
        began = time.perf_counter()
        run(path, "fmnist", "--help", cwd=tmp_path)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.3


def test_a_mistyped_command_is_answered_by_the_nearest_in_one_line(capsys):
    assert command.main(["trian", "model=lenet5"]) == 2
    assert capsys.readouterr().err == "error: trian: no command; did you mean train?\n"
    assert command.main(["xyz"]) == 2
    assert "there are claims, compare, data, evaluate, " in capsys.readouterr().err


def test_which_fmnist_it_is_can_be_asked(capsys):
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out == f"fmnist {fmnist.__version__}\n"


@pytest.mark.parametrize(
    ("name", "typed", "line"),
    [
        ("predict", ["--pretraind", "x", "y"], "--pretraind: no such argument; did you mean "
         "--pretrained?; fmnist predict --help"),
        ("status", [], "the following arguments are required: DIR; fmnist status --help"),
        ("export", ["run", ""], "'': no such argument; fmnist export --help"),
        ("export", [], "should be given RUN, or --pretrained NAME; fmnist export --help"),
        ("results", [], "the following arguments are required: collect|render|findings|table; "
         "fmnist results --help"),
    ],
)  # fmt: skip
def test_a_command_that_lacks_something_says_so_in_one_line(name, typed, line, capsys):
    with pytest.raises(SystemExit) as ended:
        import_module(f"fmnist.{name}").main(typed)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_a_command_is_what_python_m_runs_with_all_arguments_as_typed(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: started.append(arguments))
    command.start("train", "-m", "optim=sgd,adam", "model.name='a b'")
    assert started == [
        [sys.executable, "-m", "fmnist.train", "-m", "optim=sgd,adam", "model.name='a b'"]
    ]


def test_fmnist_train_trains_and_its_mistakes_are_those_of_fmnist_train(path, tmp_path):
    done = run(path, "fmnist", "train", *TINY, "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/result.json").exists()
    # What Lightning says is for the log, once.
    assert done.stdout.startswith("net ")
    assert (tmp_path / "run/train.log").read_text().count("GPU available") == 1
    done = run(path, "fmnist", "train", "optm=adam", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def typed(path: str, line: str, cwd: Path, breaks: str = " =:") -> list[str]:
    """What bash offers when Tab is hit at the end of a line."""
    script = f"""
eval "$(fmnist completion bash)"
COMP_WORDBREAKS={breaks!r}; COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}
_fmnist
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = run(path, "bash", "-c", script, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


def test_tab_completes_commands_groups_options_and_settings(path, tmp_path):
    assert {"train ", "report ", "status ", "completion "} <= set(typed(path, "fmnist ", tmp_path))
    assert typed(path, "fmnist tr", tmp_path) == ["train "]
    assert "model=" in typed(path, "fmnist train mod", tmp_path)
    # bash takes = as the end of a word, so it is given what follows; where it does not, all.
    assert "lenet5 " in typed(path, "fmnist train model=le", tmp_path)
    assert typed(path, "fmnist train model=lenet", tmp_path, breaks=" ") == ["model=lenet5 "]
    options = typed(path, "fmnist train -m optim=adam scheduler=", tmp_path)
    assert {"cosine ", "plateau "} <= set(options)
    assert "trainer.max_epochs=" in typed(path, "fmnist train trainer.max_e", tmp_path)
    assert "synthetic " in typed(path, "fmnist data data=syn", tmp_path)
    assert typed(path, "fmnist report out", tmp_path) == [""]  # then bash offers files


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_what_the_shells_can_read(shell, path, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert command.SCRIPTS[shell]
    (tmp_path / "script").write_text(command.SCRIPTS[shell])
    done = run(path, shell, "-n", str(tmp_path / "script"), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_completion_of_an_unknown_shell_names_those_that_there_are(capsys):
    assert command.main(["completion", "tcsh"]) == 2
    assert capsys.readouterr().err == "error: fmnist completion: bash, zsh, fish\n"


def test_windows_is_refused_in_one_line(tmp_path):
    code = "import sys; sys.platform = 'win32'; import fmnist.train"
    done = run(os.environ["PATH"], sys.executable, "-c", code, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: fmnist needs Linux, macOS or WSL: this is Windows\n"
