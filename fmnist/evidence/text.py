"""Claims, effects and verdicts in words, the same in terminal, results/ and report."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fmnist.evidence.claim import Claim, is_share, unit
from fmnist.evidence.failed import failed_words
from fmnist.evidence.outcome import Outcome, published_difference
from fmnist.evidence.statistics import FEWEST, Summary
from fmnist.evidence.superiority import Chance, Odds, beats, odds
from fmnist.evidence.verdict import Part, Statement, Verdict
from fmnist.runs.text import plural


def scope(sets: Iterable[tuple[str, int | None]] = ()) -> str:
    """What every table of verdicts says of itself.

    Args:
        sets: name of the data set and number of test images of every run; None: not known.
    """
    counts = [count for _, count in set(sets)]
    if len(counts) == 1 and counts[0]:
        return f"About other seeds, on these {counts[0]:,} test images and this split"
    return "About other seeds, on the test images and the split of these runs"


DECIDED: tuple[Verdict, ...] = ("holds", "does not hold")
ROUNDED = "Differences are taken before rounding: beside rounded numbers a last digit may be 1 off"


def number(value: float, metric: str) -> str:
    """With a sensible number of digits."""
    if metric in ("params", "flops"):
        return f"{value:,.0f}"
    return f"{value:z.2f}" if is_share(metric) else f"{value:.4g}"  # no -0.00


def signed(value: float, metric: str) -> str:
    """Of a difference: "+0.48"."""
    return f"{'+' if value > 0 else ''}{number(value, metric)}"


def measured(mean: float, ends: tuple[float, float], metric: str, sign: bool) -> str:
    """A mean and its interval, with the digits that half its width has two of."""
    half, plus = (ends[1] - ends[0]) / 2, "+" if sign and mean > 0 else ""
    if is_share(metric) or not 0 < half < math.inf:
        low, high = (number(end, metric) for end in ends)
        return f"{plus}{number(mean, metric)} [{low}, {high}]"
    digits = max(0, 1 - math.floor(math.log10(half)))
    return f"{plus}{mean:z,.{digits}f} [{ends[0]:z,.{digits}f}, {ends[1]:z,.{digits}f}]"


def mean_words(
    summary: Summary, digits: int = 2, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> str:
    """ "90.12 ± 0.34", or "99.90 [99.10, 100.00]" where more is not possible; of one seed the mean.

    Args:
        bounds: between which the number lies, whatever an interval says.
    """
    mean, (least, most) = f"{summary.mean:,.{digits}f}", bounds
    if math.isnan(summary.low) or summary.low == summary.high:
        return mean
    if summary.low < least or summary.high > most:
        low, high = max(least, summary.low), min(most, summary.high)
        return f"{mean} [{low:,.{digits}f}, {high:,.{digits}f}]"
    return f"{mean} ± {summary.half_width:,.{digits}f}"


def shown_metric(outcome: Outcome) -> str:
    """The metric of the part that is shown."""
    part = outcome.part
    return part.label if part and outcome.claim.values else outcome.claim.metric


def possible_interval(outcome: Outcome) -> tuple[float, float] | None:
    """It ends where what it speaks of ends: a value at 0, a share at 100 %."""
    ends = outcome.judgement.interval
    return None if ends is None else _possible(outcome, ends)


def _possible(outcome: Outcome, ends: tuple[float, float]) -> tuple[float, float]:
    most = 100.0 if is_share(shown_metric(outcome)) else math.inf
    least = 0.0 if outcome.claim.values else -most
    return max(ends[0], least), min(ends[1], most)


def effect(outcome: Outcome) -> str:
    """ "+0.48 [0.31, 0.65] points" of a difference, "91.20 [91.05, 91.35] %" of a value."""
    metric, statement = shown_metric(outcome), outcome.statement
    if statement is None:
        return ""
    difference, mean = not outcome.claim.values, statement.summary.mean
    if interval := possible_interval(outcome):
        text = measured(mean, interval, metric, difference)
    else:
        text = signed(mean, metric) if difference else number(mean, metric)
    name = unit(metric) if difference else "%" if is_share(metric) else unit(metric)
    return f"{text} {name}".rstrip()


def verdict_words(outcome: Outcome) -> str:
    """The verdict with its size, at which look an undecided claim is judged next, and readings."""
    readings, verdict = outcome.readings, outcome.judgement.verdict
    if not (readings and outcome.claim.about) or verdict in ("not measured", "not judged"):
        return verdict_alone(outcome)
    if outcome.holds_under:
        return f"holds under {outcome.holds_under.reading}"
    if verdict == "does not hold":
        return f"does not hold in any of {len(readings)} readings"
    if missing := _not_run(readings):
        return f"undecided: {missing} of {len(readings)} readings to run"
    if excused := _excused(readings):
        return f"undecided: {excused} of {len(readings)} readings not judged, runs failed"
    slowest = min(outcome.waiting, key=lambda item: item.judgement.look)
    said = verdict_alone(replace(outcome, judgement=replace(slowest.judgement, verdict=verdict)))
    return f"{said} under {slowest.reading}" if len(outcome.waiting) == 1 else said


def _not_run(readings: Iterable[Outcome]) -> int:
    """How many have not come to a look."""
    return sum(not i.judgement.look and i.judgement.verdict != "not judged" for i in readings)


def _excused(readings: Iterable[Outcome]) -> int:
    """How many have no verdict, however many seeds they have."""
    return sum(item.judgement.verdict == "not judged" for item in readings)


def readings_in_words(outcome: Outcome) -> list[str]:
    """In how many readings a comparison comes out as in ours; what a value is where it holds.

    Of what is open: in how many it is decided, and what a value is under the only other one.
    """
    readings, verdict = outcome.readings, outcome.judgement.verdict
    if (holding := outcome.holds_under) and holding is not readings[0]:
        return [f"under {holding.reading}: {labelled(holding, effect(holding))}"]
    if verdict == "undecided":
        words = [f"{text} of {len(readings)} readings" for text in _decided_otherwise(outcome)]
        waiting = outcome.waiting[0]
        if words and len(outcome.waiting) == 1 and waiting is not outcome and waiting.statement:
            words.append(f"under {waiting.reading}: {labelled(waiting, effect(waiting))}")
        return words
    judged = sum(item.judgement.look > 0 for item in readings)
    if outcome.claim.about or verdict not in DECIDED or judged < 2:
        return []
    return [alike_in_words(outcome)]


def _decided_otherwise(outcome: Outcome) -> list[str]:
    """ "does not hold in 1": in how many readings there is another verdict than the claim's."""
    verdicts = [item.judgement.verdict for item in outcome.readings]
    others = [verdict for verdict in DECIDED if verdict != outcome.judgement.verdict]
    return [f"{v} in {verdicts.count(v)}" for v in others if v in verdicts]


