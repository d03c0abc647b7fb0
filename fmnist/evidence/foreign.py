"""Claims about anybody's table of runs: sides are named by columns; the engine is the same.

    adam:
      claim: Adam beats SGD.
      metric: test/acc                 # a column
      margin: 0.2                      # smallest difference worth claiming: points of percent
      where: {model: resnet18}         # columns of all its runs; may be left out
      higher: {optim: adam}
      lower: {optim: sgd}

Comparisons (`higher` and `lower`, `same`, `about`, `at_least`, `at_most`), `looks` and `note` are
those of `fmnist.evidence.claim`; the rules those of `fmnist.evidence.verdict`. Besides there are

    source: whose claims are judged together; default: all of the file
    direction: min        where small is good, as of a loss (default: max); says which seed is worst
    chance: 10            what a failed run counts as; without it, a claim with failed runs gets no
                          verdict
    paired: true          both sides come of one training, as two ways to test one net do

A side selects one run a seed; a list of values asks for the mean over its runs. A run failed when
its state says so, or when it has no number, as one that diverged. Accuracies, F1 and recall in
[0, 1] whose column's name says so ("test/acc") become percent, as everywhere here, and values and
margins are given so: 91.5, and 0.2 for 0.2 points. Of any other column they are in its unit.
"""

import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from fmnist.config.words import near, near_or_all
from fmnist.evidence.claim import Claim, ClaimError, Selection, asked_by_name, is_share
from fmnist.evidence.claim_file import (
    check_percent,
    checked_looks,
    lists_of,
    read_claims,
    read_sides,
)  # fmt: skip
from fmnist.evidence.outcome import Outcome
from fmnist.evidence.parts import said_by
from fmnist.evidence.verdict import Part, Rule, Statement, can_be_decided, judge
from fmnist.runs.foreign_rows import ForeignRun, as_in_table
from fmnist.runs.plain import decode, shorten

Term = Mapping[str, str]
Picked = dict[int, ForeignRun]  # by seed
COLUMNS = "columns with their values: {optim: adam}"
VALUES = ("about", "at_least", "at_most")
SHOWN = 3  # columns named in a message
SHARE = 0.05  # points: whoever gives less means a share, 0.02 for 2 points


@dataclass(frozen=True)
class ForeignClaim:
    """A claim and how its columns are read; the module's docstring says what the fields are."""

    claim: Claim
    small_is_good: bool = False
    chance: float | None = None
    paired: bool = False


@dataclass(frozen=True)
class Asked:
    """A claim of the file, as it stands there."""

    claim: str
    source: str = ""
    metric: str = ""
    margin: float = 0.0
    where: dict[str, Any] = field(default_factory=dict)
    higher: Any = None
    lower: Any = None
    same: Any = None
    about: dict[str, float] = field(default_factory=dict)
    at_least: dict[str, float] = field(default_factory=dict)
    at_most: dict[str, float] = field(default_factory=dict)
    looks: list[int] = field(default_factory=list)
    note: str = ""
    direction: Literal["max", "min"] = "max"
    chance: float | None = None
    paired: bool = False


KEYS = {item.name for item in fields(Asked)}


def load_foreign(path: Path) -> list[ForeignClaim]:
    """The claims of a file.

    Raises:
        ClaimError: naming the file, the claim, the key and what would be right.
    """
    return read_claims(path, KEYS, lambda name, content: _claim(name, content, path.stem))


