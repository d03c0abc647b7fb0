"""Between JSON and dataclasses, both ways: what a file of somebody else's may hold, and what not.

A field's annotation is its whole schema: `int`, `str | None`, `list[Epoch]`, `Annotated[float,
Between(0, 1)]`. `field(metadata={"key": "val/acc"})` names the key of a field that is called
otherwise in the file.
"""

import json
import math
import os
import stat
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, Union, get_args, get_origin, get_type_hints

LARGEST = 64 * 2**20  # bytes of a file: a hundred thousand epochs are half of it
DEEPEST = 40  # of lists and dictionaries inside each other; a configuration has six
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false",
         list: "a list", dict: "a table of settings"}  # fmt: skip
Reader = Callable[[Any], Any]


class Damaged(ValueError):
    """What is wrong in a file, without the name of the file."""


@dataclass(frozen=True)
class Between:
    """Bounds of a number, both inclusive."""

    low: float
    high: float


def open_regular(path: Path) -> BinaryIO:
    """A file for reading; never waits, as a FIFO or a device would make it.

    Raises:
        Damaged: it is no ordinary file.
        OSError: see `open`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Damaged("is no ordinary file")
    return os.fdopen(descriptor, "rb")


def read_json(path: Path) -> Any:
    """What a JSON file holds: plain values without NaN, of a sane size and depth.

    Raises:
        Damaged: it holds something else.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Damaged(f"has more than {LARGEST // 2**20} MiB")
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Damaged("is no UTF-8 text") from error
    except RecursionError as error:
        raise Damaged("is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise Damaged(f"is no JSON: {error}") from error
    except Damaged:
        raise
    except ValueError as error:  # an integer of more digits than Python reads
        raise Damaged("holds a number that is too large") from error
    _check_plain(value)
    return value


def _no_constant(name: str) -> None:
    raise Damaged(f"holds {name}, which is no number")


def _check_plain(value: Any) -> None:
    """What every reader may rely on: depth, sizes of numbers, text that can be written again."""
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise Damaged("is nested too deeply")
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item, *item.values()]
            elif isinstance(item, list):
                below += item
            elif (isinstance(item, float) and not math.isfinite(item)) or (
                isinstance(item, int) and abs(item) >= 2**64
            ):
                raise Damaged("holds a number that is too large")
            elif isinstance(item, str) and not item.isascii():
                try:
                    item.encode("utf-8")
                except UnicodeEncodeError as error:
                    raise Damaged("holds text that is no Unicode") from error
        level, depth = below, depth + 1


def _is_too_large(item: Any) -> bool:
    if isinstance(item, float):
        return not math.isfinite(item)
    return isinstance(item, int) and abs(item) >= 2**64


def write_json(value: Any) -> bytes:
    """Strict JSON, which every reader of any language takes.

    Raises:
        ValueError: a number is not finite, or a text no Unicode.
    """
    _check_plain(value)
    return json.dumps(value, indent=1, allow_nan=False).encode()


def shorten(value: Any) -> str:
    """A value of somebody else's for a message: short, and harmless in a terminal."""
    text = "null" if value is None else ascii(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def decode(kind: Any, value: Any) -> Any:
    """A plain value as what an annotation says.

    Raises:
        Damaged: it is not that; the message begins with the place in the value.
    """
    return _reader(kind)(value)


def encode(value: Any) -> Any:
    """The inverse of `decode`. Fields that have their default are left out if that is empty."""
    if is_dataclass(value) and not isinstance(value, type):
        result: dict[str, Any] = {}
        for item in fields(value):
            content = getattr(value, item.name)
            if item.metadata.get("rest"):
                result |= content
            elif content or not _is_optional(item) or content != _default(item):
                result[item.metadata.get("key", item.name)] = encode(content)
        return result
    if isinstance(value, list):
        return [encode(item) for item in value]
    return value


def _is_optional(item: Any) -> bool:
    return item.default is not MISSING or item.default_factory is not MISSING


def _default(item: Any) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def _inside(place: str, read: Reader, value: Any) -> Any:
    try:
        return read(value)
    except Damaged as error:
        raise Damaged(f"{place}{'' if str(error).startswith('[') else ' '}{error}") from error


@cache
def _reader(kind: Any) -> Reader:
    """The function that checks values of one annotation; made once."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if origin is Annotated:
        return _bounded(_reader(arguments[0]), arguments[1])
    if origin in (Union, types.UnionType):
        (other,) = [_reader(item) for item in arguments if item is not type(None)]
        return lambda value: None if value is None else other(value)
    if origin is Literal:
        return _one_of(arguments)
    if origin is list:
        return _list_of(_reader(arguments[0]))
    if origin is dict:
        return _dict_of(_reader(arguments[1]))
    return _dataclass(kind) if is_dataclass(kind) else _scalar(kind)


def _scalar(kind: type) -> Reader:
    def read(value: Any) -> Any:
        if type(value) is kind or (kind is float and type(value) is int):
            return value
        raise Damaged(f"is {shorten(value)}: should be {WORDS[kind]}")

    return read


def _bounded(inner: Reader, bounds: Between) -> Reader:
    def read(value: Any) -> Any:
        if bounds.low <= inner(value) <= bounds.high:
            return value
        low, high = (f"{bound:,.15g}" for bound in (bounds.low, bounds.high))
        raise Damaged(f"is {shorten(value)}: should be between {low} and {high}")

    return read


def _one_of(options: tuple[Any, ...]) -> Reader:
    def read(value: Any) -> Any:
        if isinstance(value, str) and value in options:
            return value
        raise Damaged(f"is {shorten(value)}: should be {', '.join(options[:-1])} or {options[-1]}")

    return read


def _list_of(inner: Reader) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise Damaged(f"is {shorten(value)}: should be a list")
        return [_inside(f"[{place}]", inner, item) for place, item in enumerate(value)]

    return read


def _dict_of(inner: Reader) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Damaged(f"is {shorten(value)}: should be a table of settings")
        return {key: _inside(f"[{shorten(key)}]", inner, item) for key, item in value.items()}

    return read


def _dataclass(kind: Any) -> Reader:
    hints = get_type_hints(kind, include_extras=True)
    rest = next((item.name for item in fields(kind) if item.metadata.get("rest")), None)
    known = {
        item.metadata.get("key", item.name): (item.name, _reader(hints[item.name]))
        for item in fields(kind)
        if item.name != rest
    }
    needed = {
        item.metadata.get("key", item.name)
        for item in fields(kind)
        if item.name != rest and not _is_optional(item)
    }

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Damaged(f"is {shorten(value)}: should be a table of settings")
        if missing := sorted(needed - value.keys()):
            raise Damaged(f"has no {missing[0]}")
        entries = {
            name: _inside(key, read_one, value[key])
            for key, (name, read_one) in known.items()
            if key in value
        }
        if rest is not None:
            others = {key: item for key, item in value.items() if key not in known}
            entries[rest] = decode(typing.cast(Any, hints[rest]), others)
        return kind(**entries)

    return read