def alike_in_words(outcome: Outcome) -> str:
    """In how many of the readings that were judged a comparison comes out as in ours, in how many
    the other way, and what of the others is known; "" where there are no readings.
    """
    readings, verdict = outcome.readings, outcome.judgement.verdict
    if not readings:
        return ""
    judged = [item for item in readings if item.judgement.look]
    if not judged:
        return f"none of {len(readings)} readings judged"
    alike = sum(item.judgement.verdict == verdict for item in judged)
    said = ", ".join([f"in {alike} of {len(judged)} readings", *_decided_otherwise(outcome)])
    short = sum(item.none_came_so_far for item in readings)
    if short:
        said += f", in {short} more no run came so far"
    if excused := _excused(readings):
        said += f", {excused} not judged: runs failed"
    if to_run := len(readings) - len(judged) - short - excused:
        said += f", {to_run} to run"
    return said


def published_words(outcome: Outcome, claims: Sequence[Claim]) -> str:
    """ "+2.76" of a difference, of several values that of the part that is shown; "" where the
    source said nothing.
    """
    difference = published_difference(outcome.claim, claims)
    if difference is not None:
        return f"{difference:+.2f}"
    values, part = outcome.claim.about or outcome.claim.costs, outcome.part
    return number(values[part.label], part.label) if values and part else ""


