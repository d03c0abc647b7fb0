"""Command lines as people mistype them, answered in this process: one line, nothing left behind."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fmnist import train
from fmnist.config.arguments import order_arguments
from fmnist.config.schema import CONF_DIR
from fmnist.errors import ConfigError
from tests.conftest import TINY

# What is typed, and how the line begins that answers it.
MISTAKES = [
    ("model", "model: should be key=value"),
    (
        "model=lenet5 --config-dir . optim=adm",
        "optim=adm: no such option; did you mean adam?; . has no folder optim/",
    ),
    ("-m --cfg job", "--multirun and --cfg: one of them at a time"),
    ("--resolve", "--resolve: only with --cfg or --help"),
    ("--multrun", "--multrun: no such flag; did you mean --multirun?"),
    ("--model=lenet5", "--model=lenet5: no such flag; settings have no dashes: model=lenet5"),
    ("-model=lenet5", "-model=lenet5: no such flag; settings have no dashes: model=lenet5"),
    ("--cfg jbo", "--cfg/-c: invalid choice: 'jbo'"),
    ("--config-name", "--config-name/-cn: expected one argument"),
    ("--config-name nope", "nope.yaml: in no folder of configurations"),
    ("--config-dir nope", "--config-dir {cwd}/nope: no such folder"),
    ("--config-path {cwd}/full", "config.yaml: in no folder of configurations"),
    (
        "--config-path /nope",
        "Primary config directory not found. Check that the config directory '/nope' exists",
    ),
    ("hydra.run.dir=", "hydra.run.dir=: should name a folder"),
    ("hydra.run.dir=null", "hydra.run.dir=null: "),
    ("hydra.run.dir='${nope}'", "hydra.run.dir: takes nope, which is not set"),
    ("hydra.run.dir=/dev/null/x data=synthetic", "/dev/null/x: Not a directory"),
    ("hydra.run.dir=file", "{cwd}/file: not a folder; choose another hydra.run.dir"),
    ("hydra.run.dir=full", "{cwd}/full: holds other things (thesis.tex); choose another"),
    ("-m hydra.sweep.dir= seed=0,1", "hydra.sweep.dir=: should name a folder"),
    ("-m seed=glob(*)", "the sweep has no cell"),
    ("-m hydra.sweeper.max_batch_size=-1", "hydra.sweeper.max_batch_size=-1: should"),
    ("-m hydra.sweeper.retries=0.5", "hydra.sweeper.retries=0.5: should be a whole number"),
    ("-m hydra.sweeper.stop_on_failure=1", "hydra.sweeper.stop_on_failure=1: should"),
    ("-m hydra.launcher.cells_per_gpu=0", "hydra.launcher.cells_per_gpu=0: should"),
    ("-m hydra.launcher.timeout=-1", "hydra.launcher.timeout=-1: should be gr"),
    (
        "-m hydra/launcher=submitit_local hydra.launcher.timeout=soon",
        "hydra.launcher.timeout=soon: should be a number",
    ),
    ("hydra.mode=SWEEP", "hydra.mode=SWEEP: Invalid value 'SWEEP'"),
    ("hydra/job_logging=nope", "hydra/job_logging=nope: no such option"),
    (
        "hydra.job_logging.handlers.file.filename=/dev/null/x data=synthetic",
        "hydra.job_logging: unable to configure handler 'file': /dev/null/x: Not a directory",
    ),
    ("hydra.job_logging.root.level=LOUD data=synthetic", "hydra.job_logging: unable to configure"),
    ("seed=${oc.env:NOPE}", "seed: KeyError raised while resolving interpolation"),
    ("optim.lr=1e999", "optim.lr=inf: should be greater than 0 and finite"),
    ("müdel=lenet5", "müdel=lenet5: should be key=value"),
    ("data=synthetic data.val_size=70000", "data.val_size=70000: should be"),
]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file and a folder that hold somebody's work."""
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("typed", "line"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_what_is_mistyped_is_answered_in_one_line(
    typed: str,
    line: str,
    empty: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = shlex.split(typed.replace("{cwd}", str(empty)))
    monkeypatch.setattr(sys, "argv", ["fmnist.train", *words])
    with pytest.raises(SystemExit) as caught:
        train.main()
    said = capfd.readouterr()
    assert said.err.startswith(f"error: {line.format(cwd=empty)}")
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert caught.value.code == 2
    assert sorted(path.name for path in empty.rglob("*")) == ["file", "full", "thesis.tex"]


def test_flags_and_settings_may_be_mixed() -> None:
    words = ["model=x", "--config-dir", "D", "optim=y", "-m", "seed=0,1", "--config-name=x", "x"]
    assert order_arguments(words) == [
        "--config-dir", "D", "-m", "--config-name=x", "model=x", "optim=y", "seed=0,1", "x",
    ]  # fmt: skip
    assert order_arguments(["--cfg", "job", "~seed"]) == ["--cfg", "job", "~seed"]
    with pytest.raises(ConfigError, match="ambiguous option: --config could match"):
        order_arguments(["--config", "job"])


def test_of_what_nobody_knows_one_line_is_said_and_the_log_holds_the_rest(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(*arguments: object) -> None:
        raise LookupError("a bug\nof two lines")

    monkeypatch.setattr("fmnist.training.preflight.try_net", fails)
    monkeypatch.setattr(sys, "argv", ["fmnist.train", *TINY, "hydra.run.dir=run"])
    with pytest.raises(SystemExit) as caught:
        train.main()
    line = f"at {__file__}:{fails.__code__.co_firstlineno + 1}"
    assert (
        capfd.readouterr().err == f"error: LookupError: a bug, {line} (run/train.log says more)\n"
    )
    assert caught.value.code == 1
    assert "of two lines" in (empty / "run/train.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["default", "disabled", "none", "stdout", "plain"])
def test_a_run_can_log_as_hydra_offers(
    option: str, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = [f"hydra/job_logging={option}"]
    if option in ("default", "disabled", "none"):
        logged.append(f"hydra/hydra_logging={option}")
    monkeypatch.setattr(sys, "argv", ["fmnist.train", *logged, "hydra.run.dir=run"])
    monkeypatch.setattr(train, "train", lambda config, job: 0.5)
    train.main()
    assert (empty / "run/train.log").exists() == (option in ("default", "plain"))


def test_relative_paths_are_the_launch_folders_wherever_the_job_runs(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    arguments = ["fmnist.train", "hydra.job.chdir=true", "hydra.run.dir=run"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(train, "train", lambda config, job: folders.extend([Path.cwd(), job.dir]))
    train.main()
    assert folders == [empty, empty / "run"]


@pytest.mark.parametrize("locale", ["C", "de_DE.ISO-8859-1"])
def test_logs_are_utf_8_in_every_locale(locale: str, tmp_path: Path) -> None:
    lines = [
        "import logging.config, sys, yaml",
        "from fmnist.process.terminal import forgiving_terminal",
        "config = yaml.safe_load(open(sys.argv[1]))",
        "config['handlers']['file']['filename'] = 'train.log'",
        "with forgiving_terminal():",
        "    logging.config.dictConfig(config)",
        "    logging.getLogger('x').info('gar\\xe7on \\u4e16')",
    ]
    file = CONF_DIR / "hydra/job_logging/plain.yaml"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), str(file)],
        env={**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert b"Logging error" not in done.stderr
    assert done.stdout.startswith(b"gar")
    assert "garçon \u4e16" in (tmp_path / "train.log").read_text(encoding="utf-8")


def test_a_closed_pipe_ends_a_command_quietly(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m fmnist.train --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = os.popen(f"cd {tmp_path} && bash -c {shlex.quote(shell)} 2>&1")
    lines = done.read().splitlines()
    done.close()
    assert lines[0].startswith("Trains, validates and tests one net")
    assert lines[1:] in (["0"], ["141"])  # it may have written all before
