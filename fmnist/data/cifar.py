"""CIFAR-10 and CIFAR-100 as torchvision has them: Python pickles of arrays, read as nothing else.

Format: https://www.cs.toronto.edu/~kriz/cifar.html. A batch is a dictionary: `data` uint8
[N, 3 * 32 * 32], channel by channel, and `labels` (CIFAR-100: `fine_labels`), a list.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fmnist.config.published import Published
from fmnist.data.source import Images
from fmnist.errors import DataError

# What an array's pickle names, in NumPy 1 and 2. Nothing here runs code of the file's choosing.
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
}  # fmt: skip


class Arrays(pickle.Unpickler):
    """Reads plain values and arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, which no array needs")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_part(contents: Mapping[Path, bytes], facts: Published) -> Images:
    """Training or test images, of one or several batches.

    Raises:
        DataError: a file is no such batch, or asks for more than arrays.
    """
    batches = [_read_batch(path, content, facts) for path, content in contents.items()]
    pixels, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels))


def _read_batch(path: Path, content: bytes, facts: Published) -> tuple[Any, Any]:
    """uint8 [N, C, H, W] and int64 [N]."""
    try:
        batch = Arrays(io.BytesIO(content), encoding="latin1").load()
        labels = batch["fine_labels"] if "fine_labels" in batch else batch["labels"]
        numbers = np.asarray(labels, dtype=np.int64)
        pixels = np.asarray(batch["data"], dtype=np.uint8).reshape(len(numbers), *facts.shape)
        if not 0 <= numbers.min() <= numbers.max() < len(facts.classes):
            raise ValueError(f"label {numbers.max()} for {len(facts.classes)} classes")
    except Exception as error:  # a damaged pickle can raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a batch of CIFAR's images: {reason}") from error
    return pixels, numbers
