"""`python -m fmnist.report DIR ...`: report.html, runs.csv and every figure, from run directories.

One run is shown in detail; several, or a sweep, are compared. Reads run directories only: nothing
is trained and nothing is fetched. Exit code 0: the report was written; 2: there is nothing to
report, or it cannot be written.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fmnist.config.trusted import TRUST_HELP, trust
from fmnist.errors import UserError
from fmnist.runs.command import command, command_parser, start
from fmnist.runs.foreign_text import escaped


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("report", __doc__)
    parser.add_argument(
        "directories", nargs="+", metavar="DIR", type=Path, help="run or sweep directory"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="where to write; default: report/ in the first DIR"
    )
    parser.add_argument(
        "--compare", nargs=2, metavar="RUN", type=Path, default=(),
        help="two run directories for McNemar's test; default: best and worst",
    )  # fmt: skip
    parser.add_argument(
        "--target", metavar="ACC", type=float,
        help="validation accuracy in [0, 1] until which convergence is measured; "
        "default: chosen so that at least half of the runs reach it",
    )  # fmt: skip
    parser.add_argument(
        "--no-latency", action="store_true", help="do not measure inference on this machine"
    )
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    out = options.out or options.directories[0] / "report"
    missing = [path for path in options.directories if not path.is_dir()]
    if missing:  # before anything heavy is imported
        raise UserError(f"{missing[0]}: no such directory")
    if options.target is not None and not 0 <= options.target <= 1:
        raise UserError(f"--target {options.target:g}: should be in [0, 1], such as 0.88")
    if not options.out and (out.is_symlink() or (out / "figures").is_symlink()):
        raise UserError(f"{out}: leads to another folder; --out says where to write")
    from fmnist.reporting.page import write_report, written_in_words

    with trust(options.trust):
        path, table = write_report(
            options.directories, out, options.compare, not options.no_latency, options.target
        )
    for line in table.damaged:
        print(escaped(line), file=sys.stderr)
    print(escaped(written_in_words(path, time.perf_counter() - began)))
    return table.exit_code


if __name__ == "__main__":
    start(main)