def _claim(name: str, content: dict[str, Any], source: str) -> ForeignClaim:
    for key in content:
        if key not in KEYS:
            raise ClaimError(f"{key}: no such key{near(key, KEYS)}")
    asked: Asked = decode(Asked, content)
    given = [key for key in ("higher", "same", *VALUES) if key in content]
    if len(given) != 1 or ("higher" in content) != ("lower" in content):
        raise ClaimError("should have one comparison: higher and lower, same, about, at_least or "
                         "at_most")  # fmt: skip
    if not asked.metric and given[0] not in VALUES:
        raise ClaimError("metric: is missing: the column that is compared")
    if given[0] in ("higher", "same", "about") and "margin" not in content:
        raise ClaimError("margin: is missing: the smallest difference worth claiming")
    if not 0 <= asked.margin < math.inf:
        raise ClaimError(f"margin: {asked.margin:g}: should be 0 or more")
    values = [(key, *item) for key in VALUES for item in getattr(asked, key).items()]
    for key, metric, value in values:
        check_percent(key, metric, value)
    shares = [name for name in (asked.metric, *(item[1] for item in values)) if is_share(name)]
    if shares and 0 < asked.margin < SHARE:
        raise ClaimError(
            f"margin: {asked.margin:g}: of {shares[0]} should be in points of percent, "
            f"{SHARE:g} or more: {100 * asked.margin:g} for {asked.margin:g}"
        )
    sides = read_sides(content, _selection, COLUMNS)
    claim = Claim(
        name, " ".join(asked.claim.split()), asked.source or source, sweep="",
        where=_selection("where", asked.where), metric=asked.metric, margin=asked.margin,
        about=asked.about, at_least=asked.at_least, at_most=asked.at_most,
        looks=checked_looks(asked.looks), note=asked.note,
        higher=sides["higher"], lower=sides["lower"], same=sides["same"],
    )  # fmt: skip
    return ForeignClaim(claim, asked.direction == "min", asked.chance, asked.paired)


def _selection(key: str, node: Any) -> Selection:
    lists = lists_of(key, node, COLUMNS)
    return {name: tuple(map(as_in_table, map(str, values))) for name, values in lists.items()}


def evaluate_foreign(
    claims: Sequence[ForeignClaim], runs: Sequence[ForeignRun], only: Sequence[str] = ()
) -> list[Outcome]:
    """What a table says of claims.

    Args:
        claims: all of a file: they count, whichever are asked.
        runs: of `read_foreign`.
        only: names of those that are asked; all of them when none are given.

    Raises:
        ClaimError: a column is not there, a side has several runs of a seed, or there is no claim
            of that name.
        RunError: a metric's column holds text.
    """
    family = Counter(item.claim.source for item in claims)
    names = asked_by_name((item.claim for item in claims), only)
    asked = [item for item in claims if item.claim.name in names]
    return [_outcome(item, runs, family[item.claim.source]) for item in asked]


def _outcome(asked: ForeignClaim, runs: Sequence[ForeignRun], family: int) -> Outcome:
    claim = asked.claim
    columns = runs[0].columns if runs else {}
    for name in [*(key for side in claim.selections for key in side), *claim.metrics]:
        if name not in columns:
            raise ClaimError(f"{claim.name}: {name}: no such column{near_or_all(name, columns)}")
    sides = {str(side): _picked(claim, side, runs) for side in claim.selections}
    picked = {run.line: run for terms in sides.values() for term in terms for run in term.values()}
    failed = {line for line, run in picked.items() if _failed(run, claim.metrics)}
    chance = asked.chance if claim.higher else None
    excuse = f"{len(failed)} of its runs failed" if failed and chance is None else ""
    notes, parts = [claim.note], list[Part]()
    for rule, selections, metric, label, value in said_by(claim):
        chosen = [sides[str(claim.where | selection)] for selection in selections]
        values, lacking = _by_seed(chosen, metric, failed, chance)
        notes += [_only_one_side(lacking), _confounded(selections, chosen)]
        if values:
            parts.append(_part(asked, rule, values, metric, label, value))
            notes.append(_wide_margin(claim, metric, values))
    whole = any(part.whole for part in parts)
    if whole and (asked.paired or not claim.higher):
        excuse = excuse or "whole numbers"
    note = "; ".join(dict.fromkeys(filter(None, notes)))
    statement = None
    if parts and len(parts) == len(said_by(claim)):
        statement = Statement(tuple(parts), claim.looks, family, excuse)
    elif picked:
        note = note or "no seed has all its sides"
    else:
        note = "no run has the values of its columns"
    return Outcome(
        replace(claim, note=note), judge(statement), statement, runs=len(picked) - len(failed),
        failed=len(failed), decidable=can_be_decided(whole, claim.looks, family), note=note,
    )  # fmt: skip


