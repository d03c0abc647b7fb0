"""The house: one room a subject, and imports that run downwards only.

A file at the top of fmnist/ is a command that one can type, or errors.py. Everything else lives in
a room. A module imports from its own room and from rooms below it, and never a command, except that
`fmnist/__init__.py` hands on what commands do.
"""

import ast
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

PACKAGE = CHECKOUT / "fmnist"
TOP = {
    "__init__", "__main__", "errors", "train", "plan", "evaluate", "status", "report", "claims",
    "results", "workspace", "predict", "export", "compare", "settle", "schema", "dataset",
}  # fmt: skip
# From the top of the house to its cellar.
ROOMS = (
    "reporting", "sweeps", "tracking", "using", "training", "evidence", "runs", "data", "models",
    "config", "process",
)  # fmt: skip
FLOOR = {room: floor for floor, room in enumerate(ROOMS, start=1)}


def imported(path: Path) -> list[tuple[int, str]]:
    """Line and dotted name of every import of ours in a file, those inside functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == "fmnist":
                names = [f"fmnist.{alias.name}" for alias in node.names]
            found += [(node.lineno, name) for name in names]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
    return [(line, name) for line, name in found if name.partition(".")[0] == "fmnist"]


def broken(path: Path, package: Path = PACKAGE) -> list[str]:
    """The lines of a file that break the rule, with what they import."""
    inside = path.relative_to(package).parts
    own = inside[0] if len(inside) > 1 else ""
    lines = []
    for line, name in imported(path):
        room = name.split(".")[1] if "." in name else ""
        if room in ("", "errors"):
            continue
        if room not in FLOOR:
            # `python -m fmnist.train` imports itself by its importable name; what commands do for
            # Python, the public face hands on.
            wrong = bool(own) or path.stem not in ("__init__", room)
        else:
            wrong = bool(own) and FLOOR[room] < FLOOR[own]
        if wrong:
            lines.append(f"{'/'.join(inside)}:{line} imports {name}")
    return lines


def test_a_file_at_the_top_is_a_command_or_errors() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} <= TOP
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(ROOMS)


def test_imports_run_downwards_and_nothing_imports_a_command() -> None:
    assert not [line for path in sorted(PACKAGE.rglob("*.py")) for line in broken(path)]


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("data/files.py", "def f():\n    from fmnist.runs.run import load_run"),
        ("reporting/page.py", "from fmnist.claims import effect"),
        ("runs/run.py", "import fmnist.training.classifier"),
        ("status.py", "from fmnist import train"),
    ],
)
def test_the_line_that_breaks_the_rule_is_named(tmp_path: Path, where: str, text: str) -> None:
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    [line] = broken(path, tmp_path)
    assert line.startswith(f"{where}:{len(text.splitlines())} imports fmnist.")


def test_a_command_sets_no_numbers_and_columns() -> None:
    """It prints what a room has composed: an f-string with a format is text that has no room.

    What is refused may have one; `fmnist.train` names a folder by the time, `fmnist --help` lists.
    """
    for path in sorted({*PACKAGE.glob("*.py")} - {PACKAGE / "train.py", PACKAGE / "__main__.py"}):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        refused = {id(n) for r in ast.walk(tree) if isinstance(r, ast.Raise) for n in ast.walk(r)}
        lines = [node.lineno for node in ast.walk(tree)
                 if isinstance(node, ast.FormattedValue) and node.format_spec
                 and id(node) not in refused]  # fmt: skip
        assert not lines, f"{path.name}:{lines}"


def test_no_circle_of_modules() -> None:
    """Inside a room as well; imports within functions count."""
    edges: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("fmnist", *path.relative_to(PACKAGE).with_suffix("").parts))
        edges[name] = {target for _, target in imported(path)} - {name}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for target in edges.get(name, set()):
            visit(target, (*trail, name))
        done.add(name)

    for name in edges:
        visit(name, ())
