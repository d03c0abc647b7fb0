"""`python -m benchmarks.pretrained RUN NAME`: a run's net as package data, with its model card.

What a machine put into the record (folders, the command as typed) is left out; the hash of the
configuration stays as it is. See `fmnist.runs.pretrained`.
"""

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save

from fmnist.evidence.text import markdown
from fmnist.runs.bits import RIGHT
from fmnist.runs.corrupted import CORRUPTED, STRENGTHS, read_corrupted
from fmnist.runs.pretrained import FOLDER, SUMS
from fmnist.runs.record import RESULT, Record, known, record_json
from fmnist.runs.rows import class_metrics
from fmnist.runs.run import WEIGHTS, Run, load_run, write_atomically


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    options = parser.parse_args()
    run = load_run(options.run)
    folder = FOLDER / options.name
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.contiguous() for name, value in run.net("best").state_dict().items()}
    write_atomically(folder / WEIGHTS, save(tensors))
    write_atomically(folder / RESULT, record_json(public(run)))
    for name in (RIGHT, CORRUPTED):
        if (run.dir / name).exists():
            write_atomically(folder / name, (run.dir / name).read_bytes())
    write_atomically(folder / "README.md", card(run, options.name).encode())
    files = sorted(path for path in FOLDER.glob("*/*") if path.is_file())
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(FOLDER)}" for p in files]
    write_atomically(FOLDER / SUMS, ("\n".join(sums) + "\n").encode())


def public(run: Run) -> Record:
    """The record without what is of one machine, and with how the images stand in their frames."""
    record, experiment = run.record, run.record.choices["experiment"]
    config = record.config | {"data": record.config["data"] | {"root": "data"}}
    return replace(
        record, config=config, command=f"python -m fmnist.train experiment={experiment}",
        overrides=[f"experiment={experiment}"],
        dataset=replace(known(record.dataset), look=run.data().load().look),
    )  # fmt: skip


def card(run: Run, name: str) -> str:
    """The model card, from the run's files."""
    record, data = run.record, known(run.record.dataset)
    metrics = class_metrics(*run.predictions(), data.classes)
    scores = [
        [label, f"{100 * metrics[f'test/recall/{label}']:.1f}",
         f"{100 * metrics[f'test/f1/{label}']:.1f}"]
        for label in data.classes
    ]  # fmt: skip
    parts = [
        f"# {name}",
        f"`experiment={record.choices['experiment']}`, seed {record.seed}: {record.params:,} "
        f"parameters, {100 * record.metrics['test/acc']:.2f} % of the {data.test_size:,} test "
        f"images of {data.name}; one run, and not the best of several.",
        f"Trained on {data.train_size:,} images; {data.val_size:,} others, stratified, of the "
        f"training files chose epoch {known(record.best_epoch) + 1} of {len(record.epochs)} "
        f"(validation {100 * record.metrics['val/acc']:.2f} %). Images are float32 in [0, 1], then "
        f"(x - {data.mean:.4f}) / {data.std:.4f}. The record is `{RESULT}`.",
        "By class, in percent:",
        markdown(["class", "recall", "F1"], scores),
    ]
    if (corrupted := read_corrupted(run.dir, record)) is not None:
        heads = ["damage", *map(str, range(1, STRENGTHS + 1))]
        rows = [[k, *(f"{100 * x:.1f}" for x in v)] for k, v in corrupted.acc.items()]
        parts += [
            "On damaged test images, by strength, in percent (`fmnist evaluate --corruptions`):",
            markdown(heads, rows),
        ]
    parts.append(
        "It knows these ten classes and nothing else: a picture of anything is called one of them. "
        "What is known of the data set's labels: docs/fashion_mnist.md."
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
