"""What runs say of claims: the numbers of each, and the verdict.

What a claim is: `fmnist.evidence.claim`; which runs count and how they are compared:
`fmnist.evidence.matching`; when it holds: `fmnist.evidence.verdict`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from fmnist.config.readings import key_of
from fmnist.config.words import near, near_or_all
from fmnist.evidence.claim import EXACT, Claim, asked_by_name
from fmnist.evidence.claim_file import BY_CLASS, looks_of, project_claims
from fmnist.evidence.failed import at_chance, excuse
from fmnist.evidence.matching import (
    WHOLE,
    Side,
    compared,
    matches,
    misses,
    others,
    per_seed,
    same_machine,
    select,
    side,
    units_of,
    unknown_settings,
    wanted_of,
)  # fmt: skip
from fmnist.evidence.parts import counts_whole, parts_of
from fmnist.evidence.readings import experiments, name_of, under_readings
from fmnist.evidence.study import as_in_rows, axes, first_seed, is_ablation
from fmnist.evidence.verdict import Judgement, Part, Statement, can_be_decided, judge
from fmnist.runs.own_code import versions_in_words
from fmnist.runs.rows import (
    INFERENCE,
    Row,
    is_duration,
    is_value,
    measurements,
    newest,
    value_of,
)  # fmt: skip
from fmnist.runs.run import Run
from fmnist.runs.same_data import data_in_words


@dataclass(frozen=True)
class Outcome:
    """A claim and what the runs say of it.

    Args:
        runs: finished runs that its sides select.
        failed: runs that they select and that failed.
        lacking: finished runs whose row lacks the metric, such as one of an older CSV file.
        never: finished runs that never came to the accuracy that the metric is the time to.
        leaking: finished runs whose epoch the test images chose.
        decidable: whether any numbers could decide it at its looks.
        apart: seeds left out as the machines differ whose seconds would be compared.
        mixed: seeds that are paired though their sides, of one training elsewhere, ran on two kinds
            of machine or with two versions of torch, which round otherwise.
        statement: None when there was nothing to measure.
        aside: seeds that have every side, and are left out as their settings are not those of the
            others; see `fmnist.evidence.matching`.
        codes: what of its runs' own code and data is not the same in all of them, in words.
        note: why there was nothing, when that needs saying.
        reading: of what the source left open, in words; "" where nothing is listed.
        readings: this claim under each of them, ours first, which this outcome shows; none where
            there is none but ours.
        holds_under: the reading under which a value holds.
    """

    claim: Claim
    judgement: Judgement
    statement: Statement | None = None
    runs: int = 0
    failed: int = 0
    lacking: int = 0
    never: int = 0
    leaking: int = 0
    decidable: bool = True
    apart: int = 0
    mixed: int = 0
    aside: int = 0
    codes: tuple[str, ...] = ()
    note: str = ""
    reading: str = ""
    readings: "tuple[Outcome, ...]" = ()
    holds_under: "Outcome | None" = None

    @property
    def part(self) -> Part | None:
        """The part that the table shows: the one that speaks least for the claim."""
        return self.statement.weakest if self.statement else None

    @property
    def none_came_so_far(self) -> bool:
        """Whether no run ever came to the accuracy that the metric is the time to."""
        return 0 < self.runs == self.never

    @property
    def waiting(self) -> "tuple[Outcome, ...]":
        """What leaves it open: of a value's readings those under which it is not refuted."""
        under = self.readings if self.claim.about else ()
        return tuple(i for i in under if i.judgement.verdict != "does not hold") or (self,)

    @property
    def stays_open(self) -> bool:
        """Whether it is undecided after the last of the looks that were declared."""
        judged = [item.judgement for item in self.waiting]
        last = all(one.look in one.looks[-1:] for one in judged)
        return self.judgement.verdict == "undecided" and last


