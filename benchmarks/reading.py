"""`python -m benchmarks.reading DIR ...`: how long reports and `status` take, and on what.

Seconds of `fmnist.report` of what lies in each folder, a run or a sweep, and of `fmnist.status` of
all of them, every command a process of its own: median, least and most. Beside them one report more
says where its time goes, a column a stage: imports; latency, the measurement of inference;
Grad-CAM, the pictures of what a net looks at; figures, drawing them as SVG and PNG; and the rest,
which is reading runs and making the page. What a stage does inside another counts for it alone.
"""

import argparse
import builtins
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.command import command
from benchmarks.many_runs import measure
from benchmarks.table import Table
from fmnist.runs.find import find_runs

# Stage: the function that it is, where those who call it look for it.
STAGES = {
    "latency": ("fmnist.reporting.detail", "measure_latency"),
    "Grad-CAM": ("fmnist.reporting.detail", "class_activation"),
    "figures": ("fmnist.reporting.page", "draw_all"),
}


class Stages:
    """Seconds by stage, without those of stages inside it."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("imports", *STAGES, "rest"), 0.0)
        self.open, self.since = ["rest"], time.perf_counter()

    def _turn(self) -> None:
        """What has passed belongs to the innermost stage."""
        now = time.perf_counter()
        self.seconds[self.open[-1]] += now - self.since
        self.since = now

    def close(self) -> dict[str, float]:
        """What has been measured."""
        self._turn()
        return self.seconds

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, as a stage."""

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            self._turn()
            self.open.append(stage)
            try:
                return function(*arguments, **named)
            finally:
                self._turn()
                self.open.pop()

        return call


def print_stages(words: Sequence[str]) -> None:
    """Make a report in this process, and print the seconds of its stages as JSON."""
    stages = Stages()
    builtins.__import__ = stages.timed("imports", builtins.__import__)
    report = import_module("fmnist.report")
    for stage, (module, name) in STAGES.items():
        place = import_module(module)
        setattr(place, name, stages.timed(stage, getattr(place, name)))
    with contextlib.redirect_stdout(io.StringIO()):
        report.main(words)
    print(json.dumps(stages.close()))


def stages_of(folder: Path, out: str) -> list[str]:
    """Seconds of every stage of a report of a folder, as text."""
    code = "import sys; from benchmarks.reading import print_stages; print_stages(sys.argv[1:])"
    words = [sys.executable, "-c", code, str(folder), "--out", out]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return [f"{seconds:.2f}" for seconds in json.loads(done.stdout).values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="DIR", type=Path, help="run or sweep")
    parser.add_argument("--rounds", type=int, default=3, help="every command once a round")
    parser.add_argument("--csv", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    folders, names = arguments.folders, [*Stages().seconds]
    table = Table(["command", "runs", "s", "min", "max", *names], arguments.rounds, 1)
    counts = {folder: len(find_runs([folder]).runs) for folder in folders}

    def add(name: str, runs: int, words: list[str], stages: Sequence[str]) -> None:
        taken = [measure(words)[0] for _ in range(arguments.rounds)]
        values = (statistics.median(taken), min(taken), max(taken))
        table.add(name, runs, *(f"{value:.2f}" for value in values), *stages)

    for folder, runs in counts.items():
        with tempfile.TemporaryDirectory() as out:
            words = ["fmnist.report", str(folder), "--out", out]
            add("report", runs, words, stages_of(folder, out))
    words = ["fmnist.status", *map(str, folders)]
    add("status", sum(counts.values()), words, [""] * len(names))
    table.write(arguments.csv)


if __name__ == "__main__":
    command(main)
