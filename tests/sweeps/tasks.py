"""What cells do in the tests of their processes: instead of training, each of them ends its way."""

import signal
import threading
import time
from dataclasses import replace

from fmnist.config.schema import config_hash
from fmnist.runs.run import Run, locked
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
    time.sleep(1000)


def counts_interrupts(config, job):
    """Writes how many interrupts it had, whenever it has one; ends after two."""
    (job.dir / "began").touch()
    for count in (1, 2):
        try:
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            (job.dir / "interrupts").write_text(str(count))


def read(path):
    return path.read_text() if path.exists() else ""
