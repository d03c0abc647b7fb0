"""Whether the run that finished ones have started from is still the one that it was.

A configuration's hash has the path of it (`init_from`, `ckpt_path`), and not what lies there.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from fmnist.errors import RunError
from fmnist.runs.record import Record
from fmnist.runs.run import load_run

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
    for given in (f"{key}={record.config[key]}" for key in KEYS if record.config.get(key)):
        was = (record.origin or "").removeprefix(f"{given} (").removesuffix(")")
        path = Path(given.partition("=")[2]).expanduser()
        folders = [path] if path.is_dir() else [path.parent, path.parent.parent]
        for folder in folders:
            try:
                now = load_run(folder).record.config_hash
            except RunError:
                continue
            return given if was != record.origin and now != was else None
    return None
