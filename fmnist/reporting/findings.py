"""docs/findings.md: for each source what it did, what it said, what we found, what it left open.

The prose of a source stands beside its claims, in claims/NAME.md, a Jinja template. It is given
`t`, the source's claims by name as `Told`, and `found`, `figures`, `left_open` and `factorial`,
which write their part. Its macro `finding` is the one sentence that the README shows. Prose must be
true whatever the verdict is: verdicts and sizes are asked for, every number is generated.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from matplotlib import rc_context

from fmnist.evidence.claim import Claim, ClaimError, is_share, unit
from fmnist.evidence.claim_file import CLAIMS_DIR
from fmnist.evidence.factorial import factorial
from fmnist.evidence.outcome import Outcome, evaluate
from fmnist.evidence.study_settings import study_settings
from fmnist.evidence.text import (
    DECIDED,
    chance_of,
    chance_words,
    effect,
    labelled,
    margin_words,
    number,
    odds_of,
    percent,
    published_words,
    readings_in_words,
    shown_metric,
    signed,
    verdict_words,
    wider_words,
)  # fmt: skip
from fmnist.reporting.charts import STYLE, Chart, lone_svg
from fmnist.reporting.factorial_figure import factorial_figure, largest_in_words
from fmnist.reporting.finding_figures import effects_figure, values_figure
from fmnist.reporting.how_to_read import opening
from fmnist.runs.rows import Row
from fmnist.runs.run import write_text
from fmnist.runs.text import plural

SOURCES = {"S0": "s0", "S1": "s1", "S2": "s2", "S3": "s3", "S4": "s4", "fmnist": "own"}


@dataclass(frozen=True)
class Told:
    """A claim's outcome in the words of a sentence."""

    outcome: Outcome
    published: str

    @property
    def verdict(self) -> str:
        return self.outcome.judgement.verdict

    @property
    def status(self) -> str:
        """ "holds", "does not hold", or "is open with 5 seeds"."""
        if self.verdict in DECIDED:
            return self.verdict
        if not self.outcome.statement:
            return "is not measured"
        return f"is open with {plural(self.outcome.judgement.seeds, 'seed')}"

    @property
    def effect(self) -> str:
        """Mean, interval and unit."""
        return effect(self.outcome) or "not measured"

    @property
    def signed(self) -> str:
        """The mean alone, with its sign and unit."""
        if self.outcome.statement is None:
            return "not measured"
        return _signed(self.outcome.statement.summary.mean, shown_metric(self.outcome))

    @property
    def readings(self) -> str:
        """ " (in 3 of 9 readings)", of a comparison; "" where none were run, or open as ours is."""
        return "".join(f" ({text})" for text in readings_in_words(self.outcome))

    @property
    def span(self) -> str:
        """ "; over the readings from +1.83 points (`optim.momentum=0.9`) to +45.41 points
        (`data.batch_size=128`)", of a comparison; "" where no reading but ours was run."""
        means = _under_readings(self.outcome)
        if len(means) < 2:
            return ""
        metric = shown_metric(self.outcome)
        low, high = (f"{_signed(mean, metric)} ({name})" for mean, name in (min(means), max(means)))
        return f"; over the readings from {low} to {high}"

    @property
    def part(self) -> str:
        """Which of several parts is shown."""
        label = self.outcome.part.label if self.outcome.part else ""
        return label.replace("s4_", "")

    def published_at(self, metric: str) -> str:
        """The source's value."""
        return number(self.outcome.claim.values[metric], metric)


def told(outcomes: Iterable[Outcome], claims: Sequence[Claim]) -> dict[str, Told]:
    """By name of the claim."""
    return {o.claim.name: Told(o, published_words(o, claims)) for o in outcomes}


def findings(
    rows: Sequence[Row],
    claims: Sequence[Claim],
    factorials: Mapping[str, tuple[str, Chart]],
) -> tuple[str, list[Chart]]:  # fmt: skip
    """The page, and its figures: docs/figures/NAME.svg.

    Args:
        rows: of all studies.
        claims: all of them.
        factorials: of a study, text and figure of all its factors together.

    Raises:
        ClaimError: a template is wrong or names a claim that is not there.
    """
    charts: list[Chart] = []
    outcomes, parts = evaluate(claims, rows), opening(rows)
    for source in SOURCES:
        own = [o for o in outcomes if o.claim.source == source]
        if not own:
            continue
        template = _template(source, own, claims, charts, factorials)
        parts.append(_rendered(source, lambda t=template: t.render()).strip())
    return "\n\n".join(parts) + "\n", charts


