"""Constructor signatures read from source, without importing it.

A mistyped setting should be refused at once, and importing torch to look at a signature takes
seconds. So the file that defines a `_target_` is parsed instead. A net's type annotations thereby
are its schema: `pooling: Literal["avg", "max"]` is all that a new net needs for its settings to
be checked; `dropout: Annotated[float, "[0, 1)"]` says its range as well. What cannot be read this
way is left for the constructor itself to refuse.
"""

import ast
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fmnist.config.interval import Interval, interval
from fmnist.errors import ConfigError

IN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "list": "a list of numbers",
    "None": "null",
}


UNKNOWN = object()  # a default that is no plain value, or none at all


@dataclass(frozen=True)
class Parameter:
    """One argument: the values that its annotation allows; all empty when it says nothing.

    Args:
        choices: of a Literal.
        types: of int, float, bool, str, list, None.
        interval: where numbers should lie, if the annotation says it.
        required: whether it has no default.
        default: a plain value, or UNKNOWN.
    """

    choices: tuple[Any, ...] = ()
    types: frozenset[str] = frozenset()
    interval: Interval | None = None
    required: bool = field(default=False, compare=False)
    default: Any = field(default=UNKNOWN, compare=False)

    def accepts(self, value: Any) -> bool:
        """Whether a plain configuration value fits; the range is another question."""
        if not (self.choices or self.types):
            return True
        if value in self.choices and type(value) in {type(choice) for choice in self.choices}:
            return True
        return bool({"bool": {"bool"}, "int": {"int", "float"}, "NoneType": {"None"}}.get(
            type(value).__name__, {type(value).__name__}
        ) & self.types)  # fmt: skip

    def expectation(self) -> str:
        """In words, what would be right."""
        words = ["null" if choice is None else str(choice) for choice in self.choices]
        types = self.types - {"int"} if "float" in self.types else self.types
        words += [IN_WORDS[name] for name in IN_WORDS if name in types]
        return " or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def read_signature(target: str) -> dict[str, Parameter] | None:
    """The keyword arguments of a class or function, by its dotted name.

    None when any keyword is accepted, or when the source cannot be found or read statically.
    """
    found = definition(target)
    if found is None:
        return None
    tree, node, module = found
    if isinstance(node, ast.FunctionDef):
        return _arguments(tree, node, skip=0)
    for item in reversed(node.body):  # behind its overloads
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _arguments(tree, item, skip=1)
    match node.bases:
        case [ast.Name(id=base), *_] if base != node.name:
            # Imported there, maybe; whose constructor it has, or whose fields besides its own.
            inherited = read_signature(f"{module}.{base}")
        case _:
            inherited = None
    if not any("dataclass" in ast.unparse(item) for item in node.decorator_list):
        return inherited
    if node.bases and inherited is None:
        return None
    return (inherited or {}) | {
        item.target.id: _parameter(tree, item.annotation, item.value)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def source_file(target: str) -> Path | None:
    """The file that defines a class or function; None where that cannot be told."""
    found = definition(target)
    return module_file(found[2]) if found else None


def source_files(target: str) -> set[Path]:
    """The files that define a class or function, and the bases whose constructor it may have."""
    found = definition(target)
    if found is None:
        return set()
    _, node, module = found
    files = {file} if (file := module_file(module)) is not None else set()
    match node:
        case ast.ClassDef(name=name, bases=[ast.Name(id=base), *_]) if base != name:
            files |= source_files(f"{module}.{base}")
    return files


def imported_modules(name: str) -> set[str]:
    """The modules whose source can be found that a module's own source imports, by dotted name."""
    path = module_file(name)
    if path is None or path.suffix != ".py":
        return set()
    found = set[str]()
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _import_base(node, name, path)  # of which a name may be a module itself
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {module for module in found - {name} if module_file(module) is not None}


def takes_metric(target: str) -> bool | None:
    """Whether a learning-rate policy is told a metric when it advances: its `step(metrics)`.

    None when the source does not say.
    """
    found = definition(target)
    if found is None or not isinstance(found[1], ast.ClassDef):
        return None
    classes = {item.name: item for item in found[0].body if isinstance(item, ast.ClassDef)}
    node: ast.ClassDef | None = found[1]
    while node is not None:
        for item in reversed(node.body):
            if isinstance(item, ast.FunctionDef) and item.name == "step":
                return [argument.arg for argument in item.args.args[1:2]] == ["metrics"]
        bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
        node = next((classes[base] for base in bases if base in classes), None)
    return None


def undefined(target: str) -> tuple[str, str, list[str]] | None:
    """(module, name, the names there) of the first part of a dotted name that does not exist.

    None when all may exist: a module that makes names while it runs gets the benefit of the doubt.
    """
    module, _, name = target.rpartition(".")
    if not module:
        return None if name and find_spec(name) else ("", name, [])
    if lacking := undefined(module):
        return lacking
    path = module_file(module)
    if path is None or path.suffix != ".py":
        return None
    tree, text = _parse(path), path.read_text(encoding="utf-8", errors="replace")
    if re.search(rf"\b{name}\b|import \*|\b(__getattr__|globals|setattr|exec)\b", text):
        return None
    names = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
    if path.name == "__init__.py":
        names += [entry.name.partition(".")[0] for entry in path.parent.iterdir()]
    return None if name in names else (module, name, names)


@cache
def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}") from error
    except ValueError as error:  # bytes that are no text
        raise ConfigError(f"{path}: {error}") from error


