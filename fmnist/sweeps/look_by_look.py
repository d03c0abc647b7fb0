"""Studies run look by look until their claims are decided; which comes next: `sweeps.settle`."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence

from fmnist.evidence.claim import Claim
from fmnist.evidence.outcome import Outcome, evaluate
from fmnist.evidence.text import effect, seeds_in_words, verdict_words
from fmnist.runs.foreign_text import escaped
from fmnist.runs.rows import Row
from fmnist.runs.text import duration
from fmnist.sweeps.estimate import Estimate, estimate, rows_at_hand
from fmnist.sweeps.settle import Step, cap, claims_of, next_look, steps

Outcomes = dict[str, list[Outcome]]


def train_as_typed(overrides: Sequence[str]) -> int:
    """As if it were typed. The exit code.

    Ctrl-C reaches it as well, which stops after its step; to be waited for.
    """
    process = subprocess.Popen([sys.executable, "-m", "fmnist.train", *overrides])
    handlers = {
        signal.SIGINT: lambda *_: None,
        signal.SIGTERM: lambda number, _: process.send_signal(number),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def look_by_look(studies: Sequence[str], extra: Sequence[str], claims: Sequence[Claim]) -> int:
    """Until nothing is left to do. The exit code.

    Cells that failed are run again, once; then they count as failed for the claim that lacks them.
    """
    failing: set[str] = set()  # claims for which they count
    stuck: list[tuple[str, int]] = []  # (claim, look) that is not to be had
    while True:
        rows = rows_at_hand()
        outcomes = judged(studies, claims, rows, failing)
        ahead = steps(outcomes, rows, stuck)
        tell(progress(outcomes, rows))
        if not ahead:
            tell(verdicts(outcomes, stuck))
            return 1 if stuck else 0
        step = ahead[0]
        tell(announced(step, step.cost(rows), extra))
        code = train_as_typed([*step.overrides, *extra])
        if code not in (0, 1):  # stopped, or a mistake: nothing more is to be expected
            return code
        rows, name = rows_at_hand(), step.outcome.claim.name
        if lacks_still(step, judged(studies, claims, rows, failing)):
            failing.add(name)
            if lacks_still(step, judged(studies, claims, rows, failing)):
                stuck.append((name, step.look))


def judged(
    studies: Sequence[str], claims: Sequence[Claim], rows: Sequence[Row], failing: Collection[str]
) -> Outcomes:
    """The outcomes of every study's claims; failed runs count for those of `failing` alone."""
    asked = {study: [claim.name for claim in claims_of(study, claims)] for study in studies}
    found: dict[str, Outcome] = {}
    for counting in (False, True):
        names = [n for some in asked.values() for n in some if (n in failing) == counting]
        some = [row for row in rows if counting or row.finished]
        if names:  # without names all claims would be asked
            found |= {item.claim.name: item for item in evaluate(claims, some, names)}
    return {study: [found[name] for name in some] for study, some in asked.items()}


def lacks_still(step: Step, outcomes: Outcomes) -> bool:
    """Whether the claim has not come to the look that was run."""
    name = step.outcome.claim.name
    return any(
        o.claim.name == name and next_look(o) == step.look for s in outcomes.values() for o in s
    )


def progress(outcomes: Outcomes, rows: Sequence[Row]) -> str:
    """ "claims  7 of 9 decided, 2 to be judged: at most 40 cells, about 5 h 10 min"."""
    every = [outcome for some in outcomes.values() for outcome in some]
    open_ = sum(next_look(outcome) is not None for outcome in every)
    decided = sum(o.judgement.verdict in ("holds", "does not hold") for o in every)
    text = f"claims  {decided} of {len(every)} decided, {open_} to be judged"
    if not open_:
        return text
    cells = cap(outcomes, rows)
    return f"{text}: at most {cost_in_words(len(cells), estimate((s for s, _ in cells), rows))}"


def announced(step: Step, cost: Estimate, extra: Sequence[str]) -> str:
    """The next look of a claim, and the command that comes to it."""
    typed = f"python -m fmnist.train {shlex.join([*step.overrides, *extra])}"
    name, cells = step.outcome.claim.name, cost_in_words(len(step.cells), cost)
    return f"next    {name} at {seeds_in_words(step.look)}: {cells}\n        {typed}"


def cost_in_words(cells: int, cost: Estimate) -> str:
    """ "5 cells, 25 min 10 s one after another"."""
    words = f"{cells} cell{'s' * (cells != 1)}"
    if cost.seconds:
        words += f", about {duration(cost.seconds)} one after another"
    return words + (f", {cost.unknown} of unknown length" if cost.unknown else "")


def verdicts(outcomes: Outcomes, stuck: Sequence[tuple[str, int]]) -> str:
    """A line a claim: the verdict, and its size where it is the last word."""
    every = {o.claim.name: o for some in outcomes.values() for o in some}
    width, looks = max(map(len, every), default=0), dict(stuck)
    lines = []
    for name, outcome in every.items():
        lacks = f"; no verdict at {looks[name]} seeds: runs failed" if name in looks else ""
        size = f": {effect(outcome)}" if next_look(outcome) is None else ""
        lines.append(f"{name:{width}}  {verdict_words(outcome)}{size}{lacks}")
    lines += [f"{study}: decides no claim" for study, some in outcomes.items() if not some]
    return "\n".join(lines)


def tell(text: str) -> None:
    print(escaped(text), flush=True)  # before the training that follows writes
