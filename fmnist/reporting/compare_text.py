"""Settings side by side, for a terminal."""

from collections.abc import Sequence

from fmnist.evidence.text import ROUNDED
from fmnist.reporting.same_images import SameImages, class_rows, images_lines
from fmnist.reporting.side_by_side import Line, SideBySide, verdict_line
from fmnist.runs.text import in_eighty, without_middle

WIDTH, LEAST = 80, 8  # of a terminal, and of a column of settings: longer values are cut


def compare_text(found: SideBySide) -> str:
    """Everything, for a terminal."""
    parts = _heads(found)
    first = found.letters[0]
    if found.settings:
        parts += ["", *columns("settings that differ", found.letters, found.settings)]
    for title, lines in (
        ("accuracy", found.measures), ("recall by class (%)", found.classes),
        ("calibration, one run a side", found.calibration), ("cost", found.costs),
    ):  # fmt: skip
        if lines:
            parts += ["", *numbers(title, found.letters, lines)]
    if any(line.difference for line in found.measures):
        parts += ["", in_eighty(f"{ROUNDED}.", 0)]
    if any(found.images):
        parts += ["", "test images"]
        for letter, images in zip(found.letters[1:], found.images, strict=True):
            if images:
                parts += [in_eighty(line, 2) for line in images_lines(images, (letter, first))]
                parts += ["", *_class_lines(images, (letter, first))]
    parts += ["", "verdict on test accuracy of the chosen epoch, over matched seeds"]
    others = {side.name: letter for side, letter in zip(found.sides, found.letters, strict=True)}
    parts += [verdict_line(item, (others[item.first], first)) for item in found.against]
    parts += found.remarks
    return "\n".join([*parts, *(in_eighty(f"left out: {note}", 2) for note in found.notes)])


def _heads(found: SideBySide) -> list[str]:
    """Which letter is which."""
    heads = []
    for letter, side in zip(found.letters, found.sides, strict=True):
        where = "" if found.place else f", {side.place}"
        heads.append(f"{letter}  {side.name}   {side.seeds}{where}")
    return [*heads, f"in {found.place}"] if found.place else heads


def _class_lines(found: SameImages, letters: tuple[str, str]) -> list[str]:
    """Who is right alone, by class; or why that is not known."""
    if not found.classes:
        return [f"not by class: {found.note}"]
    return aligned([(f"right alone, seed {found.seed}", *letters, "p"), *class_rows(found.classes)])


def columns(title: str, letters: str, lines: Sequence[Line]) -> list[str]:
    """A table of texts; what would make it wider than a terminal is cut."""
    rows = [[title, *letters], *([line.what, *line.values] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH and max(widths[1:]) > LEAST:
        widths[max(range(1, len(widths)), key=widths.__getitem__)] -= 1
    return aligned(rows, widths)


def numbers(title: str, letters: str, lines: Sequence[Line]) -> list[str]:
    """Tables below each other, of as many sides as a terminal has room for: no number is cut."""
    first = [title, *(line.what for line in lines)]
    others = [
        [letter, *(line.values[place] for line in lines)] for place, letter in enumerate(letters)
    ]
    if any(line.difference for line in lines):
        others.append([f"{letters[-1]} - {letters[0]}", *(line.difference for line in lines)])
    tables = [[first]]
    for column in others:
        width = sum(2 + max(map(len, each)) for each in (*tables[-1], column)) - 2
        if width > WIDTH and len(tables[-1]) > 1:
            tables.append([first])
        tables[-1].append(column)
    parts = [aligned(list(zip(*table, strict=True))) for table in tables]
    return [line for part in parts for line in ["", *part]][1:]


def aligned(rows: Sequence[Sequence[str]], widths: Sequence[int] = ()) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = widths or [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            without_middle(text, width).ljust(width)
            if place == 0
            else without_middle(text, width).rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
