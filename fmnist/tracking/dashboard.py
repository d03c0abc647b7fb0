"""A dashboard around one run, whose trouble never costs the run: it is one line, and a field.

The network, a full disk, a folder that cannot be written, a bug in a figure: after the first
failure the dashboard is told nothing more, and the run goes on.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import inspect
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

from lightning.pytorch.loggers import Logger

from fmnist.config.build import maker
from fmnist.data.datamodule import ImageData
from fmnist.errors import ConfigError, UserError
from fmnist.runs.job import Job
from fmnist.runs.run import Run
from fmnist.tracking.loggers import publish
from fmnist.training.metrics_file import METRICS_CSV, MetricsFile

log = logging.getLogger(__name__)


class Dashboard(Logger):
    """What Lightning takes for a logger: another one, as long as that works.

    Args:
        run: whose record has the field `dashboard_error`.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run, self.logger = run, None  # type: tuple[Run, Logger | None]
        self.trouble: str | None = None

    @contextmanager
    def forgive(self) -> Iterator[None]:
        """An error in here is said and noted; a mistake of the user's passes."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            if self.trouble is None:
                first = str(error).strip().partition("\n")[0]
                self.trouble = f"{type(error).__name__}: {first}"
                log.warning("dashboard  %s: the run goes on without it", self.trouble)
                words = filter(None, [self.run.record.dashboard_error, self.trouble])
                with suppress(OSError):
                    self.run.write(replace(self.run.record, dashboard_error="; ".join(words)))

    def tell(self, what: Callable[[Logger], object]) -> None:
        """Do something with the logger, if there is one that works."""
        if self.logger is not None and self.trouble is None:
            with self.forgive():
                what(self.logger)

    @property
    def name(self) -> str | None:
        return None if self.logger is None else self.logger.name

    @property
    def version(self) -> int | str | None:
        return None if self.logger is None else self.logger.version

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.tell(lambda logger: logger.log_metrics(dict(metrics), step))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.tell(lambda logger: logger.log_hyperparams(params, *args, **kwargs))

    def save(self) -> None:
        self.tell(lambda logger: logger.save())

    def finalize(self, status: str) -> None:
        self.tell(lambda logger: logger.finalize(status))

    def publish(self, summary: Mapping[str, float], step: int, data: ImageData) -> None:
        """Show the finished run: its numbers, figures of its test set, its checkpoint.

        Args:
            summary: what dashboards sort runs by.
            step: the last one.
            data: the run's, loaded, for the images.
        """
        self.tell(lambda logger: publish(logger, summary, step, self.run, data))
        self.save()


@contextmanager
def open_loggers(config: dict[str, Any], job: Job, run: Run) -> Iterator[list[Logger]]:
    """Around one run: metrics.csv, always, and the dashboards that the configuration names.

    Raises:
        UserError: a dashboard that is asked for in a way that cannot be.
    """
    if config["logger"] and run.record.dashboard_id is None:
        # A variable names one run, not the cells of a sweep.
        own = None if job.group else os.environ.get("WANDB_RUN_ID")
        run.write(replace(run.record, dashboard_id=own or secrets.token_hex(4)))
    job = replace(job, dashboard_id=run.record.dashboard_id)
    with ExitStack() as stack:
        boards = [
            stack.enter_context(open_dashboard(opened(node, job, config), run))
            for node in config["logger"].values()
        ]
        yield [MetricsFile(job.dir / METRICS_CSV), *filter(None, boards)]


@contextmanager
def opened(node: dict[str, Any], job: Job, config: dict[str, Any]) -> Iterator[Logger | None]:
    """The logger of a node, around one run: one of `fmnist.tracking.loggers`, or Lightning's.

    Raises:
        ConfigError: it is neither.
    """
    make = maker(node)
    target = getattr(make, "func", make)
    if not (isinstance(target, type) and issubclass(target, Logger)):
        try:
            inspect.signature(make).bind(job, config)
        except TypeError as error:
            right = "a Logger of Lightning's, or a context manager of job and config that gives one"
            raise ConfigError(f"logger: {node['_target_']}: should be {right}") from error
        with make(job, config) as logger:
            yield logger
        return
    logger = make()
    logger.log_hyperparams(config)
    try:
        yield logger
    except BaseException:
        logger.finalize("failed")
        raise
    logger.finalize("success")


@contextmanager
def open_dashboard(
    opened: AbstractContextManager[Logger | None], run: Run
) -> Iterator[Dashboard | None]:
    """Around one run: its dashboard, which learns how the run ends; None where there is none.

    Args:
        opened: gives the logger, and is told how the run ended.

    Raises:
        UserError: a dashboard that is asked for in a way that cannot be.
    """
    board, stack = Dashboard(run), ExitStack()
    with board.forgive():
        board.logger = stack.enter_context(opened)
    try:
        yield board if board.logger is not None else None
    except BaseException as error:
        with board.forgive(), suppress(UserError):
            stack.__exit__(type(error), error, error.__traceback__)
        raise
    with board.forgive():
        stack.close()
