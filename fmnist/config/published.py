"""The facts of published data sets, read from `published.yaml` beside this file.

Configurations are checked for their names; `fmnist.data.files` reads the sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml


@dataclass(frozen=True)
class Published:
    """A data set as its authors publish it.

    Args:
        reader: form of the files, "idx" or "cifar"; "drawn": there are none.
        shape: of an image: channels, height, width.
        classes: their names, by label.
        test_size: test images; None: as many as are drawn.
        folder: below the data root.
        train, test: MD5 by file; None where it is not published.
        torchvision: the class of torchvision's that downloads it.
        arguments: of that class, once for each download.
        elsewhere: a folder in which a package of a distribution puts the files.
        transposed: whether rows and columns are exchanged in the files.
        first_label: of the first class.
    """

    reader: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    test_size: int | None = None
    folder: str = ""
    train: dict[str, str | None] = field(default_factory=dict)
    test: dict[str, str | None] = field(default_factory=dict)
    torchvision: str = ""
    arguments: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    elsewhere: str | None = None
    transposed: bool = False
    first_label: int = 0

    @property
    def files(self) -> dict[str, str | None]:
        """MD5 of every file."""
        return self.train | self.test

    @property
    def checked(self) -> bool:
        """Whether the sums of the files are known, so that they are compared."""
        return all(self.files.values())


@cache
def published() -> dict[str, Published]:
    """By name."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 2 ms, where OmegaConf's takes 30
    facts = yaml.load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"), loader)
    return {
        name: Published(**of_it | {key: tuple(of_it[key]) for key in ("shape", "classes")})
        for name, of_it in cast("dict[str, dict[str, Any]]", facts).items()
    }


def sizes_of(data: Mapping[str, Any]) -> tuple[tuple[int, ...], int] | None:
    """Shape of an image and number of classes, as far as a configuration's data node tells them.

    None: only who reads the data knows.
    """
    facts = published().get(str(data.get("name")))
    if facts is None or data.get("source") is not None:
        return None
    channels, size, _ = facts.shape
    size, channels = data.get("size") or size, data.get("channels") or channels
    return (channels, size, size), data.get("classes") or len(facts.classes)
