"""`python -m benchmarks.throughput`: milliseconds a training step, ours against two references.

For LeNet-5 and FashionCNN at batch 64, without and with study S1's augmentation:

- sources: what the five studies do: PIL images and torchvision transforms one by one, DataLoader,
  plain loop;
- bare: a hand-written loop over this project's resident batches, with its optimiser, nothing
  else;
- fmnist: `fmnist.train` as shipped: Lightning, W&B offline, metrics.csv, record, bar, checkpoints.

One measurement is a training of three epochs (of the sources' pipeline: one), each with its
validation, from the making of the optimiser to the last checkpoint, divided by its steps; for
`fmnist` the whole of `fmnist.train.fit`. The contenders take turns, so that a slow moment of the
machine hits all of them; medians and ratios of medians are what to read. `fmnist` takes the number
format that pays for the net (`fmnist.training.precision`); `fmnist fp32` and `fmnist bf16`
(autocast and channels-last) take the one that they name; `fmnist csv` is without W&B.

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
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.command import command
from benchmarks.table import Table, parser, ratio
from fmnist.config.build import build, sized
from fmnist.config.compose import compose
from fmnist.data.batches import EvalBatches, Normalize, TrainBatches
from fmnist.data.datamodule import ImageData
from fmnist.data.source import Images
from fmnist.runs.job import Job
from fmnist.runs.record import Record
from fmnist.runs.run import start_run
from fmnist.tracking.dashboard import open_loggers
from fmnist.train import fit
from fmnist.training.build import build_classifier, build_data
from fmnist.training.predict import predict

STEPS = {"lenet5": 860, "fashioncnn": 150}  # an epoch of LeNet-5; a part of one of the larger net
EPOCHS = 3  # what a run costs once weighs more in them than in the ten of a study
BATCH = 64
CONTENDERS = (
    "sources", "bare", "bare bf16", "fmnist", "fmnist csv", "fmnist fp32", "fmnist bf16"
)  # fmt: skip
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
    half: bool = False,
    fused: bool = True,
) -> None:
    """The plain loop: in every epoch train on every batch, then validate.

    Args:
        train: batches on the device, as the next.
        device: of training.
        half: bf16 and channels-last.
        fused: the optimiser is one kernel, as in conf/optim; not torch's default.
    """
    net = net.to(device)
    if half:
        net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    for _ in range(epochs):
        net.train()
        for images, labels in train:
            optimizer.zero_grad()
            if half:
                images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                loss = F.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
        predict(net, val, device, "bf16-mixed" if half else "32-true", channels_last=half)


class Moved:
    """Batches, brought to a device one by one."""

    def __init__(self, batches: Iterable[Batch], device: torch.device) -> None:
        self.batches, self.device = batches, device

    def __iter__(self) -> Iterator[Batch]:
        for images, labels in self.batches:
            yield images.to(self.device), labels.to(self.device)


def sources(net: nn.Module, data: ImageData, aug: str, workers: int, device: torch.device) -> None:
    from torchvision import transforms as T

    steps: list[Any] = []
    if aug == "on":
        steps = [T.RandomRotation(10), T.RandomHorizontalFlip(0.5), T.RandomCrop(28, padding=4)]
    to_tensor = [T.ToTensor(), T.Normalize((0.5,), (0.5,))]
    train = PilImages(data.train_images, T.Compose(steps + to_tensor))
    val = PilImages(data.val_images, T.Compose(to_tensor))
    loop(
        net,
        Moved(DataLoader(train, BATCH, shuffle=True, num_workers=workers), device),
        Moved(DataLoader(val, BATCH, num_workers=workers), device),
        epochs=1,
        device=device,
        fused=False,
    )


def bare(net: nn.Module, data: ImageData, device: torch.device, half: bool = False) -> None:
    prepare = Normalize(0.5, 0.5, data.augment)
    train, val = data.train_images.to(device), data.val_images.to(device)
    loop(
        net,
        TrainBatches(train, prepare, BATCH, seed=0, epoch=lambda: 0),
        EvalBatches(val, Normalize(0.5, 0.5), 1000),
        EPOCHS,
        device,
        half,
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
) -> dict[str, list[float]]:  # fmt: skip
    """Milliseconds a step of every contender, one value a round."""
    size = STEPS[model] * BATCH
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    arguments = [
        f"model={model}", f"aug={aug}", f"trainer.max_epochs={EPOCHS}", "patience=null",
        f"trainer.accelerator={device.type}",
    ]  # fmt: skip
    arguments += overrides
    config = compose([*arguments])
    half = compose([*arguments, "trainer.precision=bf16-mixed", "channels_last=true"])
    full = compose([*arguments, "trainer.precision=32-true", "channels_last=false"])
    plain = compose([*arguments, "logger=csv"])
    data = build_data(config)
    data.train_images = data.train_images[:size]

    def timed(epoch: Callable[[], Any]) -> float:
        began = time.perf_counter()
        inside = epoch()
        return inside if isinstance(inside, float) else time.perf_counter() - began

    def net() -> nn.Module:
        torch.manual_seed(0)
        facts = data.load()
        return build(sized(config["model"], facts.shape, len(facts.classes)))

    contenders: dict[str, Callable[[], Any]] = {
        "sources": lambda: sources(net(), data, aug, workers, device),
        "bare": lambda: bare(net(), data, device),
        "bare bf16": lambda: bare(net(), data, device, half=True),
        "fmnist": lambda: fmnist_fit(config, data, folder),
        "fmnist csv": lambda: fmnist_fit(plain, data, folder),
        "fmnist fp32": lambda: fmnist_fit(full, data, folder),
        "fmnist bf16": lambda: fmnist_fit(half, data, folder),
    }
    times: dict[str, list[float]] = {name: [] for name in chosen}
    for number in range(rounds + 1):
        for name in chosen:
            seconds = timed(contenders[name])
            if number:  # the first round warms up
                epochs = 1 if name == "sources" else EPOCHS
                times[name].append(1000 * seconds / (epochs * STEPS[model]))
        print(f"  {model} aug={aug}: round {number} of {rounds}", file=sys.stderr)
    return times


def main() -> None:
    options = parser(__doc__, rounds=5)
    options.add_argument("--workers", type=int, default=0, help="of the sources' DataLoader")
    options.add_argument("--models", nargs="+", choices=STEPS, default=list(STEPS))
    options.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    arguments = options.parse_intermixed_args()
    os.environ["WANDB_MODE"] = "offline"
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)  # a bare loop has no Lightning to set it
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("fmnist").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    columns = ["net", "aug", "contender", "ms/step", "min", "max", "x bare", "sources / this"]
    table = Table(columns, arguments.rounds, torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WANDB_DIR"] = folder
        for model in arguments.models:
            for aug in ("off", "on"):
                times = measure(
                    model, aug, arguments.rounds, arguments.workers, Path(folder),
                    arguments.contenders, arguments.overrides,
                )  # fmt: skip
                medians = {name: statistics.median(values) for name, values in times.items()}
                for name, values in times.items():
                    table.add(
                        model, aug, name, f"{medians[name]:.2f}",
                        f"{min(values):.2f}", f"{max(values):.2f}",
                        ratio(medians[name], medians.get("bare")),
                        ratio(medians.get("sources"), medians[name]),
                    )  # fmt: skip
    table.write(arguments.csv)


if __name__ == "__main__":
    command(main)
