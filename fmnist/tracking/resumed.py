"""Lightning's W&B logger, for a run that W&B may know the beginning of."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Mapping
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

STEP = "trainer/global_step"  # where Lightning's logger puts the step


class OnwardLogger(WandbLogger):
    """Tells a W&B run that was resumed nothing that it was told before.

    Whoever goes on with training gives its loggers the earlier rows again, for those that begin
    anew; in a resumed run they would be there twice, and its steps go back. Offline nothing is
    resumed.

    Args:
        run: opened.
    """

    def __init__(self, run: wandb.Run) -> None:
        super().__init__(experiment=run)
        # Not `run.step`, which counts rows, and in a resumed run is 0 until the first.
        self.told: dict[str, Any] = dict(run.summary) if run.resumed else {}

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        last = self.told.get(STEP, -1)
        # What callbacks log, Lightning logs at one step less than the row that was told before it.
        if step is not None and step <= last + 1:
            # It may have been stopped between two rows of its last step.
            new = any(self.told.get(name) != value for name, value in metrics.items())
            if step < last or not new:
                return
        super().log_metrics(metrics, step)
