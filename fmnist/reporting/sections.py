"""What the template of report.html is given of one run, or of many."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from fmnist.evidence.factorial import factorial
from fmnist.evidence.failed import excuse, failed_words
from fmnist.evidence.statistics import Summary, summarize
from fmnist.reporting.charts import Chart
from fmnist.reporting.convergence import (
    convergence_curves,
    convergence_of,
    usual_target,
)  # fmt: skip
from fmnist.reporting.detail import Detail, detail_of, efficiency, headline
from fmnist.reporting.effects import (
    METRIC,
    averaged_over,
    compare_levels,
    compare_settings,
    factor_sentence,
    interactions,
    level_means,
)  # fmt: skip
from fmnist.reporting.factorial_figure import COLUMNS, effect_lines, factorial_figure
from fmnist.reporting.label_check import check_labels
from fmnist.reporting.readings_table import READINGS, READINGS_TOLD, readings_lines
from fmnist.reporting.run_figures import comparison_curves
from fmnist.reporting.sweep_figures import (
    MODELS,
    cost_and_accuracy,
    main_effect,
    model_bars,
    parallel_coordinates,
    two_factors,
)  # fmt: skip
from fmnist.reporting.table import Entry, SweepSetting, Table
from fmnist.reporting.two_runs import two_runs
from fmnist.runs.leak import leak_warning
from fmnist.runs.machines import machines_in_words
from fmnist.runs.own_code import versions_in_words
from fmnist.runs.record import CUT
from fmnist.runs.rows import flatten
from fmnist.runs.same_data import data_in_words
from fmnist.runs.text import plural

GROUPS = ("experiment", "model", "optim", "scheduler", "aug", "data")  # that name a single run


ALL_PAIRS = 8  # settings; with more, every setting is compared with the best one only


PAIR_FIGURES = 15  # pairs of factors: six factors


@dataclass
class Page:
    """What the template is given, and the figures to write beside it.

    Args:
        target: validation accuracy in [0, 1] until which convergence is measured; None: chosen from
            the runs.
    """

    title: str
    table: Table
    target: float | None = None
    values: dict[str, Any] = field(default_factory=dict)
    charts: dict[str, Chart] = field(default_factory=dict)

    def draw(self, *charts: Chart) -> list[Chart]:
        """Put figures on the page."""
        self.charts |= {chart.name: chart for chart in charts}
        return list(charts)


def one_run(page: Page, row: Entry, latency: bool) -> dict[str, Any]:
    """What the template needs for a report of one run."""
    detail = detail_of(row, latency=latency)
    page.draw(*detail.charts)
    options = {key: row.record.choices.get(key) for key in GROUPS}
    settings = [f"{key} {option}" for key, option in options.items() if option]
    text = ", ".join([*settings, f"seed {row.seed}"])
    convergence = _convergence(page, [SweepSetting({}, {row.seed or 0: row})])
    return {
        "kind": "run", "detail": detail, "settings": text, **_facts(row, detail), **convergence
    }  # fmt: skip


def probable_mistakes(table: Table) -> dict[str, Any]:
    """Which labels are probably wrong, by the runs of the report; or why that cannot be told."""
    runs = [row.run for row in table.finished if row.run]
    try:
        return {"labels": check_labels(runs) if runs else [], "labels_note": ""}
    except Exception as error:  # files of a run may be damaged in any way
        return {"labels": [], "labels_note": " ".join(str(error).split())}


def _facts(row: Entry, detail: Detail) -> dict[str, Any]:
    return {"headline": headline(row), "efficiency": efficiency(detail)}


@dataclass(frozen=True)
class SettingLine:
    """A setting as the table of settings shows it: finished or not."""

    levels: dict[str, str]
    statuses: dict[str, int]
    reasons: list[str]
    test: Summary | None = None
    val: Summary | None = None
    seconds: float = math.nan
    params: float = math.nan


def summaries(table: Table) -> list[SettingLine]:
    """Every setting that any run belongs to, those without a finished run last."""
    finished = {tuple(setting.levels.values()): setting for setting in table.settings}
    rows: dict[tuple[str, ...], list[Entry]] = {key: [] for key in finished}
    for row in table.rows:
        key = tuple(row.levels.get(name, "") for name in table.factors)
        if row.status != "damaged" and (all(key) or key in rows):
            rows.setdefault(key, []).append(row)
    result = []
    for key, members in rows.items():
        levels = dict(zip(table.factors, key, strict=True))
        statuses = dict(Counter(row.status for row in members))
        reasons = [r.reason for r in members if r.status in ("failed", "stopped", CUT) and r.reason]
        setting = finished.get(key)
        if setting is None:
            result.append(SettingLine(levels, statuses, list(dict.fromkeys(reasons))))
            continue
        test, val = (
            summarize(list(setting.values(m).values()), setting.resolution(m))
            for m in ("test/acc", "val/acc")
        )
        costs = setting.mean("train_seconds"), setting.mean("params")
        result.append(
            SettingLine(levels, statuses, list(dict.fromkeys(reasons)), test, val, *costs)
        )
    return result


def many_runs(page: Page, compare: Sequence[Path], latency: bool) -> dict[str, Any]:
    """What the template needs for a report of several runs, in whatever state."""
    table = page.table
    values: dict[str, Any] = {
        "kind": "sweep", "summaries": summaries(table),
        "leak": leak_warning(sum(row.leaks for row in table.rows), len(table.rows)),
    }  # fmt: skip
    if not (settings := table.settings):
        if compare:
            two_runs(table, compare, [])  # neither has finished, which it says
        return values
    used = [row for setting in settings for row in setting.rows.values()]
    values["codes"] = versions_in_words(row.record.code for row in used)
    values["data"] = data_in_words((flatten(row.record.config), row.record.dataset) for row in used)
    measured = [row.record for row in used if not math.isnan(row.metric("train_seconds"))]
    values["machines"] = machines_in_words((one.device, one.threads) for one in measured)
    values["failed"] = _failed(settings, values["summaries"])
    best = max(settings, key=lambda setting: setting.mean("val/acc"))
    values["best_setting"] = next(s for s in values["summaries"] if s.levels == best.levels)
    values |= _claims(table)
    values |= _convergence(page, settings)
    values |= _best_and_worst(page, latency)
    values["mcnemar"] = two_runs(table, compare, [part["detail"] for part in values["pair"]])
    factors = _crossed(table)
    values |= _effects(page, settings, factors) | _factorial(page, settings, factors)
    pairs = [pair for pair in combinations(factors, 2) if _is_crossed(settings, pair)]
    grids = [two_factors(settings, pair, factors) for pair in pairs[:PAIR_FIGURES]]
    values["grids"] = page.draw(*(chart for charts in grids for chart in charts))
    if len(settings) > 1:
        values["against"] = best if len(settings) > ALL_PAIRS else None
        values["compared"] = compare_settings(settings, against=values["against"])
        values["front"] = page.draw(*_fronts(settings))
        timed = [row for row in table.finished if not math.isnan(row.metric("train_seconds"))]
        values["parallel"] = page.draw(parallel_coordinates(timed, factors)) if timed else []
    return values


def _failed(settings: Sequence[SweepSetting], lines: Sequence[SettingLine]) -> list[str]:
    """What the failed runs count as, and which settings have no other."""
    rows = [row for setting in settings for row in setting.failed.values()]
    said = []
    if rows:
        words = failed_words(len(rows), not excuse(rows, METRIC))
        said = [f"{words}; other numbers are of finished runs"]
    if lost := sum(line.test is None and "failed" in line.statuses for line in lines):
        said.append(
            f"{plural(lost, 'setting')} without a finished run: in no comparison here; "
            "fmnist compare counts them as chance"
        )
    return said


def _effects(
    page: Page, settings: Sequence[SweepSetting], factors: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """What each factor does: figures, comparisons of its levels, and a sentence."""
    means = {name: level_means(settings, [name], factors) for name in factors}
    nets = [name for name in factors if name in MODELS]
    compared, dependences = compare_levels(settings, factors), interactions(settings, factors)
    sentences = []
    for name, made in compared.items():
        depends_on = [
            (other, item.contrast.difference.mean)
            for item in dependences
            if item.contrast.decided and name in item.factors
            for other in item.factors
            if other != name
        ]
        averaged, alone = averaged_over(settings, name)
        sentences.append(factor_sentence(name, made, averaged, depends_on, alone))
    return {
        "effects": page.draw(*(main_effect(name, means[name]) for name in factors)),
        "bars": page.draw(*(model_bars(name, means[name]) for name in nets)),
        "levels": compared, "interactions": dependences, "sentences": sentences,
    }  # fmt: skip


def _convergence(page: Page, settings: Sequence[SweepSetting]) -> dict[str, Any]:
    """How fast each setting came to the target, with their curves where there are several."""
    rows = [row for setting in settings for row in setting.rows.values()]
    target = usual_target(rows) if page.target is None else page.target
    found = [convergence_of(setting, target) for setting in settings]
    curves = page.draw(convergence_curves(found, target)) if len(settings) > 1 else []
    return {
        "convergence": found, "target": target, "target_given": page.target is not None,
        "convergence_curves": curves,
    }  # fmt: skip


def _factorial(
    page: Page, settings: Sequence[SweepSetting], factors: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Main effects and interactions of a sweep of several factors, or why there are none."""
    if len(factors) < 2:
        return {}
    found = factorial(factors, settings)
    if isinstance(found, str):
        return {"factorial": found}
    chart = factorial_figure(found, "factorial", "Effects of all factors")
    return {
        "factorial": found, "factorial_chart": page.draw(chart), "factorial_columns": COLUMNS,
        "factorial_lines": effect_lines(found),
    }  # fmt: skip


