"""What the training of the centreline's network minimises."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vertegrade.localizer.centreline.network import cell_centres_mm

HEAT_MM = 7.0
DISTANCE_WEIGHT = 0.5  # per mm
FAR_MM = 8.0


def centreline_loss(network: nn.Module, image: Tensor, positions: Tensor, exists: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of the heat-map with a Gaussian, distance of the soft-argmax, cross-entropy of the limits.

    positions: (B, Z', 2) mm from the first voxel. exists: (B, Z') 0 or 1. known: (B, Z', 2), weight of position and of
    exists: where the truth is unknown a slice counts for nothing.
    """
    with torch.autocast(image.device.type, torch.bfloat16):  # twice as fast, also on recent CPUs
        heat, offset, limits = network(image)
    cells = [torch.from_numpy(cell_centres_mm(n)).float().to(image.device) for n in heat.shape[1:3]]
    x, y = cells[0][None, :, None, None], cells[1][None, None, :, None]
    dx, dy = x - positions[:, None, None, :, 0], y - positions[:, None, None, :, 1]
    target = (-(dx.square() + dy.square()) / (2 * HEAT_MM**2)).flatten(1, 2).softmax(1)
    logs = heat.flatten(1, 2).log_softmax(1)
    entropy = -(target * logs).sum(1)
    share = logs.exp()
    off = [(share * (d + offset[:, n]).flatten(1, 2)).sum(1) for n, d in enumerate((dx, dy))]
    distance = (off[0].square() + off[1].square() + 0.25).sqrt()
    placed, sure = known[..., 0], known[..., 1]
    near = FAR_MM * torch.log1p(distance / FAR_MM)  # slices that are completely wrong are left to the cross-entropy
    in_place = ((entropy + DISTANCE_WEIGHT * near) * placed).sum() / placed.sum().clamp(min=1)
    found = F.binary_cross_entropy_with_logits(limits, exists, sure, reduction="sum") / sure.sum().clamp(min=1)
    return in_place + 2 * found
