"""`python -m benchmarks.many_runs`: what commands over a folder take, as its runs become more.

The runs are made up, nobody has trained them: records and test predictions as training writes them,
of a grid of four settings over many seeds. Every command is a process of its own; a time that grows
faster than the number of runs is a mistake of the command.
"""

import copy
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import command
from benchmarks.table import Table, parser
from fmnist.config.schema import config_hash
from fmnist.data.facts import DatasetFacts
from fmnist.errors import UserError
from fmnist.runs.manifest import Cell
from fmnist.runs.record import METRICS, RESULT, Epoch, Record, record_json
from fmnist.runs.run import PREDICTIONS
from fmnist.sweeps.plan import write_manifest

LEVELS: dict[str, tuple[Any, ...]] = {
    "optim.lr": (1e-3, 3e-3), "model.activation": ("tanh", "relu"), "model.pooling": ("avg", "max"),
    "data.batch_size": (64, 128, 256),
}  # fmt: skip
COMMANDS = {
    "status": ("status", "{folder}"),
    "claims": ("claims", "{folder}"),
    "results": ("results", "collect", "{folder}", "--results", "{out}"),
    "report": ("report", "{folder}", "--out", "{out}", "--no-latency"),
}


def make_sweep(folder: Path, count: int, images: int) -> None:
    """So many finished cells, with the test predictions of so many images."""
    from fmnist.config.compose import compose

    base = compose(["data=fashion_mnist"])
    chance, cells = random.Random(0), []
    data = DatasetFacts(
        "FashionMNIST", {"train": "0", "test": "1"}, [f"class {n}" for n in range(10)],
        55_000, 5_000, images, 0, "2", 0.3, 0.4,
    )  # fmt: skip
    for seed, levels in itertools.islice(_pairs(), count):
        config = copy.deepcopy(base) | {"seed": seed}
        for key, level in zip(LEVELS, levels, strict=True):
            group, _, name = key.partition(".")
            config[group][name] = level
        overrides = [f"seed={seed}"]
        overrides += [f"{key}={level}" for key, level in zip(LEVELS, levels, strict=True)]
        digest = config_hash(config)
        place = folder / f"{len(cells)}-{digest}"
        cells.append(Cell(place.name, overrides, digest, "made up"))
        place.mkdir(parents=True)
        record = _record(config, digest, overrides, data, chance)
        (place / RESULT).write_bytes(record_json(record))
        labels = np.arange(images) % 10
        logits = np.random.default_rng(seed).normal(size=(images, 10)).astype(np.float32)
        logits[np.arange(images), labels] += 3
        np.savez_compressed(place / PREDICTIONS, logits=logits, labels=labels)
    write_manifest(folder, cells)


def _pairs() -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Seeds and levels, without an end."""
    for seed in itertools.count():
        for levels in itertools.product(*LEVELS.values()):
            yield seed, levels


def _record(
    config: dict[str, Any], digest: str, overrides: list[str], data: DatasetFacts,
    chance: random.Random,
) -> Record:  # fmt: skip
    best = 0.85 + chance.gauss(0, 0.005)
    epochs = [
        Epoch(n, 860 * (n + 1), 1e-3, 0.5, 0.8, 0.5, best - 0.01 * (9 - n), best - 0.01 * (9 - n),
              10.0, 6000.0)
        for n in range(10)
    ]  # fmt: skip
    metrics = dict.fromkeys(METRICS, best) | {f"{name}_last": best for name in METRICS}
    return Record(
        status="finished", config_hash=digest, choices={"model": "lenet5", "optim": "adam"},
        overrides=overrides, config=config, seed=config["seed"],
        started="2026-01-01T00:00:00+00:00", group="made up", dataset=data, params=60_000,
        flops=400_000, device="cpu (a processor)", threads=1, precision="32-true",
        channels_last=False, epochs=epochs, best_epoch=9, metrics=metrics, train_seconds=100.0,
        seconds=110.0, peak_memory_mib=500.0,
    )  # fmt: skip


def measure(words: list[str]) -> tuple[float, float, float]:
    """Seconds, those of them on a processor, and MiB at most of a command.

    Raises:
        UserError: it ended with an error; its last words.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([sys.executable, "-m", *words], stdout=said, stderr=said)
        _, status, used = os.wait4(child.pid, 0)  # of this child alone
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise UserError(f"{' '.join(words)}: {said.read().decode().strip()[-500:]}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    options = parser(__doc__, rounds=1)
    options.add_argument("--runs", type=int, nargs="+", default=[250, 500, 1000, 2000])
    options.add_argument("--images", type=int, default=1000, help="of the made-up test set")
    options.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    arguments = options.parse_intermixed_args()
    table = Table(["command", "runs", "s", "CPU s", "CPU s/1000 runs", "MiB at most"], 1, 1)
    for count in arguments.runs:
        with tempfile.TemporaryDirectory() as name:
            # Elsewhere: what this process takes would count as the commands' memory.
            made = f"make_sweep(Path({name!r}, 'runs'), {count}, {arguments.images})"
            code = f"from pathlib import Path; from benchmarks.many_runs import make_sweep; {made}"
            subprocess.run([sys.executable, "-c", code], check=True)
            for asked in arguments.commands:
                out = Path(name, f"out_{asked}")
                out.mkdir()
                words = [word.format(folder=f"{name}/runs", out=out) for word in COMMANDS[asked]]
                seconds, cpu, peak = measure([f"fmnist.{words[0]}", *words[1:]])
                each = 1000 * cpu / count
                table.add(
                    asked, count, f"{seconds:.1f}", f"{cpu:.1f}", f"{each:.1f}", f"{peak:.0f}"
                )
    table.write(arguments.csv)


if __name__ == "__main__":
    command(main)
