"""`python -m fmnist.results collect|render|findings|table`: from runs to committed tables.

`collect` adds the runs found to results/STUDY.csv, one row a run (fmnist/runs/rows.py says what
is in it); a run that is there already, with the same configuration and commit, is replaced, and
nothing else is lost. Only runs of a study as it is defined count (fmnist/evidence/study.py); which
were left out, and why, is said. With `--untimed` it leaves out seconds: of runs that shared their
machine with other work these are no measurement. With `--latency` it also measures inference, now,
of the runs that were made on a CPU like this one's. `render` writes results/README.md from the
files of studies and the claims alone, `findings` docs/findings.md with its figures. `table` prints
one study for a paper (fmnist/reporting/paper_table.py).
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from fmnist.config.trusted import TRUST_HELP, trust
from fmnist.evidence.claim_file import asked_claims
from fmnist.evidence.collect import collect, study_rows
from fmnist.runs.command import command, command_parser, start
from fmnist.runs.foreign_text import escaped
from fmnist.runs.run import write_text


def parser_of_all() -> ArgumentParser:
    """The four commands and their arguments."""
    parser = command_parser("results", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect", help="add runs to results/STUDY.csv")
    collecting.add_argument("directories", nargs="+", metavar="DIR", help="run or sweep directory")
    collecting.add_argument("--untimed", action="store_true",
                            help="leave out seconds: other work ran beside")  # fmt: skip
    collecting.add_argument("--latency", action="store_true",
                            help="measure inference on this machine as well")  # fmt: skip
    rendering = commands.add_parser("render", help="write results/README.md from the CSV files")
    rendering.add_argument("--claims", metavar="FOLDER", help="of other claims")
    collecting.add_argument("--trust", action="store_true", help=TRUST_HELP)
    telling = commands.add_parser("findings", help="write docs/findings.md and its figures")
    telling.add_argument("--docs", default="docs", metavar="FOLDER",
                         help="where to (default: docs)")  # fmt: skip
    printing = commands.add_parser("table", help="one study as a table for a paper")
    printing.add_argument("study", metavar="STUDY", help="a file of results/, such as s2_factorial")
    form = printing.add_mutually_exclusive_group()
    for name in ("markdown", "latex", "csv"):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name)
    printing.set_defaults(form="markdown")
    printing.add_argument("--by", default="", metavar="FACTOR,...",
                          help="a line a combination of these, mean over the others")  # fmt: skip
    printing.add_argument("--metric", default="test/acc", metavar="METRIC,...",
                          help="columns of numbers (default: test/acc)")  # fmt: skip
    for each in (collecting, rendering, telling, printing):
        each.add_argument("--results", default="results", metavar="FOLDER",
                          help="where the files are (default: results)")  # fmt: skip
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int:
    options = parser_of_all().parse_args(arguments)
    folder = Path(options.results)
    if options.command == "table":
        from fmnist.reporting.paper_table import table

        print(table(options.study, folder, options.form, options.metric, options.by), end="")
        return 0
    if options.command == "collect":
        with trust(options.trust):
            lines, code = collect(options.directories, folder, options.latency, options.untimed)
    elif options.command == "findings":
        from fmnist.reporting.findings import write_findings

        lines = write_findings(study_rows(folder), asked_claims(None), Path(options.docs))
        code = 0
    else:
        from fmnist.reporting.results_page import render

        text = render(study_rows(folder), asked_claims(options.claims))
        write_text(folder / "README.md", text)
        lines, code = [f"{folder / 'README.md'}: written"], 0
    for line in lines:
        print(escaped(line, keep=""))
    return code


if __name__ == "__main__":
    start(main)
