"""`python -m benchmarks.pretrained RUN NAME`: a run's net as package data, with its model card.

The run is evaluated first, on damaged images as well where that was not done: what does not come
out as recorded is not packaged. RUN may be pretrained/NAME: then its card is written anew. What a
machine put into the record (folders, the command as typed) is left out; the hash of the
configuration stays as it is. See `fmnist.runs.pretrained`.
"""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from safetensors.torch import save

from benchmarks.command import command
from fmnist import compose
from fmnist.config.schema import config_hash
from fmnist.errors import RunError
from fmnist.evidence.labels import suspects
from fmnist.evidence.text import markdown
from fmnist.runs.bits import RIGHT
from fmnist.runs.corrupted import CORRUPTED, STRENGTHS, read_corrupted
from fmnist.runs.evaluation import Evaluation, evaluate_predictions
from fmnist.runs.pretrained import FOLDER, SUMS, load_named
from fmnist.runs.record import RESULT, Record, known, record_json
from fmnist.runs.run import WEIGHTS, Run, write_atomically
from fmnist.training.predict import loss_and_accuracy
from fmnist.using.reproduce import predict_again

SURE = 0.99  # of a class


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", help="its directory, or pretrained/NAME")
    parser.add_argument("name")
    options = parser.parse_args(arguments)
    run = load_named(options.run)
    record, found = public(run), evaluated(run)
    if read_corrupted(run.dir, run.record) is None:
        from fmnist.using.corruptions import measure_and_keep  # with torchvision: a second

        print(*measure_and_keep(run), sep="\n")
    folder = FOLDER / options.name
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.contiguous() for name, value in run.net("best").state_dict().items()}
    files = {WEIGHTS: save(tensors), RESULT: record_json(record)}
    files |= {name: (run.dir / name).read_bytes() for name in (RIGHT, CORRUPTED)}
    files["README.md"] = card(run, options.name, found).encode()
    for name, content in files.items():
        write_atomically(folder / name, content)
    paths = sorted(path for path in FOLDER.glob("*/*") if path.is_file())
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(FOLDER)}" for p in paths]
    write_atomically(FOLDER / SUMS, ("\n".join(sums) + "\n").encode())
    print(f"{folder}: {sum(map(len, files.values())) / 1e6:.2f} MB")


def evaluated(run: Run) -> Evaluation:
    """What the best net says of the test images.

    Raises:
        RunError: not what its record says.
    """
    logits, labels = predict_again(run)
    recorded = run.record.metrics["test/loss"], run.record.metrics["test/acc"]
    if (found := loss_and_accuracy(logits, labels)) != recorded:
        raise RunError(f"{run.dir}: test loss and accuracy are {found}, recorded {recorded}")
    return evaluate_predictions(logits.numpy(), labels.numpy(), known(run.record.dataset).classes)


def public(run: Run) -> Record:
    """The record without what is of one machine, and with how the images stand in their frames.

    Raises:
        RunError: it has other settings than its experiment.
    """
    record = run.record
    overrides = [f"experiment={record.choices.get('experiment')}"]
    overrides += [f"seed={record.seed}"] if record.seed else []
    if overrides[0].endswith("=None") or config_hash(compose(overrides)) != record.config_hash:
        raise RunError(f"{run.dir}: is no run of {' '.join(overrides)}, as it stands in conf/")
    config = record.config | {"data": record.config["data"] | {"root": "data"}}
    return replace(
        record, config=config, command=f"python -m fmnist.train {' '.join(overrides)}",
        overrides=overrides, dataset=replace(known(record.dataset), look=run.data().load().look),
    )  # fmt: skip


def card(run: Run, name: str, found: Evaluation) -> str:
    """The model card, from the run's files."""
    record, data = run.record, known(run.record.dataset)
    scores = [
        [label, f"{100 * recall:.1f}", f"{100 * f1:.1f}"]
        for label, recall, f1 in zip(found.classes, found.recall, found.f1, strict=True)
    ]
    corrupted = known(read_corrupted(run.dir, record))
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
        labels(found),
        "On damaged test images, by strength, in percent (`fmnist evaluate --corruptions`):",
        markdown(
            ["damage", *map(str, range(1, STRENGTHS + 1))],
            [[kind, *(f"{100 * x:.1f}" for x in acc)] for kind, acc in corrupted.acc.items()],
        ),
        "It knows these ten classes and nothing else: a picture of anything is called one of them. "
        "What is known of the data set: docs/fashion_mnist.md.",
    ]
    return "\n\n".join(parts) + "\n"


def labels(found: Evaluation) -> str:
    """What its errors say of the labels."""
    wrong = ~found.correct
    first, second, count = found.confused_pairs()[0]
    sure = int((wrong & (found.probabilities.max(1) > SURE)).sum())
    doubted = suspects(found.probabilities, found.labels)
    clean = np.delete(found.correct, doubted).mean()
    return (
        f"Of its {wrong.sum()} errors, {count} are between {found.classes[first]} and "
        f"{found.classes[second]}, and {sure} are made with a probability of more than "
        f"{100 * SURE:.0f} % for the other class. Of the {len(wrong):,} test labels, confident "
        f"learning by this net alone doubts {len(doubted)}; of the other images it is right about "
        f"{100 * clean:.2f} %. That is a list to look at (`fmnist report`), and no proof: "
        "accuracies here are on the labels as published."
    )


if __name__ == "__main__":
    command(main)
