"""`python -m fmnist.results collect|render|findings|table`: from runs to committed tables.

`collect` adds the runs found to results/STUDY.csv, one row a run (fmnist/runs/rows.py says what
is in it); a run that is there already, with the same configuration and commit, is replaced, and
nothing else is lost. Only runs of a study as it is defined count (fmnist/evidence/study.py); which
were left out, and why, is said. With `--untimed` it leaves out seconds: of runs that shared their
machine with other work these are no measurement. With `--latency` it also measures inference, now,
of the runs that were made on a CPU like this one's. `render` writes results/README.md from the
files of studies and the claims alone, `findings` docs/findings.md with its figures. `table` prints
one study for a paper (fmnist/reporting/paper_table.py).
"""

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fmnist.config.trusted import TRUST_HELP, Untrusted, trust
from fmnist.config.words import near_or_all
from fmnist.errors import RunError
from fmnist.evidence.claim import Claim, asked_claims, is_cost, unit
from fmnist.evidence.outcome import Outcome, evaluate, published_difference
from fmnist.evidence.statistics import Summary
from fmnist.evidence.study import axes, is_ablation, is_study, misfit
from fmnist.evidence.text import (
    READINGS,
    READINGS_TOLD,
    SCOPE,
    effect,
    looks_in_words,
    markdown,
    number,
    p_words,
    readings_cells,
    remarks,
    runs_in_words,
    verdict_words,
)  # fmt: skip
from fmnist.runs.command import command, command_parser, start
from fmnist.runs.find import find_runs
from fmnist.runs.foreign_text import escaped
from fmnist.runs.leak import leak_warning
from fmnist.runs.rows import (
    Row,
    is_rows_file,
    merged,
    read_rows,
    read_tables,
    rows_of,
    write_rows,
)  # fmt: skip
from fmnist.runs.run import Run, write_text
from fmnist.runs.text import threads_text

if TYPE_CHECKING:
    from fmnist.reporting.charts import Chart


def collect(
    directories: Sequence[str], folder: Path, latency: bool = False, untimed: bool = False
) -> tuple[list[str], int]:
    """Add the runs below the directories to the CSV files of the folder.

    What was done, in words, and the command's exit code.

    Args:
        directories: runs, sweeps or folders of them.
        folder: of the CSV files; made where there is none.
        latency: measure inference on this machine.
        untimed: leave out what was measured in seconds.

    Raises:
        RunError: a directory that holds no run, or a CSV file that cannot be read or written.
    """
    found = find_runs(directories)
    for path, reason in found.damaged:
        print(escaped(f"left out: {path}: {reason}", keep=""), file=sys.stderr)
    studies: dict[str, list[Row]] = {}
    others: Counter[tuple[str, str]] = Counter()
    ended = [(run, row) for run in found.runs for row in rows_of([run])]
    if untimed:
        ended = [(run, without_seconds(row)) for run, row in ended]
    for run, row in ended:
        study = row.facts["study"]
        if reason := why_not(run, study):
            others[study, reason] += 1
        else:
            measured = with_inference(row, run) if latency and row.finished else row
            studies.setdefault(study, []).append(measured)
    lines = [add_to(folder / f"{study}.csv", new) for study, new in sorted(studies.items())]
    lines += [
        f"left out: {runs_in_words(count)}{' of ' if study else ''}{study}: {reason}"
        for (study, reason), count in sorted(others.items())
    ]
    waiting = len(found.runs) - len(ended) + len(found.missing)
    lines += [f"{waiting} runs have not ended: left out"] if waiting else []
    return lines, found.exit_code


def without_seconds(row: Row) -> Row:
    """Of a run whose machine had other work to do."""
    kept = {name: value for name, value in row.metrics.items() if "seconds" not in name}
    return replace(row, metrics=kept)


def why_not(run: Run, study: str) -> str:
    """Why a run does not belong to the study that it names; "" if it does."""
    if run.record.cut_short:
        return "cut short"
    return misfit(study, run.config, run.record.choices)


