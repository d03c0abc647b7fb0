"""fmnist: CNN ablation studies on Fashion-MNIST that hold up."""

import sys

__version__ = "0.1.0"

if sys.platform == "win32":  # files are locked, and processes forked, in the ways of Unix
    sys.exit("error: fmnist needs Linux, macOS or WSL: this is Windows")
