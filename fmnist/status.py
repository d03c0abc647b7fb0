"""`python -m fmnist.status DIR ...`: how sweeps stand, while they run or afterwards.

Reads records only, so it works for every launcher and from another machine with the same files.
Exit code 0: every cell finished; 1: not (yet); 2: nothing to read there.
"""

from collections.abc import Sequence

from fmnist.errors import UserError
from fmnist.runs.command import command_parser, refuse, start
from fmnist.runs.foreign_text import escaped
from fmnist.sweeps.standing import standing, standing_in_words


def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("status", __doc__)
    parser.add_argument("directories", nargs="+", metavar="DIR", help="sweep, or folder of runs")
    code = 0
    for directory in parser.parse_args(arguments).directories:
        try:
            found = standing(directory)
        except UserError as error:
            code = refuse(error)
            continue
        print(escaped(standing_in_words(directory, found)))
        code = max(code, found.code or bool(found.lines))
    return code


if __name__ == "__main__":
    start(main)
