"""What a search draws from, and the overrides of a trial."""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Transformer

from fmnist.errors import ConfigError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    Space = dict[str, BaseDistribution]

DIGITS = 8  # of a number that is short enough for people


def with_seeds(cell: list[str], first: int, count: int) -> list[list[str]]:
    """A cell with so many seeds, counted from its own; one seed: as it is."""
    from fmnist.config.readings import key_of

    if (first, count) == (0, 1):
        return [cell]
    own = [int(text.partition("=")[2]) for text in cell if key_of(text) == "seed"]
    rest = [text for text in cell if key_of(text) != "seed"]
    return [[*rest, f"seed={sum(own) + first + number}"] for number in range(count)]


def brief(overrides: Sequence[str]) -> str:
    """Overrides for people: "lr=0.001544 scheduler=step" in place of 17 digits."""
    words = []
    for key, _, value in (text.partition("=") for text in overrides):
        with suppress(ValueError):
            long = len(value) > DIGITS and not value.isdigit()
            value = f"{float(value):.4g}" if long else value
        words.append(f"{key.lstrip('+').rpartition('.')[2]}={value}")
    return " ".join(words)


def search_space(texts: Sequence[str]) -> "tuple[Space, list[str]]":
    """What is searched, and the overrides that every trial has. A later text replaces an earlier.

    A setting that the configuration lacks is searched under its name with the + that adds it.

    Args:
        texts: overrides in Hydra's grammar; those that name several values are searched.

    Raises:
        ConfigError: an interval or range that Optuna cannot draw from, or nothing to search.
    """

    space, fixed, names = dict[str, "BaseDistribution"](), dict[str, str](), dict[str, str]()
    for override in OverridesParser.create().parse_overrides(list(texts)):
        name = override.get_key_element()
        key = name.lstrip("+~")
        names[key] = name
        space.pop(key, None)
        fixed.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = str(override.input_line)
            continue
        try:
            space[key] = distribution(override)
        except ValueError as error:
            raise ConfigError(f"{override.input_line}: {error}") from error
    if not space:
        message = "nothing to search: give a setting an interval, a range or a choice"
        raise ConfigError(f"hydra/sweeper=optuna: {message}")
    return {names[key]: item for key, item in space.items()}, list(fixed.values())


def distribution(override: Override) -> "BaseDistribution":
    """Optuna's for one of Hydra's: an interval has integers only where it is cast (`int(interval(
    1, 9))`), and a range has the values that it has in a grid.

    Raises:
        ValueError: there is nothing to draw from.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    value: Any = override.value()
    if override.is_interval_sweep():
        ends = (value.start, value.end)
        kind = IntDistribution if all(isinstance(end, int) for end in ends) else FloatDistribution
        return kind(*ends, log="log" in value.tags)
    values: list[Any] = list(override.sweep_iterator(transformer=Transformer.encode))
    if not values:
        raise ValueError("no value")
    if not override.is_range_sweep() or value.shuffle:
        return CategoricalDistribution(values)
    start, step = Decimal(str(value.start)), Decimal(str(value.step))  # 0.1 is a tenth
    first, last = sorted((start, start + (len(values) - 1) * step))
    step = abs(step)
    if all(isinstance(number, int) for number in (value.start, value.stop, value.step)):
        return IntDistribution(int(first), int(last), step=int(step))
    return FloatDistribution(float(first), float(last), step=float(step))
