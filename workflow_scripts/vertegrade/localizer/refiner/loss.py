"""What the training of the refiner minimises."""

import torch
from torch import Tensor, nn

from vertegrade.localizer.refiner.network import MAP_MM

HEAT_SIGMA_MM = 1.5


def refiner_loss(network: nn.Module, looks: Tensor, points: Tensor) -> Tensor:
    """Loss of looks (B, 7, 64, 64) with points (B, 6, 3) in mm: errors of places and of the three heights.

    A cross entropy of the heat maps makes the beginning short, Laplace's negative log likelihood the log scales honest.
    """
    with torch.autocast(looks.device.type, torch.bfloat16):
        found, log_scale, logits = network(looks)
    log_scale = log_scale.float().clamp(-4, 3)
    error = (found - points).abs()
    likelihood = error.detach() * torch.exp(-log_scale) + log_scale
    heights = (found[:, 1::2, 1] - found[:, 0::2, 1]) - (points[:, 1::2, 1] - points[:, 0::2, 1])
    weight = error.new_tensor([0.8, 1.0, 0.5])  # heights depend on rows
    entropy = -(_heat_target(points, logits.shape[-1]) * torch.log_softmax(logits.flatten(2), dim=2)).sum(dim=2)
    return (error * weight).mean() + 0.7 * heights.abs().mean() + 0.1 * likelihood.mean() + 0.3 * entropy.mean()


def _heat_target(points: Tensor, side: int) -> Tensor:
    """Gaussians of HEAT_SIGMA_MM round the points (B, 6, 3), (B, 6, side * side), each of sum 1."""
    place = (torch.arange(side, device=points.device) - (side - 1) / 2) * MAP_MM
    rows, columns = (
        torch.softmax(-0.5 * ((place - points[:, :, axis, None]) / HEAT_SIGMA_MM) ** 2, dim=2) for axis in (1, 2)
    )
    return (rows[..., :, None] * columns[..., None, :]).flatten(2)
