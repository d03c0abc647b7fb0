"""What libraries say belongs to the log."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def send_library_messages_to_log() -> None:
    """Warnings and Lightning's messages: for train.log, not for the terminal.

    conf/config.yaml gives both loggers the file as their only handler; Lightning adds a console.
    """
    logging.captureWarnings(True)
    # Lightning's, wherever Slurm is installed; here a cluster's job is one process.
    warnings.filterwarnings("ignore", message="The `srun` command is available")
    import fmnist.process.startup  # noqa: F401 (before what it quickens)

    # isort: split
    import lightning

    # Where nothing had configured logging before, each of its parts has a console of its own.
    for name in ("", ".pytorch", ".fabric"):
        logger = logging.getLogger(f"{lightning.__name__}{name}")
        for handler in [h for h in logger.handlers if type(h) is logging.StreamHandler]:
            logger.removeHandler(handler)
            logger.propagate = not logger.handlers  # where one is left, that is the file


@contextmanager
def run_log(path: Path) -> Iterator[None]:
    """A run's log where Hydra has not made one: what conf/hydra/job_logging says, for a while."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    console = logging.StreamHandler(sys.stdout)
    file.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"))
    ours, *theirs = (logging.getLogger(name) for name in ("fmnist", "lightning", "py.warnings"))
    before = [(logger, logger.propagate, logger.level) for logger in (ours, *theirs)]
    handlers: list[tuple[logging.Logger, logging.Handler]] = [
        (ours, file),
        (ours, console),
        *((logger, file) for logger in theirs),
    ]
    for logger, handler in handlers:
        logger.addHandler(handler)
        logger.propagate = False
    ours.setLevel(logging.INFO)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, handler in handlers:
            logger.removeHandler(handler)
        for logger, propagate, level in before:
            logger.propagate = propagate
            logger.setLevel(level)
        file.close()
