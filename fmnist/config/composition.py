"""What Hydra says of a command or a file that does not compose, in the words of who typed it.

Hydra's own words are often about another cure than the one that is needed: it advises to edit a
file where a plus sign is too many, and blames no override where one of them is at fault.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from fmnist.config.folders import options_of
from fmnist.config.schema import SCALARS
from fmnist.config.words import near_or_all

# Groups whose files set other groups.
GLOBAL = ("experiment", "ablation", "search", "without", "local")


def explain_composition(error: Exception, overrides: Iterable[str]) -> str | None:
    """One line about the override or the file that is at fault; None for any other error."""
    text, typed = " ".join(str(error).split()), list(overrides)
    if "Config group override must be" in text:
        return _explain_no_option(typed)
    if found := re.match(
        r"Multiple values for ([\w/@.]+)\.|([\w/@.]+) appears more than once", text
    ):
        return _explain_plus(found[1] or found[2], typed)
    if found := re.match(r"force-add of config groups is not supported: '\+\+(.*)'", text):
        return f"++{found[1]}: should be {found[1]}: the group has an option already"
    if found := re.match(r"Could not append to config\. An item is already at '(.*?)'", text):
        return _explain_plus(found[1], typed)
    if found := re.match(r"Could not delete from config\. '(.*?)' does not exist", text):
        return f"~{found[1]}: there is no such setting to leave out"
    if found := re.match(r"Additional config directory '(.*)' not found", text):
        return f"--config-dir {found[1]}: no such folder"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return _explain_missing(group, option, error.options, _own_folder(typed))
    if isinstance(error, HydraException):
        return _explain_file(text, error.__cause__ or error.__context__)
    return None


def _explain_missing(group: str, option: str, found: Sequence[str] | None, own: str | None) -> str:
    """Of a group that takes several options, Hydra has found none: there are those of the folders.

    Args:
        own: a folder of one's own that was given.
    """
    if not group:
        return f"{option}.yaml: in no folder of configurations"
    there = [file.stem for file in (Path(own) / group).glob("*.yaml")] if own else []
    options = [name.removesuffix(".yaml") for name in found or ()]
    options = options or [*options_of(group), *there]
    lacks = own and not (Path(own) / group).is_dir()
    lacking = f"; {own} has no folder {group}/" if lacks else ""
    return f"{group}={option}: no such option{near_or_all(option, options)}{lacking}"


def _own_folder(typed: list[str]) -> str | None:
    found = re.search(r"(?:--config-dir|-cd)[= ](\S+)", " ".join(typed))
    return found[1] if found else None


def _explain_no_option(typed: list[str]) -> str:
    """`model=null`, `optim=5e-4`: of a group, but no option's name."""
    parsed = OverridesParser.create().parse_overrides(
        [text for text in typed if not text.startswith("-")]
    )
    bad = [
        override
        for override in parsed
        if not override.is_delete()
        and "." not in override.key_or_group
        and override.key_or_group not in SCALARS
        and not override.is_sweep_override()
        and not isinstance(override.value(), str | list | dict)
    ]
    words = " ".join(str(override.input_line) for override in bad)
    optional = all(override.key_or_group in GLOBAL for override in bad)
    return f"{words}: should be the name of an option{', or be left out' if optional else ''}"


def _explain_plus(key: str, typed: list[str]) -> str:
    """`+optim.lr=1`, `+experiment=s2_best`: what is there already needs no plus."""
    for text in typed:
        if text.startswith(f"+{key}="):
            return f"{text}: should be {text.lstrip('+')}: without a plus, as it is there already"
    return f"{key}: given twice; should be there once"


def _explain_file(text: str, cause: BaseException | None) -> str | None:
    """A file of a group that is no mapping, or that lacks its first line."""
    found = re.match(r"In '(.*?)': ", text)
    if found is None or not isinstance(cause, OmegaConfBaseException):
        return None
    file, group = found[1], found[1].partition("/")[0]
    if not cause.full_key and re.search(r"list is not a subclass|with ListConfig", str(cause)):
        return f"{file}: a list stands where key: value should"
    if group in GLOBAL and cause.full_key == group:
        return f"{file}: should begin with the line # @package _global_ and then set something"
    return None
