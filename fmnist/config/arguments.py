"""The words of a command line, in the order in which Hydra takes them.

Hydra's parser wants all settings side by side: `model=x --config-dir D optim=y` is a usage error to
it. Here they may stand anywhere.
"""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException

from fmnist.config.readings import key_of
from fmnist.config.schema import SCALARS
from fmnist.config.words import near
from fmnist.errors import ConfigError

OPEN = ("model", "optim", "scheduler", "aug")  # groups whose options have settings of their own
ALONE = ("run", "multirun", "cfg", "info", "shell_completion")  # what Hydra does: one at a time


def order_arguments(words: Sequence[str]) -> list[str]:
    """The flags, then the settings, each in their order.

    Raises:
        ConfigError: a flag that does not exist, lacks its value, or contradicts another.
    """
    try:
        from hydra._internal.utils import get_args_parser  # private; the parser of `hydra.main`
    except ImportError:
        return list(words)  # in the order that Hydra wants, or Hydra says so

    parser = get_args_parser()

    def refuse(message: str) -> None:
        raise ConfigError(_explain(message, words, parser))

    parser.error = refuse  # type: ignore[method-assign, assignment]
    typed = parser.parse_intermixed_args(list(words))
    _check_modes(typed)
    flags = list(words)
    for setting in reversed(typed.overrides):  # from the end: a flag's value stands before
        del flags[len(flags) - 1 - flags[::-1].index(setting)]
    return [*flags, *last_of_each(typed.overrides)]


def last_of_each(settings: Sequence[str]) -> list[str]:
    """Each value once, the last one, as Hydra takes it: folders and records say what ran.

    A plus adds a value or replaces the one that is there, whichever it is. Options of groups stay
    as they are: two of one group are a mistake (`fmnist.config.command`).
    """
    found: list[str] = []
    for text in settings:
        key, equals, _ = text.lstrip("+").partition("=")
        if equals and is_value_key(key):
            found = [other for other in found if key_of(other) != key]
            text = f"++{text[1:]}" if text.startswith("+") and text[1:2] != "+" else text
        found.append(text)
    return found


def is_value_key(key: str) -> bool:
    """Whether a key is that of a value, not of a group."""
    return "." in key or key in SCALARS


def ask_for_sweep(words: Sequence[str]) -> list[str]:
    """The words, and `hydra.mode=MULTIRUN` beside an ablation or a search: a file that asks for a
    sweep while the configuration is composed comes too late from Hydra 1.4 on.
    """
    said = [word.lstrip("+") for word in words]
    modes = [word for word in said if word.startswith("hydra.mode=")]
    asked = {"-m", "--multirun"} & {*words} or "hydra.mode=MULTIRUN" in modes
    studied = any(word.startswith(("ablation=", "search=")) for word in said)
    if not asked and (modes or not studied):
        return list(words)
    if not any(word.startswith("search=") for word in said):
        words = cell_by_cell(words)
    return list(words) if asked else [*words, "hydra.mode=MULTIRUN"]


def cell_by_cell(settings: Sequence[str]) -> list[str]:
    """Settings of a sweep of options, each as a choice of one: `optim.momentum=choice(0.9)`.

    Hydra composes a sweep without what it varies first, where a setting that every swept option
    has, and the default one has not, would be refused: `optim.momentum=0.9 optim=sgd,rmsprop`. What
    it chooses from is left to the cells.
    """
    parsed = [(text, _parsed(text)) for text in settings]
    ablation = any(text.lstrip("+").startswith("ablation=") for text in settings)
    swept = {
        item.key_or_group for _, item in parsed if item is not None and item.is_sweep_override()
    }
    everything = ablation or bool(swept & {"experiment", "without"})
    found = []
    for text, override in parsed:
        key, _, value = text.partition("=")
        group = key.partition(".")[0]
        left = "." in key and group in OPEN and (everything or group in swept)
        if left and value and override is not None and not override.is_sweep_override():
            text = f"{key}=choice({value})"
        found.append(text)
    return found


def _parsed(text: str) -> Override | None:
    """An override; None: a flag, or what Hydra will refuse."""
    if text.startswith(("-", "+", "~", "hydra.")) or "=" not in text:
        return None
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except OverrideParseException:
        return None
    return override


def _check_modes(typed: Namespace) -> None:
    asked = [f"--{name.replace('_', '-')}" for name in ALONE if getattr(typed, name)]
    if len(asked) > 1:
        raise ConfigError(f"{' and '.join(asked)}: one of them at a time")
    if typed.resolve and not (typed.cfg or typed.help):
        raise ConfigError("--resolve: only with --cfg or --help")


def _explain(message: str, words: Sequence[str], parser: ArgumentParser) -> str:
    """argparse's message, with the flag or the setting that may be meant."""
    kind, _, word = message.partition(": ")
    if "ignored explicit argument" in message:  # -model=x is -m, and more, to it
        word = next(each for each in words if each.startswith("-") and "=" in each)
    elif kind != "unrecognized arguments":
        return message.removeprefix("argument ")
    else:
        word = word.split()[0]
    if "=" in word:
        return f"{word}: no such flag; settings have no dashes: {word.lstrip('-')}"
    flags = re.findall(r"(?<!\w)--?[a-z][a-z-]*", parser.format_usage())
    return f"{word}: no such flag{near(word, flags)}"
