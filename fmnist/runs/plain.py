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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, Union, get_args, get_origin, get_type_hints

from fmnist.errors import RunError

LARGEST = 64 * 2**20  # bytes of a file: a hundred thousand epochs are half of it
DEEPEST = 40  # of lists and dictionaries inside each other; a configuration has six
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false",
         list: "a list", dict: "a table of settings"}  # fmt: skip
Decoder = Callable[[Any], Any]


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


@contextmanager
def reading(path: Path, otherwise: str) -> Iterator[None]:
    """Around reading a file that somebody may have damaged, which can raise anything.

    Raises:
        RunError: what is wrong, in a line; `otherwise` for what no reader foresees.
    """
    try:
        yield
    except RunError:
        raise
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        words = str(error) if isinstance(error, Damaged) else otherwise
        raise RunError(f"{path}: damaged: {words}") from error


def read_json(path: Path) -> tuple[Any, bool]:
    """What a JSON file holds: plain values without NaN, of a sane size and depth.

    And whether every text in it is printable ASCII, as in most files: who escapes texts can then
    save the time.

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
    return value, content.isascii() and not any(mark in content for mark in (b"\\", b"\x7f"))


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
            kind = type(item)
            if kind is dict:
                below += item.values()
                _check_text("".join(item))
            elif kind is list:
                below += item
            elif kind is str:
                _check_text(item)
            elif (kind is float and not math.isfinite(item)) or (
                kind is int and not -(2**64) < item < 2**64
            ):
                raise Damaged("holds a number that is too large")
        level, depth = below, depth + 1


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise Damaged("holds text that is no Unicode") from error


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


def _placed(place: str, error: Damaged) -> Damaged:
    """The same, with where it is so."""
    return Damaged(f"{place}{'' if str(error).startswith('[') else ' '}{error}")


@cache
def _reader(kind: Any) -> Decoder:
    """The function that checks values of one annotation; made once."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if origin is Annotated:
        return _bounded(_reader(arguments[0]), arguments[1])
    if origin in (Union, types.UnionType):
        return _one_kind_of(arguments)
    if origin is Literal:
        return _one_of(arguments)
    if origin is list:
        return _list_of(_reader(arguments[0]))
    if origin is dict:
        return _dict_of(_reader(arguments[1]))
    return _dataclass(kind) if is_dataclass(kind) else _scalar(kind)


def _one_kind_of(kinds: tuple[Any, ...]) -> Decoder:
    """Of null, and one kind of value beside lists of some kind."""
    optional = type(None) in kinds
    lists = [_reader(kind) for kind in kinds if get_origin(kind) is list]
    others = [_reader(k) for k in kinds if get_origin(k) is not list and k is not type(None)]

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        (reader,) = (lists if isinstance(value, list) and lists else others) or lists
        return reader(value)

    return read


def _scalar(kind: type) -> Decoder:
    def read(value: Any) -> Any:
        if type(value) is kind or (kind is float and type(value) is int):
            return value
        raise Damaged(f"is {shorten(value)}: should be {WORDS[kind]}")

    return read


def _bounded(inner: Decoder, bounds: Between) -> Decoder:
    low, high = bounds.low, bounds.high

    def read(value: Any) -> Any:
        if low <= inner(value) <= high:
            return value
        ends = f"{low:,.15g} and {high:,.15g}"
        raise Damaged(f"is {shorten(value)}: should be between {ends}")

    return read


def _one_of(options: tuple[Any, ...]) -> Decoder:
    def read(value: Any) -> Any:
        if isinstance(value, str) and value in options:
            return value
        raise Damaged(f"is {shorten(value)}: should be {', '.join(options[:-1])} or {options[-1]}")

    return read


def _list_of(inner: Decoder) -> Decoder:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise Damaged(f"is {shorten(value)}: should be a list")
        result = []
        for place, item in enumerate(value):
            try:
                result.append(inner(item))
            except Damaged as error:
                raise _placed(f"[{place}]", error) from error
        return result

    return read


def _dict_of(inner: Decoder) -> Decoder:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Damaged(f"is {shorten(value)}: should be a table of settings")
        result = {}
        for key, item in value.items():
            try:
                result[key] = inner(item)
            except Damaged as error:
                raise _placed(f"[{shorten(key)}]", error) from error
        return result

    return read


def _dataclass(kind: Any) -> Decoder:
    hints = get_type_hints(kind, include_extras=True)
    rest = next((item.name for item in fields(kind) if item.metadata.get("rest")), None)
    read_others = _reader(hints[rest]) if rest else _reader(Any)
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
        if not needed <= value.keys():
            raise Damaged(f"has no {min(needed - value.keys())}")
        entries, others = dict[str, Any](), dict[str, Any]()
        for key, item in value.items():
            if key not in known:
                others[key] = item
                continue
            name, read_one = known[key]
            try:
                entries[name] = read_one(item)
            except Damaged as error:
                raise _placed(key, error) from error
        if rest is not None:
            entries[rest] = read_others(others)
        return kind(**entries)

    return read
