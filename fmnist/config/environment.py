"""What a variable of the environment says that a configuration leaves to it."""

import os
from typing import Any

from fmnist.config.words import near
from fmnist.errors import ConfigError

MODES = ("online", "offline", "disabled")  # W&B's, for WANDB_MODE


def wandb_mode() -> str:
    """WANDB_MODE; "" where it says nothing.

    Raises:
        ConfigError: it is none of W&B's modes.
    """
    given = os.environ.get("WANDB_MODE", "")
    if given and given not in MODES:
        right = f"should be one of {', '.join(MODES)}{near(given, MODES)}"
        raise ConfigError(f"WANDB_MODE={given}: {right}")
    return given


def check_environment(plain: dict[str, Any]) -> None:
    """Refuse what a chosen logger would refuse.

    Raises:
        ConfigError: see `wandb_mode`.
    """
    targets = [node["_target_"] for node in plain["logger"].values()]
    if "fmnist.tracking.loggers.wandb_logger" in targets:
        wandb_mode()
