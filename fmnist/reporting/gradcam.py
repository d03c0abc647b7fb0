"""Grad-CAM: where in an image the evidence for a class lies.

Source: Selvaraju et al. 2017, "Grad-CAM: Visual explanations from deep networks via gradient-based
localization", arXiv 1610.02391, equations 1 and 2.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def grad_cam(net: nn.Module, images: Tensor, classes: Tensor) -> Tensor | None:
    """Maps float [B, H, W] in [0, 1], of the convolution that the net computes last.

    The maps of the layer are summed with the mean gradient of the class's logit as weight; what
    is negative is cut, the rest bilinearly enlarged to the image and divided by its largest value.
    A map is all 0 where nothing in the layer speaks for the class.

    Args:
        net: in eval mode; its parameters receive no gradients.
        images: normalised, float [B, C, H, W].
        classes: whose evidence to show, int64 [B].

    Returns:
        None when the net has no convolution.
    """
    last: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        last[:] = [output]
        return output.clone()  # for what follows: an in-place activation would overwrite ours

    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        return None
    handles = [module.register_forward_hook(keep) for module in convolutions]
    try:
        with torch.enable_grad():
            # With a gradient at the input every layer has one, frozen or not.
            logits = net(images.detach().clone().requires_grad_())
            chosen = logits.gather(1, classes[:, None]).sum()
            maps = last[0]  # [B, C, h, w]
            (gradients,) = torch.autograd.grad(chosen, maps)
    finally:
        for handle in handles:
            handle.remove()
    weights = gradients.mean((2, 3), keepdim=True)  # [B, C, 1, 1]
    cam = (weights * maps.detach()).sum(1, keepdim=True).relu()  # [B, 1, h, w]
    cam = F.interpolate(cam, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    peak = cam.amax((1, 2), keepdim=True)
    return torch.where(peak > 0, cam / peak.clamp(min=1e-30), 0.0).detach()
