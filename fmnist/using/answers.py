"""What a run's net says of pictures: asked, and as a table, as CSV, as JSON."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from fmnist.data.facts import DatasetFacts
from fmnist.data.folder import Folder, decode_picture
from fmnist.data.pictures import Pixels, prepare, read_picture
from fmnist.errors import DataError, RunError
from fmnist.runs.command import refuse
from fmnist.runs.foreign_text import csv_text, escaped
from fmnist.runs.plain import write_json
from fmnist.runs.record import known
from fmnist.runs.run import Run, write_atomically

if TYPE_CHECKING:
    from fmnist.using.classify import Answer

SHOWN = 3  # classes a picture
STEM = 200  # bytes of a picture's name in that of what the net saw: a file's may have 255
SHORT = 14  # letters of a class's name, so that three of them fit into a line


def answers_of(run: Run, paths: Sequence[Path]) -> "tuple[list[Answer], dict[str, Pixels], str]":
    """What the best net of a run says of pictures, what it saw, and why it knows no distances.

    Raises:
        RunError: the run has not finished, or its files are damaged.
    """
    run.require_finished()
    from fmnist.using.classify import classify, familiar_with

    net, facts = run.net("best"), known(run.record.dataset)
    if facts.look is None:  # a record of before it was measured
        facts = replace(facts, look=run.data().load().look)
    inputs = read_all(paths, facts, of_folders(run))
    try:
        familiar, missing = familiar_with(run, net), ""
    except (DataError, RunError) as error:  # of the data set, which the answers do not need
        familiar, missing = None, f"far from the training data: cannot be told: {error}"
    return classify(net, facts, inputs, run.formats(), familiar), inputs, missing


def of_folders(run: Run) -> bool:
    """Whether a run's images were pictures in folders, which are read and not prepared."""
    reader: str = (run.config["data"].get("source") or {}).get("_target_", "")
    return reader == f"{Folder.__module__}.{Folder.__qualname__}"


def read_all(paths: Sequence[Path], facts: DatasetFacts, folders: bool) -> dict[str, Pixels]:
    """The pictures as the net sees them, by file; those that cannot be read are said.

    Args:
        folders: see `of_folders`.
    """
    inputs, (channels, size, _) = {}, facts.shape
    for path in paths:
        try:
            inputs[escaped(path, keep="")] = (
                decode_picture(path, size, channels)
                if folders
                else prepare(read_picture(path), facts.shape, known(facts.look))
            )
        except DataError as error:
            refuse(error)
    return inputs


def answers_table(answers: "Sequence[Answer]") -> str:
    """A line a picture: its most probable classes, and what there is to say of it."""
    width = max(len("picture"), *(len(answer.name) for answer in answers))
    lines = [f"{'picture':{width}}  most probable classes"]
    for answer in answers:
        first = list(answer.probabilities.items())[:SHOWN]
        names = [name for name, _ in first]
        short = len({name[:SHORT] for name in names}) == len(names)  # and still tells them apart
        shares = "  ".join(
            f"{name[:SHORT] if short else name:{SHORT}} {share:6.1%}" for name, share in first
        )
        lines.append(f"{answer.name:{width}}  {shares}  {answer.remark}".rstrip())
    return "\n".join(lines)


def as_csv(answers: "Sequence[Answer]", classes: Sequence[str]) -> str:
    """Every probability, in [0, 1]; far and distance are empty where they were not measured."""
    header = [*KNOWN, *(f"p({name})" for name in classes)]
    rows = [[*_facts(one), *(one.probabilities[name] for name in classes)] for one in answers]
    return csv_text([header, *(map(_as_text, row) for row in rows)])


KNOWN = ("file", "class", "probability", "unsure", "far", "distance", "energy")


def _facts(one: "Answer") -> list[Any]:
    """Of a picture, as KNOWN lists them."""
    return [one.name, one.label, one.probability, one.unsure, one.far, one.distance, one.energy]


def _as_text(value: Any) -> Any:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def as_json(run: Run, answers: "Sequence[Answer]") -> bytes:
    """The run, and of every picture all that is known."""
    pictures = [
        dict(zip(KNOWN, _facts(one), strict=True)) | {"probabilities": one.probabilities}
        for one in answers
    ]
    record = run.record
    return write_json(
        {"run": escaped(run.dir, keep=""), "config_hash": record.config_hash,
         "dataset": known(record.dataset).name, "pictures": pictures}
    )  # fmt: skip


def save_inputs(folder: Path, inputs: dict[str, Pixels]) -> None:
    """What the net saw, in the order of the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, pixels) in enumerate(inputs.items(), start=1):
        image = Image.fromarray(pixels if pixels.ndim == 2 else pixels.transpose(1, 2, 0))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        stem = Path(name).stem.encode()[:STEM].decode(errors="ignore")
        write_atomically(folder / f"{number:04d}_{stem}.png", buffer.getvalue())
