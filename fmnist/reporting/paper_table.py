"""A study as a table for a paper: a line a setting, mean and interval over seeds, the best in bold.

Which are the best the seeds decide, not the digits: bold is every setting that no other one is
shown to beat. Each is compared with all others by Welch's test, one-sided, corrected for k - 1
comparisons, so that the truly best one is among the bold in 95 of 100 tables, however many settings
there are (Hsu 1984, "Constrained simultaneous confidence intervals for multiple comparisons with
the best", with Bonferroni's bound in place of Dunnett's quantile). All seeds at hand count.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmnist.config.words import near_or_all
from fmnist.errors import RunError
from fmnist.evidence.claim import EXACT, is_share, unit
from fmnist.evidence.effects import one_training, resolution_of
from fmnist.evidence.failed import excuse
from fmnist.evidence.statistics import FEWEST, LEVEL, Summary, contrast, summarize
from fmnist.evidence.study_settings import (
    Grid,
    Key,
    StudySetting,
    averaged_levels,
    study_settings,
)
from fmnist.evidence.text import high_is_good, markdown, number, scope
from fmnist.runs.foreign_text import csv_text
from fmnist.runs.rows import Row
from fmnist.runs.rows_file import is_rows_file, read_rows
from fmnist.runs.text import plural

LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


@dataclass(frozen=True)
class PaperTable:
    """The numbers of a table.

    Args:
        study: its name.
        names: of the settings' columns.
        lines: of every setting by metric: the mean over seeds; none where all its runs failed and
            count as nothing.
        best: of every metric the settings that are bold.
        failed: runs of a setting that failed.
        counted: metrics in which they count, as chance accuracy; they are left out of the others.
        averaged: factors that are averaged over.
        alone: those of which not all levels count, with those that do: "pooling=avg".
        about: what the numbers speak of, in words.
    """

    study: str
    names: tuple[str, ...]
    lines: Mapping[Key, Mapping[str, Summary]]
    best: Mapping[str, frozenset[Key]]
    failed: Mapping[Key, int]
    counted: frozenset[str]
    averaged: tuple[str, ...]
    alone: tuple[str, ...]
    about: str

    @property
    def metrics(self) -> list[str]:
        return list(self.best)

    def caption(self) -> str:
        """What the numbers are and what bold means, in plain text."""
        counts = {summary.n for line in self.lines.values() for summary in line.values()}
        seeds = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
        others = len(self.lines) - 1
        over = f", averaged over {', '.join(self.averaged)}" if self.averaged else ""
        over += f", at {', '.join(self.alone)} alone" if self.alone else ""
        words = [f"{self.study}{over}: mean over {seeds} seed{'s' * (seeds != '1')}"]
        if max(counts) > 1:
            words[0] += " and 95 % t interval"
        if any(self.best.values()):
            words.append(
                "Bold: shown to be worse than no other (Welch's test, one-sided, corrected for "
                f"{plural(others, 'comparison')}); the best one is among the bold with "
                "95 % confidence"
            )
        elif others and not set(self.metrics) <= set(EXACT):  # which no seed changes
            words.append(f"Nothing is bold: fewer than {FEWEST} seeds cannot tell which are worse")
        if any(self.failed.values()):
            words.append(f"Failed runs {self._failed_words()}")
        return ". ".join([*words, self.about]) + "."

    def _failed_words(self) -> str:
        left_out = [metric for metric in self.metrics if metric not in self.counted]
        if not left_out:
            return "count as chance accuracy"
        if not self.counted:
            return "are left out"
        counted = ", ".join(metric for metric in self.metrics if metric in self.counted)
        return f"count as chance accuracy in {counted} and are left out of {', '.join(left_out)}"


def paper_table(rows: Sequence[Row], metrics: Sequence[str], by: Sequence[str] = ()) -> PaperTable:
    """The table of one study.

    Args:
        rows: its rows, at least one.
        metrics: columns of numbers.
        by: factors whose levels make the lines, averaged over the others; none: all of them.

    Raises:
        RunError: no such factor or metric.
    """
    factors, settings = study_settings(rows)
    names = tuple(by) or tuple(factors)
    for name in names:
        if name not in factors:
            raise RunError(f"--by {name}: no factor of this study{near_or_all(name, factors)}")
    known = {metric for row in rows for metric in row.metrics}
    for metric in metrics:
        if metric not in known:
            raise RunError(f"--metric {metric}: no run has it{near_or_all(metric, known)}")
    lines: dict[Key, dict[str, Summary]] = {}
    best: dict[str, frozenset[Key]] = {}
    for metric in metrics:
        values = averaged_levels(factors, settings, names, metric)
        if not any(values.values()):
            raise RunError(f"{metric}: no seed has all levels of {', '.join(names)}")
        resolution = resolution_of(metric, rows)
        for key, by_seed in values.items():
            if by_seed:
                exact = metric in EXACT
                summary = summarize(list(by_seed.values()), resolution, exact)
                lines.setdefault(key, {})[metric] = summary
        best[metric] = not_beaten(names, values, metric, resolution)
    failed = {key: _failed(key, names, settings) for key in lines}
    runs = [row for one in settings for row in one.rows.values() if not row.finished]
    counted = frozenset(metric for metric in metrics if not excuse(runs, metric))
    grid = Grid(settings, names, metrics[0])
    averaged, alone = map(tuple, grid.averaged(*grid.keys))
    about = scope(row.tested for row in rows)
    return PaperTable(
        rows[0].facts["study"], names, lines, best, failed, counted, averaged, alone, about
    )


def _failed(key: Key, names: Sequence[str], settings: Sequence[StudySetting]) -> int:
    return sum(one.failed for one in settings if tuple(one.levels[n] for n in names) == key)


def not_beaten(
    names: Sequence[str], values: Mapping[Key, Mapping[int, float]], metric: str, resolution: float
) -> frozenset[Key]:
    """The settings that no other is shown to beat; none where there are no others or few seeds.

    Args:
        resolution: see `summarize`.
    """
    if metric in EXACT or len(values) < 2 or max(map(len, values.values())) < FEWEST:
        return frozenset()
    sign = 1 if high_is_good(metric) else -1
    return frozenset(
        key
        for key in values
        if values[key]
        and not any(
            _p_beats(names, other, key, values, sign, resolution) * (len(values) - 1) < LEVEL
            for other in values
            if other != key
        )
    )


def _p_beats(
    names: Sequence[str], a: Key, b: Key, values: Mapping[Key, Mapping[int, float]], sign: int,
    resolution: float,
) -> float:  # fmt: skip
    """One-sided p of "a is no better than b", over the seeds that both have."""
    first, second = values[a], values[b]
    both = [seed for seed in first if seed in second]
    if len(both) < FEWEST:
        return 1.0
    sides = [[sign * side[seed] for seed in both] for side in (first, second)]
    differing = [name for name, x, y in zip(names, a, b, strict=True) if x != y]
    return contrast(sides, paired=one_training(differing), resolution=resolution).p_above(0)


def _mean(summary: Summary, metric: str) -> tuple[str, str]:
    """The mean, and the half width or "": two digits of that, unless it is of a share."""
    half = summary.half_width
    if not half > 0:
        return number(summary.mean, metric), ""
    digits = 2 if is_share(metric) else max(0, 1 - math.floor(math.log10(half)))
    return f"{summary.mean:,.{digits}f}", f"{half:,.{digits}f}"


def _heads(table: PaperTable) -> list[str]:
    units = {metric: "%" if is_share(metric) else unit(metric) for metric in table.metrics}
    return [f"{metric} ({name})" if name else metric for metric, name in units.items()]


def _seeds(table: PaperTable, key: Key) -> str:
    n = max(summary.n for summary in table.lines[key].values())
    return f"{n} ({table.failed[key]} failed)" if table.failed[key] else str(n)


def to_markdown(table: PaperTable) -> str:
    """With the caption below."""
    lines = []
    for key, summaries in table.lines.items():
        cells = []
        for metric in table.metrics:
            if metric not in summaries:
                cells.append("–")  # noqa: RUF001
                continue
            mean, half = _mean(summaries[metric], metric)
            text = f"{mean} ± {half}" if half else mean
            cells.append(f"**{text}**" if key in table.best[metric] else text)
        lines.append([*key, _seeds(table, key), *cells])
    return f"{markdown([*table.names, 'seeds', *_heads(table)], lines)}\n\n{table.caption()}\n"


def to_latex(table: PaperTable) -> str:
    """A table of the package booktabs; everything that LaTeX would read is escaped."""
    columns = "l" * len(table.names) + "r" * (1 + len(table.metrics))
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{tex(table.caption())}}}",
        rf"  \label{{tab:{re.sub('[^A-Za-z0-9-]', '-', table.study)}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        "    " + _tex_row([tex(text) for text in (*table.names, "seeds", *_heads(table))]),
        r"    \midrule",
    ]
    for key, summaries in table.lines.items():
        cells = [*map(tex, key), tex(_seeds(table, key))]
        for metric in table.metrics:
            if metric not in summaries:
                cells.append("--")
                continue
            mean, half = _mean(summaries[metric], metric)
            text = (rf"{mean} \pm {half}" if half else mean).replace(",", "{,}")
            cells.append(rf"$\mathbf{{{text}}}$" if key in table.best[metric] else f"${text}$")
        lines.append("    " + _tex_row(cells))
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]) + "\n"


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def tex(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(LATEX.get(character, character) for character in text)


def to_csv(table: PaperTable) -> str:
    """A line a setting; of every metric mean, ends of the interval, and whether it is bold."""
    heads = [
        f"{metric}{part}" for metric in table.metrics for part in ("", "_low", "_high", "_best")
    ]
    rows: list[list[object]] = [[*table.names, "seeds", "failed", *heads]]
    for key, summaries in table.lines.items():
        numbers: list[object] = []
        for metric in table.metrics:
            if metric not in summaries:
                numbers += [""] * 4
                continue
            s = summaries[metric]
            ends = ["" if math.isnan(x) else round(x, 6) for x in (s.low, s.high)]
            numbers += [round(s.mean, 6), *ends, str(key in table.best[metric]).lower()]
        n = max(summary.n for summary in summaries.values())
        rows.append([*key, n, table.failed[key], *numbers])
    return csv_text(rows)


def table(study: str, folder: Path, form: str, metrics: str, by: str) -> str:
    """A study as a table for a paper.

    Raises:
        RunError: no such study, factor or metric.
    """
    path = folder / f"{study}.csv"
    if not path.is_file():
        names = [other.stem for other in sorted(folder.glob("*.csv")) if is_rows_file(other)]
        raise RunError(f"{path}: no such study{near_or_all(study, names)}")
    rows = read_rows(path)
    if not rows:
        raise RunError(f"{path}: holds no run")
    write = {"latex": to_latex, "markdown": to_markdown, "csv": to_csv}[form]
    return write(paper_table(rows, metrics.split(","), by.split(",") if by else ()))
