"""The run that another one started from, and whether it is still the one that it was.

A configuration's hash has the path of it (`init_from`, `ckpt_path`), and not what lies there.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from fmnist.errors import RunError
from fmnist.runs.record import Record
from fmnist.runs.run import WEIGHTS, Run, load_run

KEYS = ("init_from", "ckpt_path")


def made_anew(records: Iterable[Record]) -> list[str]:
    """A warning for every run that was made anew, with other settings, since others began there."""
    counts = Counter(given for record in records if (given := _changed(record)))
    return [
        f"WARNING {given} is another run than {count} of them started from; another "
        "hydra.sweep.dir trains them anew"
        for given, count in sorted(counts.items())
    ]


def _changed(record: Record) -> str | None:
    """The setting whose run is another one now, as far as both are known: "init_from=runs/a"."""
    for key in KEYS:
        if (given := record.config.get(key)) and (record.origin or "").endswith(")"):
            there = run_of(Path(given).expanduser())
            if there is not None and origin_words(key, given, there) != record.origin:
                return f"{key}={given}"
    return None


def run_of(path: Path) -> Run | None:
    """The run of a directory, or that wrote these weights; None: there is none."""
    if not path.is_dir():
        path = path.parent if path.name == WEIGHTS else path.parent.parent
    try:
        return load_run(path)
    except RunError:
        return None


def origin_words(key: str, given: str, there: Run | None) -> str:
    """ "init_from=outputs/a (0123abcd)"."""
    return f"{key}={given}" + (f" ({there.record.config_hash})" if there else "")
