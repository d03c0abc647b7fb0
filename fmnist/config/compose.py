"""Configurations from Python: what the command line composes, checked as it checks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmnist.config.command import ALONE, check_files, check_overrides
from fmnist.config.explain import explain
from fmnist.config.schema import CONF_DIR
from fmnist.config.trial import check_all
from fmnist.errors import ConfigError


def compose(overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The resolved configuration of `python -m fmnist.train OVERRIDE ...`, as plain values.

    >>> compose(["model=lenet5", "optim.lr=0.01"])["optim"]["lr"]
    0.01

    Args:
        overrides: as on the command line, each of one value.

    Raises:
        ConfigError: a setting that does not exist or has a value that it cannot have.
    """
    return compose_run(overrides)[0]


def compose_run(overrides: Sequence[str] = ()) -> tuple[dict[str, Any], dict[str, str]]:
    """The configuration, and the option of every group; see `compose`."""
    from hydra import compose as composed

    with hydra_over_conf(overrides):
        check_overrides(overrides)
        config = composed("config", overrides=list(overrides), return_hydra_config=True)
        check_files(config.hydra)
        choices = chosen_options(config.hydra)
        for group in ALONE:
            if group in choices:
                raise ConfigError(
                    f"{group}={choices[group]}: many runs: fmnist train {group}={choices[group]}"
                )
        return check_all(config), choices


def chosen_options(hydra: Any) -> dict[str, str]:
    """The option of every group, `local` only where there is such a file; from Hydra's own node."""
    folders = [Path(str(source.path)) for source in hydra.runtime.config_sources]
    local = f"local/{hydra.runtime.choices.get('local')}.yaml"
    left_out = () if any((folder / local).is_file() for folder in folders) else ("local",)
    return {
        key: name
        for key, name in hydra.runtime.choices.items()
        if name and not key.startswith("hydra/") and key not in left_out
    }


@contextmanager
def hydra_over_conf(overrides: Sequence[str]) -> Iterator[None]:
    """Hydra over conf/, from anywhere; what it says of a mistake is one line.

    Raises:
        ConfigError: that line.
    """
    from hydra import initialize_config_dir

    try:
        with initialize_config_dir(str(CONF_DIR.resolve()), version_base="1.3"):
            yield
    except ConfigError:
        raise
    except Exception as error:
        message = explain(error, list(overrides))
        if message is None:
            raise
        raise ConfigError(message) from error
