"""`python -m benchmarks.throughput`: milliseconds a training step, ours and what else one takes.

For LeNet-5 and FashionCNN at batch 64, without and with study S1's augmentation, on one thread and
on all:

- sources: what the five studies do: PIL images and torchvision transforms one by one, DataLoader,
  plain loop;
- lightning: the same data in a LightningModule as people write it: a DataLoader, `self.log` of loss
  and accuracy in every step, Lightning's bar, CSV and checkpoint;
- bare: a hand-written loop over this project's resident batches, with its optimiser and in the
  number and memory format that it chooses, nothing else;
- fmnist: `fmnist.train` as shipped: Lightning, W&B offline, metrics.csv, record, bar, checkpoints;
  `fmnist csv`: without W&B.

One measurement is a training of three epochs (of one where images go through PIL), each with its
validation, from the making of the optimiser to the last checkpoint, divided by its steps; for
`fmnist` the whole of `fmnist.train.fit`. The contenders take turns, so that a slow moment of the
machine hits all of them; times are medians, ratios medians of those within a round, with the least
and the largest. A round beside which other processes took more than a tenth of a core is said and
repeated, at most as many as were asked for; what they took beside those that count is in the table.

On a machine with a GPU all of them train there.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.command import command
from benchmarks.load import DISTURBED, Others
from benchmarks.table import Table, parser
from fmnist.config.compose import compose
from fmnist.data.batches import EvalBatches, Normalize, TrainBatches
from fmnist.data.datamodule import ImageData
from fmnist.data.source import Images
from fmnist.runs.job import Job
from fmnist.runs.record import Record, known
from fmnist.runs.recording import start_run
from fmnist.tracking.dashboard import open_loggers
from fmnist.train import fit
from fmnist.training.build import build_classifier, build_data, formats
from fmnist.training.predict import predict

STEPS = {"lenet5": 860, "fashioncnn": 150}  # an epoch of LeNet-5; a part of one of the larger net
EPOCHS = 3  # what a run costs once weighs more in them than in the ten of a study
BATCH = 64
CONTENDERS = ("sources", "lightning", "bare", "fmnist", "fmnist csv")
ONE_BY_ONE = ("sources", "lightning")  # images through PIL: an epoch of them takes long enough
Batch = tuple[torch.Tensor, torch.Tensor]  # images float [B, 1, 28, 28], labels int64 [B]


class PilImages(Dataset[tuple[Any, int]]):
    """One image at a time through PIL, as torchvision's data sets do it."""

    def __init__(self, images: Images, transform: Callable[..., Any]) -> None:
        # Ours may have left them on the GPU.
        self.pixels, self.labels = images.pixels.cpu(), images.labels.cpu()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from PIL import Image

        image = Image.fromarray(self.pixels[index].numpy(), mode="L")
        return self.transform(image), int(self.labels[index])


def loop(
    net: nn.Module,
    train: Iterable[Batch],
    val: Iterable[Batch],
    epochs: int,
    device: torch.device,
    precision: str = "32-true",
    channels_last: bool = False,
    fused: bool = True,
) -> None:
    """The plain loop: in every epoch train on every batch, then validate.

    Args:
        train: batches on the device, as the next.
        device: of training.
        precision: by Lightning's name.
        fused: the optimiser is one kernel, as in conf/optim; not torch's default.
    """
    memory = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(device, memory_format=memory)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    for _ in range(epochs):
        net.train()
        for images, labels in train:
            optimizer.zero_grad()
            images = images.contiguous(memory_format=memory)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
                loss = F.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
        predict(net, val, device, precision, channels_last)


class Moved:
    """Batches, brought to a device one by one."""

    def __init__(self, batches: Iterable[Batch], device: torch.device) -> None:
        self.batches, self.device = batches, device

    def __iter__(self) -> Iterator[Batch]:
        for images, labels in self.batches:
            yield images.to(self.device), labels.to(self.device)


