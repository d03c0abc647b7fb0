"""What brings the claims of studies to their next looks: which cells, and what they cost.

A claim is judged at the looks that its study declares, never between (`fmnist.evidence.verdict`).
So a step is one whole look of one claim: all the seeds that it lacks for it, of the levels that it
asks. A published value whose source left settings open is decided by the sweep that runs its
readings, and by no other. A run that failed is run again before it counts: no later seed takes its
place.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import PurePath

from omegaconf import OmegaConf

from fmnist.config.compose import hydra_over_conf
from fmnist.config.readings import OURS, Reading, key_of, words
from fmnist.config.words import near
from fmnist.errors import ConfigError
from fmnist.evidence.claim import Claim
from fmnist.evidence.claim_file import looks_of
from fmnist.evidence.matching import MACHINE, select, settings_of, side
from fmnist.evidence.outcome import Outcome, is_exact
from fmnist.evidence.readings import (
    experiments,
    name_of,
    readings_of,
    runs_readings,
    under_readings,
)
from fmnist.evidence.statistics import FEWEST
from fmnist.evidence.study import (
    ablations,
    as_in_rows,
    axes,
    first_seed,
    first_seed_of,
    sweep_of_readings,
)
from fmnist.runs.rows import Row, newest
from fmnist.sweeps.estimate import Estimate, alike, estimate
from fmnist.sweeps.names import counts

Cells = tuple[tuple[Mapping[str, str], int], ...]  # settings and seed of each
Tried = Collection[tuple[int, int]]  # `keys` of cells that were run, and count as they are
WHERE = "the runs are looked for in multirun/ and outputs/ of the working directory"


@dataclass(frozen=True)
class Step:
    """One look of one claim.

    Args:
        outcome: of the claim, as it stands.
        study: that decides it.
        look: the seeds that it then has.
        overrides: of `fmnist.train`, which runs what is missing.
        cells: of what is not at hand, in no order.
    """

    outcome: Outcome
    study: str
    look: int
    overrides: tuple[str, ...]
    cells: Cells

    @property
    def keys(self) -> set[tuple[int, int]]:
        """Of its cells: settings of one kind are one object."""
        return {(id(settings), seed) for settings, seed in self.cells}

    def cost(self, rows: Sequence[Row]) -> Estimate:
        return estimate((settings for settings, _ in self.cells), rows)


def check_studies(studies: Iterable[str], extra: Iterable[str]) -> None:
    """Refuse what is no study, and settings with which its claims would not have the runs.

    Raises:
        ConfigError: naming it.
    """
    known = ablations()
    for study in studies:
        if study not in known:
            raise ConfigError(f"{study}: no such study{near(study, known)}")
    for text in extra:
        if key_of(text) in ("hydra.sweep.dir", "hydra.run.dir"):
            raise ConfigError(f"{text}: {WHERE}: leave it out, and start settle elsewhere instead")
        if counts(text) and key_of(text) not in (*MACHINE, "trainer"):
            said = (
                "the claims' runs have their own settings; here goes what changes no result, such "
            )
            raise ConfigError(f"{text}: {said}as hydra/launcher=joblib or logger=none")
    for study in studies:
        folder = _sweep_folder(study)
        if PurePath(folder).parts[:1] != ("multirun",):
            raise ConfigError(f"hydra.sweep.dir={folder}: {WHERE}: take it out of conf/local")


def _sweep_folder(study: str) -> str:
    """Where the study's sweep would lie, by all files of conf/; its last part not yet named."""
    from hydra import compose

    with hydra_over_conf(()):
        config = compose("config", overrides=[f"ablation={study}"], return_hydra_config=True)
    return str(OmegaConf.to_container(config.hydra.sweep, resolve=False)["dir"])  # type: ignore[call-overload, index]


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
    """At how many seeds it is judged next; None: it is decided, at the cap, or undecidable."""
    if outcome.judgement.verdict not in ("undecided", "not measured") or not outcome.decidable:
        return None
    if is_exact(outcome.claim):
        return 1
    taken = min(item.judgement.look for item in _waiting(outcome))
    return next((look for look in _looks(outcome.claim) if look > taken), None)


def next_step(outcome: Outcome, study: str, rows: Sequence[Row], tried: Tried = ()) -> Step | None:
    """What a claim is to be given next; None: it is decided, or at the cap.

    Runs that failed, and count at the look that it has, come before its next look.

    Args:
        outcome: by all rows, failed ones among them.
        study: that decides it.
        rows: that are at hand.
        tried: cells that were run already: where they failed again, they count.
    """
    if not outcome.decidable:
        return None
    failed = _failed_seeds(outcome, study, rows, tried)
    again, taken = _counting(outcome, failed)
    if again and taken:
        return _step(outcome, study, taken, sorted(again), rows)
    look = next_look(outcome)
    if again and look is None:  # without them it would be open, with too few seeds
        look = _looks(outcome.claim)[0]
    return step_to(outcome, study, look, rows, set[int]().union(*failed)) if look else None