def margin_words(outcome: Outcome) -> str:
    """ "0.2 points": the smallest difference worth claiming."""
    return f"{outcome.claim.margin:g} {unit(shown_metric(outcome))}".rstrip()


def verdict_alone(outcome: Outcome) -> str:
    """Of one reading."""
    judgement = outcome.judgement
    if judgement.verdict == "holds" and judgement.size:
        return f"holds, by {judgement.size} than {margin_words(outcome)}"
    if judgement.verdict == "not judged" and outcome.statement and outcome.statement.excuse:
        return f"not judged: {outcome.statement.excuse}"
    if judgement.verdict != "undecided":
        return judgement.verdict
    later = [look for look in judgement.looks if look > judgement.look]
    if not outcome.decidable:
        return f"open: {plural(judgement.looks[-1], 'seed')} of whole numbers cannot decide it"
    if not later:
        return f"open after {judgement.look} seeds"
    if not judgement.look and judgement.seeds < FEWEST:
        return f"undecided: {plural(judgement.seeds, 'seed')}, judged at {later[0]}"
    return f"undecided: judged next at {later[0]} seeds"


def looks_in_words(outcome: Outcome) -> str:
    """ "5 of 5, 10, 20": the last look taken, of those declared; or the seeds that are there."""
    judgement = outcome.judgement
    if not judgement.looks:
        return str(judgement.seeds)
    declared = outcome.statement is not None and bool(outcome.statement.looks)
    taken = judgement.look or judgement.seeds
    return f"{taken} of {', '.join(map(str, judgement.looks))}" if declared else str(taken)


def p_words(p: float | None) -> str:
    """Never 0; "" where nothing was tested."""
    if p is None or math.isnan(p):
        return ""
    return "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def remarks(outcome: Outcome) -> list[str]:
    """What the numbers leave out or assume, and the worst seed."""
    made = []
    if outcome.failed:
        counted = outcome.statement is not None and not outcome.statement.excuse
        made.append(failed_words(outcome.failed, counted))
    if outcome.lacking:
        made.append(f"{plural(outcome.lacking, 'run')} without the metric left out")
    if outcome.never:
        made.append(f"{never_words(outcome)}: counted as one epoch more than allowed")
    if outcome.apart:
        made.append(f"{plural(outcome.apart, 'seed')} left out: timed on different machines")
    if outcome.mixed:
        made.append(f"of {plural(outcome.mixed, 'seed')} the sides ran on different machines")
    if outcome.aside:
        made.append(f"{plural(outcome.aside, 'seed')} left out: not all that the others average")
    made += outcome.codes
    statement = outcome.statement if outcome.statement and not outcome.statement.exact else None
    if statement and (gaps := counted_seeds(statement)):
        made.append(gaps)
    made += readings_in_words(outcome)
    made += likelihoods(outcome)
    if statement:
        part, metric = statement.weakest, shown_metric(outcome)
        made.append(worst_seed(part, metric))
        made += looks_apart(outcome)
        if (extra := len(part.seeds) - statement.last) > 0:
            do, mean = "seeds do" if extra > 1 else "seed does", number(part.summary().mean, metric)
            made.append(f"{extra} more {do} not count yet: {mean} with all")
    return made + ([outcome.claim.note] if outcome.claim.note else [])


def looks_apart(outcome: Outcome) -> list[str]:
    """Where the looks leave no number together: which one is shown, and what the others gave."""
    statement = outcome.statement
    if statement is None or statement.agree:
        return []
    made = []
    for look in statement.taken:
        if look != statement.shown:
            ends = _possible(outcome, statement.interval([look]))
            mean, metric = statement.weakest.summary(look).mean, shown_metric(outcome)
            made.append(f"{measured(mean, ends, metric, not outcome.claim.values)} at {look}")
    return [f"shown at {statement.shown} seeds, as the looks disagree: {', '.join(made)}"]


