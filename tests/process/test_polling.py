"""Looking beside what the process does."""

import logging
import threading

from fmnist.process.polling import polling


def test_a_look_that_fails_is_said_once_and_the_next_ones_follow(caplog):
    looks, enough = list[int](), threading.Event()

    def look() -> None:
        looks.append(1)
        if len(looks) < 3:
            raise OSError("database is locked")
        enough.set()

    with caplog.at_level(logging.WARNING), polling(look, 0.01):
        assert enough.wait(30)
    assert caplog.messages == ["OSError: database is locked (looking again)"]
