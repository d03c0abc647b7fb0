"""How a command ends."""

import subprocess
import sys
from pathlib import Path

CODE = """
import atexit, sys, threading
from fmnist.process.terminal import leave
atexit.register(print, "modules are taken apart")
threading.Thread(target=threading.Event().wait).start()  # somebody has left it behind
print("all that was said", end="")
left = open(sys.argv[1], "w")
left.write("by a callback that closes nothing")
leave(3)
"""

TRAINED = """
import atexit, sys
from fmnist.process.terminal import left_at_once
class Module:
    def __del__(self): print("modules are taken apart")
sys.modules["mine"] = Module()
atexit.register(print, "a logger has sent the rest")
with left_at_once():
    sys.exit(130)
"""


def test_what_was_said_is_written_and_nothing_is_waited_for(tmp_path: Path) -> None:
    ended = ended_by(CODE, str(tmp_path / "left"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "all that was said", "")
    assert (tmp_path / "left").read_text() == "by a callback that closes nothing"


def test_training_ends_after_the_exit_hooks_of_others() -> None:
    ended = ended_by(TRAINED)
    assert (ended.returncode, ended.stdout) == (130, "a logger has sent the rest\n")


def ended_by(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )


def test_a_profiler_may_still_write_what_it_has_measured() -> None:
    code = "import sys; sys.setprofile(lambda *_: None); from fmnist.process.terminal import leave"
    hook = "import atexit; atexit.register(print, 'written')"
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}; {hook}; leave(0)"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "written\n")
