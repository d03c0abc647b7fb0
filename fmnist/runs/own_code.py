"""Whether the code of a run's net is still that by which it was made.

A configuration's hash names a class and not what stands in it. So a record keeps a digest of the
file that defines its net, and of every other that is not this package's. Neither comments nor
docstrings nor the layout count, nor what the file imports. What is installed has a version, and
the rest of this package a commit.
"""

import ast
import hashlib
import sysconfig
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fmnist.config.signature import source_file
from fmnist.config.trusted import NAME, is_below, targets_of
from fmnist.runs.record import Record

INSTALLED = {"site-packages", "dist-packages"}
BODIES = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_digests(config: Mapping[str, Any]) -> dict[str, str]:
    """12 hexadecimal digits by `_target_`, of those of a resolved configuration that count.

    Raises:
        ConfigError: a file is no Python.
    """
    node = {key: value for key, value in config.items() if key != "logger"}  # no result needs one
    targets = sorted({name for name in targets_of(node) if isinstance(name, str)})
    return {name: found for name in targets if (found := _digest_of(name)) is not None}


def changed_code(record: Record) -> list[str]:
    """The `_target_`s of a run whose code is another one now, as far as both are known.

    Raises:
        ConfigError: a file is no Python.
    """
    return [name for name, was in record.code.items() if _digest_of(name) not in (None, was)]


def outdated(records: Iterable[Record]) -> list[str]:
    """A warning for every `_target_` that has changed since finished runs were trained."""
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


def _digest_of(target: str) -> str | None:
    """None of what has a version or a commit, or cannot be found."""
    ours = is_below(target, "fmnist") and not is_below(target, "fmnist.models")
    file = source_file(target) if NAME.fullmatch(target) and not ours else None
    return None if file is None or _is_installed(file) else digest(file)


def _is_installed(file: Path) -> bool:
    return bool(INSTALLED & {*file.parts}) or file.is_relative_to(sysconfig.get_path("stdlib"))


def digest(file: Path) -> str:
    """Of what a file of Python does, as far as that is written in it."""
    return _digest(file, file.stat().st_mtime_ns)


@cache
def _digest(file: Path, written: int) -> str:
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, BODIES) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:12]