def counted_seeds(statement: Statement) -> str:
    """Which seeds were judged, where that is not so many one after the other."""
    seeds = statement.weakest.seeds[: statement.shown]
    gaps = bool(statement.taken) and seeds[-1] - seeds[0] >= len(seeds)
    return f"judged with the seeds {', '.join(map(str, seeds))}" if gaps else ""


def never_words(outcome: Outcome) -> str:
    """Of the time to an accuracy: how many runs never had it; "" where all did."""
    never = outcome.never
    return f"{plural(never, 'run')} of {outcome.runs} never reached it" if never else ""


def labelled(outcome: Outcome, text: str) -> str:
    """With the part that is shown behind it, where a claim may have several."""
    label = outcome.part.label if outcome.part else ""
    return f"{text} ({label})" if label else text


def both_intervals(outcome: Outcome) -> str:
    """The effect with the interval over seeds and beside it that which covers other images, too."""
    wider = wider_words(outcome)
    return effect(outcome) + (f"; on other images, too: {wider}" if wider else "")


def wider_words(outcome: Outcome) -> str:
    """The interval that covers other images, too: "[0.19, 0.53]", or "[0.19, 0.53], by the images
    of 4 seeds" where not all have kept them; "" where there is none.
    """
    wider, statement = outcome.judgement.wider, outcome.statement
    if wider is None or statement is None:
        return ""
    ends = ", ".join(number(end, shown_metric(outcome)) for end in _possible(outcome, wider))
    part = statement.weakest
    known = sum(seed in part.right_seeds for seed in part.seeds[: statement.shown])
    return f"[{ends}]" + f", by the images of {known} seeds" * (known < statement.shown)


def likelihoods(outcome: Outcome) -> list[str]:
    """Of a comparison: how often a run of A is above one of B; of an open one the odds."""
    chance, left = chance_of(outcome), odds_of(outcome)
    made = [f"P(A > B) {chance_words(chance)}"] if chance else []
    if left:
        made.append(
            f"A above B by more than {margin_words(outcome)}: {percent(left.above)}, within: "
            f"{percent(left.within)}, below: {percent(left.below)}"
        )
    return made


def chance_of(outcome: Outcome) -> Chance | None:
    """P(A > B) of the part that is shown; None where there are no two sides, or one seed."""
    statement = outcome.statement
    if statement is None or len(statement.weakest.sides) != 2 or statement.exact:
        return None
    a, b = (values[: statement.shown] for values in statement.weakest.sides)
    return beats(a, b, statement.weakest.paired) if len(a) > 1 else None


def odds_of(outcome: Outcome) -> Odds | None:
    """What is likely where a comparison is undecided."""
    statement = outcome.statement
    if outcome.judgement.verdict != "undecided" or statement is None or not outcome.claim.margin:
        return None
    part = statement.weakest
    if len(part.sides) != 2 or part.whole:
        return None
    return odds(statement.summary, outcome.claim.margin)


def chance_words(chance: Chance) -> str:
    """ "0.94 [0.78, 0.99]"."""
    return f"{chance.p:.2f} [{chance.low:.2f}, {chance.high:.2f}]"


def percent(share: float) -> str:
    """Never 0 or 100 where it is only nearly so."""
    return "<1 %" if share < 0.01 else ">99 %" if share > 0.99 else f"{100 * share:.0f} %"


def high_is_good(metric: str) -> bool:
    """Of an accuracy or a speed, not of a loss or a cost."""
    return (is_share(metric) and not metric.endswith("setback")) or "per_second" in metric


def worst_seed(part: Part, metric: str) -> str:
    """Of every side the seed with the worst number."""
    high = part.good == "high" or (high_is_good(metric) and not part.good)
    words = []
    for numbers in part.sides:
        pairs = list(zip(numbers, part.seeds, strict=True))
        value, seed = min(pairs) if high else max(pairs)
        words.append(f"{number(value, metric)} (seed {seed})")
    return f"worst {' against '.join(words)}"


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what a record or a claim says in it is text, not markup."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_as_text, row))} |" for row in lines)


def _as_text(text: str) -> str:
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(text.replace("|", "/").split("\n")))
