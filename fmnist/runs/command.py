"""What the commands that read runs share: their parser, a mistake in one line, their end."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import NoReturn

from fmnist.config.words import near
from fmnist.errors import UserError
from fmnist.process.terminal import forgiving_terminal, leave
from fmnist.runs.foreign_text import escaped


class Parser(argparse.ArgumentParser):
    """argparse's, whose usage has several lines: a mistake is one, as it is everywhere else."""

    def error(self, message: str) -> NoReturn:
        kind, _, word = message.partition(": ")
        if kind == "unrecognized arguments":
            flags = re.findall(r"(?<!\w)--[a-z][a-z-]*", self.format_usage())
            word = word or "''"  # "$X", in a shell that has no X
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
    """A mistake of the user's ends it with one line, whoever found it."""

    @wraps(main)
    def wrapped(arguments: Sequence[str] | None = None) -> int:
        try:
            return main(arguments)
        except UserError as error:
            return refuse(error)
        except Exception as error:
            message = _found_by_others(error)
            if message is None:
                raise
            return refuse(UserError(message))

    return wrapped


def _found_by_others(error: Exception) -> str | None:
    """What Hydra, YAML, the system or somebody's own code, such as a reader, say of a mistake, as
    training says it; None: it is a bug.
    """
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        return None
    if isinstance(error, OSError) and error.filename is None:  # the output's: `forgiving_terminal`
        return None
    from fmnist.config.explain import describe, explain, own_line

    found = explain(error, sys.argv[1:])
    if found is None and own_line(error) is not None:
        return f"{describe(error)} (HYDRA_FULL_ERROR=1 shows more)"
    return found


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


def start(main: Callable[..., int]) -> NoReturn:
    """The whole process."""
    with forgiving_terminal():
        code = main()
    leave(code)
