"""JSON schemas of conf/, for editors: made from the signatures that check the settings.

One file a group, one for files that set settings of any group (`# @package _global_`) and one for
what is only Hydra's. They say no more than `fmnist.config.check`: what is of several settings, or
of a constructor that has to be asked, an editor cannot know.
"""

import ast
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fmnist.config.check import CHOICES, GIVEN_TO, LIMITS, RANGES
from fmnist.config.composition import GLOBAL
from fmnist.config.folders import read_yaml, yaml_files
from fmnist.config.groups import grouping_settings
from fmnist.config.hashing import HYDRAS
from fmnist.config.interval import interval
from fmnist.config.known import ranges
from fmnist.config.schema import CONF_DIR, GROUPS, SEVERAL
from fmnist.config.signature import Parameter, definition, read_signature
from fmnist.config.trusted import targets_of
from fmnist.errors import ConfigError

Schema = dict[str, Any]
TYPES = {
    "int": "integer",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "None": "null",
    "list": "array",
}
REFERENCE = {"type": "string", "pattern": r"^(\?\?\?$|.*\$\{)"}  # of OmegaConf's
OURS = "fmnist.config.schema.Config"
DRAFT = "http://json-schema.org/draft-07/schema#"


def schemas(folders: Iterable[Path] = (CONF_DIR,)) -> dict[str, Schema]:
    """By name of the file, without its ending.

    Args:
        folders: of configurations: their options say which targets there are. Of one's own, add
            `CONF_DIR`.
    """
    known = list(folders)
    nodes = {group: _targets(known, group) for group in GROUPS}
    made = {group: _group(group, targets) for group, targets in nodes.items()}
    made["global"] = _global(nodes)
    made["hydra"] = {"type": "object"}
    head = {"$schema": DRAFT}
    return {name: head | {"title": f"fmnist: {name}"} | one for name, one in made.items()}


def schema_of(path: Path, folder: Path) -> str:
    """Which schema a file of a folder of configurations has."""
    inside = path.relative_to(folder).parts
    if len(inside) == 1 or "@package _global_" in read_yaml(path)[:200]:
        return "global"
    return inside[0] if inside[0] in GROUPS else "hydra"


def modeline(path: Path, folder: Path) -> str:
    """The comment by which editors find the schema of a file; schemas lie beside the folder."""
    up = "../" * len(path.relative_to(folder).parts)
    return f"# yaml-language-server: $schema={up}.schema/{schema_of(path, folder)}.json"


def _targets(folders: Iterable[Path], group: str) -> list[str]:
    """Every `_target_` of a group's options, of nodes inside them too, each once."""
    found: list[Any] = []
    for folder in folders:
        for path in yaml_files(folder / group):
            try:
                found += targets_of(yaml.safe_load(read_yaml(path)))
            except yaml.YAMLError as error:
                raise ConfigError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    return list(dict.fromkeys(target for target in found if isinstance(target, str)))


def _group(group: str, targets: list[str]) -> Schema:
    if group in SEVERAL:
        return _defaults({"type": "object", "additionalProperties": _node(group, targets)})
    return _defaults(_node(group, targets))


def _defaults(schema: Schema) -> Schema:
    """With Hydra's list of what a file is composed of."""
    inner = {"defaults": {"type": "array"}}
    return schema | {"properties": schema.get("properties", {}) | inner}


def _node(path: str, targets: list[str]) -> Schema:
    """A node: by its target where it names one, else any argument that one of them takes."""
    cases = [
        {
            "if": {"properties": {"_target_": {"const": target}}, "required": ["_target_"]},
            "then": _strict(path, [target]),
        }
        for target in targets
    ]
    rest = {"if": {"not": {"required": ["_target_"]}}, "then": _strict(path, targets)}
    return {"type": "object", "allOf": [*cases, rest]}


