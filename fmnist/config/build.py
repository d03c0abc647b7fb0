"""From a node of a configuration to the object that it describes.

The one place that calls Hydra's `instantiate`: what comes out of it is plain Python. A list that
is OmegaConf's would go into the optimiser's state and from there into every checkpoint, which
could then be loaded by nobody who does not trust it with running code.
"""

from collections.abc import Callable
from typing import Any

from hydra.utils import instantiate


def build(node: Any) -> Any:
    """The object of a node, or a function that makes it where the node says `_partial_: true`."""
    return instantiate(node, _convert_="all")


def maker(node: Any) -> Callable[..., Any]:
    """A node's target with the node's arguments; what code adds is passed on as it is.

    (As keyword arguments of `instantiate` itself, lists and dataclasses would become OmegaConf's.)
    """
    made: Callable[..., Any] = instantiate(node, _partial_=True, _convert_="all")
    return made
