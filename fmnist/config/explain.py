"""A mistake of the user's in one line, whoever found it: Hydra, OmegaConf, or we."""

import re

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException, ValidationError

from fmnist.config.schema import CONF_DIR
from fmnist.config.signature import read_signature
from fmnist.config.words import in_one_line, near_or_all, show
from fmnist.errors import UserError


def explain(error: Exception, overrides: list[str]) -> str | None:
    """A mistake of the user's in one line, Hydra's and OmegaConf's among them; None for a bug."""
    if isinstance(error, UserError):
        return str(error)
    cause = error.__cause__ or error.__context__
    if isinstance(error, MissingConfigException):
        return _explain_missing(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override}: should be key=value, brackets closed, special characters quoted"
    if isinstance(error, ConfigCompositionException) and isinstance(cause, OmegaConfBaseException):
        file = re.match(r"In '.*?': ", str(error))
        return (file[0] if file else "") + _explain_key(cause)
    if isinstance(error, ConfigCompositionException) and str(error).startswith("Ambiguous value"):
        override = str(error).split("'")[1]
        return f"{override}: several values need --multirun; one value that is a list needs [ ]"
    if isinstance(error, InstantiationException):
        return _explain_constructor(error)
    if isinstance(error, OmegaConfBaseException):
        return in_one_line(error)
    if type(error).__name__ == "MisconfigurationException":  # Lightning's: no such device here
        return f"trainer: {in_one_line(error)}"
    if type(error).__module__.startswith("yaml."):
        return " ".join(str(error).split())
    if "Config group override must be" in str(error):
        groups = [text for text in overrides if (CONF_DIR / text.partition("=")[0]).is_dir()]
        return f"{' '.join(groups)}: should be the name of an option"
    return " ".join(str(error).split()) if isinstance(error, HydraException) else None


def _explain_missing(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return " ".join(str(error).split())
    options = [name.removesuffix(".yaml") for name in error.options]
    return f"{group}={option}: no such option{near_or_all(option, options)}"


def _explain_key(error: OmegaConfBaseException) -> str:
    """A key that does not exist, or a field of `Config` that is given another type."""
    path, parent = str(error.full_key), error.parent_node
    above, _, key = path.rpartition(".")
    if isinstance(error, ValidationError):
        field = (read_signature("fmnist.config.schema.Config") or {}).get(path)
        should = f"should be {field.expectation()}" if field else in_one_line(error)
        return f"{path}={show(error.value)}: {should}"
    if not isinstance(parent, DictConfig) or not parent:  # OmegaConf emptied it
        return f"{path}: no such setting; there are none under {above} here"
    if key in (read_signature(str(parent.get("_target_"))) or {}):
        return f"{path}: not in the configuration; +{path}=... adds it"
    siblings = [str(name) for name in parent if name != "hydra"]
    return f"{path}: no such setting{near_or_all(key, siblings, above and f'{above}.')}"


def _explain_constructor(error: InstantiationException) -> str | None:
    """A target that cannot be found, or that refuses a value; None for a bug inside it."""
    cause, first = error.__cause__, in_one_line(error)
    if isinstance(cause, ValueError):
        first += f" {in_one_line(cause)} (HYDRA_FULL_ERROR=1 shows where)"
    return first if cause is None or isinstance(cause, ValueError | ImportError) else None
