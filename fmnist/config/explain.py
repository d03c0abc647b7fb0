"""A mistake in one line, whoever found it: Hydra, OmegaConf, Lightning, the system, or we."""

import logging
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    OmegaConfBaseException,
    ValidationError,
)

from fmnist.config.build import cause_of
from fmnist.config.composition import explain_composition
from fmnist.config.groups import grouping_settings
from fmnist.config.signature import read_signature
from fmnist.config.words import in_one_line, near, near_or_all, near_setting, not_utf8, show
from fmnist.errors import UserError
from fmnist.process.terminal import say

PACKAGE = Path(__file__).parents[1]
# Code of others, and of this package but for its nets: where a user's own frames are not.
FOREIGN = tuple(
    str(path)
    for path in (
        *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
        *(path for path in PACKAGE.iterdir() if path.name != "models"),
        PACKAGE.parent / "hydra_plugins",
    )
)


def fail(error: Exception) -> int:
    """Say in one line on stderr what is wrong. The exit code.

    Who asks for the traceback gets it (HYDRA_FULL_ERROR=1); of what nobody here knows it stands in
    the run's log, too.
    """
    if os.environ.get("FMNIST_FULL_ERROR") == "1":
        traceback.print_exception(error)
        return 1
    message = explain(error, sys.argv[1:])
    if message is not None:
        say(f"error: {message}")
        return error.exit_code if isinstance(error, UserError) else 2
    files = _write_to_logs(error)
    where = f"{files[0]} says more" if files else "HYDRA_FULL_ERROR=1 shows more"
    say(f"error: {describe(error)} ({where})")
    return 1


def explain(error: Exception, overrides: list[str]) -> str | None:
    """A mistake of the user's in one line, Hydra's and OmegaConf's among them; None for a bug."""
    if isinstance(error, UserError):
        return str(error)
    if line := explain_composition(error, overrides):
        return line
    cause = error.__cause__ or error.__context__
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
        if isinstance(error, InterpolationResolutionError) and "${" in str(here := Path.cwd()):
            return f"{here}: ${{...}} in a folder's name is a reference to Hydra: start elsewhere"
        return in_one_line(error)
    if type(error).__name__ == "MisconfigurationException":  # Lightning's: no such device here
        return f"trainer: {in_one_line(error)}"
    if type(error).__module__.startswith("yaml."):
        return " ".join(str(error).split())
    if isinstance(error, UnicodeDecodeError) and own_line(error) is None:
        return f"a file of configurations {not_utf8(error)}"
    if isinstance(error, ValueError) and str(error).startswith("Unable to configure"):
        words = describe(cause) if isinstance(cause, OSError) else in_one_line(cause or error)
        return f"hydra.job_logging: {in_one_line(error).lower()}: {words}"
    if isinstance(error, OSError) and error.strerror:
        return describe(error)
    return " ".join(str(error).split()) if isinstance(error, HydraException) else None


def describe(error: BaseException) -> str:
    """The error's words, its type where they need it, and the user's own line that raised it."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    if isinstance(error, OSError) and error.strerror:
        words = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        name, said = type(error).__name__, in_one_line(error)
        words = name if said == name else f"{name}: {said}"
    line = own_line(error)
    return f"{words}, at {line}" if line else words


def own_line(error: BaseException) -> str | None:
    """FILE:LINE of the innermost frame that is the user's own code: of no library, nor of ours."""
    for each in _chain(error):
        if isinstance(each, SyntaxError) and each.filename:
            return f"{each.filename}:{each.lineno}"
        for frame in reversed(traceback.extract_tb(each.__traceback__)):
            if not frame.filename.startswith((*FOREIGN, "<")):
                return f"{frame.filename}:{frame.lineno}"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error that came first, and those that it caused."""
    if error is not None:
        yield from _chain(error.__cause__ or error.__context__)
        yield error


def _write_to_logs(error: Exception) -> list[str]:
    """Put the traceback into the files that the run's log is written to. Their names."""
    record = logging.LogRecord(
        __name__,
        logging.ERROR,
        __file__,
        0,
        "the run ended",
        (),
        (type(error), error, error.__traceback__),
    )
    files = [each for each in logging.root.handlers if isinstance(each, logging.FileHandler)]
    for handler in files:
        handler.handle(record)
    return [os.path.relpath(handler.baseFilename) for handler in files]


def _explain_key(error: OmegaConfBaseException) -> str:
    """A key that does not exist, or a field of `Config` that is given another type."""
    path, parent = str(error.full_key), error.parent_node
    above, _, key = path.rpartition(".")
    if isinstance(error, ValidationError):
        field = (read_signature("fmnist.config.schema.Config") or {}).get(path)
        words = field.expectation() if field else ""
        if not words and "is not a ListConfig" in str(error):
            words = f"a list, as [{show(error.value)}]"
        should = f"should be {words}" if words else str(error).splitlines()[0]
        return f"{path}={show(error.value)}: {should}"
    if not isinstance(parent, DictConfig) or not parent:  # OmegaConf emptied it
        return f"{path}: no such setting; there are none under {above} here"
    known = read_signature(str(parent.get("_target_"))) or {}
    if key in known or (above == "optim" and key in grouping_settings()):
        return f"{path}: not in the configuration; +{path}=... adds it"
    if not above:
        plain: Any = OmegaConf.to_container(parent, resolve=False)
        return f"{path}: no such setting{near_setting(key, plain)}"
    siblings = [str(name) for name in parent]
    hint = near(key, [*siblings, *known], f"{above}.") or near_or_all(key, siblings)
    return f"{path}: no such setting{hint}"


def _explain_constructor(error: InstantiationException) -> str:
    """A target that cannot be found, or whose constructor fails."""
    target = re.search(r"'([\w.]+)'", str(error))
    if error.__cause__ is None or target is None:
        return in_one_line(error)
    return f"{target[1]}: {describe(cause_of(error))}"
