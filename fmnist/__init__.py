"""fmnist: CNN ablation studies on Fashion-MNIST that hold up."""

import sys

__version__ = "0.1.0"

if sys.platform == "win32":  # files are locked, and processes forked, in the ways of Unix
    sys.exit("error: fmnist needs Linux, macOS or WSL: this is Windows")


def __getattr__(name: str) -> object:
    """`fmnist.compose(overrides)` and `fmnist.build(config)`, imported when they are asked for."""
    if name == "compose":
        from fmnist.config.compose import compose

        return compose
    if name == "build":
        from fmnist.training.build import build

        return build
    raise AttributeError(f"module 'fmnist' has no attribute {name!r}")
