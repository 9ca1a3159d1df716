"""The supervised contrastive loss."""

import torch
from torch import Tensor


def contrastive_loss(vectors: Tensor, kind: Tensor, temperature: float) -> Tensor:
    """L_out of Khosla et al. (NeurIPS 2020, equation 2) of unit vectors (M, D) of the kinds (M,): a scalar.

    Each vector is an anchor: its likeness to those of its kind, among all others, in logarithm and on average. With two
    views of each image every anchor has one of its kind. An anchor without any is left out; the released code of Wei et
    al. divides by zero there. All in float32, also under autocast, since 1 / temperature magnifies what bfloat16 rounds
    off.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        likeness = vectors.float() @ vectors.float().T / temperature
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    same = (kind[:, None] == kind[None, :]) & ~itself
    log_share = likeness - likeness.masked_fill(itself, -torch.inf).logsumexp(dim=1, keepdim=True)
    count = same.sum(dim=1)
    of_anchor = (log_share * same).sum(dim=1) / count.clamp(min=1)
    return -of_anchor.sum() / (count > 0).sum().clamp(min=1)
