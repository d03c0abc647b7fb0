"""What brings the claims of studies to their next looks: which cells, and what they cost.

A claim is judged at the looks that its study declares, never between (`fmnist.evidence.verdict`).
So a step is one whole look of one claim: all the seeds that it lacks for it, of the levels that it
asks. A published value whose source left settings open is decided by the sweep that runs its
readings, and by no other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from fmnist.config.readings import OURS, Reading, key_of, words
from fmnist.config.words import near
from fmnist.errors import ConfigError
from fmnist.evidence.claim import Claim
from fmnist.evidence.claim_file import looks_of
from fmnist.evidence.matching import MACHINE, settings_of, side
from fmnist.evidence.outcome import Outcome, is_exact
from fmnist.evidence.readings import (
    experiments,
    name_of,
    readings_of,
    runs_readings,
    under_readings,
)
from fmnist.evidence.statistics import FEWEST
from fmnist.evidence.study import ablations, axes, first_seed_of, sweep_of_readings
from fmnist.runs.rows import Row, canonical
from fmnist.sweeps.estimate import Estimate, alike, estimate
from fmnist.sweeps.names import counts


@dataclass(frozen=True)
class Step:
    """One look of one claim.

    Args:
        outcome: of the claim, as it stands.
        look: the seeds that it then has.
        overrides: of `fmnist.train`, which runs what is missing.
        cells: (settings, seed) of what is not at hand, in no order.
    """

    outcome: Outcome
    look: int
    overrides: tuple[str, ...]
    cells: tuple[tuple[Mapping[str, str], int], ...]

    def cost(self, rows: Sequence[Row]) -> Estimate:
        return estimate((settings for settings, _ in self.cells), rows)


def check_studies(studies: Iterable[str], extra: Iterable[str]) -> None:
    """Refuse what is no study, and settings with which runs would be none of its claims.

    Raises:
        ConfigError: naming it.
    """
    known = ablations()
    for study in studies:
        if study not in known:
            raise ConfigError(f"{study}: no such study{near(study, known)}")
    for text in extra:
        if counts(text) and key_of(text) not in (*MACHINE, "trainer"):
            said = (
                "the claims' runs have their own settings; here goes what changes no result, such "
            )
            raise ConfigError(f"{text}: {said}as hydra/launcher=joblib or logger=none")


def claims_of(study: str, claims: Iterable[Claim]) -> list[Claim]:
    """The claims that seeds of this study decide."""
    return [
        claim
        for claim in claims
        if not claim.costs
        if (
            sweep_of_readings(experiments(claim)[0]) == study
            if is_read(claim)
            else claim.study == study
        )
    ]


def is_read(claim: Claim) -> bool:
    """Whether it is a published value that is asked under several readings."""
    return bool(claim.about and under_readings(claim) and sweep_of_readings(experiments(claim)[0]))


def next_look(outcome: Outcome) -> int | None:
    """At how many seeds an undecided claim is judged next; None: it is decided, or at the cap."""
    if outcome.judgement.verdict not in ("undecided", "not measured"):
        return None
    if is_exact(outcome.claim):
        return 1
    looks = looks_of(outcome.claim) or (FEWEST,)
    taken = min(item.judgement.look for item in _waiting(outcome))
    return next((look for look in looks if look > taken), None)


def step_to(outcome: Outcome, study: str, look: int, rows: Sequence[Row]) -> Step:
    """What a claim lacks until it has so many seeds, under the readings that leave it open."""
    under = _waiting(outcome)
    present = set.intersection(*map(_seeds, under))
    first = first_seed_of(study)
    lacking = [seed for seed in range(first, first + look) if seed not in present]
    own = outcome.claim.sweep.split()[1:] if not is_read(outcome.claim) else []
    levels = _levels(outcome.claim, study)
    narrowing = [
        f"{key}={','.join(some)}" for key, some in levels.items() if some != axes(study)[key]
    ]
    seeds = f"seed={','.join(map(str, lacking))}"
    overrides = (f"ablation={study}", *own, *narrowing, seeds)
    every = readings_of(experiments(outcome.claim)[0]) if runs_readings(study) else (OURS,)
    left = {item.reading for item in under}
    read = [r for r in every if name_of(r) in left] if is_read(outcome.claim) else every
    cells = []
    asked: dict[Reading, None] = {}  # those of which something is missing
    for combination in product(*([f"{key}={v}" for v in some] for key, some in levels.items())):
        for reading in read:
            settings = settings_of((f"ablation={study}", *own, *combination, *reading))
            there = _seeds_at_hand(outcome.claim, study, settings, rows)
            if missing := [(settings, seed) for seed in lacking if seed not in there]:
                cells += missing
                asked[reading] = None
    if 0 < len(asked) < len(every):
        overrides += (f"hydra.sweeper.readings=[{','.join(map(_quoted, asked))}]",)
    return Step(outcome, look, overrides, tuple(cells))


def _waiting(outcome: Outcome) -> tuple[Outcome, ...]:
    """What leaves a claim open; itself where no sweep runs its readings."""
    return outcome.waiting if is_read(outcome.claim) else (outcome,)


def _quoted(reading: Reading) -> str:
    """As Hydra's grammar has a text with spaces and signs in it."""
    return f'"{words(reading)}"'  # double: a shell's single quotes go around the list