def heading(source: str) -> str:
    """The name of a source's story: "S1: does FashionCNN need augmentation and dropout?"."""
    prose = (CLAIMS_DIR / f"{SOURCES[source]}.md").read_text(encoding="utf-8")
    return prose.partition("\n## ")[2].partition("\n")[0]


def finding(source: str, outcomes: Sequence[Outcome], claims: Sequence[Claim]) -> str:
    """The one sentence of a source.

    Raises:
        ClaimError: see `findings`.
    """
    own = [o for o in outcomes if o.claim.source == source]
    template = _template(source, own, claims, [], {})
    return " ".join(_rendered(source, lambda: str(template.module.finding())).split())  # type: ignore[attr-defined]


def _rendered(source: str, render: Any) -> str:
    try:
        return str(render())
    except jinja2.TemplateError as error:
        raise ClaimError(f"{CLAIMS_DIR / SOURCES[source]}.md: {error}") from error


def _template(
    source: str, own: Sequence[Outcome], claims: Sequence[Claim], charts: list[Chart],
    factorials: Mapping[str, tuple[str, Chart]],
) -> jinja2.Template:  # fmt: skip
    """The source's prose with what it may ask for; figures that it shows are added to `charts`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(CLAIMS_DIR), undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )  # fmt: skip
    by_name = told(own, claims)

    def figures(_: str) -> str:
        drawn = [effects_figure(source, own, claims), values_figure(source, own)]
        return "\n\n".join(_shown(chart, charts) for chart in drawn if chart)

    def factorial(study: str) -> str:
        if study not in factorials:
            return ""
        text, chart = factorials[study]
        return f"{text}\n\n{_shown(chart, charts)}\n\n*{chart.title}:* {chart.caption}"

    given = {
        "t": by_name,
        "found": lambda _: found_words(list(by_name.values())),
        "figures": figures,
        "factorial": factorial,
        "left_open": lambda _: left_open_words(own),
    }
    environment.globals.update(given)
    return environment.get_template(f"{SOURCES[source]}.md")


def _shown(chart: Chart, charts: list[Chart]) -> str:
    charts.append(chart)
    return f"![{chart.title}](figures/{chart.name}.svg)"


GROUPS = (("holds", "What holds."), ("does not hold", "What does not hold."), ("", "What is open."))


def found_words(items: Sequence[Told]) -> str:
    """How many claims there are and what became of them, then a sentence on each."""
    asked = [item for item in items if not item.outcome.claim.costs]
    counts = counted(item.outcome for item in asked)
    after = sum(item.outcome.stays_open for item in asked)
    hold, refuted, left = counts["holds"], counts["does not hold"], counts["open"]
    last = f" after {'its' if after == 1 else 'their'} last look" if after else ""
    last = f", {after} of them{last}" if after < left else last
    lines = [
        f"Of {counts['asked']} claims {hold} {'holds' if hold == 1 else 'hold'}, "
        f"{refuted} {'does' if refuted == 1 else 'do'} not hold and "
        f"{left} {'is' if left == 1 else 'are'} open{last}."
    ]
    for verdict, title in GROUPS:
        own = [item for item in asked if _group(item.verdict) == verdict]
        if own:
            lines += ["", f"*{title}*", "", *(f"- {sentence(item)}" for item in own)]
    return "\n".join(lines)


def _group(verdict: str) -> str:
    return verdict if verdict in DECIDED else ""


def counted(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Claims asked, that hold, that do not hold, and the others: open."""
    verdicts = [_group(o.judgement.verdict) for o in outcomes if not o.claim.costs]
    hold, refuted = verdicts.count("holds"), verdicts.count("does not hold")
    return {"asked": len(verdicts), "holds": hold, "does not hold": refuted,
            "open": len(verdicts) - hold - refuted}  # fmt: skip


def sentence(item: Told) -> str:
    """A claim, its verdict, its size, and what a person would ask next."""
    outcome, claim = item.outcome, item.outcome.claim
    if not outcome.statement:
        return f"{claim.claim} Not measured yet: `python -m fmnist.train {claim.sweep}`."
    judgement = outcome.judgement
    said = f"**{verdict_words(outcome)}**, with {labelled(outcome, effect(outcome))}"
    words = f"{claim.claim.rstrip('.')}: {said}"
    if claim.about and outcome.readings and outcome.holds_under is not outcome.readings[0]:
        words += " in our reading"  # the verdict is about others, too
    if not outcome.statement.exact:
        words += f" over {plural(judgement.look or judgement.seeds, 'seed')}"
    if item.published:
        was, saw = f"{item.published} was published", f"the source saw {item.published}"
        words += f" where {was if claim.about else saw}"
    words += "."
    if wider := wider_words(outcome):
        words += f" On other images, too: {wider}."
    for text in readings_in_words(outcome):
        same = not claim.about and item.verdict in DECIDED
        words += f" The same verdict {text}." if same else f" {text[0].upper()}{text[1:]}."
    if chance := chance_of(outcome):
        words += f" P(A > B) {chance_words(chance)}."
    if left := odds_of(outcome):
        words += (
            f" Odds as the seeds stand: {percent(left.above)} above by more than "
            f"{margin_words(outcome)}, "
            f"{percent(left.within)} within that, {percent(left.below)} below."
        )
    if outcome.failed:
        words += f" {outcome.failed} of its runs failed."
    return words


