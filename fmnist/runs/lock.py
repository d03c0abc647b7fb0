"""Who trains a run: the lock in its directory, held while the process lives."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fmnist.errors import RunBusy, RunError
from fmnist.runs.plain import Damaged, open_regular

LOCK = ".lock"


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Nobody else trains this run meanwhile, on this machine or on another with the same files.

    Raises:
        RunBusy: somebody does.
        RunError: the directory cannot be written.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(run_dir / LOCK)
        lock.acquire(timeout=1)  # `is_locked` holds it for a moment
    except Timeout as error:
        raise RunBusy(f"{run_dir}: another process is training this run") from error
    except PermissionError as error:
        raise RunError(f"{run_dir}: cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def is_locked(run_dir: Path) -> bool | None:
    """Whether a living process trains this run; None: that cannot be told.

    The lock is only read, which a directory of somebody else's allows: it is `flock`'s, as
    `filelock` takes it, and who may read a file may share its lock.
    """
    import fcntl

    try:
        with open_regular(run_dir / LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False  # closing the file releases it
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except (OSError, Damaged):  # not ours to read, or a file system without locks
        return None
