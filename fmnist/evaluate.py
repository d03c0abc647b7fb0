"""`python -m fmnist.evaluate DIR ...`: read runs back and reproduce their test numbers.

Builds each net from the run's own configuration, loads best.ckpt, reads the test set and compares
with the record. Exit code 0: all reproduced exactly; 1: some not; 2: some could not be read.
"""

from collections.abc import Sequence

from fmnist.config.trusted import TRUST_HELP, trust
from fmnist.runs.command import command_parser, for_each, start
from fmnist.runs.foreign_text import escaped
from fmnist.runs.pretrained import PREFIX, PRETRAINED_HELP, load_named


def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("evaluate", __doc__)
    parser.add_argument("directories", nargs="*", metavar="DIR", help="run directory")
    parser.add_argument(
        "--pretrained", metavar="NAME", action="append", default=[], help=PRETRAINED_HELP
    )
    parser.add_argument(
        "--corruptions", action="store_true",
        help="also measure the accuracy on damaged test images, and keep it in the run (not in a "
        "pretrained net)",
    )  # fmt: skip
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    options = parser.parse_args(arguments)
    runs = [*options.directories, *(f"{PREFIX}{name}" for name in options.pretrained)]
    if not runs:
        parser.error("the following arguments are required: DIR, or --pretrained NAME")
    with trust(options.trust):
        return for_each(runs, lambda name: evaluate(name, options.corruptions))


def evaluate(name: str, corruptions: bool) -> int:
    """One run. The exit code."""
    run = load_named(name)
    from fmnist.using.reproduce import reproduce

    found = reproduce(name, run)
    print("\n".join(escaped(line, keep="") for line in found.lines))
    if corruptions:
        from fmnist.using.corruptions import measure_and_keep

        for line in measure_and_keep(run):  # each takes seconds
            print(line, flush=True)
    return 0 if found.same else 1


if __name__ == "__main__":
    start(main)
