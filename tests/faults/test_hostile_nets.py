"""Somebody's own net that is wrong: one line, the place in their own file, and nothing left."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from fmnist.config.build import build_node
from fmnist.errors import ConfigError
from fmnist.training.preflight import try_net
from tests.conftest import TINY, here
from tests.faults import hostile_nets

HERE = Path(__file__).parent / "hostile_nets.py"
SIZES = (1, 28, 28), 10

# The net, what is said of it, and the line of its own that is named.
MISTAKES = [
    (
        "TooWide",
        "TooWide in eval mode gives a tensor float32 [2, 100] for 2 images: should be",
        None,
    ),
    ("NotFlattened", "cannot be multiplied", "return self.linear(x)\n"),
    ("NoParameters", "NoParameters has no parameters that can be trained", None),
    ("Frozen", "Frozen has no parameters that can be trained", None),
    ("NoModule", "its target gives a NoModule: should be a torch.nn.Module", None),
    ("gives_three", "its target gives an int: should be a torch.nn.Module", None),
    ("RaisesInConstructor", "LookupError: no such", "raise LookupError"),
    ("WithoutSuper", "cannot assign module before Module.__init__() call", "self.linear ="),
    ("NoForward", 'Module [NoForward] is missing the required "forward" function', None),
    ("NeedsWidth", "missing 1 required positional argument: 'width'", None),
    ("OpensFile", "pretrained.pt: No such file or directory", "torch.load("),
    ("Detached", "Detached's logits have no gradient", None),
    ("ThroughNumpy", "Can't call numpy() on Tensor that requires grad", "from_numpy"),
    ("InPlace", "modified by an inplace operation", None),
    ("AlwaysTuple", "AlwaysTuple in eval mode gives a tuple of 2: should be logits [2, 10]", None),
    ("GivesDict", "GivesDict in eval mode gives a dict: should be logits [2, 10]", None),
    (
        "NarrowAuxiliary",
        "NarrowAuxiliary in training gives a tensor float32 [2, 5] for 2 images",
        None,
    ),
    ("Classes", "Classes in eval mode gives a tensor int64 [2, 10] for 2 images: should be", None),
    ("Lazy", "Lazy has lazy layers, without a shape until they are used", None),
    ("DoublePrecision", "must have the same dtype", "self.linear(x.flatten(1))"),
    ("FailsInTraining", "'Tensor' object has no attribute 'nope'", ".nope if"),
]


@pytest.mark.parametrize(("net", "words", "line"), MISTAKES, ids=[case[0] for case in MISTAKES])
def test_a_net_that_is_wrong_is_refused_in_one_line_that_names_its_own(
    net: str, words: str, line: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node = {"_target_": f"tests.faults.hostile_nets.{net}"}
    with pytest.raises(ConfigError) as caught:
        try_net(lambda: build_node(node), *SIZES)
    message = str(caught.value)
    assert message.startswith("model: ")
    assert words in message
    assert "\n" not in message
    if line is not None:
        lines = enumerate(HERE.read_text().splitlines(keepends=True), 1)
        numbers = [number for number, text in lines if line in text]
        assert any(f"at {HERE}:{number}" in message for number in numbers), message


def test_every_hostile_net_is_tried() -> None:
    there = {name for name, value in vars(hostile_nets).items() if callable(value)}
    tried = {case[0] for case in MISTAKES}
    assert there - tried == {"Linear", "DrawsEverywhere", "Crashes", "Tensor"}


def test_a_trial_draws_nothing_from_the_run() -> None:
    def states() -> tuple[object, ...]:
        numpy = np.random.get_state()  # noqa: NPY002
        return torch.get_rng_state().tolist(), random.getstate(), [list(numpy[1]), *numpy[2:]]

    before = states()
    try_net(hostile_nets.DrawsEverywhere, *SIZES)
    assert states() == before
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


def own_net(folder: Path, text: str) -> list[str]:
    """Arguments that train a net whose file holds the text, outside the package."""
    (folder / "conf/model").mkdir(parents=True)
    (folder / "conf/model/mine.yaml").write_text("_target_: my_nets.Mine\n")
    (folder / "my_nets.py").write_text(text)
    return [*TINY, "--config-dir", "conf", "model=mine"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("class Mine(:\n", "{folder}/my_nets.py:1: invalid syntax"),
        (
            "import nopackage\nclass Mine: pass\n",
            "model: my_nets.Mine: ModuleNotFoundError: No module named 'nopackage', "
            "at {folder}/my_nets.py:1",
        ),
    ],
    ids=["syntax", "package"],
)
def test_a_file_that_cannot_be_imported_leaves_no_run_directory(
    text: str, line: str, tmp_path: Path
) -> None:
    done = here("fmnist.train", *own_net(tmp_path, text), cwd=tmp_path)
    assert done.stderr == f"error: {line.format(folder=tmp_path)}\n"
    assert done.returncode == 2
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("net", "words"),
    [
        ("TooWide", "gives a tensor float32 [2, 100] for 2 images"),
        ("Crashes", "killed by SIGABRT when it was tried"),
    ],
)
def test_a_sweep_tries_its_nets_before_the_first_cell_trains(
    net: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/mine.yaml").write_text(f"_target_: tests.faults.hostile_nets.{net}\n")
    done = here(
        "fmnist.train", "-m", *TINY, "--config-dir", "conf", "model=logistic,mine", "seed=0,1",
        cwd=tmp_path,
    )  # fmt: skip
    (line,) = done.stderr.splitlines()[-1:]
    assert line.startswith("error: model: ")
    assert words in line
    assert line.endswith("model=mine seed=0)")
    assert done.returncode == 2
    assert not (tmp_path / "multirun").exists()


def test_an_error_of_ones_own_net_in_the_middle_is_one_line(tmp_path: Path) -> None:
    text = (
        "from torch import nn\n\n\nclass Mine(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.linear, self.steps = nn.Linear(784, 10), 0\n\n"
        "    def forward(self, x):\n        self.steps += self.training\n"
        "        if self.steps == 3:\n            raise LookupError('the third step')\n"
        "        return self.linear(x.flatten(1))\n"
    )
    arguments = own_net(tmp_path, text)
    done = here("fmnist.train", *arguments, "hydra.run.dir=run", cwd=tmp_path)
    assert done.stderr == (
        f"error: LookupError: the third step, at {tmp_path}/my_nets.py:12 "
        "(run/train.log says more)\n"
    )
    assert done.returncode == 1
    assert "Traceback" in (tmp_path / "run/train.log").read_text()