def evaluate_claims(runs: Iterable[Run]) -> list[Outcome]:
    """What runs say of the claims that come with the project.

    Raises:
        ClaimError: see `project_claims`.
    """
    return evaluate(project_claims(), measurements(runs))


def evaluate(
    claims: Sequence[Claim], rows: Iterable[Row], only: Sequence[str] = ()
) -> list[Outcome]:
    """What rows say of claims.

    Args:
        claims: all of a folder: they count, whichever are asked.
        rows: of any runs.
        only: names of those that are asked; all of them when none are given.

    Raises:
        ClaimError: a claim names an experiment or a setting that does not compose, or there is no
            claim of that name.
    """
    rows, sizes = list(rows), family_sizes(claims)
    names = asked_by_name(claims, only)
    asked = [claim for claim in claims if claim.name in names]
    own = {
        (study, timed): newest(rows, study, timed=timed)
        for study, timed in set(map(counting, asked))
    }
    return [_outcome(claim, own[counting(claim)], sizes[claim.source]) for claim in asked]


def counting(claim: Claim) -> tuple[str, bool]:
    """Which rows of equal settings count for it, see `newest`: study, and whether seconds matter.

    What another study has run again changes no verdict: a claim's own study counts first.
    """
    return claim.study, any(map(is_duration, claim.metrics))


def family_sizes(claims: Iterable[Claim]) -> Counter[str]:
    """How many claims of each source seeds decide: those given, and those of the project."""
    known = {(c.source, c.name): c for c in [*project_claims(), *claims]}
    return Counter(c.source for c in known.values() if not c.costs and not is_exact(c))


def is_exact(claim: Claim) -> bool:
    """Whether it is about numbers that no seed changes."""
    return set(claim.metrics) <= set(EXACT)


def _outcome(claim: Claim, rows: Sequence[Row], family: int) -> Outcome:
    """Under all readings of the claim's source."""
    asked = [] if claim.costs or is_exact(claim) else under_readings(claim)
    if not asked:
        return _under_one(claim, rows, family)
    first, count = first_seed(experiments(claim)), len(asked) if claim.about else 1
    counted = [row for row in rows if row.seed >= first]
    under = [
        replace(_under_one(read, counted, family, count), reading=name_of(reading))
        for reading, read in asked
    ]
    ours, verdicts = under[0], {item.judgement.verdict for item in under}
    if not claim.about:  # our reading's verdict is the claim's
        return replace(ours, readings=tuple(under))
    holding = [item for item in under if item.judgement.verdict == "holds"]
    if holding:
        best = min(holding, key=lambda item: item.judgement.p or 0.0)
        shown = ours if ours.statement else best
        judgement = replace(shown.judgement, verdict="holds", p=best.judgement.p)
        return replace(
            shown, claim=claim, judgement=judgement, reading=ours.reading, readings=tuple(under),
            holds_under=best,
        )  # fmt: skip
    judgement = ours.judgement
    if verdicts == {"does not hold"}:
        judgement = replace(judgement, p=max(item.judgement.p or 0.0 for item in under))
    elif judgement.verdict == "does not hold":
        judgement = replace(judgement, verdict="undecided", p=None)  # of all readings: unknown
    return replace(ours, judgement=judgement, readings=tuple(under))