def _seeds(outcome: Outcome) -> set[int]:
    """That all parts of a claim have."""
    parts = outcome.statement.parts if outcome.statement else ()
    return set.intersection(*(set(part.seeds) for part in parts)) if parts else set()


def _seeds_at_hand(
    claim: Claim, study: str, settings: Mapping[str, str], rows: Sequence[Row]
) -> set[int]:
    """Of a cell's runs that have what the claim asks; in its format where the study compares them.

    A run that was collected without its seconds says nothing of durations.
    """
    found = alike(settings, rows, named=axes(study))
    return {row.seed for row in found if all(m in row.metrics for m in claim.metrics)}


def _levels(claim: Claim, study: str) -> dict[str, list[str]]:
    """The levels of every factor of a study that a claim asks; all where it does not name them."""
    terms = [term for s in claim.selections for term in side(s, claim.metric).terms]
    asked = {}
    for key, levels in axes(study).items():
        named = {term.get(key) for term in terms}
        some = [level for level in levels if canonical(level) in named]
        asked[key] = levels if None in named or not some else some
    return asked


def steps(
    outcomes: Mapping[str, Sequence[Outcome]], rows: Sequence[Row], stuck: Iterable[tuple[str, int]]
) -> list[Step]:
    """One for every open claim: first looks before second ones, and the cheapest first of each.

    Cells of which nothing is known count as dearer than any other.

    Args:
        outcomes: by study.
        rows: that are at hand.
        stuck: (claim, look) that were run without giving the seeds.
    """
    left_out = set(stuck)
    found: list[tuple[int, int, float, int, Step]] = []
    for study, some in outcomes.items():
        for outcome in some:
            look = next_look(outcome)
            if look is not None and (outcome.claim.name, look) not in left_out:
                step = step_to(outcome, study, look, rows)
                cost = step.cost(rows)
                before = sum(earlier < look for earlier in looks_of(outcome.claim))
                found.append((before, cost.unknown, cost.seconds, len(found), step))
    return [step for *_, step in sorted(found)]


def cap(
    outcomes: Mapping[str, Sequence[Outcome]], rows: Sequence[Row]
) -> list[tuple[Mapping[str, str], int]]:
    """The cells, each once, of all open claims until their last looks."""
    cells: dict[tuple[int, int], tuple[Mapping[str, str], int]] = {}
    for study, some in outcomes.items():
        for outcome in some:
            if next_look(outcome) is not None:
                last = (looks_of(outcome.claim) or (FEWEST,))[-1]
                for settings, seed in step_to(outcome, study, last, rows).cells:
                    cells[id(settings), seed] = (settings, seed)
    return list(cells.values())
