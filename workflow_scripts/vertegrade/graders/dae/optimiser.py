"""What changes the weights: AdamW for all of them, or Muon for matrices and AdamW for the rest.

Muon (Jordan et al. 2024; torch.optim.Muon) moves a matrix of weights by its gradient made orthogonal, so that all
directions are learned at the same pace; a convolution counts as the matrix (out, in * rows * columns).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vertegrade.settings.dae import DaeTrainSettings

States = dict[str, dict[str, Tensor]]


class Optimiser:
    """AdamW, or Muon and AdamW, over the weights of a network; its state is tensors with plain names."""

    def __init__(self, network: nn.Module, train: DaeTrainSettings) -> None:
        muon = train.optimiser == "muon"
        weights = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
        matrices = [weight for name, weight in weights if muon and is_matrix(name, weight)]
        others = [weight for name, weight in weights if not (muon and is_matrix(name, weight))]
        rate, decay = train.learning_rate, train.weight_decay
        self._parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(others, rate, weight_decay=decay)]
        # torch's Muon takes two-dimensional weights only; these share the memory of the network's own.
        self._flat = [(weight, weight.detach().flatten(1)) for weight in matrices]
        if matrices:
            flat = [view for _, view in self._flat]
            self._parts.append(torch.optim.Muon(flat, rate, decay, adjust_lr_fn="match_rms_adamw"))

    def step(self, learning_rate: float) -> None:
        """Change the weights by their gradients."""
        for weight, view in self._flat:
            view.grad = None if weight.grad is None else weight.grad.flatten(1)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = learning_rate
            part.step()

    def state(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Moments of each weight: (`part.position`, tensors by name)."""
        for n, part in enumerate(self._parts):
            for position, tensors in part.state_dict()["state"].items():
                yield f"{n}.{position}", tensors

    def load(self, states: States) -> None:
        """Take the moments of `state` back."""
        for n, part in enumerate(self._parts):
            of_part = {int(key.split(".")[1]): tensors for key, tensors in states.items() if key.startswith(f"{n}.")}
            part.load_state_dict(part.state_dict() | {"state": of_part})


def is_matrix(name: str, weight: Tensor) -> bool:
    """Whether a weight maps features to features; maps of the position are an addition, not a matrix."""
    return weight.ndim >= 2 and not name.endswith("position")
