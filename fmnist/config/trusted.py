"""What may be built from a record, and what may not.

Who is trusted. A run directory, a claim or a results file may come from somebody else: reading it
must run none of their code, write nothing outside the folder that the command names, and fetch
nothing. So checkpoints are read as tensors and plain values, arrays without pickle, YAML without
tags; and of the `_target_`s of a record only classes are built that this package defines for it
(nets and data, see `ALLOWED`) or torch's layers, checked at every depth before anything is
imported, by what a name turns out to be and not by how it is written. Values of a record are
plain: interpolations are refused, not resolved. Somebody's own net is their code: `--trust`, or
FMNIST_TRUST=PACKAGE,..., says that it may run.
Out of scope: a record that makes a net too large for this machine, and the folder one stands in,
from which Python itself imports (start no command inside a folder that you do not trust).
A process trusts the configuration that it was started with: `Run.own`.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any

from fmnist.errors import UserError

# By the module that a name begins with: where its class must be defined, ...
ALLOWED = {
    "fmnist.models": "fmnist.models",
    "fmnist.data": "fmnist.data",
    "torch.nn": "torch.nn.modules",
}
LAYERS = ("fmnist.models", "torch.nn.modules")  # ... and there be a net or a layer of one
SETTING = "FMNIST_TRUST"  # names of packages, separated by commas
TRUST_HELP = f"run the code of others that records name; {SETTING}=PACKAGE,...: of these packages"
NAME = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", re.ASCII)
# Packages in which nobody's own net is.
KNOWN = {*sys.stdlib_module_names, "fmnist", "torch", "hydra", "omegaconf", "numpy", "lightning"}
FLAGS: dict[str, tuple[Any, ...]] = {
    "_partial_": (True, False),
    "_recursive_": (True, False),
    "_convert_": ("none", "partial", "object", "all"),
}

_everything: ContextVar[bool] = ContextVar("everything", default=False)


class Untrusted(UserError):
    """A record asks for code, or for a value, that is not to be used because it says so."""


@contextmanager
def trust(everything: bool) -> Iterator[None]:
    """Around a command: what `--trust` says of the records that it reads."""
    token = _everything.set(everything)
    try:
        yield
    finally:
        _everything.reset(token)


def refuse_untrusted(node: Any) -> None:
    """Nothing, if what a node of a record describes may be built; nothing is built here.

    Args:
        node: plain values.

    Raises:
        Untrusted: it needs code that is not trusted, or is not plain.
    """
    if _everything.get():
        return
    try:
        check_plain(node)
        targets = list(targets_of(node))
    except RecursionError as error:
        raise Untrusted("the configuration is nested too deeply") from error
    for target in targets:  # all of them before the first import
        check_name(target)
    for target in targets:
        check_object(target)


def trusted_packages() -> list[str]:
    """The packages of the setting."""
    return [name.strip() for name in os.environ.get(SETTING, "").split(",") if name.strip()]


def targets_of(node: Any) -> Iterator[Any]:
    """Every `_target_` in a node, in lists and arguments too."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets_of(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from targets_of(value)


def check_plain(node: Any) -> None:
    """A record's values are what training was given: nothing in them is looked up.

    Raises:
        Untrusted: an interpolation, or a key of Hydra's with a value that it does not have.
    """
    if isinstance(node, str) and ("${" in node or node == "???"):
        raise Untrusted(f"{node}: the values of a record should be plain, without ${{...}} or ???")
    if isinstance(node, list | tuple):
        for value in node:
            check_plain(value)
    if isinstance(node, dict):
        for key, value in node.items():
            check_plain(key)
            check_plain(value)
            options = FLAGS.get(key)
            if options and not (isinstance(value, type(options[0])) and value in options):
                raise Untrusted(f"{key}={value}: should be one of {options}")


def is_below(name: str, package: str) -> bool:
    """Whether a dotted name is a package's, or of something inside it."""
    return name == package or name.startswith(f"{package}.")


def check_name(target: Any) -> None:
    """Refuse, by its name alone, what cannot be one of ours; nothing is imported.

    Raises:
        Untrusted: naming the target and the way out.
    """
    if isinstance(target, str) and NAME.fullmatch(target):
        module = target.rpartition(".")[0]
        if any(is_below(target, package) for package in trusted_packages()):
            return
        if any(is_below(module, allowed) for allowed in ALLOWED):
            return
    raise refusal(target)


def check_object(target: str) -> None:
    """Refuse what only looks like one of ours: a function, or what a module itself imported.

    Raises:
        Untrusted: naming the target and the way out.
    """
    from fmnist.config.build import find_target

    for package in trusted_packages():
        if is_below(target, package):
            if not is_below(str(getattr(find_target(target), "__module__", "")), package):
                raise refusal(target)
            return
    module, _, name = target.rpartition(".")
    try:
        found = vars(import_module(module)).get(name)
    except ImportError:  # in `fmnist.models.lenet5.torch.load`, say, lenet5 is no package
        found = None
    if found is None:
        raise Untrusted(f"{target}: this version of fmnist has no such net or data set")
    home = next(ALLOWED[start] for start in ALLOWED if is_below(module, start))
    if not isinstance(found, type) or not is_below(found.__module__, home):
        raise refusal(target)
    if home in LAYERS:
        from torch.nn import Module

        if not issubclass(found, Module):
            raise refusal(target)


def refusal(target: Any) -> Untrusted:
    """What to say of a target; the way out only where a net could come from."""
    words = (
        f"_target_={target}: is not a net, layer or data set of fmnist's, and reading a run starts "
        "no code of others"
    )
    package = str(target).partition(".")[0]
    if isinstance(target, str) and NAME.fullmatch(target) and package not in KNOWN:
        words += f"; if you trust it: --trust, or {SETTING}={package}"
    return Untrusted(words)


def missing_code(node: Any) -> str | None:
    """Which package of a node's is not found from here, and what would help; None: all are.

    Args:
        node: that may be built, see `refuse_untrusted`.
    """
    for target in targets_of(node):
        package = str(target).partition(".")[0]
        if PathFinder.find_spec(package) is None:
            return (
                f"{target}: no package {package} is found from here: start in the folder that has "
                "its code, or put that on PYTHONPATH"
            )
    return None
