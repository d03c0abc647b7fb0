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
from fmnist.runs.pretrained import PREFIX, PRETRAINED_HELP, load_named
from fmnist.runs.run import Run


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("export", __doc__)
    parser.add_argument("run", nargs="?", metavar="RUN", help="run directory")
    parser.add_argument("--pretrained", metavar="NAME", help=PRETRAINED_HELP)
    parser.add_argument(
        "--onnx", action="store_true", help="ONNX (pip install 'fmnist[onnx]') in place of .pt2"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path,
        help="default: net.pt2 or net.onnx in RUN, NAME.pt2 or NAME.onnx here",
    )  # fmt: skip
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    options = parser.parse_args(arguments)
    if bool(options.run) == bool(options.pretrained):
        parser.error("should be given RUN, or --pretrained NAME")
    name = options.run or f"{PREFIX}{options.pretrained}"
    run, kind = load_named(name), "onnx" if options.onnx else "pt2"
    ours = name.startswith(PREFIX)
    usual = Path(f"{run.dir.name}.{kind}") if ours else run.dir / f"net.{kind}"
    with trust(options.trust):
        print(escaped(export(run, kind, options.out or usual)))
    return 0


def export(run: Run, kind: str, path: Path) -> str:
    """Write the file; what there is to say of it."""
    run.require_finished()
    if path.is_dir():
        raise RunError(f"--out {path}: a folder; should be a file")
    if path.suffix in (".pt2", ".onnx") and path.suffix != f".{kind}":
        cure = "leave --onnx out" if kind == "onnx" else "--onnx makes an .onnx file"
        raise RunError(f"--out {path}: the file would be .{kind}: {cure}")
    from fmnist.using import export as exporting

    return exporting.export(run, path, kind).in_words(run.record.precision)


if __name__ == "__main__":
    start(main)
