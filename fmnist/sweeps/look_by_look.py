"""Studies run look by look until their claims are decided; which comes next: `sweeps.settle`."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence

from fmnist.evidence.claim import Claim
from fmnist.evidence.failed import failed_words
from fmnist.evidence.outcome import Outcome, evaluate
from fmnist.evidence.text import effect, verdict_words
from fmnist.runs.foreign_text import escaped
from fmnist.runs.rows import Row
from fmnist.runs.text import duration, plural
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

    Cells that failed are run again, once; then they count as failed.
    """
    tried = set[tuple[int, int]]()  # cells, see `Step.keys`
    while True:
        rows = rows_at_hand()
        outcomes = judged(studies, claims, rows)
        ahead = steps(outcomes, rows, tried)
        tell(progress(outcomes, ahead, rows))
        fresh = [step for step in ahead if step.keys - tried]
        if not fresh:  # the others' runs are not to be had
            tell(verdicts(outcomes, ahead))
            return 1 if ahead or any(map(without_verdict, every(outcomes))) else 0
        step = fresh[0]
        tell(announced(step, step.cost(rows), extra))
        code = train_as_typed([*step.overrides, *extra])
        if code not in (0, 1):  # stopped, or a mistake: nothing more is to be expected
            return code
        tried |= step.keys


def judged(studies: Sequence[str], claims: Sequence[Claim], rows: Sequence[Row]) -> Outcomes:
    """The outcomes of every study's claims, failed runs among their numbers."""
    asked = {study: [claim.name for claim in claims_of(study, claims)] for study in studies}
    names = [name for some in asked.values() for name in some]
    outcomes = evaluate(claims, rows, names) if names else []  # without names all would be asked
    found = {outcome.claim.name: outcome for outcome in outcomes}
    return {study: [found[name] for name in some] for study, some in asked.items()}


def every(outcomes: Outcomes) -> list[Outcome]:
    return [outcome for some in outcomes.values() for outcome in some]


def without_verdict(outcome: Outcome) -> bool:
    """Whether runs that failed forbid one."""
    return outcome.judgement.verdict == "not judged" and outcome.failed > 0


def progress(outcomes: Outcomes, ahead: Sequence[Step], rows: Sequence[Row]) -> str:
    """ "claims  7 of 9 decided, 2 to be judged: at most 40 cells, about 5 h 10 min"."""
    open_ = {step.outcome.claim.name for step in ahead}
    decided = sum(
        o.judgement.verdict in ("holds", "does not hold") and o.claim.name not in open_
        for o in every(outcomes)
    )
    text = f"claims  {decided} of {len(every(outcomes))} decided, {len(open_)} to be judged"
    if not open_:
        return text
    cells = cap(ahead, rows)
    return f"{text}: at most {cost_in_words(len(cells), estimate((s for s, _ in cells), rows))}"


def announced(step: Step, cost: Estimate, extra: Sequence[str]) -> str:
    """The next look of a claim, and the command that comes to it."""
    typed = f"python -m fmnist.train {shlex.join([*step.overrides, *extra])}"
    name, cells = step.outcome.claim.name, cost_in_words(len(step.cells), cost)
    return f"next    {name} at {plural(step.look, 'seed')}: {cells}\n        {typed}"


def cost_in_words(cells: int, cost: Estimate) -> str:
    """ "5 cells, 25 min 10 s one after another"."""
    words = plural(cells, "cell")
    if cost.seconds:
        words += f", about {duration(cost.seconds)} one after another"
    return words + (f", {cost.unknown} of unknown length" if cost.unknown else "")


def verdicts(outcomes: Outcomes, stuck: Sequence[Step]) -> str:
    """A line a claim: the verdict, its size where it is the last word, and why it lacks runs."""
    looks = {step.outcome.claim.name: step.look for step in stuck}
    width = max((len(outcome.claim.name) for outcome in every(outcomes)), default=0)
    lines = []
    for outcome in every(outcomes):
        name, statement = outcome.claim.name, outcome.statement
        said = verdict_words(outcome)
        if next_look(outcome) is None:
            said += f": {effect(outcome)}"
        if name in looks:
            said += f"; no verdict at {looks[name]} seeds: {outcome.note or 'runs failed'}"
        if outcome.failed and statement and not statement.excuse:  # else the verdict says it
            said += f"; {failed_words(outcome.failed, counted=True)}"
        lines.append(f"{name:{width}}  {said}")
    lines += [f"{study}: decides no claim" for study, some in outcomes.items() if not some]
    return "\n".join(lines)


def tell(text: str) -> None:
    print(escaped(text), flush=True)  # before the training that follows writes
