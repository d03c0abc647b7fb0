"""Words that messages about a configuration share."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

ALIKE = 0.6  # difflib's own: at 0.5 every other word of three letters is near


def near(word: str, options: Iterable[str], parent: str = "") -> str:
    """ "; did you mean X?", with the full key when `parent` is given, if an option is near."""
    options = list(dict.fromkeys(options))
    begin = [option for option in options if len(word) > 1 and option.startswith(word)]
    found = difflib.get_close_matches(word, options, n=1, cutoff=ALIKE)
    found = begin if len(begin) == 1 else found  # one that was not typed to its end
    return f"; did you mean {parent}{found[0]}?" if found else ""


def near_or_all(word: str, options: Iterable[str], parent: str = "") -> str:
    """The option that is near, otherwise all, if they are not too many to read."""
    options = sorted(option for option in options if not option.startswith("_"))
    listed = f"; there are {', '.join(options)}" if 0 < len(options) <= 16 else ""
    return near(word, options, parent) or listed


def near_setting(key: str, plain: Mapping[str, Any]) -> str:
    """The setting that a key without a group may mean: "; did you mean optim.lr?", of `lr`.

    That of a group which is called so, or else what is near: first of all groups and single
    settings, then of the settings in groups.

    Args:
        plain: the configuration, nodes as dictionaries.
    """
    inner: dict[str, str] = {}
    for group, node in plain.items():
        for name in node if isinstance(node, dict) and group != "hydra" else ():
            inner.setdefault(str(name), f"{group}.{name}")
    if key in inner:
        return f"; did you mean {inner[key]}?"
    if hint := near(key, [name for name in plain if name not in (key, "hydra")]):
        return hint
    alike = {name: difflib.SequenceMatcher(None, name, key).ratio() for name in inner}
    best = max(alike, key=alike.__getitem__, default="")  # the first of equals: max_epochs
    return f"; did you mean {inner[best]}?" if best and alike[best] >= ALIKE else ""


def show(value: Any) -> str:
    return "null" if value is None else str(value).lower() if value in (True, False) else str(value)


def kind(value: Any) -> str:
    """What a value is that should be another: "a tensor int32 [200]", "a tuple of 2", "None"."""
    name = type(value).__name__
    if name in ("Tensor", "ndarray"):
        what = "a tensor" if name == "Tensor" else "a NumPy array"
        return f"{what} {str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if value is None:
        return "None"
    some = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}{some}"


def not_utf8(error: UnicodeDecodeError) -> str:
    return f"should be UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}"


def in_one_line(error: BaseException) -> str:
    """The first line of OmegaConf's and Hydra's messages, after the key that it is about."""
    key, lines = getattr(error, "full_key", None), str(error).splitlines()
    if key and lines and (other := re.fullmatch(r"Interpolation key '(.+)' not found", lines[0])):
        return (
            f"{key}: takes {other[1]}, which is not set: should have a value of its own, {key}=..."
        )
    return (f"{key}: " if key else "") + (lines[0] if lines else type(error).__name__)
