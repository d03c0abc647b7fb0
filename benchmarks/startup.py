"""`python -m benchmarks.startup`: how long it takes until a run trains, and what it does besides.

Seconds from the start of the process that a user starts, LeNet-5 on the data at hand:

- imports: a process that only imports what a run imports;
- first step: `python -m fmnist.train model=lenet5`, the data read and the dashboard open;
- end: the process has ended after 16 training steps: what a run costs beside its training, that is
  one validation, the test set with two checkpoints, the record and the dashboard's figures.

Once with the dashboard that is the default (W&B, offline here) and once without.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import command
from benchmarks.table import Table, parser
from fmnist.errors import UserError
from fmnist.runs.record import known
from fmnist.runs.run import load_run
from fmnist.sweeps.server import PRELOADED

LOGGERS = ("wandb", "csv")
SHORT = ("model=lenet5", "trainer.max_epochs=1", "+trainer.limit_train_batches=1")
STAGES = ("imports", "first step", "end")


def imports(logger: str) -> float:
    """Seconds until everything is imported."""
    names = ["fmnist.train", *(name for name in PRELOADED if logger == "wandb" or name != "wandb")]
    code = f"import time\nfor name in {names}: __import__(name)\nprint(time.time())"
    command = [sys.executable, "-c", code]
    began = time.time()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout) - began


def run(logger: str, overrides: Sequence[str]) -> tuple[float, float, int]:
    """Seconds until the first step and until the process has ended; its threads.

    Raises:
        UserError: the run failed; its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "fmnist.train", *SHORT, f"logger={logger}",
            f"hydra.run.dir={folder}/run", *overrides,
        ]  # fmt: skip
        variables = {**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": folder}
        began = time.time()
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        ended = time.time()
        if done.returncode:
            raise UserError(f"logger={logger}: {done.stderr.strip().splitlines()[-1]}")
        record = load_run(Path(folder, "run")).record
    return known(record.first_step_at) - began, ended - began, known(record.threads)


def main() -> None:
    arguments = parser(__doc__, rounds=5).parse_intermixed_args()
    times: dict[tuple[str, str], list[float]] = {}
    threads = 0
    for number in range(arguments.rounds + 1):
        for logger in LOGGERS:
            seconds = imports(logger)
            first, end, threads = run(logger, arguments.overrides)
            for stage, value in zip(STAGES, (seconds, first, end), strict=True):
                if number:  # the first round fills the file system's cache
                    times.setdefault((logger, stage), []).append(value)
        print(f"  round {number} of {arguments.rounds}", file=sys.stderr)
    table = Table(["logger", "until", "s", "min", "max"], arguments.rounds, threads)
    for (logger, stage), values in times.items():
        numbers = (statistics.median(values), min(values), max(values))
        table.add(logger, stage, *(f"{number:.2f}" for number in numbers))
    table.write(arguments.csv)


if __name__ == "__main__":
    command(main)
