"""`python -m benchmarks.speedrun`: seconds to a test accuracy, of every `experiment=speedrun_*`.

Each run is the command that a user types, in a process of its own, one after another. Two times are
reported: from the start of the process, imports and reading the data included, and from the first
training step; both end when the test set has been read, so that validation, checkpoints and
test-time augmentation count. Two accuracies are reported. That of the last epoch counts: the
recipe's learning rate falls to almost zero there, which leaves validation nothing to choose but its
own noise. That of the epoch with the highest val/acc stands beside it. How many epochs a recipe
takes was set by its test accuracy, as docs/speed.md says.

With `--csv FILE` every run becomes a row as soon as it ends, and runs that the file holds already
for this commit are not repeated. With `--untimed` a row has no seconds: other work runs beside.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.command import command
from benchmarks.table import commit as described_commit
from benchmarks.table import read as read_rows
from benchmarks.table import save
from fmnist.config.schema import CONF_DIR
from fmnist.errors import UserError
from fmnist.evidence.statistics import summarize
from fmnist.runs.origin import code_version
from fmnist.runs.record import known
from fmnist.runs.run import load_run
from fmnist.runs.text import threads_text

COLUMNS = (
    "experiment", "seed", "params", "epochs", "val_acc", "test_acc", "test_acc_last",
    "seconds_from_start", "seconds_from_first_step", "device", "threads", "precision",
    "torch", "commit", "dirty",
)  # fmt: skip
SECONDS = ("seconds_from_start", "seconds_from_first_step")
EXPERIMENTS = tuple(sorted(path.stem for path in (CONF_DIR / "experiment").glob("speedrun_*.yaml")))


def run(experiment: str, seed: int, overrides: Sequence[str] = ()) -> dict[str, str]:
    """Train it as a user does; one row.

    Raises:
        UserError: the run failed; its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "fmnist.train", f"experiment={experiment}", f"seed={seed}",
            f"hydra.run.dir={folder}/run", *overrides,
        ]  # fmt: skip
        began = time.time()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"{experiment}, seed {seed}: {done.stderr.strip().splitlines()[-1]}")
        record = load_run(Path(folder, "run")).record
    tested, metrics = known(record.tested_at), record.metrics
    values = (
        experiment, seed, record.params, record.trained,
        metrics["val/acc"], metrics["test/acc"], metrics["test/acc_last"],
        f"{tested - began:.2f}", f"{tested - known(record.first_step_at):.2f}",
        record.device, record.threads, record.precision, record.versions["torch"],
        record.git_commit, record.git_dirty,
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))


def append(file: Path, row: dict[str, str]) -> None:
    """One row more, and the header before the first."""
    save(file, COLUMNS, [*read_rows(file), row])


def table(rows: Iterable[dict[str, str]]) -> str:
    """Markdown: mean over seeds and half of its 95 % interval, one line an experiment."""
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row["experiment"], []).append(row)
    header = ("experiment", "test acc, last epoch, %", "chosen epoch", "s from process start",
              "s from first step", "parameters", "epochs", "seeds")  # fmt: skip
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    for name, group in sorted(groups.items()):
        cells = (
            f"`{name}`",
            interval(group, "test_acc_last", 2, scale=100),
            interval(group, "test_acc", 2, scale=100),
            interval(group, "seconds_from_start", 1),
            interval(group, "seconds_from_first_step", 1),
            f"{int(group[0]['params']):,}",
            group[0]["epochs"],
            str(len(group)),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def interval(rows: list[dict[str, str]], column: str, digits: int, scale: float = 1) -> str:
    """ "94.10 ± 0.05", of scale * value; of one row its value; "" where a row has none."""
    if not all(row[column] for row in rows):
        return ""
    summary = summarize([scale * float(row[column]) for row in rows])
    half = summary.half_width
    return f"{summary.mean:.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def origin(rows: Sequence[dict[str, str]]) -> str:
    """Where rows were measured: a line for every machine and version, with its experiments."""
    places: dict[str, list[str]] = {}
    for row in rows:
        place = (
            f"{row['device']}, {threads_text(row['threads'])}, "
            f"torch {row['torch']}, {described_commit(row['commit'], row['dirty'])}"
        )
        names = places.setdefault(place, [])
        names += [row["experiment"]] if row["experiment"] not in names else []
    return "\n".join(f"{', '.join(names)}: {place}." for place, names in places.items())


def shown(rows: Sequence[dict[str, str]]) -> str:
    """The table, and where it was measured."""
    return f"{table(rows)}\n\n{origin(rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT",
                        help="all by default; overrides as well")  # fmt: skip
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--csv", type=Path, help="a row a run; what it holds is not run again")
    parser.add_argument("--untimed", action="store_true", help="leave out the seconds")
    arguments = parser.parse_intermixed_args()
    experiments = [text for text in arguments.experiments if "=" not in text] or EXPERIMENTS
    overrides = [text for text in arguments.experiments if "=" in text]
    os.environ.setdefault("WANDB_MODE", "offline")
    commit = str(code_version()[0])
    rows = read_rows(arguments.csv) if arguments.csv else []
    done = {(row["experiment"], row["seed"]) for row in rows if row["commit"] == commit}
    for seed in arguments.seeds:  # outermost, so that slow moments hit every experiment
        for experiment in experiments:
            if (experiment, str(seed)) in done:
                continue
            row = run(experiment, seed, overrides)
            row |= dict.fromkeys(SECONDS, "") if arguments.untimed else {}
            rows.append(row)
            if arguments.csv:
                append(arguments.csv, row)
            took = "" if arguments.untimed else f", {row['seconds_from_start']} s from the start"
            print(f"{experiment} seed {seed}: test acc {row['test_acc']}{took}",
                  file=sys.stderr, flush=True)  # fmt: skip
    mine = [r for r in rows if r["experiment"] in experiments and r["commit"] == commit]
    if mine:
        print(shown(mine))


if __name__ == "__main__":
    command(main)