def _under_one(claim: Claim, rows: Sequence[Row], family: int, readings: int = 1) -> Outcome:
    sides = [side(selection, claim.metric) for selection in claim.selections]
    chosen = _of_its_settings(select(rows, sides), claim.study, sides)
    finished = [row for row in chosen if row.finished]
    failed = [row for row in chosen if not row.finished]
    lacking, never = (
        [row for row in finished if any(test(row, name) for name in claim.metrics)]
        for test in (_lacks, _never)
    )
    note = _why_not(claim, rows, sides) if rows and not chosen else ""
    if finished and len(lacking) == len(finished):
        option = " with --latency" if INFERENCE in claim.metrics else ""
        names = ", ".join(claim.metrics)
        note = _no_class(claim, finished) or (
            f"its runs lack {names}: collect their directories again{option}"
        )
    elif finished and len(never) == len(finished):  # nothing is known of any side but a bound
        note = "none of its runs came so far"
    why = excuse(failed, claim.metric, higher=bool(claim.higher)) or _no_verdict(claim)
    counted = finished if why else [at_chance(row, claim.metric) for row in chosen]
    parts = [] if note else parts_of(claim, counted)
    looks = looks_of(claim)
    statement = Statement(tuple(parts), looks, max(1, family), why, readings) if parts else None
    if finished and not parts and not note:
        note = _unmatched(claim, finished, sides) or _mistyped(claim, rows, sides)
    return Outcome(
        claim,
        Judgement("not judged", seeds=statement.seeds)
        if claim.costs and statement
        else judge(statement),
        statement,
        runs=len(finished),
        failed=len(failed),
        lacking=len(lacking),
        never=len(never),
        leaking=sum(row.leaks for row in finished),
        decidable=can_be_decided(any(map(counts_whole, claim.metrics)), looks, family),
        apart=_apart(counted, sides, parts),
        mixed=_mixed(counted, sides, parts),
        aside=_aside(claim, counted, parts),
        codes=(
            *versions_in_words(row.code for row in finished),
            *data_in_words((row.settings, row.data) for row in finished),
        ),
        note=note,
    )


def _of_its_settings(rows: list[Row], study: str, sides: Sequence[Side]) -> list[Row]:
    """Those whose settings the claim's own study has, where it has every side.

    What somebody has run with another setting is no part of it: no verdict depends on the folder.
    """
    own = [row for row in rows if row.facts["study"] == study]
    terms = [term for item in sides for term in item.terms]
    if not all(any(matches(row, term) for row in own) for term in terms):
        return rows
    settings = {row.did for row in own}
    return [row for row in rows if row.did in settings]


def _no_verdict(claim: Claim) -> str:
    """Why the rules give none, whatever the numbers are; else ""."""
    if any(map(counts_whole, claim.metrics)) and not claim.higher:
        return "whole numbers"
    return ""


def _lacks(row: Row, metric: str) -> bool:
    """A metric of classes is there with any class."""
    return not any(name == metric or name.startswith(f"{metric}/") for name in row.metrics)


def _no_class(claim: Claim, rows: Sequence[Row]) -> str:
    """Which class of a metric of single classes no run has, though it has others; else ""."""
    for kind, metric in product(BY_CLASS, claim.metrics):
        names = [name for row in rows for name in row.metrics if name.startswith(f"{kind}/")]
        if names and metric.startswith(f"{kind}/") and metric not in names:
            asked, *others = (name.removeprefix(f"{kind}/") for name in (metric, *names))
            return f"no run has a class {asked}{near_or_all(asked, {*others})}"
    return ""


def _never(row: Row, metric: str) -> bool:
    """Whether it is the time to an accuracy that the run did not reach in the epochs it trained."""
    epochs = row.metrics.get(f"epochs_to/{metric.partition('_to/')[2]}")
    return epochs is not None and epochs > row.metrics["epochs"]


def _why_not(claim: Claim, rows: Sequence[Row], sides: Sequence[Side]) -> str:
    """Why no run counts, where a user would not expect that; else ""."""
    study = [row for row in rows if row.facts["study"] == claim.study]
    # Runs of other studies than the claim's may well lack it: it is not measured, and no more.
    elsewhere = claim.sweep.startswith(("ablation=", "experiment=")) and not study
    if not elsewhere and (unknown := unknown_settings(rows, sides)):
        known = {key for row in rows for key in row.settings}
        return f"no run has a setting {unknown[0]}{near(unknown[0], known)}"
    terms = [term for item in sides for term in item.terms]
    wrong = [(row, term, misses(row, term)) for row in study for term in terms]
    # Runs of another level say nothing; those that have the claim's own settings do.
    near_misses = [item for item in wrong if item[2] and not set(item[2]) & set(item[1])]
    if not near_misses:
        return _mistyped(claim, rows, sides)
    row, term, keys = min(near_misses, key=lambda item: len(item[2]))
    has, wanted = WHOLE | row.settings, WHOLE | wanted_of(term)
    said = [f"{k}={has.get(k, 'null')}, not {wanted.get(k, 'null')}" for k in sorted(keys)]
    # A sweep may be of other data than those that the claim's settings compose to.
    named = ", or name these in its where" if set(keys) <= set(WHOLE) else ""
    return f"the runs of its sweep have {'; '.join(said)}: run {claim.sweep} without changes{named}"


