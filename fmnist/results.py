"""`python -m fmnist.results collect|render|findings|table`: from runs to committed tables.

`collect` adds the runs found to results/STUDY.csv, one row a run (fmnist/runs/rows.py says what is
in it); a run that is there already, with the same configuration and commit, is replaced, and
nothing else is lost. Only runs of a study as it is defined count (fmnist/evidence/study.py); which
were left out, and why, is said. With `--untimed` it leaves out seconds: of runs that shared their
machine with other work these are no measurement. That is said once: a run that is there already
keeps its seconds, or stays without, however it is collected again, and how many do is said. With
`--latency` it also measures inference, now, of the runs that were made on a CPU like this one's.
`render` writes results/README.md from the files of studies and the claims alone, `findings`
docs/findings.md with its figures. `table` prints one study for a paper
(fmnist/reporting/paper_table.py).
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from fmnist.config.folders import own_folder
from fmnist.config.trusted import TRUST_HELP, trust
from fmnist.evidence.claim_file import asked_claims, project_claims
from fmnist.evidence.collect import collect, study_rows
from fmnist.runs.command import add_config_dir, command, command_parser, start
from fmnist.runs.foreign_text import escaped

Said = tuple[list[str], int]  # lines, and the exit code


def parser_of_all() -> ArgumentParser:
    """The four commands and their arguments."""
    parser = command_parser("results", __doc__)
    commands = parser.add_subparsers(
        dest="command", metavar="collect|render|findings|table", required=True
    )
    collecting = commands.add_parser("collect", help="add runs to results/STUDY.csv")
    collecting.add_argument("directories", nargs="+", metavar="DIR", help="run or sweep directory")
    collecting.add_argument("--untimed", action="store_true",
                            help="leave out seconds of new runs: of a busy machine")  # fmt: skip
    collecting.add_argument("--latency", action="store_true",
                            help="measure inference on this machine as well")  # fmt: skip
    collecting.add_argument(
        "--claims", metavar="FOLDER", help="of other claims, whose sweeps count"
    )
    rendering = commands.add_parser("render", help="write results/README.md from the CSV files")
    rendering.add_argument("--claims", metavar="FOLDER", help="of other claims")
    collecting.add_argument("--trust", action="store_true", help=TRUST_HELP)
    telling = commands.add_parser("findings", help="write docs/findings.md and its figures")
    telling.add_argument("--docs", default=Path("docs"), type=Path, metavar="FOLDER",
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
    runs = {collecting: run_collect, rendering: run_render, telling: run_findings,
            printing: run_table}  # fmt: skip
    for each, run in runs.items():
        each.set_defaults(run=run)
        each.add_argument("--results", default=Path("results"), type=Path, metavar="FOLDER",
                          help="where the files are (default: results)")  # fmt: skip
    for each in (collecting, rendering, printing):
        add_config_dir(each)
    telling.set_defaults(config_dir=None)  # of the sources that come with the project
    return parser


def run_collect(options: Namespace) -> Said:
    claims = project_claims() + (asked_claims(options.claims) if options.claims else [])
    with trust(options.trust):
        return collect(
            options.directories, options.results, claims, options.latency, options.untimed
        )


def run_render(options: Namespace) -> Said:
    from fmnist.reporting.results_page import write_results

    place = options.claims or "claims"
    return write_results(options.results, asked_claims(options.claims), place), 0


def run_findings(options: Namespace) -> Said:
    from fmnist.reporting.findings import write_findings

    return write_findings(study_rows(options.results), asked_claims(None), options.docs), 0


def run_table(options: Namespace) -> Said:
    from fmnist.reporting.paper_table import table

    text = table(options.study, options.results, options.form, options.metric, options.by)
    return text.removesuffix("\n").split("\n"), 0


@command
def main(arguments: Sequence[str] | None = None) -> int:
    options = parser_of_all().parse_args(arguments)
    with own_folder(options.config_dir):
        lines, code = options.run(options)
    for line in lines:
        print(escaped(line, keep=""))
    return int(code)


if __name__ == "__main__":
    start(main)
