"""Looking again and again at what others do, beside what this process does."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def polling(look: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `look` in a thread every so many seconds, until the block ends; never afterwards.

    A look that fails, as at a database that somebody holds, is said once and followed by the next.
    """
    over, said = threading.Event(), set[str]()

    def keep_looking() -> None:
        while not over.wait(seconds):
            try:
                look()
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                if what not in said:
                    log.warning("%s (looking again)", what)
                said.add(what)

    thread = threading.Thread(target=keep_looking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
