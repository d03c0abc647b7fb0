"""`python -m fmnist.export RUN`: a run's net as one file for other programs, .pt2 or ONNX.

It takes pixels (uint8) of any number of images and gives logits; normalisation is inside. Its
logits are compared with the run's before it is written. Exit code 0: the file is there; 2: not.
"""

from collections.abc import Sequence
from pathlib import Path

from fmnist.config.trusted import TRUST_HELP, trust
from fmnist.errors import RunError
from fmnist.runs.command import command, command_parser, start
from fmnist.runs.foreign_text import escaped
from fmnist.runs.run import Run, load_run


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("export", __doc__)
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument(
        "--onnx", action="store_true", help="ONNX (pip install 'fmnist[onnx]') in place of .pt2"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="default: net.pt2 or net.onnx in RUN"
    )
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    options = parser.parse_args(arguments)
    with trust(options.trust):
        print(escaped(export(load_run(options.run), options.onnx, options.out)))
    return 0


def export(run: Run, onnx: bool, out: Path | None) -> str:
    """Write the file; what there is to say of it."""
    run.require_finished()
    kind = "onnx" if onnx else "pt2"
    path = out or run.dir / f"net.{kind}"
    if path.is_dir():
        raise RunError(f"--out {path}: a folder; should be a file")
    from fmnist.using import export as exporting

    return exporting.export(run, path, kind).in_words(run.record.precision)


if __name__ == "__main__":
    start(main)
