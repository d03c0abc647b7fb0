"""`python -m benchmarks.against --checkout FOLDER`: has a run become slower since another commit?

The same run, `python -m fmnist.train` with the CSV logger, by turns with the code of that checkout
and with this one, in this environment. Seconds are those of an epoch, training and validation, as
the record has them; of every run the first epoch is left out.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import command
from benchmarks.table import Table, parser, ratio
from fmnist.errors import UserError

ROOT = Path(__file__).parents[1]
EPOCHS = 3
RUNS = {"lenet5": (), "fashioncnn": ("data.train_size=25000",)}


def epochs(code: Path, net: str, overrides: Sequence[str]) -> tuple[list[float], str]:
    """Seconds of every epoch but the first, and the commit that the record names.

    Raises:
        UserError: the run failed; its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "fmnist.train", f"model={net}", "logger=csv",
             f"trainer.max_epochs={EPOCHS}", f"hydra.run.dir={folder}/run", *RUNS[net], *overrides],
            cwd=code, env={**os.environ, "PYTHONPATH": str(code)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise UserError(f"{code}: {done.stderr.strip()[-500:]}")
        record = json.loads(Path(folder, "run/result.json").read_text())
    return [row["seconds"] for row in record["epochs"]][1:], (record.get("git_commit") or "")[:9]


def main() -> None:
    options = parser(__doc__, rounds=6)
    options.add_argument("--checkout", type=Path, required=True, help="at another commit")
    options.add_argument("--models", nargs="+", choices=RUNS, default=list(RUNS))
    arguments = options.parse_intermixed_args()
    sides = {"before": arguments.checkout.resolve(), "now": ROOT}
    times: dict[tuple[str, str], list[float]] = {}
    commits = {}
    for number in range(arguments.rounds):
        for net in arguments.models:
            for side, code in sides.items():
                seconds, commits[side] = epochs(code, net, arguments.overrides)
                times.setdefault((net, side), []).extend(seconds)
        print(f"  {number + 1} of {arguments.rounds}", file=sys.stderr)
    import torch

    columns = ["net", "code", "s/epoch", "min", "max", "x before"]
    table = Table(columns, arguments.rounds, torch.get_num_threads())
    for (net, side), values in times.items():
        median, before = statistics.median(values), statistics.median(times[net, "before"])
        low, high = (f"{end:.3f}" for end in (min(values), max(values)))
        table.add(net, commits[side], f"{median:.3f}", low, high, ratio(median, before))
    table.write(arguments.csv)


if __name__ == "__main__":
    command(main)