def _picked(claim: Claim, side: Selection, runs: Iterable[ForeignRun]) -> list[Picked]:
    """The runs of every combination of the side's values; of a seed a finished before a failed one.

    Raises:
        ClaimError: two finished runs of a seed, or a seed that is no whole number.
    """
    terms = []
    for values in product(*side.values()):
        wanted = dict(zip(side, values, strict=True))
        term: Picked = {}
        for run in runs:
            if any(run.columns[key] != value for key, value in wanted.items()):
                continue
            if not re.fullmatch(r"-?\d+", run.seed):
                raise ClaimError(f"line {run.line}: seed {shorten(run.seed)}: is no whole number")
            other = term.get(int(run.seed), run)
            if other is not run and other.finished and run.finished:
                raise ClaimError(f"{claim.name}: {_twice(side, wanted, other, run)}")
            term[int(run.seed)] = run if run.finished or not other.finished else other
        terms.append(term)
    return terms


def _twice(side: Selection, wanted: Term, one: ForeignRun, other: ForeignRun) -> str:
    words = " ".join(f"{key}={value}" for key, value in wanted.items()) or "the whole table"
    differ = [key for key, value in one.columns.items() if other.columns[key] != value]
    texts = [key for key in differ if key not in side]
    return (
        f"{words}: lines {one.line} and {other.line} are both of seed {one.seed}; name in where "
        f"what tells them apart: {', '.join(texts[:SHOWN]) or 'nothing does'}"
    )


def _failed(run: ForeignRun, metrics: Iterable[str]) -> bool:
    return not run.finished or any(run.number(metric) is None for metric in metrics)


def _by_seed(
    sides: Sequence[Sequence[Picked]], metric: str, failed: Container[int], chance: float | None
) -> tuple[dict[int, list[float]], list[int]]:
    """By seed the number of every side, and the seeds that one side lacks."""
    terms = [term for side in sides for term in side]
    numbers = {
        run.line: run.number(metric) for term in terms for run in term.values()
        if run.line not in failed
    }  # fmt: skip
    scale = 100.0 if is_share(metric) and all(0 <= (x or 0) <= 1 for x in numbers.values()) else 1.0
    known = {line: scale * x for line, x in numbers.items() if x is not None}

    def value(run: ForeignRun) -> float | None:
        return chance if run.line in failed else known[run.line]

    every = sorted(set().union(*terms))
    found: dict[int, list[float]] = {}
    for seed in every:
        means = [[value(term[seed]) if seed in term else None for term in side] for side in sides]
        whole = [[x for x in side if x is not None] for side in means]
        if all(len(a) == len(b) for a, b in zip(means, whole, strict=True)):
            found[seed] = [sum(side) / len(side) for side in whole]
    return found, [seed for seed in every if seed not in found]


def _part(
    asked: ForeignClaim, rule: Rule, values: Mapping[int, Sequence[float]], metric: str, label: str,
    value: float,
) -> Part:  # fmt: skip
    flat = [x for numbers in values.values() for x in numbers]
    return Part(
        label,
        rule,
        tuple(zip(*values.values(), strict=True)),
        tuple(values),
        asked.claim.margin,
        value,
        paired=asked.paired,
        whole=not is_share(metric) and all(x.is_integer() for x in flat),
        good="low" if asked.small_is_good else "high",
    )


def _only_one_side(seeds: Sequence[int]) -> str:
    return f"seed {', '.join(map(str, seeds))} left out: not on every side" if seeds else ""


def _wide_margin(claim: Claim, metric: str, values: Mapping[int, Sequence[float]]) -> str:
    """Of shares in [0, 1] whose column's name does not say so, 0.2 is 20 points."""
    flat = [x for numbers in values.values() for x in numbers]
    if claim.margin <= max(flat) - min(flat) or min(flat) == max(flat):
        return ""
    return (
        f"the margin {claim.margin:g} is more than {metric} varies at all, from {min(flat):g} to "
        f"{max(flat):g}: is it in the unit of the column?"
    )


def _confounded(selections: Sequence[Selection], sides: Sequence[Sequence[Picked]]) -> str:
    """Columns beside those compared that are constant on each side and differ between them."""
    if len(sides) != 2:
        return ""
    a, b = ([run for term in side for run in term.values()] for side in sides)
    if min(len(a), len(b)) < 2:
        return ""
    said = []
    for key in a[0].columns:
        here, there = ({run.columns[key] for run in runs} for runs in (a, b))
        if len(here) == len(there) == 1 and here != there and not any(key in s for s in selections):
            said.append(f"{key} ({here.pop()} against {there.pop()})")
    return f"its sides differ also in {', '.join(said[:SHOWN])}" if said else ""
