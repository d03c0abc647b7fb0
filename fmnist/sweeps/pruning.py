"""A search's trials, stopped after an epoch where others at that epoch were better.

The records of a trial's cells are read while they run, on whatever launcher; Optuna's pruner says
which trial to give up, and a file in the cells' folders says it to them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from fmnist.errors import RunError
from fmnist.process.polling import polling
from fmnist.runs.run import PRUNED, load_run

if TYPE_CHECKING:
    from optuna import Trial

POLL = 1.0  # seconds between looks
Cells = Sequence[Path]  # the run directories of one trial: one a seed


def epoch_values(cells: Cells) -> list[float]:
    """By epoch the highest val/acc so far, the mean over the seeds that have begun.

    As many epochs as all of those have come to; one that has ended counts on with its last.
    """
    curves, ends = [], []
    for folder in cells:
        try:
            run = load_run(folder)
        except RunError:
            continue
        curves.append([row.val_acc_best for row in run.record.epochs])
        if run.record.status == "running":
            ends.append(len(curves[-1]))
    count = min(ends, default=max(map(len, curves), default=0))
    begun = [curve for curve in curves if curve]
    return [fmean(curve[min(n, len(curve) - 1)] for curve in begun) for n in range(count)]


def look(trial: "Trial", cells: Cells, reported: int) -> int:
    """Tell Optuna of the epochs that are new, and the cells if the trial is given up.

    Args:
        reported: epochs that it was told of before; how many it knows of then is returned.
    """
    values = epoch_values(cells)
    for epoch in range(reported, len(values)):
        trial.report(values[epoch], epoch + 1)
        if trial.should_prune():
            for folder in cells:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / PRUNED).touch()
    return max(reported, len(values))


@contextmanager
def pruning(trials: "Sequence[tuple[Trial, Cells]]") -> Iterator[None]:
    """Around the cells of some trials, which are started in here."""
    reported = [0] * len(trials)

    def look_at_all() -> None:
        for number, (trial, cells) in enumerate(trials):
            if not is_pruned(cells):
                reported[number] = look(trial, cells, reported[number])

    with polling(look_at_all, POLL):
        yield


def is_pruned(cells: Cells) -> bool:
    """Whether a trial was given up."""
    return any((folder / PRUNED).exists() for folder in cells)
