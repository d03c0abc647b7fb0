"""`python -m fmnist.dataset OVERRIDE ...`: what a data set holds, as a table and a contact sheet.

Takes what `python -m fmnist.train` takes: `data=cifar10`, `data=folder data.root=DIR data.size=64`.
Exit code 0; 2: it is not what it should be; 3: it is neither on disk nor reachable.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fmnist.errors import UserError
from fmnist.runs.command import command, command_parser, start, writing
from fmnist.runs.foreign_text import escaped
from fmnist.runs.text import shown, unchecked

if TYPE_CHECKING:
    from fmnist.data.datamodule import ImageData

MOST = 100  # classes that are listed


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("dataset", __doc__)
    parser.prog = "fmnist data"
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="as for fmnist.train")
    parser.add_argument("--config-dir", metavar="DIR", type=Path, help="of one's own, as for train")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="the contact sheet; default: data-NAME.png here"
    )
    options = parser.parse_intermixed_args(arguments)
    out = options.out
    if out is not None and out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: should end in .png")
    own = options.config_dir
    more = [] if own is None else [f"hydra.searchpath=[file://{own.absolute()}]"]
    from fmnist.config.compose import compose

    config = compose([*options.overrides, *more])
    from fmnist.data.sheet import contact_sheet
    from fmnist.training.build import build_data

    data = build_data(config)
    print(escaped("\n".join(describe(data))))
    path = out or Path(f"data-{Path(data.set_name).name}.png")
    with writing():
        sheet = contact_sheet(data.train_images, data.load().classes)
        temporary = path.with_name(f".{path.name}")
        sheet.save(temporary, "PNG")
        temporary.replace(path)
    print(f"sheet       {shown(path)}")
    return 0


def describe(data: "ImageData") -> list[str]:
    """Sizes, mean and deviation, images of every class, duplicates: a line each."""
    from fmnist.data.source import count_classes, duplicates

    facts = data.load()
    parts = {"train": data.train_images, "val": data.val_images, "test": data.test_images}
    counts = {name: count_classes(some.labels, len(facts.classes)) for name, some in parts.items()}
    sizes = ", ".join(f"{len(images):,} {name}" for name, images in parts.items())
    channels, height, width = facts.shape
    colour = "grey" if channels == 1 else "colour"
    lines = [
        f"data        {facts.name}{unchecked(facts)}: {len(facts.classes)} classes, "
        f"{height}x{width}, {colour}",
        f"images      {sizes}",
        f"pixels      mean {_numbers(facts.mean)}, deviation {_numbers(facts.std)}, of 0 to 1, "
        "in training",
    ]
    for name in ("val", "test"):
        if name == "val" and facts.select_on == "test":
            continue
        found = duplicates(parts["train"], parts[name])
        share = f"{found} of {len(parts[name]):,} {name} images are training images, too"
        lines.append(f"duplicates  {share if found else f'no {name} image is a training image'}")
    wide = max(12, *(len(name) for name in facts.classes[:MOST]))
    lines.append(f"{'class':{wide}}" + "".join(f"{name:>9}" for name in parts))
    for label, name in enumerate(facts.classes[:MOST]):
        lines.append(f"{name:{wide}}" + "".join(f"{counts[part][label]:>9,}" for part in parts))
    if rest := facts.classes[MOST:]:
        fewest, most = min(counts["train"]), max(counts["train"])
        lines.append(f"and {len(rest)} more; {fewest:,} to {most:,} training images a class")
    return lines


def _numbers(value: float | list[float]) -> str:
    return " ".join(f"{number:.4f}" for number in (value if isinstance(value, list) else [value]))


if __name__ == "__main__":
    start(main)
