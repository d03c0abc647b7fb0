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

from fmnist.config.schema import look_up
from fmnist.config.words import near_or_all, show
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
    if not isinstance(node, Mapping):
        raise ConfigError(f"readings={node}: should be settings with lists of levels, ours first")
    for key, levels in node.items():
        several = isinstance(levels, list) and levels
        if key == TOGETHER and not (several and all(isinstance(v, Mapping) for v in levels)):
            raise ConfigError(
                f"readings.{key}={levels}: should be a list of settings, such as "
                "[{aug: flip, optim.lr: 0.05}]"
            )
        if not several:
            raise ConfigError(f"readings.{key}={levels}: should be a list of levels, ours first")
    alone = [{key: v} for key, levels in node.items() if key != TOGETHER for v in levels[1:]]
    return [
        OURS,
        *(
            tuple(f"{key}={show(value)}" for key, value in item.items())
            for item in [*alone, *node.get(TOGETHER, [])]
        ),
    ]


def refuse_unknown(listed: Sequence[Reading], plain: dict[str, Any]) -> None:
    """Refuse a reading of a setting that a configuration does not have.

    What a reading sets within a group for which it names another option only that option knows.

    Args:
        plain: resolved, as the experiment has it.

    Raises:
        ConfigError: naming the setting, and the one that is near.
    """
    for reading in listed:
        keys = [text.partition("=")[0] for text in reading]
        for key in keys:
            above, _, name = key.rpartition(".")
            if not above or above.partition(".")[0] in keys or key[0] in "+~":
                continue
            node = look_up(plain, above)
            known = node if isinstance(node, dict) else {}
            if name not in known:
                hint = near_or_all(name, map(str, known), f"{above}.")
                raise ConfigError(f"readings.{key}: no such setting{hint}")


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


def key_of(override: str) -> str:
    """ "optim.lr" of "+optim.lr=1"."""
    return override.lstrip("+~").partition("=")[0]
