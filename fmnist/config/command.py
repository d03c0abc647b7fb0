"""What a command line may not say, however well each of its parts is written.

Hydra lets the last of two values win and says nothing: a run of one of them would lie in a folder
that is named after both.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from fmnist.config.arguments import is_value_key
from fmnist.config.check import check_range, check_value
from fmnist.config.folders import refuse_hidden
from fmnist.config.readings import key_of
from fmnist.config.schema import GROUPS, SEVERAL
from fmnist.config.signature import read_signature
from fmnist.config.words import near_or_all, show
from fmnist.errors import ConfigError

ALONE = ("ablation", "search")  # groups whose options are a sweep: there is one a command
REPEATED = ("hydra.mode",)  # which Hydra adds itself for --multirun


def check_command(config: DictConfig) -> None:
    """The overrides, and what was chosen by them or by a file.

    Args:
        config: as composed, with Hydra's own part.

    Raises:
        ConfigError: naming what was given twice, or what does not go together.
    """
    hydra = config.hydra
    typed = OmegaConf.to_container(hydra.overrides, resolve=False)  # an override may have ${...}
    assert isinstance(typed, dict)
    check_overrides([*typed["hydra"], *typed["task"]])
    check_files(hydra)
    for group in GROUPS:
        # Hydra merges a list of options; of most groups, so that the last one wins.
        if group not in hydra.runtime.choices and group not in SEVERAL:
            raise ConfigError(f"{group}: has no option, or several of them: should be one")
    for group, option in hydra.runtime.choices.items():
        if ".." in str(option):
            raise ConfigError(f"{group}={option}: should be the name of an option, not a path")
    _check_hydras_node("hydra.sweeper", hydra.sweeper)
    _check_hydras_node("hydra.launcher", hydra.launcher)
    chosen = {group: hydra.runtime.choices.get(group) for group in ALONE}
    if all(chosen.values()):
        words = " ".join(f"{group}={option}" for group, option in chosen.items())
        raise ConfigError(f"{words}: an ablation or a search, not both: each is a sweep of its own")
    option = " ".join(f"{group}={name}" for group, name in chosen.items() if name)
    params = hydra.sweeper.get("params")
    fixed = {key_of(text) for text in typed["task"]}
    if hydra.mode != RunMode.MULTIRUN and not set(params or ()) <= fixed:  # else one of its cells
        raise ConfigError(
            f"{option or 'hydra.sweeper.params'}: varies {', '.join(map(str, params))}, but this "
            "is a single run: hydra.mode=MULTIRUN makes it a sweep"
        )
    _check_factors(params or {})
    if chosen["ablation"] and not params:
        raise ConfigError(f"{option}: varies nothing: hydra.sweeper.params should have its factors")


def _check_hydras_node(path: str, node: Any) -> None:
    """What its target does not take: a key, as `parms:` in an ablation's file, or a value."""
    check_range(f"{path}.timeout", node.get("timeout"), "(0, inf)")  # submitit's take any key
    signature = read_signature(str(node.get("_target_")))
    if signature is None:
        return
    settings: Any = OmegaConf.to_container(node, resolve=False)
    for key, value in settings.items():
        if str(key).startswith("_"):
            continue
        if key not in signature:
            raise ConfigError(
                f"{path}.{key}: no such setting{near_or_all(str(key), signature, f'{path}.')}"
            )
        if "${" not in str(value):
            check_value(f"{path}.{key}", value, signature[key])


def _check_factors(params: Any) -> None:
    for key, value in params.items():
        if not isinstance(value, str | int | float | bool | None):
            levels = ",".join(map(show, value)) if isinstance(value, ListConfig) else "A,B"
            raise ConfigError(
                f"hydra.sweeper.params.{key}={show(value)}: should be its levels as text: {levels}"
            )


def check_files(hydra: Any) -> None:
    """Refuse files that Hydra would leave out without a word: hidden ones, missing local ones.

    Args:
        hydra: Hydra's own node.

    Raises:
        ConfigError: see `refuse_hidden`; or naming what there is.
    """
    sources = [source for source in hydra.runtime.config_sources if source.schema == "file"]
    folders = [Path(source.path) for source in sources]
    _check_local(hydra, [folder / "local" for folder in folders])
    refuse_hidden(folders)


def _check_local(hydra: Any, folders: list[Path]) -> None:
    """Settings of this machine are in a file: Hydra leaves an optional one out."""
    typed: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    for override in OverridesParser.create().parse_overrides(typed):
        if override.key_or_group != "local" or override.is_delete():
            continue
        value: Any = override.value()
        if override.is_sweep_override():
            value = list(override.sweep_string_iterator())
        for name in value if isinstance(value, list) else [value]:
            if not any((folder / f"{name}.yaml").is_file() for folder in folders):
                there = [path.stem for folder in folders for path in folder.glob("*.yaml")]
                raise ConfigError(f"local={name}: no such option{near_or_all(str(name), there)}")


def check_overrides(overrides: Iterable[str]) -> None:
    """Refuse a group that is given twice, and several sweeps at once.

    Of a value that is given twice the last counts, as Hydra has it; the command line leaves the
    others out (`fmnist.config.arguments.last_of_each`).

    Raises:
        ConfigError: naming both.
    """
    first: dict[tuple[str, Any], str] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key, text = override.key_or_group, str(override.input_line)
        if key in ALONE and override.is_sweep_override():
            raise ConfigError(f"{text}: should be one option: each is a sweep of its own")
        single = {*GROUPS, "experiment", "without"} - {*SEVERAL}
        if key in single and isinstance(override.value(), list):
            raise ConfigError(f"{text}: should be one option, not a list")
        earlier = first.setdefault((key, override.package), text)
        twice = earlier is not text and key not in REPEATED
        if twice and not (is_value_key(key) and not override.is_delete()):
            raise ConfigError(
                f"{key}: given twice, as {earlier} and as {text}: {_advice(override)}"
            )


def _advice(override: Override) -> str:
    if override.key_or_group in ALONE or override.is_delete():
        return "should be there once"
    group = override.key_or_group
    both = f"{group}=[A,B] has" if group in SEVERAL else f"{group}=A,B with --multirun runs"
    return f"should be there once; {both} both"
