"""What a command would run, how long that takes and what it can show, in words."""

from collections.abc import Iterable, Mapping, Sequence

from fmnist.evidence.claim import Claim, unit
from fmnist.evidence.claim_file import looks_of
from fmnist.evidence.matching import settings_of
from fmnist.evidence.outcome import evaluate, family_sizes
from fmnist.evidence.power import POWER, detectable, pooled_deviation, sizes_at
from fmnist.evidence.statistics import FEWEST, LEVEL
from fmnist.evidence.study import ablations, axes
from fmnist.evidence.text import number, shown_metric
from fmnist.runs.own_code import outdated
from fmnist.runs.rows import Row, newest
from fmnist.runs.starts import made_anew
from fmnist.runs.text import in_eighty, plural, shown
from fmnist.sweeps.cells import Sweep
from fmnist.sweeps.estimate import alike, estimate, time_in_words
from fmnist.sweeps.launch import finished
from fmnist.sweeps.plan import names_of
from fmnist.sweeps.settle import claims_of


def plan_in_words(sweep: Sweep, rows: Sequence[Row]) -> str:
    """The plan for a terminal."""
    done = finished(sweep.folder, sweep.cells)
    missing = [cell for cell in sweep.cells if cell.dir not in done]
    names = names_of(sweep.cells)
    width = min(80, max(len(name) for name in names.values()))
    lines = [f"sweep  {shown(sweep.folder)}"]
    lines += [
        f"{names[cell.dir]:{width}}  {'done' if cell.dir in done else 'missing'}"
        for cell in sweep.cells
    ]
    lines.append(f"cells  {len(sweep.cells)}, of which {len(done)} done, {len(missing)} to run")
    records = [run.record for run in done.values()]
    lines += [in_eighty(text) for text in [*outdated(records), *made_anew(records)]]
    if missing:
        settings = [settings_of(tuple(cell.overrides)) for cell in missing]
        lines.append(f"left   {time_in_words(len(missing), estimate(settings, rows))}")
    return "\n".join(lines)


def power(overrides: Sequence[str], seeds: int, rows: Sequence[Row], every: Sequence[Claim]) -> str:
    """What the claims of a study can show, a line each; "" where the cells are none of a study's.

    Args:
        overrides: of the command line.
        seeds: that it has.
        rows: that are at hand.
        every: all claims of a folder.

    Raises:
        ClaimError: see `evaluate`.
    """
    given = dict(text.split("=", 1) for text in overrides if "=" in text)
    study = given.get("ablation", "")
    if study not in ablations() or set(given) - {"ablation", "seed", *axes(study)}:
        return ""
    claims = claims_of(study, every)
    outcomes = evaluate(every, rows, [claim.name for claim in claims]) if claims else []
    lines = []
    for claim, outcome in zip(claims, outcomes, strict=True):
        looks = looks_of(claim) or (seeds,)
        sizes = sizes_at(outcome, looks, family_sizes(every)[claim.source], outcomes)
        lines.append(f"{claim.name:26} {sizes_in_words(claim, sizes, shown_metric(outcome))}")
    head = f"shows  with {100 * POWER:g} % power, by the deviations over seeds at hand; this has "
    return "\n".join([f"{head}{plural(seeds, 'seed')}", *lines]) if lines else ""


def power_of_two(sweep: Sweep, seeds: int, rows: Iterable[Row]) -> str:
    """What two settings of any sweep can show when they are compared alone; "" where it has one.

    By the deviations over seeds of runs with its settings; where none was run twice, of all others.
    """
    settings = {
        tuple(text for text in cell.overrides if not text.startswith("seed="))
        for cell in sweep.cells
    }
    if len(settings) < 2:
        return ""
    if seeds < FEWEST:
        return f"shows  nothing: fewer than {FEWEST} seeds decide nothing"
    rows = [row for row in newest(rows) if row.finished and "test/acc" in row.metrics]
    others: dict[frozenset[tuple[str, str]], list[Row]] = {}
    for row in rows:
        others.setdefault(row.did, []).append(row)
    own = [alike(settings_of(overrides), rows) for overrides in settings]
    for groups, whose in ((own, "these"), (list(others.values()), "other")):
        deviation = pooled_deviation([[100 * r.metrics["test/acc"] for r in g] for g in groups])
        if deviation is not None:
            size = detectable([deviation, deviation], seeds, LEVEL / 2)
            return (
                f"shows  a difference of {size:.2f} points of test accuracy between two of its "
                f"settings with {100 * POWER:g} % power, by the deviation over seeds of runs with "
                f"{whose} settings, {deviation:.2f}; this has {plural(seeds, 'seed')}"
            )
    return "shows  unknown: no two seeds of a setting are at hand"


def sizes_in_words(claim: Claim, sizes: Mapping[int, float], metric: str) -> str:
    """ "a difference of 0.62 points at 5 seeds, 0.38 at 10, 0.25 at 20"."""
    if not sizes:
        return "unknown: no two seeds are at hand, or its numbers are whole"
    what = "refutes a value that is off by " if claim.about else "a difference of "
    (first, size), *rest = sizes.items()
    words = [f"{number(size, metric)} {unit(metric)}".rstrip() + f" at {first} seeds"]
    return what + ", ".join(words + [f"{number(s, metric)} at {look}" for look, s in rest])
