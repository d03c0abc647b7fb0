"""What the commands that read runs share: their parser, a mistake in one line, their end."""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import NoReturn

from fmnist.config.words import near
from fmnist.errors import RunError, UserError
from fmnist.process.terminal import forgiving_terminal, leave
from fmnist.runs.foreign_text import escaped


class Parser(argparse.ArgumentParser):
    """argparse's, whose usage has several lines: a mistake is one, as it is everywhere else."""

    def error(self, message: str) -> NoReturn:
        kind, _, word = message.partition(": ")
        if kind == "unrecognized arguments":
            flags = re.findall(r"(?<!\w)--[a-z][a-z-]*", self.format_usage())
            message = f"{word}: no such argument{near(word.split()[0], flags)}"
        self.exit(2, f"error: {escaped(message, keep='')}; {self.prog} --help\n")


def command_parser(name: str, doc: str | None) -> Parser:
    """Of `fmnist NAME`, whose module's docstring begins with what it does."""
    about = (doc or "").split("\n\n")[0].partition("`: ")[2]
    return Parser(prog=f"fmnist {name}", description=about[:1].upper() + about[1:])


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Hydra's option, for a command that composes: `fmnist.config.folders.own_folder` takes it."""
    parser.add_argument("--config-dir", metavar="DIR", type=Path, help="of your own, as for "
                        "train: options, experiments, studies are found there, too")  # fmt: skip


def refuse(error: UserError) -> int:
    """Say in one line on stderr what is wrong. The exit code."""
    print(f"error: {escaped(error, keep='')}", file=sys.stderr)
    return error.exit_code


def command(main: Callable[[Sequence[str] | None], int]) -> Callable[..., int]:
    """A mistake of the user's ends it with one line."""

    @wraps(main)
    def wrapped(arguments: Sequence[str] | None = None) -> int:
        try:
            return main(arguments)
        except UserError as error:
            return refuse(error)

    return wrapped


def for_each(items: Iterable[str], do: Callable[[str], int]) -> int:
    """Do it with each, whatever comes of the others. The largest exit code; 2 of a mistake."""
    codes = [0]
    for item in items:
        try:
            codes.append(do(item))
        except UserError as error:
            refuse(error)
            codes.append(UserError.exit_code)
    return max(codes)


@contextmanager
def writing() -> Iterator[None]:
    """Around what writes the files that somebody asked for.

    Raises:
        RunError: one cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{error.filename}: cannot be written: {error.strerror}") from error


def start(main: Callable[..., int]) -> NoReturn:
    """The whole process."""
    with forgiving_terminal():
        code = main()
    leave(code)
