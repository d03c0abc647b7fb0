"""`python -m fmnist.predict RUN FILE|FOLDER ...`: what a run's net says of your own pictures.

They are prepared as the run's data set was made: cut to what they show, negated where their
background is bright and the set's is dark, fitted and centred. Exit code 0: all were read; 2: some
could not be.
"""

import argparse
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fmnist.config.trusted import TRUST_HELP, trust
from fmnist.errors import DataError, DataUnavailable, RunError, UserError
from fmnist.process.terminal import say
from fmnist.runs.command import command, command_parser, refuse, start, writing
from fmnist.runs.foreign_text import csv_text, escaped
from fmnist.runs.plain import write_json
from fmnist.runs.pretrained import PREFIX, PRETRAINED_HELP, load_named
from fmnist.runs.record import known
from fmnist.runs.run import Run, write_atomically

if TYPE_CHECKING:
    from fmnist.data.facts import DatasetFacts
    from fmnist.data.pictures import Pixels
    from fmnist.using.classify import Answer

SHOWN = 3  # classes a picture


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
    options = parser.parse_args(arguments)
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

    paths = find_pictures(options.pictures)
    answers, inputs, missing = answers_of(run, paths)
    facts = known(run.record.dataset)
    with writing():
        if options.save_inputs:
            save(options.save_inputs, inputs)
        if options.csv:
            write_atomically(options.csv, as_csv(answers, facts.classes).encode())
        if options.json:
            write_atomically(options.json, as_json(run, answers))
    if answers:
        print(escaped(table(answers)))
    if missing:
        say(missing)
    return 0 if len(answers) == len(paths) else UserError.exit_code


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
    inputs = read_all(paths, facts)
    try:
        familiar, missing = familiar_with(run, net), ""
    except (DataUnavailable, RunError) as error:
        familiar, missing = None, f"far from the training data: cannot be told: {error}"
    return classify(net, facts, inputs, run.formats(), familiar), inputs, missing


def read_all(paths: Sequence[Path], facts: "DatasetFacts") -> "dict[str, Pixels]":
    """The pictures as the net sees them, by file; those that cannot be read are said."""
    from fmnist.data.pictures import prepare, read_picture

    inputs = {}
    for path in paths:
        try:
            inputs[str(path)] = prepare(read_picture(path), facts.shape, known(facts.look))
        except DataError as error:
            refuse(error)
    return inputs


def table(answers: "Sequence[Answer]") -> str:
    """A line a picture: its most probable classes, and what there is to say of it."""
    width = max(len("picture"), *(len(answer.name) for answer in answers))
    lines = [f"{'picture':{width}}  most probable classes"]
    for answer in answers:
        first = list(answer.probabilities.items())[:SHOWN]
        shares = "  ".join(f"{name[:14]:14} {share:6.1%}" for name, share in first)
        lines.append(f"{answer.name:{width}}  {shares}  {answer.remark}".rstrip())
    return "\n".join(lines)


def as_csv(answers: "Sequence[Answer]", classes: Sequence[str]) -> str:
    """Every probability; in [0, 1]."""
    columns = [f"p({name})" for name in classes]
    rows: list[list[object]] = [
        ["file", "class", "probability", "unsure", "far", "distance", *columns]
    ]
    for one in answers:
        shares = [f"{one.probabilities[name]:.6g}" for name in classes]
        distance = "" if one.distance is None else f"{one.distance:.6g}"
        facts = [one.name, one.label, f"{one.probability:.6g}", one.unsure, one.far, distance]
        rows.append([*facts, *shares])
    return csv_text(rows)


def as_json(run: Run, answers: "Sequence[Answer]") -> bytes:
    """The run, and of every picture all that is known."""
    pictures = [
        {
            "file": one.name, "class": one.label, "probability": one.probability,
            "unsure": one.unsure, "far": one.far, "distance": one.distance,
            "probabilities": one.probabilities,
        }
        for one in answers
    ]  # fmt: skip
    record = run.record
    return write_json(
        {"run": str(run.dir), "config_hash": record.config_hash,
         "dataset": known(record.dataset).name, "pictures": pictures}
    )  # fmt: skip


def save(folder: Path, inputs: "dict[str, Pixels]") -> None:
    """What the net saw, in the order of the pictures."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, pixels) in enumerate(inputs.items(), start=1):
        image = Image.fromarray(pixels if pixels.ndim == 2 else pixels.transpose(1, 2, 0))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        write_atomically(folder / f"{number:04d}_{Path(name).stem}.png", buffer.getvalue())


if __name__ == "__main__":
    start(main)
