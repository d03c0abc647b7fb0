"""`python -m fmnist.status DIR ...`: how sweeps stand, while they run or afterwards.

Reads records only, so it works for every launcher and from another machine with the same files.
Exit code 0: every cell finished; 1: not (yet); 2: nothing to read there.
"""

from collections.abc import Sequence

from fmnist.runs.command import command_parser, for_each, start
from fmnist.runs.foreign_text import escaped
from fmnist.sweeps.standing import standing, standing_in_words


def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("status", __doc__)
    parser.add_argument("directories", nargs="+", metavar="DIR", help="sweep, or folder of runs")
    return for_each(parser.parse_args(arguments).directories, status)


def status(directory: str) -> int:
    """One sweep. The exit code."""
    found = standing(directory)
    print(escaped(standing_in_words(directory, found)))
    return found.code or int(bool(found.lines))


if __name__ == "__main__":
    start(main)
