"""A terminal that is closed, or that knows few characters, ends no run and costs no output file.

And what stops a command, as an exception, so that it may still write down how it ended.
"""

import atexit
import contextlib
import errno
import gc
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn, TextIO

SIGTERM_CODE = 128 + signal.SIGTERM


@contextlib.contextmanager
def forgiving_terminal() -> Iterator[None]:
    """Around a command: what nobody reads any more (`| head`) is dropped, without a word.

    A closed terminal (SIGHUP) stops the command as SIGTERM does: it may still write its record.
    """
    logging.raiseExceptions = False  # or every line that cannot be written makes twenty
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a locale without the character
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _terminate)  # not under nohup, which ignores it
    try:
        yield
        if sys.stdout is not None:  # what is still held back, while a failure can be said
            sys.stdout.flush()
    except BrokenPipeError:  # by `print`
        raise SystemExit(128 + signal.SIGPIPE) from None
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        say(f"error: the output cannot be written: {error.strerror}")
        raise SystemExit(2) from None
    finally:
        for stream in (sys.stdout, sys.stderr):
            _drop_unread(stream)


def leave(code: int) -> NoReturn:
    """End the process, of which everything is written, as it stands.

    To take apart all modules, as Python does else, takes a second and 100 MiB where torch is one of
    them, and a thread that somebody has left behind would keep the process alive. A profiler, a
    debugger or a measurement of coverage has still something to write.
    """
    if _is_measured():
        sys.exit(code)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr, *_left_open()):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _is_measured() -> bool:
    return sys.getprofile() is not None or sys.gettrace() is not None


def _left_open() -> list[Any]:
    """Files that somebody's code, a callback's say, has opened and not closed: Python would write
    out what they hold back. Text before bytes, into whose buffers it goes.
    """
    found = [each for each in gc.get_objects() if issubclass(type(each), io.IOBase)]
    return sorted(found, key=lambda each: not issubclass(type(each), io.TextIOBase))


@contextlib.contextmanager
def left_at_once() -> Iterator[None]:
    """Around a whole process: it ends as by `leave`, but only after the exit hooks of others, in
    which loggers send what they still have.
    """
    try:
        yield
        _codes.append(0)
    except SystemExit as error:
        said = error.code if isinstance(error.code, int) else int(error.code is not None)
        _codes.append(said & 0xFF)
        raise


_codes = list[int]()  # of the process, once it is known


def _leave_last() -> None:
    if _codes and not _is_measured():
        leave(_codes[-1])


# Hooks run in the opposite order: here, before torch and multiprocessing have theirs.
atexit.register(_leave_last)


def _terminate(number: int, frame: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def sigterm_exits() -> Iterator[None]:
    """SIGTERM as an exception: what is going on can be stopped first, and its record written.

    Not while somebody's handler stands before this one: Lightning's ends a fit after its step.

    Raises:
        SystemExit: SIGTERM, with the code of a process that it has killed.
    """

    def stop(number: int, frame: Any) -> None:
        if signal.getsignal(number) is stop:
            raise SystemExit(SIGTERM_CODE)

    if threading.current_thread() is not threading.main_thread():  # it has no signals
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _drop_unread(stream: TextIO | None) -> None:
    """Python would flush once more as it ends, and complain."""
    if stream is None:  # closed from the start
        return
    try:
        stream.flush()
    except (OSError, ValueError):  # nobody reads; closed
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str) -> None:
    """One line on stderr: line ends and what a terminal would obey are taken out."""
    plain = "".join(mark if mark.isprintable() else " " for mark in text)
    with contextlib.suppress(OSError, ValueError):  # nobody reads
        print(plain, file=sys.stderr, flush=True)


def signal_exit_code(error: BaseException) -> int | None:
    """130 after Ctrl-C, 143 after SIGTERM, None after anything else."""
    if type(error).__name__ == "SIGTERMException":  # Lightning's, not imported for this
        return SIGTERM_CODE
    if isinstance(error, SystemExit) and error.code == SIGTERM_CODE:
        return SIGTERM_CODE
    # Lightning turns Ctrl-C into exit(1), with the interrupt as context.
    interrupted = (error, error.__context__)
    return 130 if any(isinstance(item, KeyboardInterrupt) for item in interrupted) else None
