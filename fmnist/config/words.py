"""Words that messages about a configuration share."""

import difflib
import re
from collections.abc import Iterable
from typing import Any


def near(word: str, options: Iterable[str], parent: str = "") -> str:
    """ "; did you mean X?", with the full key when `parent` is given, if an option is near."""
    found = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"; did you mean {parent}{found[0]}?" if found else ""


def near_or_all(word: str, options: Iterable[str], parent: str = "") -> str:
    """The option that is near, otherwise all, if they are not too many to read."""
    options = sorted(option for option in options if not option.startswith("_"))
    listed = f"; there are {', '.join(options)}" if 0 < len(options) <= 16 else ""
    return near(word, options, parent) or listed


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
