"""`python -m benchmarks.formats`: milliseconds a training step, by memory and number format.

What `fmnist.training.precision` chooses by. Every net takes the step of `benchmarks.roofline`
(batch 64, images in memory, Adam) in fp32 in contiguous and in channels-last memory, the latter
without the fused optimiser of conf/optim, too, and in bf16 and channels-last. They take turns.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import statistics
from typing import Any

import torch

from benchmarks.command import command
from benchmarks.roofline import MODELS, SECONDS, Key, Work, measure, threads, training_step
from benchmarks.table import Table, parser, ratio
from fmnist.config.compose import compose
from fmnist.runs.text import threads_text

# By name: bf16, channels-last, fused.
FORMATS = {
    "fp32": (False, False, True),
    "fp32 channels-last": (False, True, True),
    "fp32 channels-last, not fused": (False, True, False),
    "bf16 channels-last": (True, True, True),
}
# Besides conf/model: what study S2 finds best in LeNet-5.
RELU_MAX = "lenet5 relu max"
NETS = {
    **{name: [f"model={name}"] for name in MODELS},
    RELU_MAX: ["model=lenet5", "model.activation=relu", "model.pooling=max"],
}


def works_of(net: str, overrides: list[str], device: torch.device) -> dict[Key, Work]:
    """The training step of a net in every format."""
    works: dict[Key, Work] = {}
    for name, (half, channels_last, fused) in FORMATS.items():
        config: dict[str, Any] = compose([*NETS[net], f"optim.fused={fused}", *overrides])
        works[name, net] = training_step(config, half, device, channels_last)
    return works


def main() -> None:
    options = parser(__doc__, rounds=7)
    options.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    options.add_argument("--seconds", type=float, default=SECONDS, help="of one measurement")
    arguments = options.parse_intermixed_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    most = torch.get_num_threads()
    columns = ["net", "device", "format", "ms/step", "min", "max", "x fp32"]
    table = Table(columns, arguments.rounds, most)
    for net in arguments.nets:
        works = works_of(net, arguments.overrides, device)
        for count in [most] if device.type == "cuda" else sorted({1, most}):
            with threads(count):
                times = measure(works, arguments.rounds, device, arguments.seconds)
            plain = statistics.median(times["fp32", net])
            for name, _ in works:
                taken = [1000 * value for value in times[name, net]]
                table.add(
                    net, threads_text(count) if device.type == "cpu" else device.type, name,
                    f"{statistics.median(taken):.3f}", f"{min(taken):.3f}", f"{max(taken):.3f}",
                    ratio(statistics.median(taken), 1000 * plain),
                )  # fmt: skip
    table.write(arguments.csv)


if __name__ == "__main__":
    command(main)
