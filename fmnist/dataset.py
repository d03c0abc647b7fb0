"""`python -m fmnist.dataset OVERRIDE ...`: what a data set holds, as a table and a contact sheet.

Takes what `python -m fmnist.train` takes: `data=cifar10`, `data=folder data.root=DIR data.size=64`.
Exit code 0; 2: it is not what it should be; 3: it is neither on disk nor reachable.
"""

from collections.abc import Sequence
from pathlib import Path

from fmnist.errors import UserError
from fmnist.runs.command import add_config_dir, command, command_parser, start
from fmnist.runs.foreign_text import escaped
from fmnist.runs.run import write_atomically, writing
from fmnist.runs.text import shown


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("data", __doc__)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for fmnist.train")
    add_config_dir(parser)
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="the contact sheet; default: data-NAME.png here"
    )
    options = parser.parse_intermixed_args(arguments)
    if options.out is not None and options.out.suffix.lower() != ".png":
        raise UserError(f"--out {options.out}: should end in .png")
    from fmnist.config.compose import compose
    from fmnist.config.folders import own_folder

    with own_folder(options.config_dir):
        config = compose(options.overrides)
    from fmnist.data.sheet import sheet_png
    from fmnist.reporting.dataset_text import dataset_lines
    from fmnist.training.build import build_data

    data = build_data(config)
    print(escaped("\n".join(dataset_lines(data))))
    path = options.out or Path(f"data-{Path(data.set_name).name}.png")
    with writing():
        write_atomically(path, sheet_png(data.train_images, data.load().classes))
    print("sheet      ", shown(path))
    return 0


if __name__ == "__main__":
    start(main)
