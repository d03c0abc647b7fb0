"""What a source left open: the readings of it that an experiment lists.

    readings:
      aug: ["on", flip] # a setting and its levels; the first is what the experiment does
      optim.lr: [0.01, 0.05]
      together: [{aug: flip, optim.lr: 0.05}]

The first reading is ours, the experiment as it stands. Each other level is one more, with all else
as in ours, and so is each entry of `together`: levels are not crossed, for the cost. A sweep whose
file says `hydra.sweeper.readings: true` runs every one of its cells under every reading of its
experiment; a list of readings, `[ours, 'aug=flip optim.lr=0.05']`, stands for these alone. Which
verdicts that gives: `fmnist.evidence.verdict`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fmnist.config.words import near_or_all
from fmnist.errors import ConfigError

Reading = tuple[str, ...]  # overrides; () is ours
OURS: Reading = ()
TOGETHER = "together"


def readings(node: Any) -> list[Reading]:
    """Ours first; ours alone where nothing is listed.

    Args:
        node: plain value of `readings` in an experiment.

    Raises:
        ConfigError: it is something else.
    """
    if not node:
        return [OURS]
    right = isinstance(node, Mapping) and all(isinstance(v, list) and v for v in node.values())
    if not right or not all(isinstance(item, Mapping) for item in node.get(TOGETHER, [])):
        raise ConfigError("readings: should be settings with lists of levels, ours first, and "
                          "together: a list of settings")  # fmt: skip
    alone = [{key: v} for key, levels in node.items() if key != TOGETHER for v in levels[1:]]
    return [
        OURS,
        *(
            tuple(f"{key}={_text(value)}" for key, value in item.items())
            for item in [*alone, *node.get(TOGETHER, [])]
        ),
    ]


def words(reading: Reading) -> str:
    """As a list of readings has it: "aug=flip optim.lr=0.05", or "ours"."""
    return " ".join(reading) or "ours"


def check_wanted(wanted: Any) -> bool | list[str]:
    """Which readings a sweep runs: all, none but ours, or a list of some.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(wanted, bool):
        return wanted
    several = isinstance(wanted, Sequence) and not isinstance(wanted, str)
    if several and wanted and all(isinstance(text, str) for text in wanted):
        return list(wanted)
    raise ConfigError(
        f"hydra.sweeper.readings={wanted}: should be true, false or a list of readings, such as "
        "[ours, 'optim.lr=0.05']"
    )


def refuse_unlisted(wanted: bool | list[str], listed: Sequence[Reading]) -> None:
    """Refuse a reading that no experiment lists.

    Raises:
        ConfigError: naming it.
    """
    known = list(dict.fromkeys(map(words, listed)))
    for text in wanted if isinstance(wanted, list) else ():
        if text not in known:
            raise ConfigError(
                f"hydra.sweeper.readings={text}: no such reading{near_or_all(text, known)}"
            )


def _text(value: Any) -> str:
    """As on the command line."""
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def key_of(override: str) -> str:
    """ "optim.lr" of "+optim.lr=1"."""
    return override.lstrip("+~").partition("=")[0]
