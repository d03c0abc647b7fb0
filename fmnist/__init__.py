"""fmnist: CNN ablation studies on Fashion-MNIST that hold up."""

__version__ = "0.1.0"
