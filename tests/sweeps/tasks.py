"""What cells do in the tests of their processes: instead of training, each of them ends its way."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace

from fmnist.config.schema import config_hash
from fmnist.errors import DataUnavailable, Diverged
from fmnist.runs.lock import locked
from fmnist.runs.recording import recorded
from fmnist.runs.run import Run
from tests.records import CONFIG, a_record, put_record


def waits(config, job):
    """Until a file says how to end: "finish", or anything that is raised."""
    with locked(job.dir):
        record = a_record(config_hash=config_hash(config), config=CONFIG)
        run = Run(put_record(job.dir, replace(record, status="running")), record)
        (job.dir / "began").touch()
        while not (how := read(job.dir / "how")):
            time.sleep(0.01)
        if how != "finish":
            raise ValueError(how)
        run.write(replace(record, metrics=record.metrics | {"val/acc_best": 0.75}))


def finishes_but_stays(config, job):
    """A thread that nobody ends."""
    threading.Thread(target=time.sleep, args=(1000,)).start()
    (job.dir / "how").write_text("finish")
    waits(config, job)


def hangs(config, job):
    """As in a system call that does not come back: SIGTERM does nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    waits(config, job)


def finishes_and_hangs(config, job):
    (job.dir / "how").write_text("finish")
    waits(config, job)
    (job.dir / "hangs").touch()
    time.sleep(1000)


def counts_interrupts(config, job):
    """Writes how many interrupts it had, whenever it has one; ends after two."""
    for count in (1, 2):
        try:
            (job.dir / "began").touch()  # in here: from now on it may have one
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            (job.dir / "interrupts").write_text(str(count))


def read(path):
    return path.read_text() if path.exists() else ""


def crashes_once(config, job):
    """Killed the first time, as one that runs out of memory."""
    if not (job.dir / "crashed").exists():
        (job.dir / "crashed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (job.dir / "how").write_text("finish")
    waits(config, job)


def diverges(config, job):
    with (job.dir / "times").open("a") as file:
        file.write("x")
    with locked(job.dir):
        record = a_record("running", config_hash=config_hash(config), config=CONFIG)
        with recorded(Run(put_record(job.dir, record), record)):
            raise Diverged("the loss is nan")


def says_its_variables(config, job):
    import torch

    (job.dir / "said").write_text(f"{os.environ['A']} {torch.get_num_threads()}")
    (job.dir / "how").write_text("finish")
    waits(config, job)


def says_its_imports(config, job):
    from fmnist.train import train

    before = {*sys.modules}
    train(config, job)
    (job.dir / "said").write_text(" ".join({*sys.modules} - before))


def has_no_data(config, job):
    """Before it has a record."""
    raise DataUnavailable("no such file")
