"""What changes the weights: AdamW or SGD for all of them, or Muon for matrices and AdamW for the rest.

Muon (Jordan et al. 2024; torch.optim.Muon) moves a matrix of weights by its gradient made orthogonal, so that all
directions are learned at the same pace; a convolution counts as the matrix (out, all else).
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

MOMENTUM = 0.9  # of SGD


class Optimisation(Protocol):
    """What is asked of the settings of a training. optimiser: `adamw`, `muon` or `sgd`."""

    @property
    def optimiser(self) -> str:
        """Which one."""

    @property
    def learning_rate(self) -> float:
        """After warm-up."""

    @property
    def weight_decay(self) -> float:
        """Share of a weight that a step takes away, times the rate."""


def optimisers(network: nn.Module, train: Optimisation, fused: bool = False) -> list[torch.optim.Optimizer]:
    """All that changes the weights of a network on its device. fused: AdamW in one kernel."""
    if train.optimiser == "sgd":
        return [
            torch.optim.SGD(
                network.parameters(), train.learning_rate, momentum=MOMENTUM, weight_decay=train.weight_decay
            )
        ]
    muon = train.optimiser == "muon"
    weights = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    matrices = [weight for name, weight in weights if muon and is_matrix(name, weight)]
    others = [weight for name, weight in weights if not (muon and is_matrix(name, weight))]
    rate, decay = train.learning_rate, train.weight_decay
    adamw = torch.optim.AdamW(others, rate, weight_decay=decay, fused=fused or None)
    return [adamw, _muon(matrices, rate, decay)] if matrices else [adamw]


def _muon(matrices: list[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Muon takes two-dimensional weights only: it is given views, which share the memory of the network's own."""
    orders = [_order(weight) for weight in matrices]
    views = [_as_matrix(weight, order) for weight, order in zip(matrices, orders, strict=True)]
    muon = torch.optim.Muon(views, rate, decay, adjust_lr_fn="match_rms_adamw")

    def give_gradients(*_: Any) -> None:
        for weight, view, order in zip(matrices, views, orders, strict=True):
            view.grad = None if weight.grad is None else weight.grad.permute(order).flatten(1)

    muon.register_step_pre_hook(give_gradients)
    return muon


def _order(weight: Tensor) -> list[int]:
    """The dimensions of a weight in the order of its memory, which is not that of its shape in channels-last.

    Muon makes a matrix orthogonal, so that the order of its columns does not matter.
    """
    return [0, *sorted(range(1, weight.ndim), key=weight.stride, reverse=True)]


def _as_matrix(weight: Tensor, order: list[int]) -> Tensor:
    """A weight as the matrix (out, all else) in its own memory: `flatten` would make a copy where there is no view."""
    return weight.detach().permute(order).view(len(weight), -1)


def is_matrix(name: str, weight: Tensor) -> bool:
    """Whether a weight maps features to features; maps of the position are an addition, not a matrix."""
    return weight.ndim >= 2 and not name.endswith("position")
