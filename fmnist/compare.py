"""`python -m fmnist.compare RUN RUN ...`: settings beside each other, and which one is better.

A RUN is a run directory, a folder with the seeds of one setting, a sweep, or a table of
fmnist.results such as results/s2_optimizer.csv; the latter two have several settings, of which
--where chooses. Every setting is compared with the first. Exit code 0: compared; 2: there is
nothing to compare.
"""

from collections.abc import Sequence
from pathlib import Path

from fmnist.config.trusted import TRUST_HELP, trust
from fmnist.runs.command import command, command_parser, start
from fmnist.runs.foreign_text import escaped
from fmnist.runs.text import shown


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("compare", __doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN",
                        help="run, folder of seeds, sweep, or table")  # fmt: skip
    parser.add_argument("--where", nargs="+", action="extend", default=[],
                        metavar="KEY=VALUE,...",
                        help="only runs with one of these values, of seed too")  # fmt: skip
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with figures, too")
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    options = parser.parse_args(arguments)
    from fmnist.evidence.settings import read_settings

    sides = read_settings(options.runs, options.where)
    from fmnist.reporting.compare_text import compare_text
    from fmnist.reporting.side_by_side import side_by_side

    found = side_by_side(sides)
    print(escaped(compare_text(found)))
    if options.html is not None:
        from fmnist.reporting.compare_page import write_page

        with trust(options.trust):
            write_page(found, options.html)
        print()
        print(escaped(shown(options.html.absolute())))
    return 0


if __name__ == "__main__":
    start(main)
