"""report.html: what is shown of one run or of many, in which order, and as what text."""

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib import rc_context

from fmnist.errors import RunError
from fmnist.evidence.effects import Comparison
from fmnist.evidence.statistics import Summary
from fmnist.evidence.text import ROUNDED, chance_words, mean_words, p_words, scope
from fmnist.reporting.charts import STYLE, draw_all, inline_svg
from fmnist.reporting.convergence import SettingConvergence
from fmnist.reporting.label_check import labels_csv
from fmnist.reporting.sections import Page, many_runs, one_run, probable_mistakes
from fmnist.reporting.table import Table, read_table, runs_csv
from fmnist.reporting.titles import title_of
from fmnist.runs.foreign_text import escaped
from fmnist.runs.run import write_atomically
from fmnist.runs.text import duration, shown

HERE = Path(__file__).parent


def write_report(
    paths: Sequence[Path], out: Path, compare: Sequence[Path] = (), latency: bool = True,
    target: float | None = None,
) -> tuple[Path, Table]:  # fmt: skip
    """report.html, runs.csv and figures/ in `out`; the path of the first, and what it shows.

    Args:
        paths: run directories, sweeps, or folders of them.
        compare: two of the runs, for McNemar's test; the best and the worst if not given.
        latency: measure inference on this machine.
        target: see `Page`.

    Raises:
        RunError: nothing to report, unknown runs to compare, or a folder that cannot be written.
    """
    table = read_table(paths)
    names = ", ".join(escaped(path.resolve().name) for path in paths)
    with rc_context(STYLE):
        records = [row.record for row in table.rows if row.run]
        page = Page(title_of(records, [*table.factors]) or names, table, target)
        page.values["folders"] = names
        only = table.rows[0] if len(table.rows) == 1 else None
        if only is not None and only.tested and not compare:
            page.values |= one_run(page, only, latency)
        else:
            page.values |= many_runs(page, compare, latency)
        page.values |= probable_mistakes(table)
        files = draw_all(page.charts.values())
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
        for name, versions in files.items():
            for ending, content in versions.items():
                write_atomically(out / "figures" / f"{name}.{ending}", content)
        write_atomically(out / "runs.csv", runs_csv(table).encode())
        if checks := page.values["labels"]:
            write_atomically(out / "labels.csv", labels_csv(checks).encode())
        html = render(page, {name: versions["svg"] for name, versions in files.items()})
        write_atomically(out / "report.html", html.encode())
    except OSError as error:
        raise RunError(
            f"{out}: cannot be written: {error.strerror}; --out chooses another"
        ) from error
    return out / "report.html", table


def written_in_words(path: Path, seconds: float) -> str:
    """Where a report is, how large, and how long it took."""
    return f"{shown(path.absolute())}: {path.stat().st_size / 1e6:.1f} MB in {seconds:.1f} s"


def render(page: Page, svgs: Mapping[str, bytes]) -> str:
    """The page as HTML. Whatever comes from a run is escaped by the template."""
    sets = (row.record.dataset for row in page.table.rows if row.run)
    about = scope((facts.name, facts.test_size) for facts in sets if facts)
    return fill(
        "report", page.title, svgs, table=page.table, scope=about,
        counts=Counter(row.status for row in page.table.rows), **page.values,
    )  # fmt: skip


def fill(template: str, title: str, svgs: Mapping[str, bytes], **values: Any) -> str:
    """A page of the reports' style as HTML.

    Args:
        template: its name, without the ending.
        svgs: documents of the figures, by the name of the chart.
        values: what the template is about, escaped by it.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.ChainableUndefined,  # older records lack some facts
    )  # fmt: skip
    environment.filters |= {
        "percent": lambda share: "–" if math.isnan(share) else f"{100 * share:.2f}",  # noqa: RUF001
        "interval": show_mean,
        "bound": show_bound,
        "difference": show_difference,
        "p": p_words,
        "chance": lambda chance: chance_words(chance) if chance else "",
        "duration": duration,
        "tenths": lambda number: "" if math.isnan(number) else f"{number:.1f}",
        "flat": flat,
        "svg": lambda chart: Markup(
            inline_svg(svgs[chart.name].decode(), escape(f"{chart.title}. {chart.caption}"))
        ),
    }
    script = (HERE / "report.js").read_text(encoding="utf-8")
    # The only script that may run is ours: see the page's Content-Security-Policy.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(f"{template}.html.jinja").render(
        title=title,
        kind_of_page=f"fmnist {template}",
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        style=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        digest=digest,
        rounded=ROUNDED,
        **values,
    )


def flat(node: Any, path: str = "") -> list[tuple[str, str]]:
    """A configuration as (dotted name, value) in its order."""
    if not isinstance(node, Mapping):
        return [(path, "null" if node is None else str(node))]
    pairs = []
    for key, value in node.items():
        pairs += flat(value, f"{path}.{key}" if path else str(key))
    return pairs


def show_mean(interval: Summary | None, least: float = 0.0, most: float = 100.0) -> str:
    """ "90.12 ± 0.34", in the interval's unit; percent unless the bounds say otherwise."""
    return "–" if interval is None else mean_words(interval, bounds=(least, most))  # noqa: RUF001


def show_bound(found: SettingConvergence, what: str) -> str:
    """Epochs or seconds until the target, "≥ 7.33" where some runs never reached it."""
    interval, least = getattr(found, what), 1.0 if what == "epochs" else 0.0
    if math.isnan(interval.mean):
        return "–"  # noqa: RUF001 (no run's seconds are known)
    return ("≥ " if found.censored else "") + show_mean(interval, least, math.inf)


def show_difference(comparison: Comparison) -> str:
    """ "+1.20 (+0.80 to +1.60)", in points; the interval is that of the level that decides."""
    mean = comparison.difference.mean
    if math.isnan(comparison.low):
        return f"{mean:+.2f}"
    return f"{mean:+.2f} ({comparison.low:+.2f} to {comparison.high:+.2f})"
