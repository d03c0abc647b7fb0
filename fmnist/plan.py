"""`python -m fmnist.plan OVERRIDE ...`: what a command would run, and how long, without training.

Takes what `python -m fmnist.train` takes: `ablation=NAME`, or any overrides, with several values or
without. Prints the cells, which of them are done, and the time that the others take by the records
at hand: runs below multirun/, outputs/ and the sweep's own folder, and the committed rows of
results/. Exit code 0; 2: a setting that does not exist or has a value that it cannot have.
"""

from collections.abc import Sequence

from fmnist.config.folders import own_folder
from fmnist.config.readings import key_of
from fmnist.evidence.claim_file import asked_claims, project_claims
from fmnist.runs.command import add_config_dir, command, command_parser, start
from fmnist.runs.foreign_text import escaped
from fmnist.sweeps.cells import sweep_of
from fmnist.sweeps.estimate import rows_at_hand
from fmnist.sweeps.forecast import plan_in_words, power, power_of_two


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("plan", __doc__)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for fmnist.train")
    parser.add_argument("--claims", metavar="FOLDER", help="of your own claims, YAML files")
    add_config_dir(parser)
    parser.add_argument("-m", "--multirun", action="store_true", help="may be left out here")
    asked = parser.parse_intermixed_args(arguments)
    claims = asked_claims(asked.claims) if asked.claims else project_claims()
    with own_folder(asked.config_dir):
        sweep = sweep_of(asked.overrides)
        rows = rows_at_hand(sweep=sweep.folder)
        seeds = {text for cell in sweep.cells for text in cell.overrides if key_of(text) == "seed"}
        print(escaped(plan_in_words(sweep, rows)))
        said = power(asked.overrides, len(seeds), rows, claims)
        said = said or power_of_two(sweep, len(seeds), rows)
    if said:
        print(escaped(said))
    return 0


if __name__ == "__main__":
    start(main)
