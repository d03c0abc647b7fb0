"""How a command ends."""

import subprocess
import sys

CODE = """
import atexit, threading
from fmnist.process.terminal import leave
atexit.register(print, "modules are taken apart")
threading.Thread(target=threading.Event().wait).start()  # somebody has left it behind
print("all that was said", end="")
leave(3)
"""


def test_what_was_said_is_written_and_nothing_is_waited_for() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "all that was said", "")


def test_a_profiler_may_still_write_what_it_has_measured() -> None:
    code = "import sys; sys.setprofile(lambda *_: None); from fmnist.process.terminal import leave"
    hook = "import atexit; atexit.register(print, 'written')"
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}; {hook}; leave(0)"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "written\n")