def _crossed(table: Table) -> dict[str, list[str]]:
    """The factors with those levels that have a finished run; at least two of them."""
    levels = {
        name: [level for level in known if any(r.levels.get(name) == level for r in table.finished)]
        for name, known in table.factors.items()
    }
    return {name: known for name, known in levels.items() if len(known) > 1}


def _is_crossed(settings: Sequence[SweepSetting], pair: tuple[str, str]) -> bool:
    """Whether some two levels of one factor meet the same two of the other."""
    met: dict[str, set[str]] = {}
    for setting in settings:
        met.setdefault(setting.levels[pair[0]], set()).add(setting.levels[pair[1]])
    return any(len(a & b) > 1 for a, b in combinations(met.values(), 2))


def _fronts(settings: Sequence[SweepSetting]) -> list[Chart]:
    charts = []
    # Of runs that went on on another machine no seconds are known.
    if timed := [one for one in settings if not math.isnan(one.mean("train_seconds"))]:
        charts.append(
            cost_and_accuracy(timed, "train_seconds", "training time (s)", "Accuracy and time")
        )
    if len({setting.mean("params") for setting in settings}) > 1:
        charts.append(
            cost_and_accuracy(settings, "params", "parameters", "Accuracy and parameters")
        )
    return charts


def _best_and_worst(page: Page, latency: bool) -> dict[str, Any]:
    """The runs of highest and lowest validation accuracy: the test set selects nothing."""
    ranked = sorted(page.table.finished, key=lambda row: -row.metric("val/acc"))
    chosen = [("best", ranked[0])] + ([("worst", ranked[-1])] if len(ranked) > 1 else [])
    pair = []
    for name, row in chosen:
        detail = detail_of(row, f"{name}_", full=False, latency=latency)
        page.draw(*detail.matrices)
        pair.append({"name": name, "detail": detail, **_facts(row, detail)})
    curves = pair[0]["detail"].curves
    if len(ranked) > 1:
        curves = comparison_curves(ranked[0].record, ranked[-1].record, ("best", "worst"))
    return {"pair": pair, "curves": page.draw(*curves)}


def _claims(table: Table) -> dict[str, Any]:
    """Claims that these runs measure, with verdicts and readings; or why they are not there."""
    from fmnist.evidence.outcome import evaluate_claims
    from fmnist.evidence.text import (
        both_intervals,
        looks_in_words,
        remarks,
        verdict_words,
    )

    try:
        outcomes = evaluate_claims([row.run for row in table.rows if row.run])
    except Exception as error:  # of a claim's file or a damaged run: no reason to show nothing
        return {"claims_note": " ".join(str(error).split())}
    claims = [
        {"name": o.claim.name, "source": o.claim.source, "words": o.claim.claim,
         "effect": both_intervals(o), "seeds": looks_in_words(o), "p": o.judgement.p,
         "verdict": verdict_words(o), "remarks": remarks(o),
         "leak": leak_warning(o.leaking, o.runs)}
        for o in outcomes
        if o.statement is not None
    ]  # fmt: skip
    return {
        "claims": claims, "readings_columns": READINGS, "readings_told": READINGS_TOLD,
        "readings": readings_lines(outcomes),
    }  # fmt: skip
