"""`python -m fmnist.evaluate DIR ...`: read runs back and reproduce their test numbers.

Builds each net from the run's own configuration, loads best.ckpt, reads the test set and compares
with the record. Exit code 0: all reproduced exactly; 1: some not; 2: some could not be read.
"""

from collections.abc import Sequence
from statistics import mean

from fmnist.config.trusted import TRUST_HELP, trust
from fmnist.errors import UserError
from fmnist.runs.command import command_parser, refuse, start, writing
from fmnist.runs.foreign_text import escaped
from fmnist.runs.leak import LEAK, leaks
from fmnist.runs.pretrained import PREFIX, PRETRAINED_HELP, load_named
from fmnist.runs.record import known
from fmnist.runs.run import Run, write_atomically
from fmnist.runs.text import unchecked


def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("evaluate", __doc__)
    parser.add_argument("directories", nargs="*", metavar="DIR", help="run directory")
    parser.add_argument(
        "--pretrained", metavar="NAME", action="append", default=[], help=PRETRAINED_HELP
    )
    parser.add_argument(
        "--corruptions", action="store_true",
        help="also measure, and keep in the run, the accuracy on damaged test images",
    )  # fmt: skip
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    options = parser.parse_args(arguments)
    runs = [*options.directories, *(f"{PREFIX}{name}" for name in options.pretrained)]
    if not runs:
        parser.error("the following arguments are required: DIR, or --pretrained NAME")
    with trust(options.trust):
        codes = [reproduce(path, options.corruptions) for path in runs]
    return max(codes)


def reproduce(directory: str, corruptions: bool = False) -> int:
    """Evaluate one run and say what came out; the exit code."""
    try:
        run = load_named(directory)
        from fmnist.using.reproduce import retest

        loss, accuracy = retest(run)
        code = tell(directory, run, loss, accuracy)
        if corruptions:
            measure_corruptions(run)
    except UserError as error:
        refuse(error)
        return 2
    return code


def tell(directory: str, run: Run, loss: float, accuracy: float) -> int:
    """Say how the test numbers are to the recorded ones; the exit code."""
    recorded, facts = run.record.metrics, known(run.record.dataset)
    same = (loss, accuracy) == (recorded["test/loss"], recorded["test/acc"])
    line = (
        f"{directory}: {facts.name}{unchecked(facts)} "
        f"test acc {accuracy:.4f} loss {loss:.6f}, recorded {recorded['test/acc']:.4f} "
        f"{recorded['test/loss']:.6f}: {'identical' if same else 'DIFFERENT'}"
    )
    print(escaped(line, keep=""))
    if leaks(run):
        print(f"WARNING {LEAK}")
    return 0 if same else 1


def measure_corruptions(run: Run) -> None:
    """Show, kind by kind, the accuracy on damaged test images, and keep it beside the record.

    Raises:
        RunError: the data are not those of the run, or its folder cannot be written.
    """
    from fmnist.runs.corrupted import CORRUPTED, METRIC, STRENGTHS, corrupted_json
    from fmnist.using.corruptions import measure, of_run

    heads = "".join(f"{number:8}" for number in range(1, STRENGTHS + 1))
    print(f"{'damage, strength':18}{heads}    mean")
    acc = {}
    for kind, shares in measure(run):
        acc[kind] = shares
        row = "".join(f"{share:8.4f}" for share in (*shares, mean(shares)))
        print(f"{kind:18}{row}", flush=True)
    found = of_run(run, acc)
    print(f"{'all':18}{'':{8 * STRENGTHS}}{found.metrics()[METRIC]:8.4f}")
    with writing():
        write_atomically(run.dir / CORRUPTED, corrupted_json(found))


if __name__ == "__main__":
    start(main)
