"""Nets as people write them on their first day: each has one thing wrong with it."""

import os

import numpy as np
import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """Nothing is wrong with this one."""

    def __init__(self, width: int = 10) -> None:
        super().__init__()
        self.linear = nn.Linear(784, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


class TooWide(Linear):
    def __init__(self) -> None:
        super().__init__(100)


class NotFlattened(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class NoParameters(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :10]


class Frozen(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.requires_grad_(False)


class NoModule:
    pass


def gives_three() -> int:
    return 3


class RaisesInConstructor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        raise LookupError("no such\nweights")


class WithoutSuper(nn.Module):
    def __init__(self) -> None:
        self.linear = nn.Linear(784, 10)


class NoForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)


class NeedsWidth(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()


class OpensFile(Linear):
    def __init__(self) -> None:
        super().__init__()
        torch.load("pretrained.pt")


class Detached(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


class ThroughNumpy(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(super().forward(x).numpy())


class InPlace(Linear):
    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x).exp()
        logits += 1
        return logits * logits.sigmoid_()


class AlwaysTuple(Linear):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x), super().forward(x)


class GivesDict(Linear):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": super().forward(x)}


class NarrowAuxiliary(Linear):
    """Auxiliary logits, while it trains, of another width."""

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits = super().forward(x)
        return (logits, logits[:, :5]) if self.training else logits


class Classes(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).argmax(1, keepdim=True).repeat(1, 10)


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


class DoublePrecision(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.double()


class FailsInTraining(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).nope if self.training else super().forward(x)


class DrawsEverywhere(Linear):
    """Nothing is wrong, but it draws from every generator there is."""

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.rand(()) + np.random.rand()  # noqa: NPY002
        return super().forward(x) + noise


class Crashes(Linear):
    def forward(self, x: Tensor) -> Tensor:
        os.abort()