def add_to(path: Path, rows: Sequence[Row]) -> str:
    """Add rows to a CSV file, and say how many it has.

    Raises:
        RunError: it cannot be read or written.
    """
    old = read_rows(path) if path.exists() else []
    both = merged(old, rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rows(path, both)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
    return f"{path}: {runs_in_words(len(both))}, {len(both) - len(old)} new"


def with_inference(row: Row, run: Run) -> Row:
    """The row with its inference speed, or as it is where that cannot be measured here."""
    from fmnist.runs.latency import inference_metrics

    try:
        return replace(row, metrics=row.metrics | inference_metrics(run))
    except (RunError, Untrusted) as error:
        print(escaped(f"inference not measured: {error}", keep=""), file=sys.stderr)
        return row


def study_rows(folder: Path) -> list[Row]:
    """The rows of all studies in a folder; its other CSV files are somebody else's.

    Raises:
        RunError: no such folder, or a file that cannot be read.
    """
    rows, _ = read_tables(folder)
    others = Counter(row.facts["study"] for row in rows if not is_study(row.facts["study"]))
    for name, count in sorted(others.items()):
        line = f"left out: {runs_in_words(count)} of {name}: no ablation or experiment of that name"
        print(escaped(line, keep=""), file=sys.stderr)
    return [row for row in rows if row.facts["study"] not in others]


COSTS = (
    "Hours: of its runs, one after another; clock: hours in which at least one of them ran, half "
    "as many for two cells side by side."
)


VERDICTS = (
    f"{SCOPE}. The rules stand in `fmnist/evidence/verdict.py`: p is corrected for all claims of a "
    "source and for the looks that its study declares (seeds 5 of 5, 10, 20: judged with the first "
    "five, next with ten); the interval is that of the level that decides. Of a claim with several "
    "parts the one is shown that speaks least for it."
)


def render(rows: Sequence[Row], claims: Sequence[Claim]) -> str:
    """results/README.md.

    Raises:
        ClaimError: a claim names an experiment or a setting that does not compose.
    """
    outcomes = evaluate(claims, rows)
    costs = [outcome for outcome in outcomes if is_cost(outcome.claim)]
    asked = [outcome for outcome in outcomes if not is_cost(outcome.claim)]
    compared = [o for o in costs if o.statement and not o.claim.costs]
    measured = [outcome for outcome in asked if outcome.statement]
    readings = readings_cells(measured)
    leak = leak_warning(sum(row.leaks for row in rows), len(rows))
    together = factorial_sections(rows)
    return "\n\n".join(
        [
            "# Results",
            "Written by `python -m fmnist.results render` from the CSV files in this folder and "
            "the claims in `claims/`: no number here was typed.",
            *([f"**Warning:** {leak}."] if leak else []),
            "## Published against ours",
            "Ours: mean over all seeds, and the standard deviation of one run. The test set is "
            "read once a run, with the epoch that validation chose (`_last`: with the last epoch). "
            f"{SCOPE}.",
            published_table(asked),
            "## Verdicts",
            VERDICTS if measured else "No claim has been measured yet.",
            *([verdict_table(measured, claims)] if measured else []),
            *(["## Readings", READINGS_TOLD, markdown(READINGS, readings)] if readings else []),
            *(["## All factors together", FACTORIALS + SCOPE + ".", *together] if together else []),
            "## What nets and machines need",
            "Sizes, and seconds of runs on one machine, are judged as all claims are. Another "
            "machine's seconds and memory are shown beside ours, and not judged.",
            published_table(costs),
            *([verdict_table(compared, claims)] if compared else []),
            "## What the studies cost",
            *([COSTS] if rows else []),
            cost_table(rows) if rows else "No runs yet.",
            "## Not measured",
            missing_list(outcomes),
        ]
    ) + "\n"  # fmt: skip


def factorial_sections(rows: Sequence[Row]) -> list[str]:
    """Of every study of several factors a table of their effects, or why there is none."""
    from fmnist.evidence.cells import study_cells
    from fmnist.evidence.factorial import factorial
    from fmnist.reporting.factorial_figure import COLUMNS, effect_cells

    studies: dict[str, list[Row]] = {}
    for row in rows:
        studies.setdefault(row.facts["study"], []).append(row)
    parts = []
    for study, own in sorted(studies.items()):
        if not is_ablation(study) or len(axes(study)) < 2:
            continue
        found = factorial(*study_cells(own))
        if isinstance(found, str):
            parts.append(f"`{study}`: {found}.")
        else:
            parts += [f"`{study}`: {found.method()}.", markdown(COLUMNS, effect_cells(found))]
    return parts


FACTORIALS = (
    "What the levels of a study's factors add to its mean test accuracy, in points, and what two "
    "factors do together beyond that (the pairs of levels that add most); intervals each on its "
    "own, p times the number of lines. "
)


def write_findings(rows: Sequence[Row], claims: Sequence[Claim], docs: Path) -> list[str]:
    """docs/findings.md and its figures; which files were written.

    Raises:
        ClaimError: see `render`, or a source's prose is wrong.
        RunError: a file cannot be written.
    """
    from matplotlib import rc_context

    from fmnist.reporting.charts import STYLE, lone_svg
    from fmnist.reporting.findings import findings

    with rc_context(STYLE):
        text, charts = findings(evaluate(claims, rows), claims, factorial_charts(rows))
        svgs = {c.name: lone_svg(c.files()["svg"].decode(), c.title) for c in charts}
    (docs / "figures").mkdir(parents=True, exist_ok=True)
    for old in (docs / "figures").glob("*.svg"):
        if old.stem not in svgs:
            old.unlink()
    for name, svg in svgs.items():
        write_text(docs / "figures" / f"{name}.svg", svg)
    write_text(docs / "findings.md", text)
    return [f"{docs / 'findings.md'}: written, with {len(svgs)} figures"]


def factorial_charts(rows: Sequence[Row]) -> dict[str, "tuple[str, Chart]"]:
    """Of study S2's factorial the text and the figure; nothing while it is not whole."""
    from fmnist.evidence.cells import study_cells
    from fmnist.evidence.factorial import factorial
    from fmnist.reporting.factorial_figure import factorial_figure, largest_in_words

    made = {}
    for study in ("s2_factorial",):
        own = [row for row in rows if row.facts["study"] == study]
        found = factorial(*study_cells(own)) if own else ""
        if not isinstance(found, str):
            chart = factorial_figure(found, study, "S2: all five factors together")
            made[study] = (largest_in_words(found), chart)
    return made


def published_table(outcomes: Iterable[Outcome]) -> str:
    """A line for every number that a claim states."""
    lines = []
    for outcome in outcomes:
        claim = outcome.claim
        bound = "> " if claim.at_least else "< " if claim.at_most else ""
        parts = outcome.statement.parts if outcome.statement else ()
        for metric, value in claim.values.items():
            summary = next((part.summary() for part in parts if part.label == metric), None)
            shown = [mean(summary, metric), str(summary.n)] if summary else ["not measured", ""]
            label = f"{metric}, {unit(metric)}" if unit(metric) in ("s", "MiB") else metric
            published = bound + number(value, metric)
            lines.append([claim.source, claim.name, label, published, *shown])
    return markdown(["source", "claim", "metric", "published", "ours", "seeds"], lines)


def mean(summary: Summary, metric: str) -> str:
    """ "91.20, sd 0.15", or the mean alone where there is no deviation."""
    text = number(summary.mean, metric)
    if summary.exact or math.isnan(summary.sd):
        return text
    return f"{text}, sd {number(summary.sd, metric)}"


def verdict_table(outcomes: Iterable[Outcome], claims: Sequence[Claim]) -> str:
    columns = ["claim", "effect [interval]", "published", "seeds", "p", "verdict", "remarks"]
    return markdown(columns, verdict_cells(outcomes, claims))


def verdict_cells(outcomes: Iterable[Outcome], claims: Sequence[Claim]) -> list[list[str]]:
    """A line of the verdict table for every claim; all of them were measured."""
    lines = []
    for outcome in outcomes:
        claim, part = outcome.claim, outcome.part
        assert outcome.statement is not None
        assert part is not None
        difference = published_difference(claim, claims)
        published = f"{difference:+.2f}" if difference is not None else ""
        if claim.about:
            published = number(claim.about[part.label], part.label)
        warning = leak_warning(outcome.leaking, outcome.runs)
        notes = remarks(outcome) + ([f"**warning:** {warning}"] if warning else [])
        lines.append(
            [
                f"{claim.claim} (`{claim.name}`, {claim.source})",
                effect(outcome) + (f" ({part.label})" if part.label else ""),
                published,
                looks_in_words(outcome),
                p_words(outcome.judgement.p),
                f"**{verdict_words(outcome)}**",
                "; ".join(notes),
            ]
        )
    return lines


def cost_table(rows: Sequence[Row]) -> str:
    """Of every study on every kind of machine; see COSTS."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        facts = row.facts
        versions = f"torch {facts['torch']}, lightning {facts['lightning']}, Python "
        machine = f"{facts['device']}, {threads_text(facts['threads'])}"
        key = (facts["study"], machine, versions + facts["python"])
        groups.setdefault(key, []).append(row)
    lines = []
    for (study, machine, versions), group in sorted(groups.items()):
        hours = sum(row.metrics.get("seconds", 0.0) for row in group) / 3600
        commits = sorted({commit(row) for row in group})
        failed = sum(not row.finished for row in group)
        leaking = sum(row.leaks for row in group)
        name = f"{study} (**{leaking} chose their epoch on the test set**)" if leaking else study
        lines.append([name, str(len(group) - failed), str(failed), f"{hours:.2f}",
                      f"{elapsed(group) / 3600:.2f}", machine, versions,
                      ", ".join(commits)])  # fmt: skip
    columns = ["study", "runs", "failed", "hours", "clock", "machine", "versions", "commits"]
    return markdown(columns, lines)


def elapsed(rows: Iterable[Row]) -> float:
    """Seconds in which at least one of the runs ran: those side by side count once, pauses not."""
    spans = sorted(
        (datetime.fromisoformat(row.facts["started"]).timestamp(), row.metrics.get("seconds", 0.0))
        for row in rows
        if row.facts["started"]
    )
    total, end = 0.0, -math.inf
    for began, seconds in spans:
        total += max(0.0, began + seconds - max(began, end))
        end = max(end, began + seconds)
    return total


def commit(row: Row) -> str:
    """The commit of a run, shortened."""
    changed = row.facts["git_dirty"] == "True"
    return f"`{row.facts['git_commit'][:9] or 'none'}`{' with changes' if changed else ''}"


def missing_list(outcomes: Iterable[Outcome]) -> str:
    """The claims that were not measured, by the command that would do it, with what is amiss."""
    commands: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.statement is None:
            note = f" ({outcome.note})" if outcome.note else ""
            commands.setdefault(outcome.claim.sweep, []).append(f"`{outcome.claim.name}`{note}")
    lines = [
        f"- `python -m fmnist.train {sweep}`: {', '.join(names)}"
        for sweep, names in commands.items()
    ]
    return "\n".join(lines) or "Every claim was measured."


def table(study: str, folder: Path, form: str, metrics: str, by: str) -> str:
    """A study as a table for a paper.

    Raises:
        RunError: no such study, factor or metric.
    """
    from fmnist.reporting import paper_table as paper

    path = folder / f"{study}.csv"
    if not path.is_file():
        names = [other.stem for other in sorted(folder.glob("*.csv")) if is_rows_file(other)]
        raise RunError(f"{path}: no such study{near_or_all(study, names)}")
    rows = read_rows(path)
    if not rows:
        raise RunError(f"{path}: holds no run")
    write = {"latex": paper.to_latex, "markdown": paper.to_markdown, "csv": paper.to_csv}[form]
    return write(paper.paper_table(rows, metrics.split(","), by.split(",") if by else ()))


@command
def main(arguments: Sequence[str] | None = None) -> int:
    parser = command_parser("results", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect", help="add runs to results/STUDY.csv")
    collecting.add_argument("directories", nargs="+", metavar="DIR", help="run or sweep directory")
    collecting.add_argument("--untimed", action="store_true",
                            help="leave out seconds: other work ran beside")  # fmt: skip
    collecting.add_argument("--latency", action="store_true",
                            help="measure inference on this machine as well")  # fmt: skip
    rendering = commands.add_parser("render", help="write results/README.md from the CSV files")
    rendering.add_argument("--claims", metavar="FOLDER", help="of other claims")
    collecting.add_argument("--trust", action="store_true", help=TRUST_HELP)
    telling = commands.add_parser("findings", help="write docs/findings.md and its figures")
    telling.add_argument("--docs", default="docs", metavar="FOLDER",
                         help="where to (default: docs)")  # fmt: skip
    printing = commands.add_parser("table", help="one study as a table for a paper")
    printing.add_argument("study", metavar="STUDY", help="a file of results/, such as s2_factorial")
    form = printing.add_mutually_exclusive_group()
    for name in ("markdown", "latex", "csv"):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name)
    printing.set_defaults(form="markdown")
    printing.add_argument("--by", default="", metavar="FACTOR,...",
                          help="a line a combination of these, mean over the others")  # fmt: skip
    printing.add_argument("--metric", default="test/acc", metavar="METRIC,...",
                          help="columns of numbers (default: test/acc)")  # fmt: skip
    for each in (collecting, rendering, telling, printing):
        each.add_argument("--results", default="results", metavar="FOLDER",
                          help="where the files are (default: results)")  # fmt: skip
    options = parser.parse_args(arguments)
    folder = Path(options.results)
    if options.command == "table":
        print(table(options.study, folder, options.form, options.metric, options.by), end="")
        return 0
    if options.command == "collect":
        with trust(options.trust):
            lines, code = collect(options.directories, folder, options.latency, options.untimed)
    elif options.command == "findings":
        lines = write_findings(study_rows(folder), asked_claims(None), Path(options.docs))
        code = 0
    else:
        text = render(study_rows(folder), asked_claims(options.claims))
        write_text(folder / "README.md", text)
        lines, code = [f"{folder / 'README.md'}: written"], 0
    for line in lines:
        print(escaped(line, keep=""))
    return code


if __name__ == "__main__":
    start(main)
