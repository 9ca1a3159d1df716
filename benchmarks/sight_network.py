"""The network of see.py for its training by torch, and its loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.localizer.sight.see import SIZE, SLABS, STRIDES, WAYS


class SightNetwork(nn.Module):
    """Patches (n, SLABS, SIZE, SIZE), windowed to -1..1, to (n, 2): how upright, how much like a body's centre."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(SLABS, 16, 5, STRIDES["first"], 2)
        self.second = nn.Conv2d(16, 24, 3, STRIDES["second"], 1)
        self.third = nn.Conv2d(24, 32, 3, STRIDES["third"], 1)
        self.fourth = nn.Conv2d(32, 48, 3, STRIDES["fourth"], 1)
        self.hidden = nn.Linear(48 * (SIZE // 8) ** 2, 32)
        self.last = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second, self.third, self.fourth):
            x = functional.relu(layer(x))
        hidden = functional.relu(self.hidden(x.flatten(1)))
        found: Tensor = self.last(functional.dropout(hidden, 0.2, self.training))
        return found


def sight_numbers(network: nn.Module, patches: Tensor) -> Tensor:
    """The network's numbers (n, 4, 2) of the four ways of turning each patch round (see.WAYS)."""
    axes = [tuple(axis for axis, turn in zip((-2, -1), way, strict=True) if turn) for way in WAYS]
    views = torch.stack([patches.flip(way) if way else patches for way in axes], dim=1)
    numbers: Tensor = network(views.flatten(0, 1)).unflatten(0, views.shape[:2])
    return numbers


def sight_loss(network: nn.Module, patches: Tensor, is_body: Tensor) -> Tensor:
    """Cross-entropy of "unturned" among the four ways, of bodies alone, and of being a body's centre.

    patches: (n, SLABS, SIZE, SIZE) of bodies that lie as they should and of other places. is_body: (n,), 0 or 1.
    """
    numbers = sight_numbers(network, patches)
    upright = -(numbers[..., 0].log_softmax(1)[:, 0] * is_body).sum() / is_body.sum().clamp(min=1)
    return upright + functional.binary_cross_entropy_with_logits(numbers[..., 1].mean(1), is_body)
