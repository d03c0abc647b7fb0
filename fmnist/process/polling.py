"""Looking again and again at what others do, beside what this process does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def polling(look: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call `look` in a thread every so many seconds, until the block ends; never afterwards."""
    over = threading.Event()

    def keep_looking() -> None:
        while not over.wait(seconds):
            look()

    thread = threading.Thread(target=keep_looking, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