def module_file(name: str) -> Path | None:
    """The source file of a dotted module name, found without importing its parents."""
    top, *rest = name.split(".")
    spec = PathFinder.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return Path(spec.origin) if spec and spec.origin and not rest else None
    for location in spec.submodule_search_locations:  # several of a namespace: hydra_plugins
        path = Path(location).joinpath(*rest)
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if candidate.is_file():
                return candidate
    return None


def definition(target: str) -> tuple[ast.Module, ast.ClassDef | ast.FunctionDef, str] | None:
    """The parsed module, the class or function and the module's name, through any re-exports."""
    module, _, name = target.rpartition(".")
    path = module_file(module) if module else None
    if path is None or path.suffix != ".py":
        return None
    tree = _parse(path)
    for node in reversed(tree.body):  # the last definition holds
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return tree, node, module
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    found = f"{_import_base(node, module, path)}.{alias.name}"
                    return definition(found) if found != target else None  # a submodule
    return None


def _import_base(node: ast.ImportFrom, module: str, path: Path) -> str:
    """The dotted name of what `from ... import` takes its names from, in the file of a module."""
    parents = module.split(".")
    if path.name != "__init__.py":
        parents = parents[:-1]
    keep = len(parents) - node.level + 1
    base = [*parents[:keep], node.module] if node.level else [node.module]
    return ".".join(part for part in base if part)


def _arguments(
    tree: ast.Module, function: ast.FunctionDef, skip: int
) -> dict[str, Parameter] | None:
    if function.args.kwarg is not None:
        return None
    listed = function.args
    positional = [*listed.posonlyargs, *listed.args]
    lacking: list[ast.expr | None] = [None] * (len(positional) - len(listed.defaults))
    defaults = [*lacking, *listed.defaults][skip:]
    return {
        argument.arg: _parameter(tree, argument.annotation, default)
        for argument, default in [
            *zip(positional[skip:], defaults, strict=True),
            *zip(listed.kwonlyargs, listed.kw_defaults, strict=True),
        ]
    }


def _parameter(
    tree: ast.Module, annotation: ast.expr | None, default: ast.expr | None
) -> Parameter:
    fact = Parameter(required=default is None)
    if default is not None:
        with suppress(ValueError, TypeError):  # no literal
            fact = replace(fact, default=ast.literal_eval(default))
    bounds, annotation = _bounds(annotation)
    values = _alternatives(tree, annotation)
    if values is None:
        return fact
    return replace(
        fact,
        choices=tuple(value for value, is_type in values if not is_type),
        types=frozenset(value for value, is_type in values if is_type),
        interval=bounds,
    )


def _bounds(node: ast.expr | None) -> tuple[Interval | None, ast.expr | None]:
    """The interval of an Annotated, also in `Annotated[...] | None`, and the annotation without."""
    match node:
        case ast.Subscript(
            value=ast.Name(id="Annotated"),
            slice=ast.Tuple(elts=[inner, ast.Constant(value=str(text)), *_]),
        ):
            return interval(text), inner
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            (first, one), (second, other) = _bounds(left), _bounds(right)
            return first or second, ast.BinOp(one or left, ast.BitOr(), other or right)
        case _:
            return None, node


def _alternatives(tree: ast.Module, node: ast.expr | None) -> list[tuple[Any, bool]] | None:
    """(value, is a type name) of every alternative; None when some cannot be told."""
    match node:
        case ast.Constant(value=None):
            return [("None", True)]
        case ast.Name(id="int" | "float" | "bool" | "str" as name):
            return [(name, True)]
        case ast.Name(id=name):  # an alias of the same module
            for item in tree.body:
                match item:
                    case ast.Assign(targets=[ast.Name(id=other)], value=value) if other == name:
                        return _alternatives(tree, value)
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            parts = [left, right]
        case ast.Subscript(value=ast.Name(id="list"), slice=ast.Name(id="float")):
            return [("list", True)]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            literals = [item.value for item in items if isinstance(item, ast.Constant)]
            return [(v, False) for v in literals] if len(literals) == len(items) else None
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            parts = [inner, ast.Constant(None)]
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=elements)):
            parts = list(elements)
        case _:
            return None
    merged: list[tuple[Any, bool]] = []
    for part in parts:
        values = _alternatives(tree, part)
        if values is None:
            return None
        merged += values
    return merged
