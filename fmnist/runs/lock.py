"""Who works in a folder: the lock in it, held while the process lives. Of a run: who trains it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fmnist.errors import RunBusy, RunError
from fmnist.runs.plain import Damaged, open_regular

LOCK = ".lock"


@contextmanager
def locked(
    folder: Path, what: str = "training this run", name: str = LOCK, seconds: float = 1
) -> Iterator[None]:
    """Nobody else does this meanwhile, on this machine or on another with the same files.

    Args:
        what: is done.
        name: of the lock.
        seconds: to wait for it; `is_locked` holds that of a run for a moment.

    Raises:
        RunBusy: somebody does.
        RunError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / name)
        lock.acquire(timeout=seconds)
    except Timeout as error:
        raise RunBusy(f"{folder}: another process is {what}") from error
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from error
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
