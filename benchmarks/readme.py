"""`python -m benchmarks.readme [RUN_DIR]`: the measured parts of README and docs, from files only.

With RUN_DIR (of `make train`) its record becomes results/first_run.json. Then the parts of
README.md and docs/*.md between `<!-- NAME -->` and `<!-- /NAME -->` are written: first-run from
that file, the tables from results/NAME.csv, the accuracies at size from the rows of all studies as
well (where the same seed was not timed), and what became of the claims (studies, comparisons, own)
from those rows. What is said of the nets that come with the package is from their records.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks import records, speedrun
from benchmarks.command import command
from benchmarks.table import commit, origins, read, shown
from fmnist.config.schema import CONF_DIR
from fmnist.evidence.claim_file import CLAIMS_DIR, load_claims
from fmnist.evidence.collect import study_rows
from fmnist.evidence.matching import matches
from fmnist.evidence.outcome import Outcome, evaluate
from fmnist.evidence.text import alike_in_words, markdown, scope
from fmnist.reporting.findings import SOURCES, counted, finding, heading
from fmnist.reporting.results_page import verdict_lines
from fmnist.runs.corrupted import METRIC, read_corrupted
from fmnist.runs.pretrained import PREFIX, load_named, pretrained_names
from fmnist.runs.record import Record, known, read_record, record_json
from fmnist.runs.rows import Row, newest
from fmnist.runs.run import WEIGHTS, load_run, write_atomically
from fmnist.runs.text import announcement, epoch_line, metrics_table, threads_text, totals_line

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
FIRST_RUN = RESULTS / "first_run.json"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN = "fmnist"  # the source of the claims that no study made
ACCURACIES = ("val/acc", "test/acc", "test/acc_last")


def first_run(record: Record) -> str:
    """The run as the terminal showed it, and where that was."""
    rows, epochs = record.epochs, record.horizon
    folder = Path("outputs") / record.started.partition("T")[0] / "..."
    lines = [
        "$ make train",
        announcement(record, "LeNet5", folder),
        *(epoch_line(rows[: number + 1], epochs) for number in range(len(rows))),
        metrics_table(record.metrics, known(record.best_epoch), len(rows)),
        totals_line(record, folder),
    ]
    versions, where = record.versions, commit(record.git_commit or "", record.git_dirty)
    origin = (
        f"Measured by this command (one seed) at {where} on {threads_text(known(record.threads))}, "
        f"{record.device}, torch {versions['torch']}, lightning {versions['lightning']}, Python "
        f"{versions['python']}; peak memory {record.peak_memory_mib:.0f} MiB; the record is "
        "`results/first_run.json`."
    )
    return "```\n" + "\n".join(lines) + "\n```\n\n" + origin


def roofline(rows: list[dict[str, str]]) -> str:
    """With all threads only: those with one are in the file."""
    return shown([row for row in rows if row["device"] == rows[-1]["device"]])


def nets(rows: list[dict[str, str]]) -> str:
    """A line a net: its test accuracy on every set. Seconds are in the file."""
    first, sets = rows[0]["data"], list(dict.fromkeys(row["data"] for row in rows))
    accuracy = {(row["net"], row["data"]): row["test_acc"] for row in rows}
    lines = [
        (row["net"], f"{int(row['params']):,}", *(accuracy.get((row["net"], s), "") for s in sets))
        for row in rows
        if row["data"] == first
    ]
    head = ["net", f"parameters, {first}", *(f"{name}, test %" for name in sets)]
    return f"{markdown(head, lines)}\n\n{origins(rows)}"


def studies(outcomes: list[Outcome]) -> str:
    """A line a study: how many claims, what became of them, and the finding in a sentence."""
    claims, lines = [outcome.claim for outcome in outcomes], []
    for source in SOURCES:
        counts = counted(o for o in outcomes if o.claim.source == source)
        name, colon, about = heading(source).partition(": ")
        numbers = [str(counts[key]) for key in ("asked", "holds", "does not hold", "open")]
        lines.append([f"**{name}**{colon}{about}", *numbers, finding(source, outcomes, claims)])
    return markdown(["study", "claims", "hold", "do not", "open", "finding"], lines)


# What people come for, and the claims about it; costs and exact numbers have tables of their own.
QUESTIONS = {
    "augmentation": ("s1_augmentation", "s2_augmentation"),
    "dropout": ("s1_dropout", "s2_dropout"),
    "activation": ("s2_best_worst", "s2_activation_overall"),
    "pooling": ("s2_pooling",),
    "optimiser": ("s2_optimizer", "s4_optimizer"),
    "depth": ("s1_architecture", "s4_cnnmodels"),
    "simple against complex": ("s4_simple_complex",),
}


def comparisons(outcomes: list[Outcome]) -> str:
    """A line a comparison of accuracies: its size, interval, seeds and verdict."""
    claims = [outcome.claim for outcome in outcomes]
    by_name = {outcome.claim.name: outcome for outcome in outcomes}
    lines = []
    for question, names in QUESTIONS.items():
        for outcome in (by_name[name] for name in names):
            if outcome.statement:
                (line,) = verdict_lines([outcome], claims)
                claim = f"{outcome.claim.claim} ({outcome.claim.source})"
                lines.append((question, claim, *line[1:4], line[5], alike_in_words(outcome)))
    columns = ["about", "claim", "ours [interval]", "published", "seeds", "verdict", "the same"]
    return markdown(columns, lines)


def own(outcomes: list[Outcome], about: str) -> str:
    """Our own claims that were measured, decided or not."""
    asked = [o for o in outcomes if o.claim.source == OWN and o.statement]
    lines = [(line[0], line[1], *line[3:]) for line in verdict_lines(asked, [])]
    table = markdown(["claim", "effect [interval]", "seeds", "p", "verdict", "remarks"], lines)
    return f"{table}\n\n{about}."


def at_size(rows: list[Row], timed: list[dict[str, str]]) -> list[dict[str, str]]:
    """Runs with the settings of an `experiment=accuracy_*`, as rows of the speed runs.

    Their seconds are not those of one run alone, and left out.

    Args:
        rows: of all studies.
        timed: rows of the speed runs; an experiment's seed that is here is not made anew.
    """
    there = {(row["experiment"], row["seed"]) for row in timed}
    counted = newest(rows)  # a seed that two studies trained, or one of them twice, is one
    return [
        dict.fromkeys(speedrun.COLUMNS, "")
        | {"experiment": path.stem, "commit": row.facts["git_commit"]}
        | {"dirty": row.facts["git_dirty"], "precision": row.settings["trainer.precision"]}
        | {name: row.facts[name] for name in ("seed", "device", "threads", "torch")}
        | {name: f"{row.metrics[name]:.0f}" for name in ("params", "epochs")}
        | {name.replace("/", "_"): str(row.metrics[name]) for name in ACCURACIES}
        for path in sorted((CONF_DIR / "experiment").glob("accuracy_*.yaml"))
        for row in counted
        if row.finished and (path.stem, row.facts["seed"]) not in there
        if matches(row, {"experiment": path.stem})
    ]


def pretrained() -> str:
    """A line a net that comes with the package, from its record."""
    lines = []
    for name in pretrained_names():
        run = load_named(f"{PREFIX}{name}")
        damaged = known(read_corrupted(run.dir, run.record)).metrics()[METRIC]
        accuracies = (f"{100 * x:.2f}" for x in (run.record.metrics["test/acc"], damaged))
        size = f"{(run.dir / WEIGHTS).stat().st_size / 1e6:.2f}"
        experiment = f"`experiment={run.record.choices['experiment']}`"
        lines.append((f"`{name}`", experiment, f"{run.record.params:,}", *accuracies, size))
    return markdown(["name", "made by", "parameters", "test images, %", "damaged ones, %", "MB"],
                    lines)  # fmt: skip


# The measured tables: results/NAME.csv stands between the markers <!-- NAME -->.
TABLES = {
    "throughput": shown,
    "startup": shown,
    "sweeps": shown,
    "cells": shown,
    "reading": shown,
    "roofline": roofline,
    "nets": nets,
    "newcomer": shown,
    "overlap": shown,
    "pictures": shown,
    "speedrun": speedrun.shown,
    "speedrun_gpu": speedrun.shown,
    "accuracy": speedrun.shown,
    "records": records.shown,
}


def parts(
    first: Record,
    tables: dict[str, list[dict[str, str]]],
    outcomes: list[Outcome],
    about: str,
) -> dict[str, str]:
    """The measured parts of all documents, by the names of their markers."""
    texts = {
        "first-run": first_run(first), "studies": studies(outcomes),
        "comparisons": comparisons(outcomes), "own": own(outcomes, about),
        "pretrained": pretrained(),
    }  # fmt: skip
    return texts | {name: TABLES[name](rows) for name, rows in tables.items()}


def render(document: str, texts: Mapping[str, str]) -> str:
    """A document with its measured parts."""
    for name, text in texts.items():
        block = f"<!-- {name} -->\n{text}\n<!-- /{name} -->"
        pattern = rf"<!-- {name} -->\n.*?<!-- /{name} -->"
        document = re.sub(pattern, lambda _, block=block: block, document, flags=re.DOTALL)
    return document


def sources() -> tuple[Record, dict[str, list[dict[str, str]]], list[Outcome], str]:
    """What the committed files hold, and what that is about."""
    tables = {name: read(RESULTS / f"{name}.csv") for name in TABLES}
    studies = study_rows(RESULTS)
    tables["accuracy"] += at_size(studies, tables["accuracy"])
    return (
        read_record(FIRST_RUN),
        {name: rows for name, rows in tables.items() if rows},
        evaluate(load_claims(CLAIMS_DIR), studies),
        scope(row.tested for row in studies),
    )


def main() -> None:
    if len(sys.argv) > 1:
        record = load_run(sys.argv[1]).record
        record.config["data"].pop("root", None)  # a folder of that machine, as in the command
        words = record.command.partition(" -m fmnist.train")[1:]  # without folders of that machine
        record = replace(record, command="".join(["python", *words]))
        write_atomically(FIRST_RUN, record_json(record) + b"\n")
    texts = parts(*sources())
    for path in DOCUMENTS:
        write_atomically(path, render(path.read_text(), texts).encode())


if __name__ == "__main__":
    command(main)
