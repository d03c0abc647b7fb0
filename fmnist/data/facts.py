"""What a run record says of its data. Imports nothing, so that reading a record stays quick."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetFacts:
    """A data set as it was read, split and measured.

    Args:
        checksums: MD5 by file; of the drawn images when synthetic.
        split_md5: of the validation images' indices, int64 little-endian.
        mean, std: of training pixels in [0, 1].
        select_on: "val", or "test": then every accuracy of the run is optimistic.
        checked: whether the checksums were compared with published ones.
    """

    name: str
    checksums: dict[str, str]
    classes: list[str]
    train_size: int
    val_size: int
    test_size: int
    split_seed: int
    split_md5: str
    mean: float
    std: float
    select_on: str = "val"
    checked: bool = True
