"""From a node of a configuration to the object that it describes.

The one place that calls Hydra's `instantiate`: what comes out of it is plain Python. A list that
is OmegaConf's would go into the optimiser's state and from there into every checkpoint, which
could then be loaded by nobody who does not trust it with running code.
"""

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf


def build_node(node: Any) -> Any:
    """The object of a node, or a function that makes it where the node says `_partial_: true`."""
    return instantiate(node, _convert_="all")


def maker(node: Any) -> Callable[..., Any]:
    """A node's target with the node's arguments; what code adds is passed on as it is.

    (As keyword arguments of `instantiate` itself, lists and dataclasses would become OmegaConf's.)
    """
    made: Callable[..., Any] = instantiate(node, _partial_=True, _convert_="all")
    return made


def find_target(target: str) -> Any:
    """What a dotted name stands for.

    Raises:
        ImportError, AttributeError: nothing; or its module fails.
    """
    logger = logging.getLogger("hydra.utils")
    before, logger.disabled = logger.disabled, True  # it says in three lines what is raised as well
    try:
        return get_object(target)
    finally:
        logger.disabled = before


def cause_of(error: Exception) -> BaseException:
    """What went wrong in a constructor or an import, which Hydra wraps, some of it twice."""
    cause = error if isinstance(error, ImportError) else error.__cause__ or error
    while isinstance(cause, ImportError) and cause.__cause__ is not None:
        cause = cause.__cause__
    return cause


def as_plain(value: Any) -> Any:
    """Without OmegaConf's containers, which only running code could load from a checkpoint."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def sized(node: dict[str, Any], shape: Sequence[int], classes: int) -> dict[str, Any]:
    """A net's node with what its data say: `in_channels`, `image_size` and `num_classes`.

    Only arguments that its target takes by name, that the node leaves open, and that have another
    default: a net of one's own that takes none of them is built as it is.

    Args:
        node: of a net; it imports its target.
        shape: of an image: channels, height, width.
        classes: how many there are.
    """
    try:
        parameters = inspect.signature(find_target(node["_target_"])).parameters
    except Exception:  # it does not say; what is wrong with it is said when it is built
        return node
    facts = {"in_channels": shape[0], "image_size": shape[-1], "num_classes": classes}
    return node | {
        key: value
        for key, value in facts.items()
        if key in parameters and key not in node and parameters[key].default != value
    }
