"""Muon for the matrices of a net, AdamW for the rest, as one optimiser."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.optim import AdamW, Muon, Optimizer

# What a policy may change from step to step.
FOLLOWED = ("lr", "momentum", "weight_decay")


class MuonAdamW(Optimizer):
    """Torch's Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) and torch's AdamW.

    Muon takes the weights of linear layers and, flattened to [out, in x height x width] as its
    author does, of convolutions; AdamW takes biases, normalisations and the last matrix, which is
    the head. The output matrices of auxiliary heads stay with Muon, as hidden ones. A group has
    the rate of its optimiser; a policy changes both in proportion.

    Args:
        params: tensors, or groups of them.
        lr: of Muon.
        adamw_lr: of AdamW.
        momentum: of Muon.
        weight_decay: decoupled, of both.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Annotated[float, "(0, inf)"] = 0.02,
        adamw_lr: Annotated[float, "(0, inf)"] = 3e-3,
        momentum: Annotated[float, "[0, 1)"] = 0.95,
        weight_decay: Annotated[float, "[0, inf)"] = 0.01,
    ) -> None:
        given = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        groups = [group | {"params": list(group["params"])} for group in groups]
        matrices = [tensor for group in groups for tensor in group["params"] if tensor.ndim > 1]
        hidden = {id(tensor) for tensor in matrices[:-1]}
        made = []
        for group in groups:
            for muon, rate in ((True, lr), (False, adamw_lr)):
                some = [tensor for tensor in group["params"] if (id(tensor) in hidden) == muon]
                if some:
                    made.append({"lr": rate} | group | {"params": some, "muon": muon})
        super().__init__(made, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.inner: list[Optimizer] = [self._inner(group) for group in self.param_groups]

    def _inner(self, group: dict[str, Any]) -> Optimizer:
        settings = {"lr": group["lr"], "weight_decay": group["weight_decay"]}
        if not group["muon"]:
            return AdamW(group["params"], **settings)
        views = [_as_matrix(tensor.detach(), tensor) for tensor in group["params"]]
        return Muon(views, momentum=group["momentum"], **settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group, inner in zip(self.param_groups, self.inner, strict=True):
            (own,) = inner.param_groups
            own.update({key: group[key] for key in FOLLOWED if key in own})
            pairs = [*zip(group["params"], own["params"], strict=True)] if group["muon"] else []
            for tensor, view in pairs:
                grad = tensor.grad
                view.data = _as_matrix(tensor.detach(), tensor)  # the net may have been moved
                view.grad = None if grad is None else _as_matrix(grad, tensor)
            inner.step()
            for tensor, view in pairs:
                if view.data_ptr() != tensor.data_ptr():
                    tensor.copy_(view.view(tensor.shape))
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Muon's in the shapes of the weights: as matrices they are in the order of this memory."""
        return super().state_dict() | {
            "inner": [
                _turned(inner.state_dict(), group, _as_tensor)
                for group, inner in zip(self.param_groups, self.inner, strict=True)
            ]
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({key: v for key, v in state_dict.items() if key != "inner"})
        parts = zip(self.param_groups, self.inner, state_dict["inner"], strict=True)
        for group, inner, state in parts:
            inner.load_state_dict(_turned(state, group, _as_matrix))


def _turned(
    state: dict[str, Any], group: dict[str, Any], turn: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, Any]:
    """The state of a group's optimiser, each tensor of Muon's turned as the weight beside it."""
    if not group["muon"]:
        return state
    weights = group["params"]
    return state | {
        "state": {
            place: {name: turn(value, weights[place]) for name, value in kept.items()}
            for place, kept in state["state"].items()
        }
    }


def _as_tensor(values: Tensor, like: Tensor) -> Tensor:
    """The inverse of `_as_matrix`."""
    if _is_channels_last(like):
        count, channels, height, width = like.shape
        return values.view(count, height, width, channels).permute(0, 3, 1, 2)
    return values.view(like.shape)


def _as_matrix(values: Tensor, like: Tensor) -> Tensor:
    """[out, in, height, width] as [out, rest], a view of `like`'s own memory in either format.

    The order of the columns is that of the memory, which Muon's result does not depend on. Of
    memory in any other order, such as a transposed tensor's, it is a copy. What is a matrix, as in
    checkpoints of before, stays as it is.
    """
    if values.ndim == 4 and _is_channels_last(like):
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(values), -1)


def _is_channels_last(like: Tensor) -> bool:
    """And not contiguous too, as a kernel of one pixel is."""
    last = like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last)
    return last and not like.is_contiguous()
