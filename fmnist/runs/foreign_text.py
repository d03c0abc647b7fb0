"""Text that somebody else may have written, made harmless for terminals and spreadsheets.

Records, claims, CSV files and the names of folders can come from anybody. A terminal carries out
escape sequences, a spreadsheet formulas; a page of the report escapes what it shows by itself.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

FORMULA = (
    "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # what spreadsheets compute; = + - @ in full width, too
)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# Control characters, and those that change the direction of text or break lines.
HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
LONG = ("error", "traceback")  # entries of a record that have several lines


def escaped(text: object, keep: str = "\n") -> str:
    r"""A text for the terminal: "\x1b[31m" in place of what colours it."""
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(
        character
        if character in keep or unicodedata.category(character) not in HARMFUL
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in plain
    )


def escaped_values(node: Any, keep: str = "") -> Any:
    """A record with every text in it escaped; lines stay only where a record has them."""
    if isinstance(node, str):
        return escaped(node, keep)
    if isinstance(node, list):
        return [escaped_values(value, keep) for value in node]
    if isinstance(node, dict):
        return {
            escaped(key, ""): escaped_values(value, "\n\t" if key in LONG else keep)
            for key, value in node.items()
        }
    return node


def to_cell(value: Any) -> Any:
    """A value for a CSV file: text that a spreadsheet would compute begins with an apostrophe."""
    computed = isinstance(value, str) and value[:1] in (*FORMULA, "'")
    return f"'{value}" if computed and not NUMBER.fullmatch(value) else value


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """A table for whoever opens it, see `to_cell`."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(map(to_cell, row) for row in rows)
    return buffer.getvalue()


def from_cell(text: str) -> str:
    """The text that `to_cell` was given."""
    return text[1:] if text[:1] == "'" and text[1:2] in (*FORMULA, "'") else text
