"""`python -m benchmarks.readme [RUN_DIR]`: the README's measured parts, from files only.

With RUN_DIR (of `make train`) its record becomes results/first_run.json. Then the parts of
README.md between `<!-- first-run -->` and `<!-- throughput -->` markers are written from
results/first_run.json and results/throughput.csv.
"""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

from fmnist.run import load_run, write_atomically
from fmnist.terminal import announcement, epoch_line, metrics_table, totals_line

ROOT = Path(__file__).parents[1]
FIRST_RUN, THROUGHPUT = ROOT / "results/first_run.json", ROOT / "results/throughput.csv"


def first_run(record: dict[str, Any]) -> str:
    """The run as the terminal showed it, and where that was."""
    rows, epochs = record["epochs"], record["config"]["trainer"]["max_epochs"]
    folder = Path("outputs") / record["started"].partition("T")[0] / "..."
    lines = [
        "$ make train",
        announcement(record, "LeNet5", folder),
        *(epoch_line(rows[: number + 1], epochs) for number in range(len(rows))),
        metrics_table(record["metrics"], record["best_epoch"], len(rows)),
        totals_line(record, folder),
    ]
    versions = record["versions"]
    origin = (
        f"Measured by this command (one seed) at {commit(record)} on {record['threads']} threads, "
        f"{record['device']}, torch {versions['torch']}, lightning {versions['lightning']}, Python "
        f"{versions['python']}; peak memory {record['peak_memory_mib']:.0f} MiB; the record is "
        "[results/first_run.json](results/first_run.json)."
    )
    return "```\n" + "\n".join(lines) + "\n```\n\n" + origin


def commit(record: dict[str, Any]) -> str:
    """The commit that a record names, shortened."""
    changed = str(record["git_dirty"]).lower() == "true"
    return f"commit `{str(record['git_commit'])[:9]}`{' with changes' if changed else ''}"


def throughput(rows: list[dict[str, Any]]) -> str:
    """The benchmark's table, and where it was measured."""
    columns = ["net", "aug", "contender", "ms/step", "min", "max", "x bare", "sources / this"]
    table = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    table += ["| " + " | ".join(row[column] for column in columns) + " |" for row in rows]
    origin = {**rows[0], "git_commit": rows[0]["commit"], "git_dirty": rows[0]["dirty"]}
    return "\n".join(table) + (
        f"\n\nMedians of {origin['rounds']} interleaved rounds at {commit(origin)}, "
        f"{origin['processor']}, {origin['threads']} threads, torch {origin['torch']}."
    )


def render(readme: str, first: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The README with its measured parts."""
    for name, text in (("first-run", first_run(first)), ("throughput", throughput(rows))):
        block = f"<!-- {name} -->\n{text}\n<!-- /{name} -->"
        pattern = rf"<!-- {name} -->\n.*?<!-- /{name} -->"
        readme = re.sub(pattern, lambda _, block=block: block, readme, flags=re.DOTALL)
    return readme


def sources() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The committed files."""
    with THROUGHPUT.open(newline="") as file:
        return json.loads(FIRST_RUN.read_text()), list(csv.DictReader(file))


def main() -> None:
    if len(sys.argv) > 1:
        record = load_run(sys.argv[1]).record
        write_atomically(FIRST_RUN, json.dumps(record, indent=1).encode() + b"\n")
    path = ROOT / "README.md"
    write_atomically(path, render(path.read_text(), *sources()).encode())


if __name__ == "__main__":
    main()
