"""Nets that end a run in every way there is."""

import os
import signal
import sys
from typing import Literal

import torch
from torch import Tensor, nn


class BadNet(nn.Module):
    """A linear layer that fails in its third training step."""

    def __init__(self, how: Literal["no", "raise", "exit", "kill", "diverge", "memory"]) -> None:
        super().__init__()
        self.how, self.steps = how, 0
        self.linear = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps == 3:
            if self.how == "raise":
                raise LookupError("the third step")
            if self.how == "exit":
                sys.exit(0)
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "memory":
                torch.empty(2**60)
            if self.how == "diverge":
                return self.linear(x.flatten(1)) * torch.nan
        return self.linear(x.flatten(1))