def _looks(claim: Claim, seeds: int = 0) -> tuple[int, ...]:
    """Those declared, or the one at all the seeds."""
    return looks_of(claim) or (max(FEWEST, seeds),)


def _failed_seeds(
    outcome: Outcome, study: str, rows: Sequence[Row], tried: Tried
) -> list[set[int]]:
    """Of everything that leaves a claim open the seeds of runs that failed and can be run again."""
    decided = outcome.judgement.verdict in ("holds", "does not hold")
    if is_exact(outcome.claim) or (decided and is_read(outcome.claim)):
        return [set() for _ in _waiting(outcome)]  # what decides those has no failed run
    first = first_seed(experiments(outcome.claim)) if outcome.readings else -math.inf
    found = [
        {row.seed for row in _failed_runs(item, rows) if row.seed >= first}
        for item in _waiting(outcome)
    ]
    if not any(found):
        return found
    asked = sorted(set[int]().union(*found))
    ours = {seed for _, seed in _step(outcome, study, 0, asked, rows).keys - set(tried)}
    return [seeds & ours for seeds in found]


def _failed_runs(item: Outcome, rows: Sequence[Row]) -> list[Row]:
    if not item.failed:
        return []
    sides = [side(selection, item.claim.metric) for selection in item.claim.selections]
    chosen = select(newest(rows, item.claim.study), sides)
    return [row for row in chosen if not row.finished]


def _counting(outcome: Outcome, failed: Sequence[set[int]]) -> tuple[set[int], int]:
    """Which seeds of failed runs its verdict depends on, and the look that it has with them.

    Where they forbid a verdict all of them do.
    """
    under = _waiting(outcome)
    there = [_seeds(item) | seeds for item, seeds in zip(under, failed, strict=True)]
    least = min(map(len, there))
    looks = _looks(outcome.claim, least)
    taken = max((look for look in looks if FEWEST <= look <= least), default=0)
    again: set[int] = set()
    for item, some, seeds in zip(under, there, failed, strict=True):
        unjudged = item.judgement.verdict == "not judged"
        again |= seeds if unjudged else seeds & set(sorted(some)[:taken])
    return again, taken


def step_to(
    outcome: Outcome,
    study: str,
    look: int,
    rows: Sequence[Row],
    failed: Collection[int] = (),
) -> Step:
    """What a claim lacks until it has so many seeds, under the readings that leave it open.

    Args:
        failed: seeds that it has, and that are run again.
    """
    present = set.intersection(*map(_seeds, _waiting(outcome))) - set(failed)
    first = first_seed_of(study)
    if outcome.readings:  # under which earlier seeds count nowhere
        first = max(first, first_seed(experiments(outcome.claim)))
    lacking = [seed for seed in range(first, first + look) if seed not in present]
    return _step(outcome, study, look, lacking, rows)


def _step(
    outcome: Outcome, study: str, look: int, lacking: Sequence[int], rows: Sequence[Row]
) -> Step:
    """These seeds of a claim, of the levels and the readings of which any is not at hand."""
    own = outcome.claim.sweep.split()[1:] if not is_read(outcome.claim) else []
    levels = _levels(outcome.claim, study)
    narrowing = [
        f"{key}={','.join(some)}" for key, some in levels.items() if some != axes(study)[key]
    ]
    seeds = f"seed={','.join(map(str, lacking))}"
    overrides = (f"ablation={study}", *own, *narrowing, seeds)
    every = readings_of(experiments(outcome.claim)[0]) if runs_readings(study) else (OURS,)
    left = {item.reading for item in _waiting(outcome)}
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
    return Step(outcome, study, look, overrides, tuple(cells))


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
        named = {term.get(key_of(key)) for term in terms}
        some = [level for level in levels if as_in_rows(level) in named]
        asked[key] = levels if None in named or not some else some
    return asked


def steps(
    outcomes: Mapping[str, Sequence[Outcome]], rows: Sequence[Row], tried: Tried
) -> list[Step]:
    """One for every open claim: first looks before second ones, and the cheapest first of each.

    Cells of which nothing is known count as dearer than any other.

    Args:
        outcomes: by study.
        rows: that are at hand.
        tried: see `next_step`.
    """
    found: list[tuple[int, int, float, int, Step]] = []
    for study, some in outcomes.items():
        for outcome in some:
            step = next_step(outcome, study, rows, tried)
            if step is not None:
                cost = step.cost(rows)
                before = sum(earlier < step.look for earlier in looks_of(outcome.claim))
                found.append((before, cost.unknown, cost.seconds, len(found), step))
    return [step for *_, step in sorted(found)]


def cap(ahead: Iterable[Step], rows: Sequence[Row]) -> Cells:
    """The cells, each once, of these steps and of all that their claims lack until their last."""
    cells: dict[tuple[int, int], tuple[Mapping[str, str], int]] = {}
    for step in ahead:
        last = max(step.look, _looks(step.outcome.claim)[-1])
        later = step_to(step.outcome, step.study, last, rows)
        for settings, seed in (*step.cells, *later.cells):
            cells[id(settings), seed] = (settings, seed)
    return tuple(cells.values())
