"""A configuration from overrides, without a command line: for notebooks and scripts."""

from collections.abc import Iterable
from typing import Any

from fmnist.config.check import check
from fmnist.config.explain import explain
from fmnist.config.schema import CONF_DIR
from fmnist.config.trial import try_out
from fmnist.errors import ConfigError, UserError


def compose(overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The resolved configuration of one run, checked as the command line checks it.

    Args:
        overrides: as on the command line, `optim=sgd`, `trainer.max_epochs=3`.

    Raises:
        ConfigError: naming the override or the key, and what would be right.
    """
    import hydra

    texts = list(overrides)
    try:
        with hydra.initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
            plain = check(hydra.compose("config", overrides=texts))
    except UserError:
        raise
    except Exception as error:
        raise ConfigError(explain(error, texts) or str(error)) from error
    try_out(plain)
    return plain
