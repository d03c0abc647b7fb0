"""`python -m benchmarks.records`: results/records.csv, how the times of the speed runs changed.

From the history of results/speedrun.csv in git: a line whenever the runs of an experiment are
others than before, with the mean over their seeds. Runs whose seconds were left out are none.
"""

import csv
import io
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.command import command
from benchmarks.table import markdown, save
from fmnist.evidence.statistics import summarize

RESULTS = Path(__file__).parents[1] / "results"
FILE = RESULTS / "records.csv"
COLUMNS = (
    "experiment", "date", "commit", "test acc, last epoch, %", "s from process start", "seeds",
    "parameters", "epochs", "device", "change",
)  # fmt: skip
Rows = list[dict[str, str]]


def history(folder: Path) -> Iterator[tuple[str, str, Rows]]:
    """Date and subject of every commit that touched speedrun.csv, and the rows that it left."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout

    form = "--format=%H %ad %s"
    for entry in git("log", "--reverse", "--date=short", form, "speedrun.csv").splitlines():
        commit, date, subject = entry.split(" ", 2)
        text = git("show", f"{commit}:./speedrun.csv")
        yield date, subject, list(csv.DictReader(io.StringIO(text)))


def line(name: str, date: str, subject: str, rows: Sequence[dict[str, str]]) -> dict[str, str]:
    """The runs of an experiment, as a line of the table."""
    # The first rows had no column of the last epoch.
    accuracies = [float(row.get("test_acc_last") or row["test_acc"]) for row in rows]
    seconds = [float(row["seconds_from_start"]) for row in rows]
    last = rows[-1]
    values = (
        name, date, last["commit"][:9], f"{100 * summarize(accuracies).mean:.2f}",
        f"{summarize(seconds).mean:.1f}", len(rows),
        last["params"], last["epochs"], f"{last['device']}, {last['threads']} threads", subject,
    )  # fmt: skip
    return dict(zip(COLUMNS, map(str, values), strict=True))


def records(folder: Path) -> Rows:
    """All lines, by experiment and date."""
    lines: Rows = []
    before: dict[str, set[tuple[str, str]]] = {}
    for date, subject, rows in history(folder):
        for name in sorted({row["experiment"] for row in rows}):
            mine = [r for r in rows if r["experiment"] == name and r["seconds_from_start"]]
            runs = {(row["test_acc"], row["seconds_from_start"]) for row in mine}
            if mine and runs != before.get(name):
                lines.append(line(name, date, subject, mine))
            before[name] = runs
    return sorted(lines, key=lambda made: made["experiment"])


def shown(rows: Sequence[dict[str, str]]) -> str:
    """The table."""
    return markdown(COLUMNS, rows)


if __name__ == "__main__":
    command(lambda: save(FILE, COLUMNS, records(RESULTS)))
