"""What a source left open: the readings of it that an experiment lists.

    readings:
      aug: ["on", flip] # a setting and its levels; the first is what the experiment does
      optim.lr: [0.01, 0.05]
      together: [{aug: flip, optim.lr: 0.05}]

The first reading is ours, the experiment as it stands. Each other level is one more, with all else
as in ours, and so is each entry of `together`: levels are not crossed, for the cost. A sweep whose
file says `hydra.sweeper.readings: true` runs every one of its cells under every reading of its
experiment. Which verdicts that gives: `fmnist.evidence.verdict`.
"""

from collections.abc import Mapping
from typing import Any

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


def _text(value: Any) -> str:
    """As on the command line."""
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def key_of(override: str) -> str:
    """ "optim.lr" of "+optim.lr=1"."""
    return override.lstrip("+~").partition("=")[0]
