"""The hash that names a result, made to last: what a run does not use is not in it.

- A setting of `Config` that has its neutral value is left out, so that one that is added later
  changes the hash of no run that does not use it.
- An argument of a node that has the default of its target's signature is left out, so that it does
  not matter which defaults a YAML file writes down. Hence the defaults of our own signatures stay
  as they are: another default would give two results one hash. What should be otherwise from now
  on is written in conf/.
- A class of this package goes by its name alone, so that modules may move; no two targets of ours
  have one name (a second one is refused, see `namesakes`), and none is renamed. One of torch's goes
  by its public name. Anybody else's goes by its full name: two nets of one name in two modules are
  two nets.
- Of Hydra's own words only `_target_` counts: the others say how an object is made, not which.
- 1 and 1.0 are one setting, but where Lightning counts batches: 1 is one batch, 1.0 all of them.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path as File
from typing import Any

from fmnist.config.groups import grouping_settings
from fmnist.config.known import public_name
from fmnist.config.signature import UNKNOWN, read_signature

Path = tuple[str, ...]
HYDRAS = ("_target_", "_partial_", "_recursive_", "_convert_")

# A whole number counts batches, any other is a share of them. Only at 1 are both allowed.
BATCHES = {
    ("trainer", key)
    for key in ("limit_train_batches", "limit_val_batches", "limit_test_batches",
                "overfit_batches", "val_check_interval")
}  # fmt: skip


def digest(plain: dict[str, Any], neutral: Mapping[str, Any], cosmetic: Collection[Path]) -> str:
    """12 hexadecimal digits.

    Args:
        plain: a resolved configuration; one that was not checked, too.
        neutral: by setting, the value with which it is left out.
        cosmetic: paths of what a result does not depend on.
    """
    kept = {
        key: _node(value, (key,), cosmetic) if isinstance(value, dict) else _same(value)
        for key, value in plain.items()
        if (key,) not in cosmetic and (key not in neutral or _text(value) != _text(neutral[key]))
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def lasting_name(target: str) -> str:
    """What a target is called for good."""
    if target.startswith("fmnist."):
        return f"fmnist:{target.rpartition('.')[2]}"
    return public_name(target)


def namesakes(target: str) -> list[str]:
    """The modules of this package that define what a target of it is called; right is at most one.

    A net that is a copy of another of ours, and has its name, would have its hash: where one has
    run, the other would not.
    """
    package, _, rest = target.partition(".")
    return _definitions().get(rest.rpartition(".")[2], []) if package == "fmnist" else []


@cache
def _definitions() -> dict[str, list[str]]:
    """The modules of this package by the name of a class or function that they define."""
    modules: dict[str, list[str]] = {}
    top = File(__file__).parents[1]
    for path in sorted(top.rglob("*.py")):
        parts = path.relative_to(top.parent).with_suffix("").parts
        if not all(part.isidentifier() for part in parts):
            continue  # no module: an editor's lock, which no file need be, or its earlier copy
        text = path.read_text(encoding="utf-8", errors="replace")
        for name in dict.fromkeys(re.findall(r"^(?:class|def) (\w+)", text, re.MULTILINE)):
            modules.setdefault(name, []).append(".".join(parts))
    return modules


def _node(node: dict[str, Any], path: Path, cosmetic: Collection[Path]) -> dict[str, Any]:
    """What of a node counts, at every depth."""
    target = node.get("_target_")
    signature = (read_signature(target) if isinstance(target, str) else None) or {}
    if path == ("optim",):
        signature = signature | grouping_settings()
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if (*path, key) in cosmetic or (key in HYDRAS and key != "_target_"):
            continue
        if isinstance(value, dict):
            kept[key] = _node(value, (*path, key), cosmetic)
        elif key == "_target_":
            kept[key] = lasting_name(str(value))
        else:
            default = signature[key].default if key in signature else UNKNOWN
            if default is UNKNOWN or _text(default) != _text(value):
                one_batch = type(value) is int and value == 1 and (*path, key) in BATCHES
                kept[key] = value if one_batch else _same(value)
    return kept


def other_value(
    one: dict[str, Any], other: dict[str, Any], cosmetic: Collection[Path], path: Path = ()
) -> Path | None:
    """A setting that two configurations have with different values, though they have one hash.

    An argument whose default was changed is such a one: each was left out as the default of its
    time.
    """
    for key in [key for key in one if key in other]:
        here, values = (*path, key), (one[key], other[key])
        if here in cosmetic or key in HYDRAS:
            continue
        if all(isinstance(value, dict) for value in values):
            if found := other_value(*values, cosmetic, here):
                return found
        elif _text(values[0]) != _text(values[1]):
            return here
    return None


def _same(value: Any) -> Any:
    """0 and 0.0 are one setting, as are a list and a tuple."""
    if isinstance(value, list | tuple):
        return [_same(item) for item in value]
    return float(value) if type(value) is int else value


def _text(value: Any) -> str:
    """Equal for equal settings; in Python, True is 1, too."""
    return json.dumps(_same(value), sort_keys=True, default=str)
