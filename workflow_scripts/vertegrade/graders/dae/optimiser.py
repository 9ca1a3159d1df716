"""What changes the weights: AdamW for all of them, or Muon for matrices and AdamW for the rest.

Muon (Jordan et al. 2024; torch.optim.Muon) moves a matrix of weights by its gradient made orthogonal, so that all
directions are learned at the same pace; a convolution counts as the matrix (out, in * rows * columns).
"""

from typing import Any

import torch
from torch import Tensor, nn

from vertegrade.settings.dae import DaeTrainSettings


def optimisers(network: nn.Module, train: DaeTrainSettings) -> list[torch.optim.Optimizer]:
    """AdamW, or AdamW and Muon, over the weights of a network on its device."""
    muon = train.optimiser == "muon"
    weights = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    matrices = [weight for name, weight in weights if muon and is_matrix(name, weight)]
    others = [weight for name, weight in weights if not (muon and is_matrix(name, weight))]
    rate, decay = train.learning_rate, train.weight_decay
    adamw = torch.optim.AdamW(others, rate, weight_decay=decay)
    return [adamw, _muon(matrices, rate, decay)] if matrices else [adamw]


def _muon(matrices: list[nn.Parameter], rate: float, decay: float) -> torch.optim.Optimizer:
    """Muon takes two-dimensional weights only: it is given views, which share the memory of the network's own."""
    views = [weight.detach().flatten(1) for weight in matrices]
    muon = torch.optim.Muon(views, rate, decay, adjust_lr_fn="match_rms_adamw")

    def give_gradients(*_: Any) -> None:
        for weight, view in zip(matrices, views, strict=True):
            view.grad = None if weight.grad is None else weight.grad.flatten(1)

    muon.register_step_pre_hook(give_gradients)
    return muon


def is_matrix(name: str, weight: Tensor) -> bool:
    """Whether a weight maps features to features; maps of the position are an addition, not a matrix."""
    return weight.ndim >= 2 and not name.endswith("position")
