"""Signatures read from source agree with Python's own, and values are judged by annotation."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_object

from fmnist.config.schema import CONF_DIR
from fmnist.config.signature import Parameter, read_signature, undefined


def targets(node: Any) -> Iterator[str]:
    """Every `_target_` in a YAML file's content."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)


CONFIGURED = {
    target
    for path in CONF_DIR.glob("*/*.yaml")
    for target in targets(yaml.safe_load(path.read_text()))
}
OTHERS = {"torch.optim.AdamW", "lightning.Trainer"}  # re-exports that conf/ does not have


@pytest.mark.parametrize("target", sorted(CONFIGURED | OTHERS))
def test_parameter_names_are_those_of_the_real_thing(target: str) -> None:
    signature = read_signature(target)
    assert signature is not None
    assert list(signature) == list(inspect.signature(get_object(target)).parameters)
    assert undefined(target) is None


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """`module(source)` is the name of a new importable module with that source."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> str:
        name = f"user_module_{len(list(tmp_path.glob('*.py')))}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


NULL, NUMBER = frozenset({"None"}), frozenset({"int", "float"})


@pytest.mark.parametrize(
    ("annotation", "parameter"),
    [
        ("int", Parameter(types=frozenset({"int"}))),
        ("int | None", Parameter(types=frozenset({"int"}) | NULL)),
        ("Optional[bool]", Parameter(types=frozenset({"bool"}) | NULL)),
        ("Union[int, float]", Parameter(types=NUMBER)),
        ("Optional[Union[int, float]]", Parameter(types=NUMBER | NULL)),
        ('Literal["a", "b"]', Parameter(choices=("a", "b"))),
        ('Literal["a"] | None', Parameter(choices=("a",), types=NULL)),
        ("Alias", Parameter(choices=("x", "y"))),
        ("Alias | None", Parameter(choices=("x", "y"), types=NULL)),
        # What cannot be told accepts everything.
        ("float | Tensor", Parameter()),
        ("list[int]", Parameter()),
        ("Literal[Alias]", Parameter()),
        ("Elsewhere", Parameter()),
    ],
)
def test_annotations(module: Callable[[str], str], annotation: str, parameter: Parameter) -> None:
    name = module(
        f'Alias = Literal["x", "y"]\nclass Net:\n    def __init__(self, a: {annotation}): ...'
    )
    assert read_signature(f"{name}.Net") == {"a": parameter}


def test_arguments_of_every_kind(module: Callable[[str], str]) -> None:
    name = module("def f(a, /, b: int, *, c: str = 'x'): ...\nasync def g(): ...")
    assert list(read_signature(f"{name}.f") or ()) == ["a", "b", "c"]
    assert read_signature(f"{name}.g") is None


def test_keyword_arguments_of_any_name_are_not_checked(module: Callable[[str], str]) -> None:
    name = module("class Net:\n    def __init__(self, a: int, **kwargs): ...")
    assert read_signature(f"{name}.Net") is None


def test_fields_of_a_dataclass(module: Callable[[str], str]) -> None:
    name = module(
        "@dataclass(frozen=True)\nclass A:\n    a: int\n    b: str = ''\n"
        "    def method(self): ...\n"
        "@dataclass\nclass B(A):\n    c: int"
    )
    assert list(read_signature(f"{name}.A") or ()) == ["a", "b"]
    assert list(read_signature(f"{name}.B") or ()) == ["a", "b", "c"]


def test_inherited_constructors_are_not_checked(module: Callable[[str], str]) -> None:
    assert (
        read_signature(module("class Net(Base):\n    def forward(self, x): ...") + ".Net") is None
    )


def test_a_class_may_be_called_as_its_base_is(module: Callable[[str], str]) -> None:
    name = module("from torch.optim import Adam\nclass Adam(Adam): ...")
    assert read_signature(f"{name}.Adam") is None


def test_a_namespace_lies_in_several_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("theirs", "ours"):  # as hydra_plugins does: a plugin's comes first
        (tmp_path / name / "shared_plugins").mkdir(parents=True)
        monkeypatch.syspath_prepend(tmp_path / name)
    (tmp_path / "theirs/shared_plugins/mine.py").write_text("def f(x: int = 1): pass\n")
    assert [*(read_signature("shared_plugins.mine.f") or {})] == ["x"]


def test_the_last_definition_holds(module: Callable[[str], str]) -> None:
    name = module("@overload\ndef f(a): ...\n@overload\ndef f(b): ...\ndef f(a=1, b=2): ...")
    assert list(read_signature(f"{name}.f") or ()) == ["a", "b"]


def test_re_exports_under_another_name(module: Callable[[str], str]) -> None:
    first = module("def f(a): ...")
    second = module(f"from {first} import f as g")
    assert list(read_signature(f"{second}.g") or ()) == ["a"]


@pytest.mark.parametrize(
    "target", ["no_such_package.f", "fmnist.no_such_module.f", "fmnist.models.lenet5.No", "f", ""]
)
def test_what_cannot_be_found_has_no_signature(target: str) -> None:
    assert read_signature(target) is None


@pytest.mark.parametrize(
    ("target", "module", "name"),
    [
        ("fmnist.models.lenet5.LeNet6", "fmnist.models.lenet5", "LeNet6"),
        ("fmnist.models.lenet6.LeNet5", "fmnist.models", "lenet6"),
        ("fmnist.model.lenet5.LeNet5", "fmnist", "model"),
        ("torch.optim.Adamm", "torch.optim", "Adamm"),
        ("no_such_package.f", "", "no_such_package"),
        ("", "", ""),
    ],
)
def test_the_part_of_a_dotted_name_that_does_not_exist(target: str, module: str, name: str) -> None:
    lacking = undefined(target)
    assert lacking is not None
    assert lacking[:2] == (module, name)


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.lr_scheduler.StepLR",
        "torch.nn.ReLU",  # through `import *`
        "torch.Tensor.add",  # compiled
        "math.sqrt",
        "json.decoder.JSONDecoder.decode",  # an attribute of a class
        "numpy.random.default_rng",
        "lightning.pytorch.loggers.CSVLogger",
        "torchvision.models.resnet18",
    ],
)
def test_no_false_alarm(target: str) -> None:
    assert undefined(target) is None


@pytest.mark.parametrize(
    "source",
    [
        "def __getattr__(name): ...",
        "globals()['No'.lower()] = 1",
        "from elsewhere import *",
        "try:\n    No = 1\nexcept Exception:\n    pass",
        "import sys; setattr(sys.modules[__name__], 'N' + 'o', 1)",
    ],
)
def test_a_module_that_may_make_the_name_is_not_doubted(
    module: Callable[[str], str], source: str
) -> None:
    assert undefined(f"{module(source)}.No") is None
    assert undefined(f"{module('class Net: ...')}.No") is not None


@pytest.mark.parametrize(
    ("types", "accepted", "refused"),
    [
        ({"int"}, [1, 0, -1], [True, 1.0, "1", None, [1], {}]),
        ({"float"}, [0.1, 1], [True, "0.1", None, [0.1]]),
        ({"bool"}, [True, False], [0, 1, 1.0, "true", None]),
        ({"str"}, ["", "a"], [1, True, None, ["a"]]),
        ({"int", "None"}, [1, None], [True, 1.5, "null"]),
        ({"bool", "int"}, [True, 1], [1.5, "1"]),
        (set(), [1, True, "a", None, [1], {}], []),
    ],
)
def test_values_of_a_type(types: set[str], accepted: list[Any], refused: list[Any]) -> None:
    parameter = Parameter(types=frozenset(types))
    assert [value for value in accepted if not parameter.accepts(value)] == []
    assert [value for value in refused if parameter.accepts(value)] == []


def test_values_of_a_literal() -> None:
    parameter = Parameter(choices=("a", 1), types=frozenset({"None"}))
    assert [v for v in ("a", 1, None, "b", True, 1.0, 2, ["a"]) if parameter.accepts(v)] == [
        "a", 1, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (Parameter(types=frozenset({"int"})), "a whole number"),
        (Parameter(types=NUMBER | NULL), "a number or null"),
        (
            Parameter(types=frozenset({"str", "bool", "int"})),
            "a whole number, text or true or false",
        ),
        (Parameter(choices=("a",)), "a"),
        (Parameter(choices=("a", "b", "c", None)), "a, b, c or null"),
        (Parameter(choices=("a",), types=NULL), "a or null"),
    ],
)
def test_what_would_be_right_in_words(parameter: Parameter, words: str) -> None:
    assert parameter.expectation() == words