def left_open_words(outcomes: Iterable[Outcome]) -> str:
    """Which readings there are, how many were run, and how far published values move with them."""
    under = [o for o in outcomes if len(o.readings) > 1]
    if not under:
        return "No other reading of it is listed."
    names = list(dict.fromkeys(item.reading for o in under for item in o.readings[1:]))
    listed = "; ".join(f"`{name}`" for name in names)
    lines = [
        "Each way to fill that in is a reading; besides ours these were listed, before the runs "
        f"that count under them: {listed}."
    ]
    ranges = [text for o in under if (text := _range(o))]
    if not ranges:
        return f"{lines[0]} None of them has been run yet."
    return "\n\n".join([*lines, "\n".join(f"- {text}" for text in ranges)])


def _range(outcome: Outcome) -> str:
    """Of a claim that was measured under several readings: the ends of what they gave."""
    means, metric = _under_readings(outcome), shown_metric(outcome)
    if len(means) < 2 or not is_share(metric):
        return ""
    value, ends = bool(outcome.claim.values), (min(means), max(means))
    what = f"`{metric}`" if value else labelled(outcome, f"difference in `{metric}`")
    low, high = (
        f"{number(mean, metric)} % ({name})" if value else f"{_signed(mean, metric)} ({name})"
        for mean, name in ends
    )
    # Of the numbers as they stand there, so that a reader's sum comes out.
    apart = float(number(ends[1][0], metric)) - float(number(ends[0][0], metric))
    run, listed = len(means), len(outcome.readings)
    over = "all" if run == listed else f"the {run} of"
    return (
        f"{outcome.claim.claim} Our {what} goes from {low} to {high}, by "
        f"{number(apart, metric)} points, over {over} {listed} readings"
        f"{' that were run' * (run < listed)}."
    )


def _under_readings(outcome: Outcome) -> list[tuple[float, str]]:
    """Mean and words of every reading that was run, of the part that ours shows.

    Classes may stand in another order; what else a claim says has the reading in its label.
    """
    means, statement = [], outcome.statement
    if statement is None:
        return []
    part = statement.weakest
    place = next(number for number, own in enumerate(statement.parts) if own is part)
    for item in outcome.readings:
        if item.statement:
            parts = item.statement.parts
            same = [p for p in parts if p.label == part.label] or parts[place : place + 1]
            # All of their last look: where looks disagree another may have decided.
            words = item.reading if item is outcome.readings[0] else f"`{item.reading}`"
            means += [(p.summary(item.statement.last).mean, words) for p in same]
    return means


def _signed(mean: float, metric: str) -> str:
    """With its unit."""
    return f"{signed(mean, metric)} {unit(metric)}".rstrip()


def write_findings(rows: Sequence[Row], claims: Sequence[Claim], docs: Path) -> list[str]:
    """docs/findings.md and its figures; which files were written.

    Raises:
        ClaimError: see `render`, or a source's prose is wrong.
        RunError: a file cannot be written.
    """
    with rc_context(STYLE):
        text, charts = findings(rows, claims, factorial_charts(rows))
        svgs = {c.name: lone_svg(c.svg().decode(), c.title) for c in charts}
    (docs / "figures").mkdir(parents=True, exist_ok=True)
    for old in (docs / "figures").glob("*.svg"):
        if old.stem not in svgs:
            old.unlink()
    for name, svg in svgs.items():
        write_text(docs / "figures" / f"{name}.svg", svg)
    write_text(docs / "findings.md", text)
    return [f"{docs / 'findings.md'}: written, with {len(svgs)} figures"]


def factorial_charts(rows: Sequence[Row]) -> dict[str, tuple[str, Chart]]:
    """Of study S2's factorial the text and the figure; nothing while it is not whole."""
    study = "s2_factorial"
    own = [row for row in rows if row.facts["study"] == study]
    found = factorial(*study_settings(own)) if own else ""
    if isinstance(found, str):
        return {}
    chart = factorial_figure(found, study, "S2: all five factors together")
    return {study: (largest_in_words(found), chart)}
