"""`python -m benchmarks.roofline`: how much of what the machine can compute a training step uses.

The machine's peak is measured: the fastest of several square matrix products, by number format and
number of threads. A training step (forward, backward, optimiser; batch 64, images that are in
memory) counts three times the operations of its forward pass, `flops`: two more
for the gradients of activations and of weights. Its FLOP/s are a share of the peak of the same
format and threads. bf16 means autocast, with channels-last memory.

On a machine with a GPU the nets and the products run there.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.command import command
from benchmarks.table import Table, parser
from benchmarks.throughput import BATCH
from fmnist.config.build import build_node
from fmnist.config.compose import compose
from fmnist.config.groups import split_grouping
from fmnist.config.schema import CONF_DIR
from fmnist.runs.text import threads_text
from fmnist.training.cost import flops
from fmnist.training.groups import parameter_groups

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16}
IMAGE = (1, 28, 28)  # Fashion-MNIST's
SIZES = (512, 1024, 2048, 4096)  # of the matrices
SECONDS = 0.5  # that one measurement takes at least
Work = Callable[[], object]
Key = tuple[str, int | str]  # a format, and the size of a product or the name of a net
MODELS = tuple(sorted(path.stem for path in (CONF_DIR / "model").glob("*.yaml")))


def seconds(work: Work, device: torch.device, least: float) -> float:
    """Seconds of one call.

    Args:
        work: what to measure.
        device: that it runs on; a GPU is waited for.
        least: seconds that calls are repeated for.
    """

    def timed(calls: int) -> float:
        began = time.perf_counter()
        for _ in range(calls):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - began) / calls

    timed(2)  # kernels are chosen, memory is allocated
    return timed(max(1, round(least / timed(1))))


def product(size: int, dtype: torch.dtype, device: torch.device) -> Work:
    """A product of two square matrices."""
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(one)
    return lambda: torch.mm(one, other, out=out)


def training_step(
    config: dict[str, Any], half: bool, device: torch.device, channels_last: bool | None = None
) -> Work:
    """A net's training step on one batch.

    Args:
        config: composed; net and optimiser.
        half: bf16 autocast.
        channels_last: memory of net and images; None: with bf16.
    """
    channels_last = half if channels_last is None else channels_last
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    torch.manual_seed(0)
    net: nn.Module = build_node(config["model"])
    net = net.to(device).to(memory_format=memory_format).train()
    node, grouping = split_grouping(config["optim"])
    optimizer = build_node(node)(parameter_groups(net, **grouping))
    images = torch.randn(BATCH, *IMAGE, device=device).to(memory_format=memory_format)
    labels = torch.randint(10, (BATCH,), device=device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            result = net(images)
            heads = result if isinstance(result, tuple) else (result,)
            loss = sum(F.cross_entropy(logits, labels) for logits in heads)
        loss.backward()
        optimizer.step()

    return step


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def measure(
    works: dict[Key, Work], rounds: int, device: torch.device, least: float
) -> dict[Key, list[float]]:
    """Seconds of a call of each, one value a round; they take turns."""
    times: dict[Key, list[float]] = {key: [] for key in works}
    for number in range(rounds):
        for key, work in works.items():
            times[key].append(seconds(work, device, least))
        print(f"  round {number + 1} of {rounds}", file=sys.stderr)
    return times


def add_rows(
    table: Table, times: dict[Key, list[float]], operations: dict[str, int], where: str
) -> None:
    """For each format its peak, then the nets.

    Args:
        times: of products, whose key holds a size, and of training steps, whose key holds a net.
        operations: of every net's training step.
        where: they were measured.
    """
    for name in FORMATS:
        products = {key[1]: values for key, values in times.items() if key[0] == name}
        peak = max(2 * size**3 / min(products[size]) for size in products if isinstance(size, int))
        table.add("peak", name, where, "", "", f"{peak / 1e9:.2f}", "100.0")
        for model, count in operations.items():
            each = statistics.median(products[model])
            table.add(
                model, name, where, f"{count / 1e6:.1f}", f"{1000 * each:.3f}",
                f"{count / each / 1e9:.2f}", f"{100 * count / each / peak:.1f}",
            )  # fmt: skip


def main() -> None:
    options = parser(__doc__, rounds=3)
    options.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), help="of matrices")
    options.add_argument("--seconds", type=float, default=SECONDS, help="of one measurement")
    arguments = options.parse_intermixed_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    configs = {
        model: compose([f"model={model}", *arguments.overrides]) for model in arguments.models
    }
    operations = {
        model: 3 * BATCH * flops(build_node(config["model"]), IMAGE)
        for model, config in configs.items()
    }
    works: dict[Key, Work] = {}
    for name, dtype in FORMATS.items():
        works |= {(name, size): product(size, dtype, device) for size in arguments.sizes}
        works |= {
            (name, model): training_step(config, name == "bf16", device)
            for model, config in configs.items()
        }
    most = torch.get_num_threads()
    columns = ["net", "format", "device", "MFLOPs/step", "ms/step", "GFLOP/s", "% of peak"]
    table = Table(columns, arguments.rounds, most)
    for count in [most] if device.type == "cuda" else sorted({1, most}):
        where = threads_text(count)
        where = torch.cuda.get_device_name(device) if device.type == "cuda" else where
        with threads(count):
            times = measure(works, arguments.rounds, device, arguments.seconds)
        add_rows(table, times, operations, where)
    table.write(arguments.csv)


if __name__ == "__main__":
    command(main)
