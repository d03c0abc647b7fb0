"""corruptions.json: how accurate a finished run's best net is on damaged test images.

`fmnist evaluate RUN --corruptions` writes it beside the record, which it belongs to; rows of tables
and claims have its numbers as `test/acc/corrupted`, the mean, and `test/acc/corrupted/blur`.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated

from fmnist.runs.plain import Between, Damaged, decode, encode, read_json, reading, write_json
from fmnist.runs.record import Record

CORRUPTED = "corruptions.json"
KINDS = (
    "noise", "blur", "brightness", "contrast", "rotation", "shift", "scale", "occlusion", "jpeg",
    "pixelation",
)  # fmt: skip
STRENGTHS = 5
METRIC = "test/acc/corrupted"
METRICS = (METRIC, *(f"{METRIC}/{kind}" for kind in KINDS))


@dataclass(frozen=True)
class Corrupted:
    """Accuracies on damaged test images.

    Args:
        config_hash, tested_at: of the record that the file belongs to.
        torchvision: the version that damaged them.
        acc: by kind, one for every strength, in [0, 1].
    """

    config_hash: str
    tested_at: float | None
    torchvision: str
    acc: dict[str, list[Annotated[float, Between(0, 1)]]]

    def metrics(self) -> dict[str, float]:
        """Means over strengths, by METRICS; and over kinds."""
        kinds = {f"{METRIC}/{kind}": mean(values) for kind, values in self.acc.items()}
        return {METRIC: mean(kinds.values()), **kinds}


def corrupted_json(corrupted: Corrupted) -> bytes:
    """As it stands on disk."""
    return write_json(encode(corrupted))


def read_corrupted(run_dir: Path, record: Record) -> Corrupted | None:
    """What was measured of a run; None: nothing was, or of an earlier one in its folder.

    Raises:
        RunError: the file is damaged.
    """
    path = run_dir / CORRUPTED
    if not path.exists():
        return None
    with reading(path, "is no table of accuracies"):
        found: Corrupted = decode(Corrupted, read_json(path)[0])
        if tuple(found.acc) != KINDS or any(len(row) != STRENGTHS for row in found.acc.values()):
            raise Damaged(f"should have {STRENGTHS} accuracies of each of {', '.join(KINDS)}")
    same = (found.config_hash, found.tested_at) == (record.config_hash, record.tested_at)
    return found if same else None
