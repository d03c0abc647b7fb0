"""What libraries say belongs to the log."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
import warnings


def send_library_messages_to_log() -> None:
    """Warnings and Lightning's messages: for train.log, not for the terminal.

    conf/config.yaml gives both loggers the file as their only handler; Lightning adds a console.
    """
    logging.captureWarnings(True)
    # The run directory is never empty, and metrics.csv is the only file that would be deleted.
    warnings.filterwarnings("ignore", message="Experiment logs directory .* exists")
    # Lightning's, wherever Slurm is installed; here a cluster's job is one process.
    warnings.filterwarnings("ignore", message="The `srun` command is available")
    import lightning

    logger = logging.getLogger(lightning.__name__)
    for handler in [h for h in logger.handlers if type(h) is logging.StreamHandler]:
        logger.removeHandler(handler)