def _mistyped(claim: Claim, rows: Sequence[Row], sides: Sequence[Side]) -> str:
    """A value that a side asks for and neither a run of its study nor its file has; else ""."""
    study = [row for row in rows if row.facts["study"] == claim.study]
    factors = axes(claim.study) if is_ablation(claim.study) else {}
    levels = {key_of(key): list(map(as_in_rows, texts)) for key, texts in factors.items()}
    asked = dict.fromkeys(pair for item in sides for term in item.terms for pair in term.items())
    for key, value in asked:
        has = {text for row in study if (text := value_of(row.settings, key)) is not None}
        # Half a sweep may lack a level, and what an option that it varies sets besides.
        later = levels.get(key, [] if all(map(is_value, factors)) else [value])
        if key != "experiment" and has and value not in {*has, *later}:
            return f"no run of its sweep has {key}={value}{near_or_all(value, {*has, *later})}"
    return ""


def _unmatched(claim: Claim, rows: Sequence[Row], sides: Sequence[Side]) -> str:
    """Why no run of one side is compared with one of another; "" where a side has no run at all."""
    free = compared(sides)
    runs = [[row for row in rows if any(matches(row, t) for t in item.terms)] for item in sides]
    pairs = [pair for some in combinations(runs, 2) for pair in product(*some)]
    if not pairs or not all(runs):
        return ""
    differing = [
        {
            key: values
            for key, *values in _pairs_of_values(*(dict(others(row, free)) for row in pair))
        }
        | ({"seed": [str(row.seed) for row in pair]} if pair[0].seed != pair[1].seed else {})
        for pair in pairs
    ]
    least = min(differing, key=len)
    if not least:  # alike, but not all that the claim averages is there
        return ""
    said = [f"{key}={' and '.join(values)}" for key, values in sorted(least.items())]
    return f"no runs of its sides are alike: {'; '.join(said)}; run {claim.sweep} without changes"


def _pairs_of_values(a: dict[str, str], b: dict[str, str]) -> list[tuple[str, str, str]]:
    """(setting, value here, value there) where they differ."""
    keys = sorted(a.keys() | b.keys())
    return [(k, a.get(k, "none"), b.get(k, "none")) for k in keys if a.get(k) != b.get(k)]


def _apart(rows: Sequence[Row], sides: Sequence[Side], parts: Sequence[Part]) -> int:
    """How many seeds would be compared if it did not matter which machine took the time."""
    if not parts or not same_machine(sides):
        return 0
    return len(per_seed(rows, sides, facts=())) - len(parts[0].seeds)


def _mixed(rows: Sequence[Row], sides: Sequence[Side], parts: Sequence[Part]) -> int:
    """Of how many seeds two machines made the sides of a pair."""
    if not parts or len(sides) != 2 or not parts[0].paired:
        return 0
    return len(parts[0].seeds) - len(per_seed(rows, sides, facts=("device", "torch")))


def _aside(claim: Claim, rows: Sequence[Row], parts: Sequence[Part]) -> int:
    """How many seeds have every side, in other settings than those of the seeds that count."""
    if not parts:
        return 0
    sides = [side(selection, claim.metrics[0]) for selection in claim.selections]
    return len(set(units_of(rows, sides)) - set(parts[0].seeds))


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
