"""Extra DDP processes re-run one job, never the sweep that it belongs to.

Lightning's `ddp` starts its other processes with this process's command line. Inside a Hydra sweep
that is the whole sweep: the second process would run a shadow sweep of its own, and after a
failure gradients of two configurations could be averaged without a word.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# What Lightning sets for its processes, and would leave behind for the sweep's next job.
PROCESS_VARIABLES = (
    "LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "PL_GLOBAL_SEED", "OMP_NUM_THREADS",
)  # fmt: skip


def is_main_process() -> bool:
    """Whether this is the process that writes, by the variable that Lightning's launcher sets."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextlib.contextmanager
def one_job(run_dir: Path) -> Iterator[None]:
    """Around one job: how its other processes start; afterwards no trace of them is left.

    Args:
        run_dir: the job's directory, whose saved configuration the other processes run.
    """
    import torch
    from lightning.pytorch.strategies.launchers import subprocess_script

    def command() -> Sequence[str]:
        arguments = [
            "--config-path", str(run_dir / ".hydra"),
            "--config-name", "config",
            f"hydra.run.dir='{run_dir}'",
            "hydra/job_logging=disabled",  # train.log is the main process's
            "hydra.output_subdir=null",
        ]  # fmt: skip
        return [sys.executable, "-m", "fmnist.train", *arguments]

    # Private: tests with two processes watch over them. Lightning takes the first in a process
    # where Hydra has been set up, as in a single run, and the second in that of a sweep's cell.
    commands = {
        "_hydra_subprocess_cmd": lambda local_rank: (command(), str(Path.cwd())),
        "_basic_subprocess_cmd": command,
    }
    originals = {name: getattr(subprocess_script, name) for name in commands}
    before = {variable: os.environ.get(variable) for variable in PROCESS_VARIABLES}
    threads = torch.get_num_threads()
    if is_main_process():
        for name, ours in commands.items():
            setattr(subprocess_script, name, ours)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(subprocess_script, name, original)
        torch.set_num_threads(threads)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for variable, value in before.items():
            os.environ.pop(variable, None)
            if value is not None:
                os.environ[variable] = value
