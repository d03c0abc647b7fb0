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

    def command(local_rank: int) -> tuple[Sequence[str], str]:
        arguments = [
            "--config-path", str(run_dir / ".hydra"),
            "--config-name", "config",
            f"hydra.run.dir='{run_dir}'",
            "hydra/job_logging=disabled",  # train.log is the main process's
            "hydra.output_subdir=null",
        ]  # fmt: skip
        return [sys.executable, "-m", "fmnist.train", *arguments], str(Path.cwd())

    name = "_hydra_subprocess_cmd"  # private: a test with two processes watches over it
    original = getattr(subprocess_script, name)
    before = {variable: os.environ.get(variable) for variable in PROCESS_VARIABLES}
    threads = torch.get_num_threads()
    if is_main_process():
        setattr(subprocess_script, name, command)
    try:
        yield
    finally:
        setattr(subprocess_script, name, original)
        torch.set_num_threads(threads)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for variable, value in before.items():
            os.environ.pop(variable, None)
            if value is not None:
                os.environ[variable] = value