def loaders(data: ImageData, aug: str, workers: int) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Of training and validation, image by image."""
    from torchvision import transforms as T

    steps: list[Any] = []
    if aug == "on":
        steps = [T.RandomRotation(10), T.RandomHorizontalFlip(0.5), T.RandomCrop(28, padding=4)]
    to_tensor = [T.ToTensor(), T.Normalize((0.5,), (0.5,))]
    train = PilImages(data.train_images, T.Compose(steps + to_tensor))
    val = PilImages(data.val_images, T.Compose(to_tensor))
    return (
        DataLoader(train, BATCH, shuffle=True, num_workers=workers),
        DataLoader(val, BATCH, num_workers=workers),
    )


class Ordinary(LightningModule):
    """A net in Lightning, as its documentation writes it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, index: int) -> None:
        self._step(batch, "val")

    def _step(self, batch: Batch, part: str) -> torch.Tensor:
        images, labels = batch
        logits = self.net(images)
        loss = F.cross_entropy(logits, labels)
        self.log(f"{part}_loss", loss, prog_bar=True)
        self.log(f"{part}_acc", (logits.argmax(1) == labels).float().mean(), prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def lightning_fit(
    net: nn.Module, batches: tuple[Any, Any], device: torch.device, folder: Path
) -> None:
    accelerator = "gpu" if device.type == "cuda" else "cpu"
    where = tempfile.mkdtemp(dir=folder)
    trainer = Trainer(
        max_epochs=1, accelerator=accelerator, devices=1, default_root_dir=where,
        logger=CSVLogger(where),
    )  # fmt: skip
    with redirect_stdout(sys.stderr):  # its bar, away from the table
        trainer.fit(Ordinary(net), *batches)


def bare(config: dict[str, Any], data: ImageData, device: torch.device) -> None:
    prepare = Normalize(0.5, 0.5, data.augment)
    train, val = data.train_images.to(device), data.val_images.to(device)
    classifier = build_classifier(config, data)
    loop(
        classifier.net,
        TrainBatches(train, prepare, BATCH, seed=0, epoch=lambda: 0),
        EvalBatches(val, Normalize(0.5, 0.5), 1000),
        EPOCHS,
        device,
        *formats(config, known(classifier.flops)),
    )


def fmnist_fit(config: dict[str, Any], data: ImageData, folder: Path) -> float:
    """Seconds of `Trainer.fit`, everything on, opening and closing the dashboard left out."""
    run = start_run(
        Path(tempfile.mkdtemp(dir=folder)),
        Record(
            status="running", config_hash="", choices={}, overrides=[], config=config, seed=0,
            dataset=data.load(),
        ),
    )  # fmt: skip
    with open_loggers(config, Job(run.dir), run) as loggers:
        began = time.perf_counter()
        fit(config, build_classifier(config, data), data, loggers, run.checkpoints, run)
        return time.perf_counter() - began


def measure(
    model: str, aug: str, rounds: int, workers: int, folder: Path, chosen: list[str],
    overrides: list[str],
) -> tuple[dict[str, list[float]], float]:  # fmt: skip
    """Milliseconds a step of every contender, one value a round; and what others took at most."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    arguments = [
        f"model={model}", f"aug={aug}", f"trainer.max_epochs={EPOCHS}", "patience=null",
        f"trainer.accelerator={device.type}", *overrides,
    ]  # fmt: skip
    config, plain = compose(arguments), compose([*arguments, "logger=csv"])
    data = build_data(config)
    data.load()
    data.train_images = data.train_images[: STEPS[model] * BATCH]
    batches = loaders(data, aug, workers)
    steps = -(-len(data.train_images) // BATCH)

    def net() -> nn.Module:
        return build_classifier(config, data).net

    contenders: dict[str, Callable[[], Any]] = {
        "sources": lambda: loop(
            net(), *(Moved(b, device) for b in batches), epochs=1, device=device, fused=False
        ),
        "lightning": lambda: lightning_fit(net(), batches, device, folder),
        "bare": lambda: bare(config, data, device),
        "fmnist": lambda: fmnist_fit(config, data, folder),
        "fmnist csv": lambda: fmnist_fit(plain, data, folder),
    }
    times: dict[str, list[float]] = {name: [] for name in chosen}
    worst, again = 0.0, rounds
    number = 0  # the first warms up
    while number <= rounds:
        others, taken = Others(), dict[str, float]()
        for name in chosen:
            began = time.perf_counter()
            inside = contenders[name]()
            seconds = inside if isinstance(inside, float) else time.perf_counter() - began
            taken[name] = 1000 * seconds / ((1 if name in ONE_BY_ONE else EPOCHS) * steps)
        share = others.share()
        said = f"  {model} aug={aug}: round {number} of {rounds}, others {share:.2f} of a core"
        if number and share > DISTURBED and again:
            print(f"{said}: again", file=sys.stderr)
            again -= 1
            continue
        print(said, file=sys.stderr)
        if number:
            worst = max(worst, share)
            for name, value in taken.items():
                times[name].append(value)
        number += 1
    return times, worst


def with_spread(one: list[float] | None, other: list[float] | None) -> str:
    """Median, least and largest of the ratios within the rounds; "" where one is missing."""
    if not one or not other:
        return ""
    ratios = [a / b for a, b in zip(one, other, strict=True)]
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--workers", type=int, default=0, help="of the DataLoaders")
    options.add_argument("--models", nargs="+", choices=STEPS, default=list(STEPS))
    options.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    most = torch.get_num_threads()
    options.add_argument("--threads", type=int, nargs="+", default=sorted({1, most}))
    arguments = options.parse_intermixed_args()
    os.environ["WANDB_MODE"] = "offline"
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)  # a bare loop has no Lightning to set it
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("fmnist").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    columns = [
        "net", "aug", "threads used", "contender", "ms/step", "min", "max", "x bare",
        "sources / this", "others, % of a core",
    ]  # fmt: skip
    table = Table(columns, arguments.rounds, most)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WANDB_DIR"] = folder
        for model, aug, count in product(arguments.models, ("off", "on"), arguments.threads):
            torch.set_num_threads(count)
            times, others = measure(
                model, aug, arguments.rounds, arguments.workers, Path(folder),
                arguments.contenders, arguments.overrides,
            )  # fmt: skip
            for name, values in times.items():
                table.add(
                    model, aug, count, name, f"{statistics.median(values):.2f}",
                    f"{min(values):.2f}", f"{max(values):.2f}",
                    with_spread(values, times.get("bare")),
                    with_spread(times.get("sources"), values), f"{100 * others:.0f}",
                )  # fmt: skip
            table.write(arguments.csv, keep=["net", "aug", "threads used", "contender"])
    torch.set_num_threads(most)


if __name__ == "__main__":
    command(main)
