"""How the cells below a directory stand, by their records alone."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fmnist.runs.find import find_runs
from fmnist.runs.leak import leak_warning, leaks
from fmnist.runs.run import PRUNED, Run
from fmnist.runs.text import duration, in_eighty, shown
from fmnist.sweeps.names import distinct
from fmnist.sweeps.watch import (
    GIVEN_UP,
    OVER,
    seconds_left,
    unfinished,
    without_most_missing,
)

ORDER = (
    "running", "failed", "stopped", "killed", "unknown", "damaged", "missing", GIVEN_UP,
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """How the cells below one directory stand.

    Args:
        states: number of cells by state; "killed": its process is gone without a word;
            "unknown": whether it has one cannot be told, its lock being somebody else's; "given
            up": its trial was, by the search.
        lines: state, name and detail of every cell that has not finished, and is to.
        best: the finished run with the highest val/acc, and its name.
        seconds_left: at the present pace; None: nothing to estimate it from.
        code: see `fmnist.runs.find.Found.exit_code`.
        warning: about runs that choose their epoch on the test set, or "".
    """

    states: Counter[str]
    lines: list[tuple[str, str, str]]
    best: tuple[Run, str] | None
    seconds_left: float | None
    warning: str = ""
    code: int = 0


def standing(directory: str | Path) -> Standing:
    """Read the cells below a directory.

    Raises:
        RunError: there are none.
    """
    found = find_runs([directory])
    missing = [cell for place, cell in found.missing if not (place / PRUNED).exists()]
    names = distinct([*(run.record.overrides for run in found.runs), *missing])
    named = list(zip(found.runs, names, strict=False))
    # Once: each looks at a lock.
    states = {run.dir: _state(run) for run in found.runs}
    lines = [
        (state, name, _detail(run, state))
        for run, name in named
        if (state := states[run.dir]) not in OVER
    ]
    lines += [("damaged", path.name, reason) for path, reason in found.damaged]
    lines += [("missing", name, "not begun") for name in names[len(found.runs) :]]
    finished = [(run, name) for run, name in named if states[run.dir] == "finished"]
    whole = [pair for pair in finished if not pair[0].record.cut_short]
    best = max(whole, key=lambda pair: pair[0].record.metrics["val/acc_best"], default=None)
    counted = Counter([line[0] for line in lines] + ["finished"] * len(finished))
    given_up = sum(state == GIVEN_UP for state in states.values())
    counted.update([GIVEN_UP] * (given_up + len(found.missing) - len(missing)))
    left = seconds_left(found.runs, states, len(missing) + len(found.damaged))
    lines.sort(key=lambda line: ORDER.index(line[0]))
    warning = leak_warning(sum(map(leaks, found.runs)), len(found.runs))
    return Standing(counted, lines, best, left, warning, found.exit_code)


def _state(run: Run) -> str:
    state = run.status
    return GIVEN_UP if state == "stopped" and (run.dir / PRUNED).exists() else state


def _detail(run: Run, state: str) -> str:
    """A sweep's command finds its cells; to go on with a single run one must know where it is."""
    said = unfinished(run, state)
    return said if run.record.group is not None else f"{said}: {shown(run.dir)}"


def standing_in_words(directory: str, found: Standing) -> str:
    """For a terminal."""
    total = found.states.total()
    counts = [f"{found.states[state]} {state}" for state in ORDER if found.states[state]]
    done = f"{found.states['finished']} of {total} finished"
    lines = [f"{directory}: {', '.join([done, *counts])}"]
    listed, more = without_most_missing(found.lines)
    width = min(60, max((len(name) for _, name, _ in listed), default=0))
    lines += [
        in_eighty(f"{state:8} {name:{width}}  {detail}", indent=9) for state, name, detail in listed
    ]
    if more:
        lines.append(f"{'missing':8} and {more} more")
    if found.best:
        run, name = found.best
        metrics = run.record.metrics
        line = (
            f"best     {name}  val acc {metrics['val/acc_best']:.4f}, "
            f"test acc {metrics['test/acc']:.4f}: {shown(run.dir)}"
        )
        lines.append(in_eighty(line, indent=9))
        if leaks(run):
            lines.append("         its epoch was chosen on the test set: no match for clean runs")
    if found.seconds_left is not None and len(found.lines):
        beside = found.states["running"]
        pace = f"{beside} at a time" if beside else "when it is started again, one at a time"
        lines.append(f"left     about {duration(found.seconds_left)} ({pace})")
    if found.warning:
        lines.append(in_eighty(f"WARNING  {found.warning}", indent=9))
    return "\n".join(lines)
