"""`python -m fmnist.predict RUN FILE|FOLDER ...`: what a run's net says of your own pictures.

They are prepared as the run's data set was made: cut to what they show, negated where their
background is bright and the set's is dark, fitted and centred. Exit code 0: all were read; 2: some
could not be.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fmnist.config.trusted import TRUST_HELP, trust
from fmnist.errors import UserError
from fmnist.process.terminal import say
from fmnist.runs.command import command, command_parser, start
from fmnist.runs.foreign_text import escaped
from fmnist.runs.pretrained import PREFIX, PRETRAINED_HELP, load_named
from fmnist.runs.record import known
from fmnist.runs.run import write_atomically, writing


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("predict", __doc__)
    parser.add_argument("run", nargs="?", metavar="RUN", help="run directory")
    parser.add_argument("pictures", nargs="+", metavar="FILE|FOLDER", type=Path)
    parser.add_argument("--pretrained", metavar="NAME", help=PRETRAINED_HELP)
    parser.add_argument("--csv", metavar="FILE", type=Path, help="all probabilities as a table")
    parser.add_argument("--json", metavar="FILE", type=Path, help="the same for programs")
    parser.add_argument(
        "--save-inputs", metavar="DIR", type=Path, help="what the net saw, a PNG a picture"
    )
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    options = parser.parse_intermixed_args(arguments)
    if options.pretrained:
        options.pictures[:0] = [Path(options.run)] if options.run else []
        options.run = f"{PREFIX}{options.pretrained}"
    elif not options.run:
        parser.error("the following arguments are required: RUN, or --pretrained NAME")
    with trust(options.trust):
        return predict(options)


def predict(options: argparse.Namespace) -> int:
    """The command, once its arguments are read. The exit code."""
    run = load_named(options.run)
    from fmnist.data.pictures import find_pictures
    from fmnist.using.answers import answers_of, answers_table, as_csv, as_json, save_inputs

    paths = find_pictures(options.pictures)
    answers, inputs, missing = answers_of(run, paths)
    facts = known(run.record.dataset)
    with writing():
        if options.save_inputs:
            save_inputs(options.save_inputs, inputs)
        if options.csv:
            write_atomically(options.csv, as_csv(answers, facts.classes).encode())
        if options.json:
            write_atomically(options.json, as_json(run, answers))
    if answers:
        print(escaped(answers_table(answers)))
    if missing:
        say(missing)
    return 0 if len(answers) == len(paths) else UserError.exit_code


if __name__ == "__main__":
    start(main)
