"""Whether the code of a run's net is still that by which it was made.

A configuration's hash names a class and not what stands in it. So a record keeps a digest of the
file that defines its net, of every other that is not this package's, and of the modules that these
import, and they in turn. Neither comments nor docstrings nor the layout count. What is installed
has a version, and the rest of this package a commit.
"""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from fmnist.config.signature import definition, imported_modules, module_file, source_file
from fmnist.config.trusted import KNOWN, is_below, targets_of
from fmnist.errors import ConfigError
from fmnist.runs.record import Record

INSTALLED = {"site-packages", "dist-packages"}
BODIES = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_digests(config: Mapping[str, Any]) -> dict[str, str]:
    """12 hexadecimal digits by `_target_`, of those of a resolved configuration that count, and by
    the names of the modules that they import.

    Raises:
        ConfigError: a file is no Python.
    """
    node = {key: value for key, value in config.items() if key != "logger"}  # no result needs one
    targets = {name for name in targets_of(node) if isinstance(name, str) and _digest_of(name)}
    own = {found[2] for name in targets if (found := definition(name))}  # these stand for them
    names = sorted(targets | _imported_by(own) - own)
    return {name: digits for name in names if (digits := _digest_of(name)) is not None}


def _imported_by(modules: set[str]) -> set[str]:
    """Those of modules that count, and of all that are imported by them."""
    seen, left = set[str](), _and_packages(modules)
    while left:
        name = left.pop()
        if name in seen or not _digest_of(name):
            continue
        seen.add(name)
        with suppress(ConfigError):  # no Python: who imports it says so, or does without
            left |= _and_packages(imported_modules(name))
    return seen


def _and_packages(modules: Iterable[str]) -> set[str]:
    """They and the packages that they lie in, whose `__init__.py` Python runs before them."""
    parts = [name.split(".") for name in modules]
    return {".".join(names[:end]) for names in parts for end in range(1, len(names) + 1)}


def changed_code(record: Record) -> list[str]:
    """The `_target_`s and modules of a run whose code is another one now, as far as both are known.

    Raises:
        ConfigError: a file is no Python.
    """
    return [name for name, was in record.code.items() if _digest_of(name) not in (None, was)]


def outdated(records: Iterable[Record]) -> list[str]:
    """A warning for each of them that has changed since finished runs were trained."""
    counts = Counter(name for record in records for name in changed_code(record))
    return [
        f"WARNING {name} has changed since {count} of them finished; another hydra.sweep.dir "
        "trains them anew"
        for name, count in sorted(counts.items())
    ]


def versions_in_words(codes: Iterable[Mapping[str, str]]) -> list[str]:
    """ "mynets.Wide is not the same code in all runs: 3 have one, 2 another", by `_target_`.

    Args:
        codes: of runs that are shown together, see `Record.code`; none: not known.
    """
    counts: dict[str, Counter[str]] = {}
    for code in codes:
        for name, found in code.items():
            counts.setdefault(name, Counter())[found] += 1
    return [
        words
        for name, versions in sorted(counts.items())
        for words in not_the_same(name, "code", versions.values())
    ]


def not_the_same(name: str, what: str, counts: Iterable[int]) -> list[str]:
    """ "photos is not the same data in all runs: 3 have one, 2 another"; nothing of one version.

    Args:
        counts: how many runs have each version.
    """
    first, *others = sorted(counts, reverse=True)
    have = ", ".join([f"{first} have one", *(f"{count} another" for count in others)])
    return [f"{name} is not the same {what} in all runs: {have}"] if others else []


def _digest_of(name: str) -> str | None:
    """Of a `_target_` or a module; None of what has a version or a commit, or cannot be found."""
    ours = is_below(name, "fmnist") and not name.startswith("fmnist.models.")
    if ours or not all(part.isidentifier() for part in name.split(".")):
        return None
    file = module_file(name) or source_file(name)
    if file is None or file.suffix != ".py" or _is_installed(name.partition(".")[0], file):
        return None
    return digest(file)


def _is_installed(package: str, file: Path) -> bool:
    """Whether a package's file is no code of one's own, wherever it was installed."""
    if package in KNOWN - {"fmnist"} or INSTALLED & {*file.parts}:
        return True
    top = module_file(package)
    folder = top.parents[top.name == "__init__.py"] if top else None
    return folder is not None and _has_distributions(folder)


@cache
def _has_distributions(folder: Path) -> bool:
    """Whether pip installs there (`pip install --target`)."""
    return any(folder.glob("*.dist-info"))


def digest(file: Path) -> str:
    """Of what a file of Python does, as far as that is written in it."""
    return _digest(file, file.stat().st_mtime_ns)


@cache
def _digest(file: Path, written: int) -> str:
    content = file.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # of what is imported, if at all, where that may fail
        return hashlib.sha256(content).hexdigest()[:12]
    for node in ast.walk(tree):
        if isinstance(node, BODIES) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:12]