def _strict(path: str, targets: list[str]) -> Schema:
    """The arguments of these targets and no others, unless one of them takes any."""
    properties: dict[str, Schema] = {key: {} for key in (*HYDRAS, "defaults")}
    closed = True
    for target in targets:
        signature = read_signature(target)
        closed = closed and signature is not None
        words, bounds = _descriptions(target), ranges(target)
        for name, parameter in (signature or {}).items():
            if name in GIVEN_TO.get(path, []):
                continue
            one = _value(f"{path}.{name}", parameter, bounds.get(name, ""), words.get(name, ""))
            properties[name] = _either(properties.get(name), one)
    if path == "optim":
        words = _descriptions("fmnist.training.groups.parameter_groups")
        for name, parameter in grouping_settings().items():
            properties[name] = _value(f"optim.{name}", parameter, "", words.get(name, ""))
    if path == "scheduler":
        policies = [target for target in targets if target.startswith("torch.")]
        properties["policy"] = {"anyOf": [{"type": "null"}, _node("scheduler.policy", policies)]}
    return {"properties": properties, "additionalProperties": not closed}


def _either(one: Schema | None, other: Schema) -> Schema:
    if one is None or one == other:
        return other
    return {"anyOf": [*one.get("anyOf", [one]), *other.get("anyOf", [other])]}


def _value(key: str, parameter: Parameter, bounds: str, words: str) -> Schema:
    """What a setting may be; a reference to another one always."""
    limits = interval(RANGES.get(key, bounds)) or parameter.interval
    choices = CHOICES.get(key, parameter.choices)
    options: list[Schema] = [{"enum": [*choices]}] if choices else []
    types = ["None"] if key in CHOICES else sorted(parameter.types)
    options += [{"type": TYPES[name]} | _limits(name, limits) for name in types]
    if limits and not options:  # torch's rates may be tensors, too
        options = [{"type": "number"} | _limits("float", limits)]
    if key in LIMITS:
        options = [{"type": "null"}, {"type": "number", "exclusiveMinimum": 0}]
    schema: Schema = {"anyOf": [*options, REFERENCE]} if options else {}
    return schema | ({"description": words} if words else {})


def _limits(name: str, limits: Any) -> Schema:
    if limits is None or name not in ("int", "float"):
        return {}
    made = {}
    if limits.low > -math.inf:
        made["minimum" if limits.with_low else "exclusiveMinimum"] = limits.low
    if limits.high < math.inf:
        made["maximum" if limits.with_high else "exclusiveMaximum"] = limits.high
    return made


def _global(nodes: Mapping[str, list[str]]) -> Schema:
    """Any setting: config.yaml, experiments, ablations and files of one's own machine."""
    scalars = {
        name: _value(name, parameter, "", "")
        for name, parameter in (read_signature(OURS) or {}).items()
        if name not in GROUPS
    }
    groups = {name: _group(name, targets) for name, targets in nodes.items()}
    hydras = {"defaults": {"type": "array"}, "hydra": {"type": "object"}}
    # Files of such a group may set another's option by name, which is a text.
    options = {name: {"type": ["string", "null"]} for name in GLOBAL}
    return {
        "type": "object",
        "properties": scalars | groups | hydras | options,
        "additionalProperties": False,
    }


def _descriptions(target: str) -> dict[str, str]:
    """What a docstring says of each argument: Google's style, and torch's variant of it."""
    found = definition(target)
    if found is None:
        return {}
    node = found[1]
    texts = [ast.get_docstring(node) or ""]
    if isinstance(node, ast.ClassDef):
        texts += [
            ast.get_docstring(item) or ""
            for item in node.body
            if isinstance(item, ast.FunctionDef) and item.name == "__init__"
        ]
    words: dict[str, str] = {}
    for text in texts:
        _, _, arguments = text.partition("Args:\n")
        pattern = r"^ {2,8}(\w+)(?: \([^)]*\))?: (.*(?:\n {9,}\S.*|\n {8,}\S.*)*)"
        for name, said in re.findall(pattern, arguments, re.MULTILINE):
            words.setdefault(name, " ".join(said.split()))
    return words
