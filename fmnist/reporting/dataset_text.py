"""What a data set holds, for a terminal."""

from fmnist.data.datamodule import ImageData
from fmnist.data.source import count_classes, duplicates
from fmnist.runs.text import unchecked

MOST = 100  # classes that are listed


def dataset_lines(data: ImageData) -> list[str]:
    """Sizes, mean and deviation, images of every class, duplicates: a line each.

    Raises:
        DataError, DataUnavailable: they cannot be read, or are not there.
    """
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
