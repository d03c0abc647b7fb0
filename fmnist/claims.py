"""`python -m fmnist.claims [DIR|CSV ...]`: which published claims hold, by the runs found there.

Reads run directories, sweeps, and the tables of fmnist.results or folders of them; without
arguments the project's own, results/; with --rows a table of anybody's. Trains nothing. What a
claim is: fmnist/evidence/claim.py. When it holds: fmnist/evidence/verdict.py. Exit code 0: the
claims were evaluated, whatever the verdicts; 2: something could not be read.
"""

from collections.abc import Sequence
from pathlib import Path

from fmnist.config.folders import own_folder
from fmnist.errors import UserError
from fmnist.evidence.claim_file import RESULTS_DIR, asked_claims
from fmnist.evidence.outcome import evaluate
from fmnist.evidence.sources import judge_foreign, read_sources, states_in_words
from fmnist.evidence.study import refuse_unknown
from fmnist.evidence.text import scope
from fmnist.reporting.claims_table import claims_table, to_csv
from fmnist.runs.command import add_config_dir, command, command_parser, start
from fmnist.runs.foreign_text import escaped
from fmnist.runs.run import write_text


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("claims", __doc__)
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="DIR|CSV",
        help="run or sweep directory, table of fmnist.results or folder of them; default: results/",
    )
    parser.add_argument("--claims", metavar="FOLDER", help="of your own claims, YAML files; with "
                        "--rows one file")  # fmt: skip
    add_config_dir(parser)
    parser.add_argument("--rows", metavar="FILE.csv", help="anybody's table, a line a run, a "
                        "column a setting or a metric, as W&B exports it")  # fmt: skip
    parser.add_argument("--seed", metavar="COLUMN", default="", help="of --rows; default: seed")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="CLAIM",
        help="show only this one; may be given several times; changes no verdict",
    )
    parser.add_argument("--csv", metavar="FILE", help="write the table there as well")
    options = parser.parse_args(arguments)
    code, about = 0, scope()
    if options.rows:
        if options.sources:
            raise UserError(f"{options.sources[0]}: --rows is judged alone")
        outcomes, states = judge_foreign(
            Path(options.rows), options.claims, options.seed, options.only
        )
        claims = [outcome.claim for outcome in outcomes]
    else:
        claims = asked_claims(options.claims)
        rows, found = read_sources(options.sources or [str(RESULTS_DIR)])
        with own_folder(options.config_dir):
            refuse_unknown(claims)
            outcomes = evaluate(claims, rows, options.only)
        states = states_in_words(rows, found)
        about = scope(row.tested for row in rows)
        code = 0 if rows and not found.asked else found.exit_code
    if options.csv:
        write_text(Path(options.csv), to_csv(outcomes))
    print(states)
    print(escaped(claims_table(outcomes, claims, about)))
    return code


if __name__ == "__main__":
    start(main)
