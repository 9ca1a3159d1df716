"""Self-paced learning (Kumar 2010, NIPS 23): easy vertebrae first, within each class.

The regulariser of the paper is not published; both usual ones are here. v minimises sum v L + f(v; lambda): hard,
v = [L < lambda], or linear, v = max(0, 1 - L / lambda). Lambda is set for each class, as the loss that a share of its
vertebrae does not exceed, and the share grows to all of them. With one lambda for all classes the rare and difficult
ones would be left out for long.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from vertegrade.metastasis.network.model import Answers, BoneNetwork

Kind = Literal["hard", "linear", "off"]


class Paced(nn.Module):
    """A network with the loss that each vertebra had when it was last seen (NaN: not yet), kept with its state."""

    seen: Tensor

    def __init__(self, network: BoneNetwork, vertebrae: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("seen", torch.full((vertebrae,), torch.nan))

    def forward(self, slices: Tensor) -> Answers:
        answers: Answers = self.network(slices)
        return answers


def pace_share(step: int, steps: int, start: float, end: float) -> float:
    """Share of each class that is learned from at a step: from `start` to 1 at the share `end` of the steps."""
    return min(1.0, start + (1 - start) * step / max(end * steps, 1))


@torch.no_grad()
def pace(losses: Tensor, classes: Tensor, seen: Tensor, all_classes: Tensor, share: float, kind: Kind) -> Tensor:
    """Weights (B,) of the vertebrae of a batch in its loss.

    losses, classes: (B,) of the batch. seen, all_classes: (N,) last losses (NaN: unknown) and classes of all.
    """
    weights = torch.ones_like(losses)
    if kind == "off" or share >= 1:
        return weights
    for number in classes.unique():
        known = seen[(all_classes == number) & seen.isfinite()]
        here = classes == number
        if not len(known):  # a step with a loss that is not finite; the loop skips it
            continue
        limit = known.quantile(share)
        easy = losses[here] <= limit
        weights[here] = easy.float() if kind == "hard" else (1 - losses[here] / limit.clamp(min=1e-6)).clamp(0, 1)
    return weights
