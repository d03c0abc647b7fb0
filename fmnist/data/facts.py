"""What a run record says of its data. Imports nothing, so that reading a record stays quick."""

from collections.abc import Mapping
from dataclasses import dataclass, field

LABELS = "_labels"  # the end of the keys of sums that are of a part's labels


@dataclass(frozen=True)
class Look:
    """How the images of a set stand in their frames; measured by `fmnist.data.look`.

    Args:
        background: of pixels up to 255, one value for every channel; empty: photographs, which have
            no common background.
        content: the longest side of what is shown, as a share of the frame's; the median.
    """

    background: list[float]
    content: float


@dataclass(frozen=True)
class DatasetFacts:
    """A data set as it was read, split and measured.

    Args:
        checksums: MD5 by file; or of pixels and of labels, by part; of drawn images when synthetic.
        split_md5: of the validation images' indices, int64 little-endian.
        mean, std: of training pixels in [0, 1]; of colour images one for every channel.
        select_on: "val", or "test": then every accuracy of the run is optimistic.
        checked: whether the checksums were compared with published ones.
        shape: of an image: channels, height, width.
        look: of the training images; None: not measured, by a version that did not.
    """

    name: str
    checksums: dict[str, str]
    classes: list[str]
    train_size: int
    val_size: int
    test_size: int
    split_seed: int
    split_md5: str
    mean: float | list[float]
    std: float | list[float]
    select_on: str = "val"
    checked: bool = True
    shape: list[int] = field(default_factory=lambda: [1, 28, 28])  # of records that do not say
    look: Look | None = None


def same_test_images(first: DatasetFacts, second: DatasetFacts) -> bool:
    """Whether runs were tested on images of one set, by their checksums.

    Only those of the test part count where there are sums by part.
    """

    def of_test(sums: Mapping[str, str]) -> Mapping[str, str]:
        return {k: v for k, v in sums.items() if k.removesuffix(LABELS) == "test"} or sums

    return same_sums(of_test(first.checksums), of_test(second.checksums))


def same_sums(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    """Whether two data sets are the same by their checksums.

    Those of labels count where both have them: records of before they were taken have none.
    """
    both = first.keys() & second.keys()
    return all(first[key] == second[key] for key in both) and all(
        key.endswith(LABELS) for key in first.keys() ^ second.keys()
    )
