"""What runs say of claims: the numbers of each, and all of them judged together.

What a claim is: `fmnist.evidence.claim`; which runs count and how they are compared:
`fmnist.evidence.matching`; when it holds: `fmnist.evidence.verdict`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fmnist.config.words import near
from fmnist.evidence.claim import CLAIMS_DIR, EXACT, Claim, ClaimError, is_share, load_claims
from fmnist.evidence.effects import RESOLUTION, contrast
from fmnist.evidence.matching import Side, misses, per_seed, select, side, unknown_settings
from fmnist.evidence.verdict import Judgement, Part, Statement, judge
from fmnist.runs.rows import INFERENCE, Row, newest, rows_of
from fmnist.runs.run import Run


@dataclass(frozen=True)
class Outcome:
    """A claim and what the runs say of it.

    Args:
        runs: finished runs that its sides select.
        failed: runs that they select and that failed: what they would have said is missing.
        lacking: finished runs whose row lacks the metric, such as one of an older CSV file.
        never: finished runs that never came to the accuracy that the metric is the time to.
        leaking: finished runs whose epoch the test images chose.
        statement: None when there was nothing to measure.
        note: why there was nothing, when that needs saying.
    """

    claim: Claim
    judgement: Judgement
    statement: Statement | None = None
    runs: int = 0
    failed: int = 0
    lacking: int = 0
    never: int = 0
    leaking: int = 0
    note: str = ""

    @property
    def part(self) -> Part | None:
        """The part that the table shows: the one that speaks least for the claim."""
        return self.statement.weakest if self.statement else None


def evaluate_claims(runs: Iterable[Run], claims: Sequence[Claim] | None = None) -> list[Outcome]:
    """What runs say of claims; of all that come with the project when none are given.

    Raises:
        ClaimError: see `load_claims`.
    """
    return evaluate(load_claims(CLAIMS_DIR) if claims is None else claims, rows_of(runs))


def evaluate(claims: Sequence[Claim], rows: Iterable[Row]) -> list[Outcome]:
    """What rows say of claims, all of them asked together.

    Raises:
        ClaimError: a claim names an experiment or a setting that does not compose.
    """
    rows = newest(rows)
    outcomes = [_measure(claim, rows) for claim in claims]
    judged = iter(judge([o.statement for o in outcomes if not o.claim.costs]))
    return [
        replace(o, judgement=Judgement("not judged") if o.claim.costs else next(judged))
        for o in outcomes
    ]


def _measure(claim: Claim, rows: Sequence[Row]) -> Outcome:
    """The claim with its statement, not yet judged."""
    sides = [side(selection, claim.metric) for selection in claim.selections]
    chosen = select(rows, sides)
    finished = [row for row in chosen if row.finished]
    lacking, never = (
        [row for row in finished if any(test(row, name) for name in claim.metrics)]
        for test in (_lacks, _never)
    )
    note = _why_not(claim, rows, sides) if rows and not chosen else ""
    if finished and len(lacking) == len(finished):
        option = " with --latency" if INFERENCE in claim.metrics else ""
        names = ", ".join(claim.metrics)
        note = f"its runs lack {names}: collect their directories again{option}"
    elif finished and len(never) == len(finished):  # nothing is known of any side but a bound
        note = "none of its runs came so far"
    return Outcome(
        claim,
        Judgement("not measured"),
        None if note else _statement(claim, finished),
        runs=len(finished),
        failed=len(chosen) - len(finished),
        lacking=len(lacking),
        never=len(never),
        leaking=sum(row.leaks for row in finished),
        note=note,
    )


def _lacks(row: Row, metric: str) -> bool:
    """A metric of classes is there with any class."""
    return not any(name == metric or name.startswith(f"{metric}/") for name in row.metrics)


def _never(row: Row, metric: str) -> bool:
    """Whether it is the time to an accuracy that the run did not reach in the epochs it trained."""
    epochs = row.metrics.get(f"epochs_to/{metric.partition('_to/')[2]}")
    return epochs is not None and epochs > row.metrics["epochs"]


def _why_not(claim: Claim, rows: Sequence[Row], sides: Sequence[Side]) -> str:
    """Why no run counts, where a user would not expect that; else ""."""
    if unknown := unknown_settings(rows, sides):
        known = {key for row in rows for key in row.settings}
        return f"no run has a setting {unknown[0]}{near(unknown[0], known)}"
    study = [row for row in rows if claim.sweep.split()[0] == f"ablation={row.facts['study']}"]
    terms = [term for item in sides for term in item.terms]
    wrong = [(term, misses(row, term)) for row in study for term in terms]
    # Runs of another level say nothing; those that have the claim's own settings do.
    near_misses = [keys for term, keys in wrong if not set(keys) & set(term)]
    least = min(near_misses, key=len, default=[])
    return f"the runs of its sweep differ in {', '.join(least)}" if least else ""


def _statement(claim: Claim, rows: Sequence[Row]) -> Statement | None:
    if claim.higher:
        pairs = [(a, b) for a in claim.higher for b in claim.lower]
        parts = [_difference(claim, rows, *pair, named=len(pairs) > 1) for pair in pairs]
    elif claim.same:
        part = _difference(claim, rows, *claim.same, named=False)
        parts = _within(part, 0.0, claim.margin) if part else [None]
    elif claim.values:
        parts = [part for metric in claim.values for part in _value(claim, rows, metric)]
    else:
        parts = _classes(claim, rows)
    measured = [part for part in parts if part is not None]
    if not measured or len(measured) < len(parts):
        return None
    halves = 2 if claim.same or claim.about else 1  # of which one can be false at a time
    return Statement(tuple(measured), len(measured) // halves)


def _within(part: Part, center: float, margin: float) -> list[Part | None]:
    return [
        replace(part, threshold=center - margin),
        replace(part, threshold=center + margin, above=False),
    ]


def _difference(
    claim: Claim, rows: Sequence[Row], a: dict[str, tuple[str, ...]],
    b: dict[str, tuple[str, ...]], *, named: bool,
) -> Part | None:  # fmt: skip
    sides = [side(claim.where | selection, claim.metric) for selection in (a, b)]
    label = f"{_in_words(a)} - {_in_words(b)}" if named else ""
    return _part(rows, sides, label, claim.margin)


def _in_words(selection: dict[str, tuple[str, ...]]) -> str:
    return " ".join("|".join(values) for values in selection.values())


def _value(claim: Claim, rows: Sequence[Row], metric: str) -> list[Part | None]:
    value = claim.values[metric]
    part = _part(rows, [side(claim.where, metric)], metric, value)
    if part is None or claim.at_least:
        return [part]
    return _within(part, value, claim.margin) if claim.about else [replace(part, above=False)]


def _classes(claim: Claim, rows: Sequence[Row]) -> list[Part | None]:
    """Every named class above (below) every other one.

    Raises:
        ClaimError: the data set has no such class.
    """
    prefix = f"{claim.metric}/"
    names = dict.fromkeys(
        name.removeprefix(prefix) for row in rows for name in row.metrics if name.startswith(prefix)
    )
    named, best = claim.best_classes or claim.worst_classes, bool(claim.best_classes)
    if not names:
        return [None]
    for name in named:
        if name not in names:
            raise ClaimError(f"{claim.name}: {name}: no such class{near(name, names)}")
    parts = []
    for name in named:
        for rest in [rest for rest in names if rest not in named]:
            first, second = (name, rest) if best else (rest, name)
            sides = [side(claim.where, prefix + item) for item in (first, second)]
            parts.append(_part(rows, sides, f"{first} - {second}", claim.margin))
    return parts


def _part(rows: Sequence[Row], sides: Sequence[Side], label: str, threshold: float) -> Part | None:
    metric = sides[0].metric
    scale = 100.0 if is_share(metric) else 1.0
    values = {s: [scale * x for x in v] for s, v in per_seed(rows, sides).items()}
    if not values:
        return None
    signs = (1, -1)[: len(sides)]
    return Part(label, contrast(values, signs, _resolution(metric), metric in EXACT), threshold)


def _resolution(metric: str) -> float:
    """Of one run's number: an epoch, or one image of 10,000; seconds have none."""
    if metric.startswith("epochs_to/"):
        return 1.0
    return RESOLUTION if is_share(metric) else 0.0


def published_difference(claim: Claim, claims: Iterable[Claim]) -> float | None:
    """What the sources' own numbers say of a claim A > B: those of the claims about its sides."""
    if len(claim.higher) != 1 or len(claim.lower) != 1:
        return None
    values = {_key(c.where, metric): v for c in claims for metric, v in c.about.items()}
    sides = (claim.where | claim.higher[0], claim.where | claim.lower[0])
    found = [values.get(_key(selection, claim.metric)) for selection in sides]
    return found[0] - found[1] if found[0] is not None and found[1] is not None else None


def _key(selection: dict[str, tuple[str, ...]], metric: str) -> tuple[object, ...]:
    return (*sorted(selection.items()), metric)
